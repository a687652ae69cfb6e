"""Who writes to this client, and how: what the detectors compare a mail with.

A row of ``Correspondent`` is a sender with one mailbox, or (recipient "") with the client as a
whole.  Only mail that was judged harmless teaches anything: else the third phish of a sender would
be mail of somebody well known.  Features of the client's row: hours, mailers, languages, hosts,
most_recipients (habits of the client's own people) and accounts (payment accounts of anybody).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from api_bridge.detect import Habits, History
from api_bridge.models import Correspondent
from incidents.mail.facts import MailFacts
from incidents.mail.signals import read as read_signals
from incidents.mail.signals.domains import registered_domain
from incidents.mail.signals.money import accounts_in

# A sender is known an hour after his first mail: until then every copy of a campaign, and every
# mailbox that it reaches, is judged alike, whatever their order.
RIPENS_AFTER = timedelta(hours=1)
MOST_VALUES = 40
MOST_TAUGHT_RECIPIENTS = 50

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one harmless mail teaches about one (sender, recipient)."""

    sender: str
    recipient: str
    at: datetime
    mails: int = 0
    replies: int = 0
    features: Mapping[str, Any] = field(default_factory=dict)


def load(senders: Iterable[str], recipients: Iterable[str]) -> dict[Key, Correspondent]:
    """Rows of these senders with these mailboxes and with the client.  Needs a scope."""
    wanted = {sender[:320] for sender in senders if sender}
    if not wanted:
        return {}
    rows = Correspondent.objects.filter(sender__in=wanted, recipient__in={"", *recipients})
    return {(row.sender, row.recipient): row for row in rows}


def history_of(
    rows: Mapping[Key, Correspondent], sender: str, mailbox: str, at: datetime
) -> History:
    """What came from ``sender`` before a mail received ``at``."""
    whole, mine = (_ripe(rows.get((sender, recipient)), at) for recipient in ("", mailbox))
    return History(
        first_seen_at=whole.first_seen_at if whole else None,
        last_seen_at=whole.last_seen_at if whole else None,
        mails_to_client=whole.mails if whole else 0,
        mails_to_mailbox=mine.mails if mine else 0,
        mails_answered=mine.replies if mine else 0,
    )


def _ripe(row: Correspondent | None, at: datetime) -> Correspondent | None:
    return row if row is not None and row.first_seen_at <= at - RIPENS_AFTER else None


def habits_of(rows: Mapping[Key, Correspondent], sender: str) -> Habits:
    row = rows.get((sender, ""))
    if row is None:
        return Habits()
    kept = row.features
    return Habits(
        mails=int(kept.get("mails", 0)),
        hours=frozenset(kept.get("hours", ())),
        mailers=frozenset(kept.get("mailers", ())),
        languages=frozenset(kept.get("languages", ())),
        hosts=frozenset(kept.get("hosts", ())),
        most_recipients=int(kept.get("most_recipients", 0)),
    )


def accounts_of(rows: Mapping[Key, Correspondent], sender: str) -> frozenset[str]:
    row = rows.get((sender, ""))
    return frozenset(row.features.get("accounts", ())) if row else frozenset()


def lessons_of_received(
    facts: MailFacts, mailbox: str, at: datetime, *, is_internal: bool
) -> list[Lesson]:
    """Of a harmless mail in a mailbox."""
    sender = facts.sender.address[:320] if facts.sender else ""
    if not sender:
        return []
    reading = read_signals(facts)
    features: dict[str, Any] = {}
    if is_internal or _is_proven(facts):
        written = accounts_in(f"{facts.subject}\n{facts.text}")
        features["accounts"] = [account.number for account in written]
    if is_internal:
        mailer = reading.header("x-mailer") or reading.header("user-agent")
        features |= {
            "mails": 1,
            "hours": [facts.sent_at.hour] if facts.sent_at else [],
            "mailers": [mailer.partition("/")[0].strip()] if mailer else [],
            "languages": [facts.language] if facts.language else [],
            "hosts": [registered_domain(host) for host in reading.link_hosts],
            "most_recipients": len(reading.recipients),
        }
    return [
        Lesson(sender=sender, recipient="", at=at, mails=1, features=features),
        Lesson(sender=sender, recipient=mailbox, at=at, mails=1),
    ]


def _is_proven(facts: MailFacts) -> bool:
    """Somebody who only claims to be the sender must not teach his account as the sender's."""
    return any(
        each.method == "dmarc" and each.result in ("pass", "bestguesspass")
        for each in facts.auth_results
    )


def lessons_of_sent(recipients: Sequence[str], mailbox: str, at: datetime) -> list[Lesson]:
    """Of a mail in Sent Items: this mailbox writes to these addresses."""
    wanted = list(dict.fromkeys(each[:320] for each in recipients if each))
    return [
        Lesson(sender=address, recipient=row, at=at, replies=1)
        for address in wanted[:MOST_TAUGHT_RECIPIENTS]
        for row in ("", mailbox)
    ]


def learn(tenant_id: int, lessons: Sequence[Lesson]) -> None:
    """Must run in the client's scope, once for each mail: the caller knows what is new."""
    by_key: dict[Key, list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        by_key[lesson.sender, lesson.recipient].append(lesson)
    if not by_key:
        return
    first = {key: min(lesson.at for lesson in taught) for key, taught in by_key.items()}
    Correspondent.objects.bulk_create(
        [
            Correspondent(
                tenant_id=tenant_id,
                sender=sender,
                recipient=recipient,
                first_seen_at=first[sender, recipient],
                last_seen_at=first[sender, recipient],
            )
            for sender, recipient in sorted(by_key)
        ],
        ignore_conflicts=True,
    )
    wanted = Q()
    for sender, recipient in by_key:
        wanted |= Q(sender=sender, recipient=recipient)
    # In the order of their keys, so that two workers never wait for each other.
    rows = list(
        Correspondent.objects.select_for_update().filter(wanted).order_by("sender", "recipient")
    )
    for row in rows:
        for lesson in by_key[row.sender, row.recipient]:
            _teach(row, lesson)
    Correspondent.objects.bulk_update(
        rows, ["mails", "replies", "features", "first_seen_at", "last_seen_at"]
    )


def _teach(row: Correspondent, lesson: Lesson) -> None:
    row.mails += lesson.mails
    row.replies += lesson.replies
    row.first_seen_at = min(row.first_seen_at, lesson.at)
    row.last_seen_at = max(row.last_seen_at, lesson.at)
    for name, value in lesson.features.items():
        if isinstance(value, list):
            # The newest values stay: habits change slowly, and a row must not grow for ever.
            kept = [old for old in row.features.get(name, []) if old not in value]
            row.features[name] = (kept + value)[-MOST_VALUES:]
        elif name == "mails":
            row.features[name] = row.features.get(name, 0) + value
        else:
            row.features[name] = max(row.features.get(name, 0), value)
