"""The queue of disagreements: one item for each kind of contradiction of an incident or mail.

``follow_incident`` and ``follow_mails`` bring the items up to the facts, in the transaction that
made sense of them.  ``rehearse_repair``, ``accept`` and ``dismiss`` are what people do (and, where
a client wants it, Bailey: incidents/automation.py).  ``dismiss_with`` and ``open_again_with`` go
with what becomes of the incident.  docs/layers.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from incidents.allowed import without_allowed
from incidents.announce import announce_incident
from incidents.assessment import reach_filter
from incidents.contradictions import contradictions, may_be_late
from incidents.gateway_asked import RepairForecast
from incidents.holding import hold_copies, hold_incidents, hold_intake
from incidents.late_copies import carry_out_in_mailboxes
from incidents.layers import Objections, gateway_layer
from incidents.models import (
    Delivery,
    Disagreement,
    Incident,
    IncidentMessage,
    LateVerdicts,
    Message,
)
from incidents.models.mail import Outcome
from incidents.modes import QUEUE
from incidents.repairs import lets_mail_in, mark_of, repair_for
from incidents.sides import condemned_late, sides_of
from incidents.sightings import history_of
from incidents.words import THREATS, Layer
from tenants.audit import BAILEY, Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.ids import as_uuid
from tenants.models import Domain, Person, Tenant
from tenants.work import want_work

ACCEPTED = "incidents.disagreement.accepted"
DISMISSED = "incidents.disagreement.dismissed"
REOPENED = "incidents.disagreement.reopened"
MOST_COPIES = 200
# In the result of an item that fell with its incident: which one was closed as harmless.
CLOSED = "closed"
State = Disagreement.State


def follow_incident(
    incident: Incident, messages: Sequence[Message], copies: Sequence[Delivery]
) -> list[str]:
    """Bring the incident's items up to its facts; answers the kinds that hold now, as its marks.

    ``copies`` are the incident's but for those that an exception lets be.
    """
    _take_over(incident, messages)
    open_items = Disagreement.objects.filter(state=State.OPEN)
    found = contradictions(copies, late=_late(copies))
    # Held before they are read: what a person decides meanwhile is not written over.
    items = Disagreement.objects.filter(incident=incident).order_by("id")
    known = {item.kind: item for item in items.select_for_update(of=("self",))}
    _bring_up_to_date(incident.tenant_id, incident, messages, found, known)
    _settle(open_items.filter(incident__merged_into=incident).values_list("id", flat=True))
    return list(found)


def follow_mails(tenant: Tenant, message_ids: Collection[UUID]) -> None:
    """The same for those of these mails that are in no incident."""
    if not message_ids:
        return
    member = IncidentMessage.objects.filter(message=OuterRef("message"))
    doubtful = (
        Q(mailbox_verdict__in=THREATS)
        | Q(outcome=Outcome.HELD)
        | Q(was_released=True)
        | ~Q(person_verdict="")
        | Q(vendor_verdict__in=THREATS)
    )
    loose = Delivery.objects.filter(~Exists(member), message__in=message_ids)
    known = Disagreement.objects.filter(incident=None, message__in=message_ids).order_by("id")
    items: dict[UUID, dict[str, Disagreement]] = {}
    for item in known.select_for_update(of=("self",)):
        items.setdefault(item.message_id, {})[item.kind] = item
    touched = set(loose.filter(doubtful).values_list("message_id", flat=True)) | set(items)
    for message in Message.objects.filter(id__in=touched):
        copies = without_allowed(list(loose.filter(message=message)))
        found = contradictions(copies, late=_late(copies))
        _bring_up_to_date(tenant.id, None, [message], found, items.get(message.id, {}))


def settle_all(incident: Incident) -> None:
    """Its mail went to another incident; what was decided stays on record."""
    _settle([item.id for item in Disagreement.objects.filter(incident=incident, state=State.OPEN)])


def _take_over(incident: Incident, messages: Sequence[Message]) -> None:
    """Items of mails that are in an incident by now become the incident's, or give way to it."""
    loose = Disagreement.objects.filter(incident=None, message__in=messages)
    for item in loose.order_by("created_at"):
        if Disagreement.objects.filter(incident=incident, kind=item.kind).exists():
            item.delete()
        else:
            Disagreement.objects.filter(id=item.id).update(incident=incident)


