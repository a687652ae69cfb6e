"""What Bailey does by itself: where the layers differ, by proposals to pull, by standing orders.

Serves the queue ``respond``.  A late verdict of one layer acts in the other:

* the gateway (or an analyst) condemns what was delivered → it is pulled from the mailboxes
* the mailbox layer condemns what the gateway passed → a gateway rule, rehearsed first

What may be pulled is the mode of each mailbox (incidents/modes.py); whether rules are made, the
client's ``rule_mode``.  Where Bailey asks, the item stays in the queue of disagreements with its
proposal.  Where it acts, it is accepted here, by an actor of its own, after a count without effect;
what is too much, or has objections, is left to a person, and the item says so.  ``stop`` is the
switch: nothing is done by itself any more, standing orders included.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from incidents.allowed import without_allowed
from incidents.campaigns.moving import lineage
from incidents.disagreements import accept, hold_item
from incidents.late_copies import carry_out_order
from incidents.models import (
    Delivery,
    Disagreement,
    Incident,
    LateVerdicts,
    PullProposal,
    StandingOrder,
)
from incidents.modes import LEADS, QUEUE, Mode, Modes, modes_of, wish_of
from incidents.orders import orders_in_force
from incidents.proposals import SURE, answer_proposals
from incidents.remediation import (
    copies_of,
    never_pulled,
    pull_incident,
    pullable,
    were_put_back,
)
from incidents.words import GRAVE, Layer
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import DomainError, WrongInput, is_passing_trouble
from tenants.ids import as_uuid
from tenants.models import Person, Tenant
from tenants.people import must_lead
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

CHANGED = "incidents.late_verdicts.changed"
ACTOR = Actor("Bailey, by late verdict")
BATCH = 20
Kind = Disagreement.Kind


def serve_responses(claimed: ClaimedWork) -> datetime | None:
    """Everything that waits for one client; answers None: new facts want the work again."""
    is_more = answer_proposals(claimed)
    with work_scope(claimed):
        wish, modes = wish_of(claimed.tenant_id), modes_of(claimed.tenant_id)
        if wish.stopped_at is not None:
            return timezone.now() if is_more else modes.next_change_at
        _carry_out_orders(claimed.tenant_id, wish, modes)
        left = [item.id for item in _waiting(wish, modes)]
    # Each in a transaction of its own: one refusal leaves the others alone.
    for item_id in left:
        try:
            _respond_to(claimed, item_id)
        except Exception as error:
            if is_passing_trouble(error):
                raise  # no item's fault
            log.exception("disagreement %s is left to a person", item_id)
            _leave_to_people(claimed, item_id)
    return timezone.now() if is_more or len(left) == BATCH else modes.next_change_at


def _respond_to(claimed: ClaimedWork, item_id: UUID) -> None:
    with work_scope(claimed):
        # For each anew: whoever stops Bailey, or has it ask, need not wait for the rest of a batch.
        wish, modes = wish_of(claimed.tenant_id), modes_of(claimed.tenant_id)
        item = hold_item(Disagreement.objects.get(id=item_id))
        if item.is_open and wish.stopped_at is None and _is_wanted(item, wish, modes):
            _respond(item, wish, modes)


def _leave_to_people(claimed: ClaimedWork, item_id: UUID) -> None:
    with work_scope(claimed):
        _leave(Disagreement.objects.get(id=item_id), "Bailey failed at it; its log says how.")


def _carry_out_orders(tenant_id: int, wish: LateVerdicts, modes: Modes) -> None:
    orders = StandingOrder.objects.select_for_update(of=("self",)).filter(
        orders_in_force(), tenant_id=tenant_id, kind=StandingOrder.Kind.PULL
    )
    for order in orders.select_related("incident__merged_into").order_by("created_at"):
        carry_out_order(order, modes, most=wish.most_copies)


def _waiting(wish: LateVerdicts, modes: Modes) -> list[Disagreement]:
    """The oldest first.  However many wait for a person before them: those are passed over."""
    pulls = Q(proposal__action="pull", kind__in=_PULLED, incident__isnull=False) & ~_HARMLESS
    blocks = Q(proposal__action="add_rule", proposal__kind="block", kind__in=_BLOCKED)
    of_ours = Q(pk__in=[])
    if modes.may_act:
        of_ours |= pulls
    if wish.rule_mode == LateVerdicts.Mode.AUTO:
        of_ours |= blocks
    items = Disagreement.objects.filter(
        of_ours,
        tenant_id=wish.tenant_id,
        state=Disagreement.State.OPEN,
        result__left__isnull=True,
    ).order_by("seen_at")
    wanted = (item for item in items.iterator() if _is_wanted(item, wish, modes))
    return list(islice(wanted, BATCH))


_PULLED = (Kind.LATE, Kind.PERSON)
_BLOCKED = (Kind.PASSED, Kind.RELEASED)
# As ``Incident.is_called_harmless`` says it of one.  Opened again, its mail is pulled as any.
_HARMLESS = Q(
    incident__state=Incident.State.RESOLVED, incident__classification__in=Incident.HARMLESS
)


def _is_wanted(item: Disagreement, wish: LateVerdicts, modes: Modes) -> bool:
    """May Bailey act here by itself at all?"""
    action = item.proposal.get("action")
    if action == "pull":
        is_ours = item.kind in _PULLED and (item.kind == Kind.LATE or _said_by_staff(item))
        if not (modes.may_act and is_ours and item.incident_id is not None):
            return False
        if item.incident.is_called_harmless:
            return False
        return not modes.groups or bool(modes.of_copies(_to_pull(item.incident), Mode.AUTO))
    # What a person has entered, no machine removes; and letting mail in is a person's decision.
    is_block = action == "add_rule" and item.proposal.get("kind") == "block"
    is_ours = item.kind in _BLOCKED and _is_sure(item)
    return wish.rule_mode == LateVerdicts.Mode.AUTO and is_block and is_ours


def _is_sure(item: Disagreement) -> bool:
    inside = [side for side in item.sides if side["layer"] == Layer.MAILBOX]
    return any(side["verdict"] in GRAVE and (side["confidence"] or 0) >= SURE for side in inside)


def _said_by_staff(item: Disagreement) -> bool:
    """An analyst's word acts; a reader's report is looked at first."""
    for side in item.sides:
        if side["layer"] == Layer.PERSON and side["verdict"] in GRAVE:
            name = str(side["source"]).removeprefix("person:")
            people = Person.objects.filter(tenant=None, is_active=True)
            person_id = as_uuid(name)
            return person_id is not None and people.filter(id=person_id).exists()
    return False


def _to_pull(incident: Incident) -> list[Delivery]:
    return never_pulled(without_allowed(pullable(copies_of(incident))))


def _respond(item: Disagreement, wish: LateVerdicts, modes: Modes) -> None:
    if refusal := _too_much(item, wish, modes):
        _leave(item, refusal)
        return
    others = []
    if item.proposal["action"] == "pull":
        others = modes.of_copies(_to_pull(item.incident), Mode.MONITOR, Mode.ASK)
    try:
        with transaction.atomic():
            if others:
                # The others' part stays open for a person.
                _pull_some(item, len(others))
            else:
                accept(item=item, actor=ACTOR)
    except DomainError as error:
        _leave(item, error.sentence)


def _pull_some(item: Disagreement, others: int) -> None:
    job = pull_incident(
        incident=item.incident,
        actor=ACTOR,
        reason=item.proposal["text"],
        late=timedelta(days=item.proposal["days"]),
        detail={"disagreement": str(item.id)},
    )
    where = "mailbox" if others == 1 else "mailboxes"
    why = f"Bailey pulled where it may; {others} more in {where} where it may not."
    _leave(item, why, job=str(job.id))


def _too_much(item: Disagreement, wish: LateVerdicts, modes: Modes) -> str:
    """The count without effect; "" where the client's limits are kept."""
    if item.proposal["action"] != "pull":
        return ""
    if StandingOrder.objects.filter(
        orders_in_force(), incident__in=lineage(item.incident), kind=StandingOrder.Kind.LEAVE
    ).exists():
        return "A person has said that the copies stay where they are."
    copies = _to_pull(item.incident)
    if not copies and were_put_back(copies_of(item.incident)):
        return "A person has put its copies back; nobody but a person pulls them again."
    number = len(modes.of_copies(copies, Mode.AUTO))
    if number > wish.most_copies:
        return f"It would pull {number} copies; without a person at most {wish.most_copies}."
    open_one = Disagreement.objects.filter(id=item.id, state=Disagreement.State.OPEN)
    open_one.update(result={**item.result, "counted": number})
    return ""


