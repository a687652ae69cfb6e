"""Held mail that the same rule holds: who releases one is offered the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.models import Delivery, Job, Observation, Sighting
from incidents.models.mail import Layer, Outcome, Place
from incidents.remediation import release_copies, release_held
from incidents.sides import decision_of
from tenants.audit import Actor
from tenants.errors import Conflict, WrongInput
from tenants.ids import as_uuid
from tenants.models import Person

LOOKED_BACK = timedelta(days=30)
MOST_LOOKED_AT = 1_000
MOST_OFFERED = 100


@dataclass(frozen=True, slots=True)
class SameRule:
    """``rule`` in the gateway's words, "" where nothing says why it is held; ``rule_id`` None where
    no list entry holds it.  ``others``: the same sender's first, then the newest.
    """

    rule: str
    rule_id: UUID | None
    others: list[Delivery]


def held_by_same_rule(delivery: Delivery) -> SameRule:
    """Of the last 30 days, at most ``MOST_OFFERED``.  Needs the client's scope."""
    copies = (
        Delivery.objects.filter(
            tenant_id=delivery.tenant_id,
            place=Place.HOLD,
            received_at__gte=timezone.now() - LOOKED_BACK,
        )
        .select_related("message", "tenant")
        .order_by("-received_at", "-id")[:MOST_LOOKED_AT]
    )
    by_id = {copy.id: copy for copy in copies} | {delivery.id: delivery}
    holds = _holds(list(by_id))
    mine = holds.get(delivery.id)
    if mine is None:
        return SameRule("", None, [])
    name, sender = _name(mine), delivery.message.sender_address
    others = [
        by_id[copy_id]
        for copy_id, seen in holds.items()
        if copy_id != delivery.id and _name(seen) == name
    ]
    others.sort(key=lambda copy: copy.received_at, reverse=True)
    others.sort(key=lambda copy: copy.message.sender_address != sender)
    rule_id = as_uuid(decision_of(mine).get("rule_id"))
    return SameRule(mine.rule, rule_id, others[:MOST_OFFERED])


def _holds(delivery_ids: Sequence[UUID]) -> dict[UUID, Observation]:
    """Delivery → the gateway's word that it holds it, the latest."""
    sightings = list(
        Sighting.objects.filter(delivery__in=delivery_ids).values_list(
            "observation_id", "observed_at", "delivery_id"
        )
    )
    owner = {seen: delivery for seen, _, delivery in sightings}
    rows = Observation.objects.filter(
        id__in=list(owner),
        observed_at__in={at for _, at, _ in sightings},
        layer=Layer.GATEWAY,
        action=Outcome.HELD,
    )
    return {owner[seen.id]: seen for seen in rows.defer("mail").order_by("observed_at")}


def _name(seen: Observation) -> str:
    """An entry by its id: its words change with its reason."""
    return decision_of(seen).get("rule_id") or seen.rule


@transaction.atomic
def release_together(
    *,
    delivery: Delivery,
    also: Sequence[UUID],
    actor: Person | Actor,
    reason: str = "",
) -> Job:
    """Release a held mail and others that the same rule holds, in one job.

    Raises ``Conflict`` where it is not held any more; ``WrongInput`` for others that the same rule
    does not hold; ``NotAllowed`` where the policy keeps one of them from this actor.
    """
    if not also:
        return release_held(delivery=delivery, actor=actor, reason=reason)
    if delivery.place != Place.HOLD:
        raise Conflict("This mail is not held any more.")
    offered = {copy.id: copy for copy in held_by_same_rule(delivery).others}
    if set(also) - set(offered):
        raise WrongInput("Only mail that the same rule holds can be released with it.")
    copies = [delivery, *(offered[each] for each in dict.fromkeys(also))]
    return release_copies(copies, actor=actor, reason=reason)