def _late(copies: Sequence[Delivery]) -> set[UUID]:
    maybe = may_be_late(copies)
    return condemned_late(maybe[0].tenant_id, maybe) if maybe else set()


def _bring_up_to_date(
    tenant_id: int,
    incident: Incident | None,
    messages: Sequence[Message],
    found: dict[str, list[Delivery]],
    known: dict[str, Disagreement],
) -> None:
    for kind, copies in found.items():
        item = known.get(kind) or Disagreement(tenant_id=tenant_id, incident=incident, kind=kind)
        seen_at = max(copy.received_at for copy in copies)
        is_new, before = item._state.adding, _told(item)
        if _fell_with_incident(item) and incident is not None and incident.is_open:
            _open_again(item, BAILEY, "Its incident is open.")
        is_decided = item.state in (State.ACCEPTED, State.DISMISSED)
        stays = is_decided and not _fell_with_incident(item)
        if stays and (item.copies, item.seen_at) == (len(copies), seen_at):
            continue
        # The same copies, and yet a layer may say something else of them now.
        was_proposed = item.proposal
        _fill(item, messages, copies, seen_at)
        if mark_of(item.proposal) != mark_of(was_proposed):
            # What another repair would have done says nothing of this one.
            item.result = _without(item.result, "rehearsal")
        if is_new or item.state == State.SETTLED or _came_again(item, seen_at):
            _undecide(item)
        elif before == _told(item):
            continue
        if item.is_open:
            want_work(tenant_id, QUEUE)
        item.save()
    over = [item for kind, item in known.items() if kind not in found]
    _settle(item.id for item in over if item.is_open or _fell_with_incident(item))


def _without(result: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: of for each, of in result.items() if each != name}


def _told(item: Disagreement) -> tuple[Any, ...]:
    """All that ``_fill`` writes."""
    about = (item.message_id, item.copies, item.seen_at, item.rule_id, item.rule_words)
    return (*about, item.rule_owner, item.sides, item.proposal)


def _settle(item_ids: Iterable[UUID]) -> None:
    undecided = Q(state=State.OPEN) | Q(state=State.DISMISSED, result__has_key=CLOSED)
    decided = {"decided_by": "Bailey", "decided_by_id": None, "decided_at": timezone.now()}
    reason = "The layers no longer contradict each other."
    items = Disagreement.objects.filter(undecided, id__in=list(item_ids))
    items.update(state=State.SETTLED, reason=reason, **decided)


def _came_again(item: Disagreement, seen_at: datetime) -> bool:
    """A repair that did not help is no repair; what was dismissed stays so."""
    decided_at = item.decided_at
    return item.state == State.ACCEPTED and decided_at is not None and seen_at > decided_at


def _fill(
    item: Disagreement,
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    seen_at: datetime,
) -> None:
    ids = {copy.message_id for copy in copies}
    concerned = [message for message in messages if message.id in ids]
    newest = max(concerned, key=lambda message: (message.last_seen_at, message.id))
    sides = sides_of(copies, history_of(copies[:MOST_COPIES]))
    entry = next((side for side in sides if side.layer == Layer.GATEWAY), None)
    item.message = newest
    item.copies = len(copies)
    item.seen_at = seen_at
    item.sides = [side.as_json() for side in sides]
    item.rule_id = as_uuid(entry.rule_id) if entry else None
    item.rule_words = entry.rule if entry else ""
    item.rule_owner = entry.owner[:200] if entry else ""
    own = Domain.objects.filter(tenant_id=item.tenant_id).values_list("name", flat=True)
    wish = LateVerdicts.objects.filter(tenant_id=item.tenant_id).first() or LateVerdicts()
    all_copies = Delivery.objects.filter(tenant=item.tenant_id, message__in=concerned)
    item.proposal = repair_for(
        item.kind,
        concerned,
        copies,
        sides,
        own_domains=frozenset(own),
        reach=all_copies.filter(reach_filter()).count(),
        days=wish.rule_days,
    )


