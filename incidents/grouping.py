"""Which incident a message joins: the strict, automatic step.

Same content, the same rare file, near-duplicate text, or for short mail the same template with
evidence beyond its words, within one client and three days (incidents/campaigns/evidence.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from incidents.campaigns.canonical import Key, text_keys
from incidents.campaigns.evidence import IDLE_LIMIT, Link, Mail, Rarity, group_link
from incidents.campaigns.ledger import crossing
from incidents.campaigns.store import mails_of
from incidents.campaigns.traits import SMALLEST_FILE_BYTES
from incidents.models import (
    Edge,
    GroupKey,
    Incident,
    IncidentMessage,
    Message,
    MessageTrait,
)

MOST_ROWS = 400
MOST_COMPARED = 60


@dataclass(frozen=True, slots=True)
class Found:
    """A message of an incident that the new one belongs to."""

    incident: Incident
    link: Link


def keys_of(message: Message, mail: Mail) -> Iterator[tuple[str, str]]:
    """The (kind, value) pairs under which later mail finds this message's incident."""
    yield from text_keys(mail)
    for attachment in message.facts.get("attachments", ()):
        if not attachment.get("is_inline") and attachment["size_bytes"] > SMALLEST_FILE_BYTES:
            yield "file", attachment["sha256"]


def find_incidents(message: Message, mail: Mail, rarity: Rarity) -> list[Found]:
    """The incidents that this message belongs to, each once, the strictest evidence first.

    At most ``MOST_COMPARED`` of the nearest mails in time are compared with it.
    """
    near = _near_mails(message, mail, rarity)
    members = {
        member.message_id: member
        for member in IncidentMessage.objects.select_related("incident", "message")
        .filter(message__in=near)
        .exclude(incident__kind=Incident.Kind.HEALTH)
    }
    others = mails_of([member.message for member in members.values()])
    links = []
    for other in others:
        link = group_link(mail, other, rarity)
        if link is not None:
            links.append((-link.strength, other.id, link))
    best: dict[UUID, Found] = {}
    for _, other_id, link in sorted(links, key=lambda row: row[:2]):
        incident = members[other_id].incident
        best.setdefault(incident.id, Found(incident, link))
    return list(best.values())


def _near_mails(message: Message, mail: Mail, rarity: Rarity) -> list[UUID]:
    """Messages that share a key or a telling trait, nearest in time first."""
    window = (mail.seen_at - IDLE_LIMIT, mail.seen_at + IDLE_LIMIT)
    wanted = set(keys_of(message, mail))
    keys = GroupKey.objects.filter(
        tenant=message.tenant_id,
        kind__in={kind for kind, _ in wanted},
        value__in=[value for _, value in wanted],
        last_seen_at__range=window,
    ).order_by("-last_seen_at")
    found = _rows(keys.values_list("kind", "value", "message_id", "last_seen_at"), wanted)
    telling = {key for key, trait in mail.traits.items() if rarity.weighs(trait) > 0}
    if telling and not mail.shingles:
        traits = MessageTrait.objects.filter(
            tenant=message.tenant_id,
            kind__in={kind for kind, _ in telling},
            value__in=[value for _, value in telling],
            seen_at__range=window,
        ).order_by("-seen_at")
        found |= _rows(traits.values_list("kind", "value", "message_id", "seen_at"), telling)
    found.pop(message.id, None)
    return sorted(found, key=lambda other: (abs(found[other] - mail.seen_at), other))[
        :MOST_COMPARED
    ]


def _rows(
    rows: QuerySet[Any, tuple[str, str, UUID, datetime]], wanted: Collection[Key]
) -> dict[UUID, datetime]:
    """Message → when it was seen.  The query asks for kinds and values apart; here they meet."""
    return {
        message_id: at
        for kind, value, message_id, at in rows[:MOST_ROWS]
        if (kind, value) in wanted
    }


def may_join(left: Incident, right: Incident) -> bool:
    """Whether nobody keeps a mail of one apart from a mail of the other."""
    return not _is_kept_apart(_message_ids(left), _message_ids(right))


def _message_ids(incident: Incident) -> Sequence[UUID]:
    return list(
        IncidentMessage.objects.filter(incident=incident).values_list("message_id", flat=True)
    )


def _is_kept_apart(left: Sequence[UUID], right: Sequence[UUID]) -> bool:
    rows = crossing(Edge.Level.GROUP, left, right)
    return rows.filter(act=Edge.Act.CANNOT).exists()


def remember_keys(incident: Incident, message: Message, mail: Mail) -> None:
    """Let later mail find this incident by this message; repeating it changes nothing."""
    GroupKey.objects.bulk_create(
        [
            GroupKey(
                tenant_id=message.tenant_id,
                incident=incident,
                message=message,
                kind=kind,
                value=value,
                last_seen_at=mail.seen_at,
            )
            for kind, value in sorted(set(keys_of(message, mail)))
        ],
        ignore_conflicts=True,
    )
