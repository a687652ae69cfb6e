"""Held mail that the same rule holds: who releases one is offered the others; giving one back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.allowed import allow_copy
from incidents.gateway_asked import ExceptionMade, ExceptionWish
from incidents.layers import gateway_layer
from incidents.lessons import Act, teach_from_held
from incidents.models import Delivery, Intent, Job, Observation, Sighting
from incidents.models.mail import Layer, Outcome, Place
from incidents.release_rights import check_may_release
from incidents.remediation import release_copies, release_held, start_job
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
    holds = holds_of(list(by_id))
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


def holds_of(delivery_ids: Sequence[UUID]) -> dict[UUID, Observation]:
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
    is_false_alarm: bool = False,
) -> Job:
    """Release a held mail and others that the same rule holds, in one job.

    ``is_false_alarm``: the gateway was wrong, and may learn it; without it the mail is only wanted.
    Raises ``Conflict`` where it is not held any more; ``WrongInput`` for others that the same rule
    does not hold; ``NotAllowed`` where the policy keeps one of them from this actor.
    """
    if is_false_alarm:
        copies_now = Delivery.objects.filter(id__in=[delivery.id, *also], place=Place.HOLD)
        teach_from_held(list(copies_now), Act.FALSE_ALARM, actor)
    if not also:
        return release_held(delivery=delivery, actor=actor, reason=reason)
    if delivery.place != Place.HOLD:
        raise Conflict("This mail is not held any more.")
    offered = {copy.id: copy for copy in held_by_same_rule(delivery).others}
    if set(also) - set(offered):
        raise WrongInput("Only mail that the same rule holds can be released with it.")
    copies = [delivery, *(offered[each] for each in dict.fromkeys(also))]
    return release_copies(copies, actor=actor, reason=reason)


@transaction.atomic
def let_go(
    *,
    delivery: Delivery,
    also: Sequence[UUID] = (),
    actor: Person | Actor,
    reason: str = "",
    is_false_alarm: bool = False,
    exception: ExceptionWish | None = None,
) -> Job:
    """To its recipient, from whichever layer keeps it: ``release_together`` or ``give_back``, which
    says nothing of the gateway and teaches it nothing.

    ``exception``: one entry that both layers follow is made with it, for this copy and for what
    fits; raises ``WrongInput`` without a reason, ``Objections`` where its rehearsal has any.
    """
    check_may_release([delivery], actor)
    made = _except(delivery, exception, reason, actor) if exception else None
    if delivery.place == Place.QUARANTINE:
        job = give_back(delivery=delivery, actor=actor, reason=reason)
    else:
        job = release_together(
            delivery=delivery, also=also, actor=actor, reason=reason, is_false_alarm=is_false_alarm
        )
    if made is not None:
        job.detail = {**job.detail, "exception": str(made.rule_id)}
        job.save(update_fields=["detail"])
        gateway_layer().note_release(made.rule_id, job.id)
    return job


def _except(
    delivery: Delivery, wish: ExceptionWish, reason: str, actor: Person | Actor
) -> ExceptionMade:
    """Before the mail goes on its way: the mailbox layer may meet it at once."""
    if not reason.strip():
        raise WrongInput("Say why: the exception is shown with its reason.")
    made = gateway_layer().make_exception(
        deliveries=[delivery], wish=wish, reason=reason.strip(), actor=actor
    )
    allow_copy(delivery, made)
    return made


@transaction.atomic
def give_back(*, delivery: Delivery, actor: Person | Actor, reason: str = "") -> Job:
    """Put one copy that Bailey took out of a mailbox back where it was; rights as for a release.

    Raises ``Conflict`` where it is not out, ``NotAllowed`` where the policy keeps it from this
    actor.
    """
    if delivery.place != Place.QUARANTINE:
        raise Conflict("This mail is not in Bailey's quarantine any more.")
    check_may_release([delivery], actor)
    job = start_job(Job.Kind.RESTORE, "restore", [delivery], None, actor=actor, reason=reason)
    if not Intent.objects.filter(job=job).exists():
        raise Conflict("Somebody else is giving it back already.")
    return job