@transaction.atomic
def rehearse_repair(*, item: Disagreement, actor: Person | Actor) -> RepairForecast:
    """What the proposed gateway rule would have done.  Raises ``WrongInput`` where none is,
    ``Conflict`` if somebody has decided.
    """
    forecast = _rehearse(item, actor)
    # What a decision led to stands there, too: none is overwritten by who rehearsed meanwhile.
    result = {**_lock(item).result, "rehearsal": str(forecast.id)}
    Disagreement.objects.filter(id=item.id).update(result=result)
    item.result = result
    return forecast


def _rehearse(item: Disagreement, actor: Person | Actor) -> RepairForecast:
    """Takes seconds, and holds nothing for which mail would wait."""
    if item.proposal.get("layer") != Layer.GATEWAY:
        raise WrongInput("There is no gateway rule to rehearse here.")
    return gateway_layer().rehearse_repair(
        tenant_id=item.tenant_id, repair=item.proposal, actor=actor
    )


@transaction.atomic
def accept(
    *,
    item: Disagreement,
    actor: Person | Actor,
    reason: str = "",
    despite: bool = False,
    seen: str = "",
) -> dict[str, str]:
    """Carry out the proposal, once; answers the ids of what came of it.

    ``seen``: ``mark_of`` the proposal that the person was shown, "": the item's.  A gateway rule is
    rehearsed first: raises ``Objections`` unless ``despite`` them, which needs a reason.  Raises
    ``Conflict`` if somebody has decided or something else is proposed by now, ``WrongInput`` where
    nothing is proposed.
    """
    check_open(Disagreement.objects.get(id=item.id))
    if not item.proposal:
        raise WrongInput("Nothing is proposed here. Dismiss it with a reason.")
    proposed = mark_of(item.proposal)
    forecast = _rehearse(item, actor) if item.proposal["layer"] == Layer.GATEWAY else None
    item = _lock(item)
    if {mark_of(item.proposal), seen or proposed} != {proposed}:
        raise Conflict("Something else is proposed by now. Look at it again.")
    if forecast is not None:
        result = _change_gateway(item, forecast, actor, reason, despite=despite)
    else:
        result = carry_out_in_mailboxes(item, actor=actor, reason=reason)
    _decide(item, State.ACCEPTED, actor, reason, {**item.result, **result})
    _done(item, ACCEPTED, actor, reason, repair=item.proposal, **result)
    return result


@transaction.atomic
def dismiss(*, item: Disagreement, actor: Person | Actor, reason: str) -> None:
    """It needs no repair.  Raises ``WrongInput`` without a reason, ``Conflict`` if decided."""
    if not reason.strip():
        raise WrongInput("Say why it needs no repair.")
    item = _lock(item)
    _decide(item, State.DISMISSED, actor, reason.strip(), item.result)
    _done(item, DISMISSED, actor, reason.strip())


def dismiss_with(
    incident: Incident, actor: Person | Actor, kinds: Collection[str] = Disagreement.Kind.values
) -> None:
    """It was closed as harmless: nothing is done against its mail.  What lets such mail in stays
    open.  In the caller's transaction, which holds the incident.
    """
    what = Incident.Classification(incident.classification).label.lower()
    reason = f"Incident {incident.number} was resolved as {what}: {incident.cause}"
    for item in _held_of(incident, State.OPEN):
        if item.kind in kinds and not lets_mail_in(item.kind, item.proposal):
            _decide(item, State.DISMISSED, actor, reason, {**item.result, CLOSED: str(incident.id)})
            _done(item, DISMISSED, actor, reason)


