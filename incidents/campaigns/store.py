"""Messages as ``Mail`` to compare, and the traits by which later mail finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db.models import Q
from django.utils import timezone

from incidents.bulk import fetch
from incidents.campaigns.canonical import Key
from incidents.campaigns.evidence import MOST_GROUPS, Mail, Rarity, mail_of
from incidents.campaigns.hubs import is_hub
from incidents.campaigns.traits import Trait, traits_of
from incidents.models import Delivery, Message, MessageTrait
from incidents.models.mail import Verdict
from incidents.prevalence import FORGOTTEN, FORGOTTEN_AFTER, counts_of
from tenants.models import Domain

FORGET_ROWS = 20_000
MOST_COUNTED = 2_000


def mails_of(messages: Collection[Message]) -> list[Mail]:
    """In the same order."""
    copies = Delivery.objects.filter(message__in=[message.id for message in messages])
    condemned = set(
        copies.filter(
            Q(gateway_verdict=Verdict.MALWARE) | Q(mailbox_verdict=Verdict.MALWARE)
        ).values_list("message_id", flat=True)
    )
    return [
        mail_of(
            message.id,
            message.first_seen_at,
            message.facts,
            traits=traits_of(message.facts),
            fingerprint=message.fingerprint,
            is_malware=message.id in condemned,
        )
        for message in messages
    ]


def rarity_of(tenant_id: int, mails: Iterable[Mail]) -> Rarity:
    """How common the traits of these mails are at the client.  Needs its scope.

    Incidents are counted among the latest ``MOST_COUNTED`` mails of a value, and no further than it
    takes to say that there are too many.
    """
    return rarity_of_traits(tenant_id, [trait for mail in mails for trait in mail.traits.values()])


def rarity_of_traits(tenant_id: int, found: Iterable[Trait]) -> Rarity:
    """The same of traits, whosever they are."""
    traits: dict[Key, Trait] = {(trait.kind, trait.value): trait for trait in found}
    if not traits:
        return Rarity()
    # What everybody's mail shares joins nothing, however many incidents it is in.
    telling = [key for key, trait in traits.items() if not is_hub(trait)]
    kinds, values = [kind for kind, _ in telling], [value for _, value in telling]
    threats: dict[Key, int] = {}
    groups: dict[Key, int] = {}
    for kind, value, mail_count, incident_count in fetch(
        _COUNT, [kinds, values, tenant_id, tenant_id, MOST_COUNTED, MOST_GROUPS + 1]
    ):
        threats[kind, value], groups[kind, value] = mail_count, incident_count
    was = [Trait(FORGOTTEN + kind, value, "") for kind, value in telling]
    counts = counts_of(tenant_id, [*traits.values(), *was])
    for kind, value in telling:
        if number := counts.pop((FORGOTTEN + kind, value), 0):
            threats[kind, value] = threats.get((kind, value), 0) + number
    own = frozenset(Domain.objects.filter(tenant=tenant_id).values_list("name", flat=True))
    return Rarity(counts, threats, groups, own)


# Mails are counted from the index alone: they have to be told from harmless ones exactly.
_COUNT = """
SELECT w.kind, w.value, mails.n, incidents.n
FROM unnest(%s::text[], %s::text[]) AS w (kind, value)
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM incidents_messagetrait t
    WHERE t.tenant_id = %s AND t.kind = w.kind AND t.value = w.value
) AS mails
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT DISTINCT m.incident_id
        FROM (
            SELECT t.tenant_id, t.message_id FROM incidents_messagetrait t
            WHERE t.tenant_id = %s AND t.kind = w.kind AND t.value = w.value
            ORDER BY t.seen_at DESC LIMIT %s
        ) AS latest
        JOIN incidents_incidentmessage m USING (tenant_id, message_id)
        LIMIT %s
    ) AS few
) AS incidents
WHERE mails.n > 0
"""


def remember_traits(tenant_id: int, mails: Iterable[Mail]) -> None:
    """Repeating it changes nothing."""
    MessageTrait.objects.bulk_create(
        [
            MessageTrait(
                tenant_id=tenant_id,
                message_id=mail.id,
                kind=trait.kind,
                value=trait.value,
                label=trait.label,
                seen_at=mail.seen_at,
            )
            for mail in mails
            for trait in mail.traits.values()
        ],
        ignore_conflicts=True,
    )


def forget_traits(tenant_id: int) -> int:
    """Forgets those of mails that nothing looks back to any more, at most ``FORGET_ROWS``; answers
    how many.  Their number stays: they were threats, and are never counted as harmless.
    """
    before = timezone.now() - FORGOTTEN_AFTER
    ((forgotten,),) = fetch(
        _FORGET, [tenant_id, tenant_id, before, FORGET_ROWS, tenant_id, FORGOTTEN]
    )
    return int(forgotten)


_FORGET = """
WITH gone AS (
    DELETE FROM incidents_messagetrait WHERE tenant_id = %s AND id IN (
        SELECT id FROM incidents_messagetrait WHERE tenant_id = %s AND seen_at < %s LIMIT %s)
    RETURNING kind, value, seen_at
), counted AS (
    INSERT INTO incidents_traitcount AS t
        (tenant_id, kind, value, messages, first_seen_at, last_seen_at)
    SELECT %s, %s || kind, value, count(*), min(seen_at), max(seen_at)
    FROM gone GROUP BY kind, value
    ON CONFLICT (tenant_id, kind, value) DO UPDATE SET
        messages = t.messages + excluded.messages,
        first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at)
)
SELECT count(*) FROM gone
"""