def _leave(item: Disagreement, why: str, **result: str) -> None:
    """Left to a person, and not tried again by itself."""
    Disagreement.objects.filter(id=item.id, state=Disagreement.State.OPEN).update(
        result={**item.result, "left": why, **result}
    )


def set_late_verdicts(*, tenant: Tenant, actor: Person | Actor, **changes: Any) -> LateVerdicts:
    """Change the client's setting: ``rule_mode``, ``most_copies``, ``rule_days``, ``stop`` (bool).

    Raises ``WrongInput``, or ``NotAllowed`` to anybody but a lead where Bailey would go further by
    itself than now: anybody may stop it.
    """
    wish, _ = LateVerdicts.objects.get_or_create(tenant_id=tenant.id)
    before = {name: getattr(wish, name) for name in _SETTINGS}
    was_stopped = wish.stopped_at is not None
    for name in set(_SETTINGS) & set(changes):
        setattr(wish, name, changes[name])
    if wish.rule_mode not in LateVerdicts.Mode.values:
        raise WrongInput("A late verdict is proposed or acts: ask or auto.")
    if not 1 <= wish.most_copies <= 10_000 or not 1 <= wish.rule_days <= 365:
        raise WrongInput("At most 10,000 copies, and a rule for 1 to 365 days.")
    if (
        (wish.rule_mode == LateVerdicts.Mode.AUTO != before["rule_mode"])
        or wish.most_copies > before["most_copies"]
        or (was_stopped and not changes.get("stop", True))
    ):
        must_lead(actor, LEADS)
    if "stop" in changes and bool(changes["stop"]) != was_stopped:
        wish.stopped_at = timezone.now() if changes["stop"] else None
        wish.stopped_by = actor.name if changes["stop"] else ""
    wish.changed_by = actor.name
    wish.save()
    write_audit(
        CHANGED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="late_verdicts",
        object_id=wish.id,
        before=before,
        after={name: getattr(wish, name) for name in _SETTINGS},
        stopped=wish.stopped_at is not None,
    )
    # What waited for a person may be wanted now.
    PullProposal.objects.filter(tenant=tenant, state=PullProposal.State.OPEN).update(looked_at=None)
    want_work(tenant.id, QUEUE)
    return wish


_SETTINGS = ("rule_mode", "most_copies", "rule_days")