def open_again_with(incident: Incident, actor: Person | Actor, why: str) -> None:
    """What ``dismiss_with`` dismissed is to be decided again.  In the caller's transaction, which
    holds the incident.
    """
    reason = f"Incident {incident.number} was opened again{f': {why}' if why else '.'}"
    for item in filter(_fell_with_incident, _held_of(incident, State.DISMISSED)):
        _open_again(item, actor, reason)


def _held_of(incident: Incident, state: str) -> list[Disagreement]:
    items = Disagreement.objects.filter(tenant=incident.tenant_id, incident=incident, state=state)
    return list(items.order_by("id").select_for_update(of=("self",)))


def _fell_with_incident(item: Disagreement) -> bool:
    return item.state == State.DISMISSED and CLOSED in item.result


def _undecide(item: Disagreement) -> None:
    item.state, item.reason, item.result = State.OPEN, "", _without(item.result, CLOSED)
    item.decided_by_id, item.decided_by, item.decided_at = None, "", None


def _open_again(item: Disagreement, actor: Person | Actor, reason: str) -> None:
    _undecide(item)
    item.save()
    want_work(item.tenant_id, QUEUE)
    _done(item, REOPENED, actor, reason)


def hold_item(item: Disagreement) -> Disagreement:
    """The item as it is now, whatever its state, held after what mail holds before it
    (incidents/holding.py).  Raises ``Conflict`` where it is another incident's by now.
    """
    if item.incident_id:
        if item.proposal.get("layer") == Layer.MAILBOX:
            hold_intake(item.tenant_id)
            hold_copies(item.incident_id)
        hold_incidents([item.incident_id])
    locked: Disagreement = Disagreement.objects.select_for_update(of=("self",)).get(id=item.id)
    if locked.incident_id != item.incident_id:
        raise Conflict("It belongs to another incident by now. Look at it again.")
    return locked


def check_open(item: Disagreement) -> None:
    """Raises ``Conflict``."""
    if not item.is_open:
        who = f" by {item.decided_by}" if item.decided_by else ""
        raise Conflict(f"This has been decided{who} already.")


def _lock(item: Disagreement) -> Disagreement:
    locked = hold_item(item)
    check_open(locked)
    return locked


def _change_gateway(
    item: Disagreement,
    forecast: RepairForecast,
    actor: Person | Actor,
    reason: str,
    *,
    despite: bool,
) -> dict[str, str]:
    if forecast.stops and not (despite and reason.strip()):
        raise Objections(forecast.stops)
    rule_id = gateway_layer().carry_out_repair(
        rehearsal_id=forecast.id,
        actor=actor,
        reason=reason.strip() or _why(item),
        incident_id=item.incident_id,
    )
    return {"rule": str(rule_id), "rehearsal": str(forecast.id)}


def _why(item: Disagreement) -> str:
    number = f" (incident {item.incident.number})" if item.incident_id else ""
    return f"{item.get_kind_display()}{number}"


def _decide(
    item: Disagreement,
    state: str,
    actor: Person | Actor,
    reason: str,
    result: dict[str, Any],
) -> None:
    item.state, item.result, item.reason = state, result, reason
    item.decided_by_id, item.decided_by = actor.id, actor.name
    item.decided_at = timezone.now()
    item.save()


def _done(
    item: Disagreement, action: str, actor: Person | Actor, reason: str, **detail: Any
) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=Tenant.objects.get(id=item.tenant_id).provider_id,
        tenant_id=item.tenant_id,
        object_kind="disagreement",
        object_id=item.id,
        reason=reason,
        kind=item.kind,
        incident=str(item.incident_id or ""),
        **detail,
    )
    if item.incident_id:
        announce_incident(item.tenant_id, item.incident_id)
