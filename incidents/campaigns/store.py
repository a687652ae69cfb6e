"""Messages as ``Mail`` to compare, and the traits by which later mail finds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db.models import Count, Q
from django.utils import timezone

from incidents.bulk import run
from incidents.campaigns.canonical import Key
from incidents.campaigns.evidence import Mail, Rarity, mail_of
from incidents.campaigns.traits import Trait, traits_of
from incidents.models import Delivery, Message, MessageTrait
from incidents.models.mail import Verdict
from incidents.prevalence import FORGOTTEN_AFTER, counts_of
from tenants.models import Domain

FORGET_ROWS = 20_000


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


def rarity_of(mails: Iterable[Mail]) -> Rarity:
    """How common the traits of these mails are at the client of the scope."""
    traits: dict[Key, Trait] = {key: trait for mail in mails for key, trait in mail.traits.items()}
    if not traits:
        return Rarity()
    rows = (
        MessageTrait.objects.filter(
            kind__in={kind for kind, _ in traits}, value__in={value for _, value in traits}
        )
        .values("kind", "value")
        .annotate(
            mails=Count("message"),
            incidents=Count("message__memberships__incident", distinct=True),
        )
        .values_list("kind", "value", "mails", "incidents")
    )
    threats: dict[Key, int] = {}
    groups: dict[Key, int] = {}
    for kind, value, mail_count, incident_count in rows:
        threats[kind, value], groups[kind, value] = mail_count, incident_count
    own = frozenset(Domain.objects.values_list("name", flat=True))
    return Rarity(counts_of(traits.values()), threats, groups, own)


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
    how many.
    """
    return run(
        "DELETE FROM incidents_messagetrait WHERE tenant_id = %s AND id IN ("
        " SELECT id FROM incidents_messagetrait WHERE tenant_id = %s AND seen_at < %s LIMIT %s)",
        [tenant_id, tenant_id, timezone.now() - FORGOTTEN_AFTER, FORGET_ROWS],
    )
