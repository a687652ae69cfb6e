"""Owner, state and sharing of an incident."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from incidents.assessment import within_reach
from incidents.codes import CAUSES
from incidents.disagreements import dismiss_with, open_again_with
from incidents.lessons import take_back_from_incident, teach_from_incident
from incidents.models import Incident
from incidents.modes import QUEUE
from incidents.services.acts import change, done, hold
from incidents.services.quiet import end_quiet
from incidents.services.tasks import start_tasks
from incidents.services.waiting import end_pause
from incidents.userreports.owing import owe_outcomes
from tenants.colleagues import colleagues_of
from tenants.errors import Conflict, WrongInput
from tenants.models import Person
from tenants.work import want_work

ASSIGNED = "incidents.incident.assigned"
STATE_CHANGED = "incidents.incident.state_changed"
RESOLVED = "incidents.incident.resolved"
REOPENED = "incidents.incident.reopened"
SHARED = "incidents.incident.shared"
UNSHARED = "incidents.incident.unshared"

State = Incident.State


@transaction.atomic
def take_incident(*, incident: Incident, actor: Person, revision: int | None = None) -> None:
    """The actor becomes the owner.  Raises ``Conflict`` if somebody else took it just before."""
    seen_owner = incident.owner_id
    hold(incident, revision)
    if incident.owner_id != seen_owner:
        raise Conflict(f"{incident.owner_name} took this incident a moment ago.")
    _give(incident, actor, actor)


@transaction.atomic
def assign_incident(
    *, incident: Incident, actor: Person, owner: Person | None, revision: int | None = None
) -> None:
    """``owner`` None: nobody.  Raises ``WrongInput`` for somebody who may not see the client."""
    if owner is not None and owner.id not in {
        each.id for each in colleagues_of(incident.tenant_id)
    }:
        raise WrongInput(f"{owner.name} does not work for {incident.tenant.name}.")
    hold(incident, revision)
    _give(incident, owner, actor)


def _give(incident: Incident, owner: Person | None, actor: Person) -> None:
    before = incident.owner_name
    values: dict[str, Any] = {
        "owner_id": owner.id if owner else None,
        "owner_name": owner.name if owner else "",
    }
    if owner is not None and incident.state == State.NEW:
        values["state"] = State.TRIAGED
    change(incident, **values)
    if owner is not None:
        start_tasks(incident=incident, actor=actor)
    done(
        incident,
        ASSIGNED,
        actor,
        before=before,
        after=incident.owner_name,
        revision=incident.revision,
    )


@transaction.atomic
def triage_incident(*, incident: Incident, actor: Person, revision: int | None = None) -> None:
    """Somebody has looked and decided that it is to be worked on; it gets no owner by that."""
    _move(incident, State.TRIAGED, actor, revision)


@transaction.atomic
def contain_incident(*, incident: Incident, actor: Person, revision: int | None = None) -> None:
    """Raises ``Conflict`` while copies are within reach: facts decide that, not words."""
    _move(incident, State.CONTAINED, actor, revision)


def _move(incident: Incident, state: str, actor: Person, revision: int | None) -> None:
    hold(incident, revision)
    if incident.state == State.RESOLVED:
        raise Conflict("This incident is resolved. Reopen it first.")
    if incident.state == state:
        raise Conflict(f"This incident is {State(state).label.lower()} already.")
    if state == State.CONTAINED and (left := within_reach(incident.counts)):
        raise Conflict(f"Copies that are still within reach: {left}.")
    before = incident.state
    change(incident, state=state, triaged_at=incident.triaged_at or timezone.now())
    done(incident, STATE_CHANGED, actor, before=before, after=state, revision=incident.revision)


@transaction.atomic
def resolve_incident(
    *,
    incident: Incident,
    actor: Person,
    classification: str,
    cause: str,
    cause_code: str = "other",
    revision: int | None = None,
) -> None:
    """Close it.  Classification and cause are required; raises ``WrongInput`` without them."""
    if classification not in Incident.Classification.values:
        raise WrongInput("Say what it was: true positive, benign or false positive.")
    if cause_code not in CAUSES:
        raise WrongInput("Choose what caused it from the list.")
    if not cause.strip():
        raise WrongInput("Say in a sentence what caused it.")
    hold(incident, revision)
    if incident.state == State.RESOLVED:
        raise Conflict("This incident is already resolved.")
    end_pause(incident, actor, answer="")
    end_quiet(incident, "It was resolved.")
    change(
        incident,
        state=State.RESOLVED,
        classification=classification,
        cause_code=cause_code,
        cause=cause.strip(),
        resolved_at=timezone.now(),
        quiet="",
        quiet_until=None,
    )
    done(
        incident,
        RESOLVED,
        actor,
        cause.strip(),
        classification=classification,
        cause_code=cause_code,
        revision=incident.revision,
    )
    if incident.is_called_harmless:
        dismiss_with(incident, actor)
    teach_from_incident(incident, actor)
    owe_outcomes(incident)


@transaction.atomic
def reopen_incident(
    *, incident: Incident, actor: Person, reason: str, revision: int | None = None
) -> None:
    hold(incident, revision)
    if incident.state != State.RESOLVED:
        raise Conflict("This incident is open already.")
    change(incident, state=State.TRIAGED, resolved_at=None)
    done(incident, REOPENED, actor, reason, revision=incident.revision)
    open_again_with(incident, actor, reason)
    want_work(incident.tenant_id, QUEUE)  # what Bailey let be while it was closed
    take_back_from_incident(incident, actor)


@transaction.atomic
def share_incident(*, incident: Incident, actor: Person, revision: int | None = None) -> None:
    """Let the client see it in the portal, from now on."""
    hold(incident, revision)
    change(incident, shared_at=timezone.now(), shared_by=actor.name)
    done(incident, SHARED, actor, revision=incident.revision)


@transaction.atomic
def unshare_incident(*, incident: Incident, actor: Person, revision: int | None = None) -> None:
    hold(incident, revision)
    change(incident, shared_at=None, shared_by="")
    done(incident, UNSHARED, actor, revision=incident.revision)
