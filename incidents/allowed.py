"""Copies that an entry for both layers lets be: neither layer acts on them, no incident opens.

They keep their verdicts: what was said of them stays on record, and that an entry let them be.  The
law is the gateway's: malware and phishing are never let be unless the entry says so, whichever
layer holds the mail to be that; and never what a person condemned.  docs/held-mail.md.

``let_be(copies)``        which of them are
``allow_copy(…)``         one that is released with an exception
``note_allowed(…)``       those that an entry let through, as the layers tell it
``allowing_entries(…)``   by which entry, for people
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from incidents.gateway_asked import ExceptionMade
from incidents.known import Copy, Seen
from incidents.layers import gateway_layer
from incidents.models import AllowedCopy, Delivery
from incidents.words import Verdict, is_threat
from tenants.ids import as_uuid

# What an allow entry never beats by itself (seg_bridge/gate/decide.py).
NEVER_BEATEN = (Verdict.MALWARE, Verdict.PHISH)


def let_be(copies: Collection[Delivery]) -> set[UUID]:
    """The ids of those among them that an entry lets be now.  Needs the client's scope."""
    found = allowing_entries(copies)
    return {copy.id for copy in copies if copy.id in found and _is_within(copy, found[copy.id])}


def without_allowed(copies: Sequence[Delivery]) -> list[Delivery]:
    """Those that somebody has to think of."""
    allowed = let_be(copies)
    return [copy for copy in copies if copy.id not in allowed]


def allowing_entries(copies: Collection[Delivery]) -> dict[UUID, AllowedCopy]:
    """Copy → the entry that is to let it be, whether or not it may; of several the widest."""
    if not copies:
        return {}
    rows = AllowedCopy.objects.filter(
        tenant__in={copy.tenant_id for copy in copies},
        delivery__in=[copy.id for copy in copies],
        ended_at=None,
    )
    return {row.delivery_id: row for row in rows.order_by("beats_threats", "created_at")}


def _is_within(copy: Delivery, entry: AllowedCopy) -> bool:
    if is_threat(copy.person_verdict):
        return False
    is_grave = {copy.gateway_verdict, copy.mailbox_verdict} & set(NEVER_BEATEN)
    return entry.beats_threats or not is_grave


def allow_copy(delivery: Delivery, made: ExceptionMade) -> None:
    """Doing it twice changes nothing."""
    _note(delivery.tenant_id, [(delivery.id, made)])


def note_allowed(tenant_id: int, sights: Iterable[tuple[Seen, Copy]]) -> None:
    """Of what the layers tell: copies that an entry for both of them let through."""
    told = [
        (copy.id, rule_id)
        for seen, copy in sights
        if seen.allowed_by and (rule_id := as_uuid(seen.allowed_by)) is not None
    ]
    if not told:
        return
    made = gateway_layer().exceptions_among({rule_id for _, rule_id in told})
    _note(tenant_id, [(copy_id, made[rule_id]) for copy_id, rule_id in told if rule_id in made])


def _note(tenant_id: int, pairs: Sequence[tuple[UUID, ExceptionMade]]) -> None:
    AllowedCopy.objects.bulk_create(
        [
            AllowedCopy(
                tenant_id=tenant_id,
                delivery_id=delivery_id,
                rule_id=made.rule_id,
                owner=made.owner,
                words=made.words,
                beats_threats=made.beats_threats,
            )
            for delivery_id, made in pairs
        ],
        ignore_conflicts=True,
    )
