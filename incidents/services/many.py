"""One act on many incidents of many clients, with a result for each.

What one refusal undoes is its own incident alone: the rest is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from incidents.holding import in_order, take_turns
from incidents.models import Incident, Quiet
from incidents.services.quiet import quiet_incident, wake_incident
from incidents.services.states import (
    assign_incident,
    contain_incident,
    resolve_incident,
    triage_incident,
)
from tenants.errors import DomainError, NotThere, WrongInput
from tenants.models import Person

MOST = 500
# Act → what the page calls it.
ACTIONS = {
    "assign": "Assign",
    "triage": "Mark as triaged",
    "contain": "Mark as contained",
    "snooze": "Snooze",
    "mute": "Mute",
    "wake": "Bring back",
    "resolve": "Resolve",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done; fields that the action does not know are left empty.

    ``owner`` None with ``assign``: nobody owns it any more.
    """

    action: str
    owner: Person | None = None
    until: datetime | None = None
    reason: str = ""
    classification: str = ""
    cause: str = ""
    cause_code: str = "other"


@dataclass(frozen=True, slots=True)
class Result:
    """``sentence`` says why it was not done; ``incident`` None: not there, or not hers."""

    incident_id: UUID
    incident: Incident | None
    ok: bool
    sentence: str


_Act = Callable[..., None]


def _act(order: Order) -> _Act:
    """Raises ``WrongInput`` for an action that does not exist, or that lacks what it needs."""
    if order.action in ("snooze", "mute"):
        if order.until is None:
            raise WrongInput("Say until when.")
        kind = Quiet.Kind.SNOOZED if order.action == "snooze" else Quiet.Kind.MUTED
        return partial(quiet_incident, kind=kind, until=order.until, reason=order.reason)
    acts: dict[str, _Act] = {
        "assign": partial(assign_incident, owner=order.owner),
        "triage": triage_incident,
        "contain": contain_incident,
        "wake": partial(wake_incident, reason=order.reason),
        "resolve": partial(
            resolve_incident,
            classification=order.classification,
            cause=order.cause,
            cause_code=order.cause_code,
        ),
    }
    if order.action not in acts:
        raise WrongInput(f"Many incidents at once: {', '.join(ACTIONS)}.")
    return acts[order.action]


def act_on_many(
    *,
    incident_ids: Sequence[UUID],
    order: Order,
    actor: Person,
    revisions: Mapping[UUID, int] | None = None,
) -> list[Result]:
    """A result for each, in the order asked.  ``revisions``: what the actor had seen of them."""
    if len(incident_ids) > MOST:
        raise WrongInput(f"At most {MOST} incidents at once.")
    act = _act(order)
    wanted = list(dict.fromkeys(incident_ids))
    found = Incident.objects.select_related("tenant").in_bulk(wanted)
    take_turns(found.values())
    results = {
        each.id: _try(act, each, actor, revisions or {}) for each in in_order(found.values())
    }
    return [results.get(each) or Result(each, None, False, NotThere().sentence) for each in wanted]


def foresee_many(
    *,
    incident_ids: Sequence[UUID],
    order: Order,
    actor: Person,
    revisions: Mapping[UUID, int] | None = None,
) -> list[Result]:
    """What ``act_on_many`` would answer now: it is done, and all of it taken back."""
    with transaction.atomic():
        results = act_on_many(
            incident_ids=incident_ids, order=order, actor=actor, revisions=revisions
        )
        transaction.set_rollback(True)
    return results


def _try(act: _Act, incident: Incident, actor: Person, revisions: Mapping[UUID, int]) -> Result:
    tenant = incident.tenant
    try:
        with transaction.atomic():
            act(incident=incident, actor=actor, revision=revisions.get(incident.id))
    except DomainError as error:
        return Result(incident.id, incident, False, error.sentence)
    finally:
        incident.tenant = tenant  # reading the row anew had forgotten it
    return Result(incident.id, incident, True, "")
