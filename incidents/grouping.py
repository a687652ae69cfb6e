"""Which incident a message joins: the strict, automatic step.

Same content, the same rare file, near-duplicate text, or for short mail the same template with
evidence beyond its words, within one client and three days (incidents/campaigns/evidence.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from incidents.campaigns.canonical import Key, text_keys
from incidents.campaigns.evidence import IDLE_LIMIT, Link, Mail, Rarity, group_link
from incidents.campaigns.joining import is_kept_apart
from incidents.campaigns.ledger import crossing
from incidents.campaigns.moving import MERGED, merge, message_ids_of, note_after
from incidents.campaigns.store import mails_of
from incidents.campaigns.traits import SMALLEST_FILE_BYTES
from incidents.holding import hold_incidents
from incidents.models import (
    Edge,
    GroupKey,
    Incident,
    IncidentMessage,
    Message,
    MessageTrait,
)
from tenants.audit import BAILEY, write_audit

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
        .exclude(incident__kind__in=(Incident.Kind.HEALTH, Incident.Kind.ACCOUNT))
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


def may_become_one(left: Incident, right: Incident) -> bool:
    """Whether nobody keeps their mails apart or has treated the two differently."""
    if {Incident.Kind.HEALTH, Incident.Kind.ACCOUNT} & {left.kind, right.kind}:
        return False
    owners = {each.owner_id for each in (left, right) if each.owner_id is not None}
    closed = {each.state == Incident.State.RESOLVED for each in (left, right)}
    words = {each.classification for each in (left, right)}
    if len(owners) > 1 or len(closed) > 1 or len(words) > 1:
        return False
    # Kept apart as campaigns, all the more as incidents.
    rows = crossing("", message_ids_of(left), message_ids_of(right))
    if rows.filter(act=Edge.Act.CANNOT).exists():
        return False
    is_one = left.campaign_id is not None and left.campaign_id == right.campaign_id
    return is_one or not is_kept_apart([left, right])


def become_one(left: Incident, right: Incident, reason: str) -> Incident | None:
    """Bailey's own merge: the older stays and is answered; undone as one of people's is.

    None where people treat them as two.  Needs the client's turn.
    """
    hold_incidents([left.id, right.id])
    for each in (left, right):
        each.refresh_from_db()  # people act on them at the same time
    if not may_become_one(left, right):
        return None
    kept, gone = sorted((left, right), key=lambda incident: incident.number)
    done = merge(kept, gone, who=BAILEY, reason=reason, words={})
    note_after(done)
    write_audit(
        MERGED,
        actor=BAILEY,
        provider_id=kept.tenant.provider_id,
        tenant_id=kept.tenant_id,
        object_kind="incident",
        object_id=kept.id,
        reason=reason,
        other=gone.number,
        other_id=str(gone.id),
        regrouping=str(done.id),
    )
    return kept


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
