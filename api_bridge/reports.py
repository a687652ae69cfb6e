"""A mail in the client's report mailbox: read as a report, not judged.

Who sent it decides whether it counts: mail from inside, or of an own domain where the gate that set
the trace found that it wrote this, or, for mail that came without a trace, the mail host did
(``inside.py`` and ``host_auth.py`` say which marks cannot come from outside).
Behind the gateway the mail host's word counts for nothing: it may have judged the gateway.
"""

from __future__ import annotations

from datetime import datetime

from api_bridge.connectors import Item
from api_bridge.host_auth import host_auth
from api_bridge.known import Profile
from incidents.mail.facts import MailFacts
from incidents.mail.trace import Trace
from incidents.models import UserReport
from incidents.userreports.reading import ReadReport
from incidents.userreports.taking import TakenReport, reports_of
from incidents.words import Direction

Trust = UserReport.Trust


def trust_of(
    item: Item,
    facts: MailFacts,
    *,
    direction: Direction,
    trace: Trace | None,
    trace_state: str,
    profile: Profile,
    kind: str,
) -> Trust:
    """``facts`` with the results of our own gate only; ``trace`` only if it is this mail's.
    ``kind``: of the mail host.
    """
    sender = facts.sender
    if sender is None or sender.domain not in profile.own_domains:
        return Trust.OUTSIDE
    if direction is Direction.INTERNAL:
        return Trust.OWN
    if trace is not None:
        passed = any(
            each.method == "dmarc" and each.result == "pass" and each.domain == sender.domain
            for each in facts.auth_results
        )
        return Trust.OWN if passed else Trust.FORGED
    is_untraced = trace_state in ("missing", "none_expected")
    is_proven = is_untraced and host_auth(item, kind).get("dmarc") == "pass"
    return Trust.OWN if is_proven else Trust.FORGED


def taken_from(
    item: Item, report: ReadReport, *, reported_at: datetime, trust: Trust
) -> tuple[TakenReport, ...]:
    """What becomes rows, once for each item of the mailbox, however often it is listed."""
    key = f"{item.ref.mailbox_id}/{item.ref.item_id}"[:580]
    found = reports_of(report, source_key=key, reported_at=reported_at, trust=trust.value)
    return tuple(found)


def bare_facts(facts: MailFacts) -> MailFacts:
    """Of the report as a mail: without what is attached to it.

    Fifty reports of one campaign would else be fifty harmless mails with its links, and what much
    harmless mail has in common joins nothing any more (docs/correlation.md).
    """
    return MailFacts(
        size_bytes=facts.size_bytes,
        raw_sha256=facts.raw_sha256,
        is_readable=facts.is_readable,
        internet_message_id=facts.internet_message_id,
        subject=facts.subject,
        sender=facts.sender,
        to=facts.to[:50],
        sent_at=facts.sent_at,
        in_reply_to=facts.in_reply_to,
        references=facts.references,
    )
