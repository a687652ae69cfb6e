"""What people do with incidents: take, triage, resolve, reopen, share."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from incidents.announce import announce_incident
from incidents.models import Incident
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

ASSIGNED = "incidents.incident.assigned"
STATE_CHANGED = "incidents.incident.state_changed"
RESOLVED = "incidents.incident.resolved"
REOPENED = "incidents.incident.reopened"
SHARED = "incidents.incident.shared"
UNSHARED = "incidents.incident.unshared"


def _done(incident: Incident, action: str, actor: Person, reason: str = "", **detail: Any) -> None:
    """The last two parts of every service: audit, and announce on commit."""
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=incident.tenant_id,
        object_kind="incident",
        object_id=incident.id,
        reason=reason,
        **detail,
    )
    tenant_id, incident_id = incident.tenant_id, incident.id
    transaction.on_commit(lambda: announce_incident(tenant_id, incident_id))


@transaction.atomic
def take_incident(*, incident: Incident, actor: Person) -> None:
    """The actor becomes the owner.  Raises ``Conflict`` if somebody else took it just before."""
    taken = Incident.objects.filter(id=incident.id, owner_id=incident.owner_id).update(
        owner_id=actor.id, owner_name=actor.name
    )
    if not taken:
        raise Conflict("Somebody else took this incident a moment ago.")
    if incident.state == Incident.State.NEW:
        Incident.objects.filter(id=incident.id, state=Incident.State.NEW).update(
            state=Incident.State.TRIAGED
        )
    _done(incident, ASSIGNED, actor, before=incident.owner_name, after=actor.name)


@transaction.atomic
def resolve_incident(*, incident: Incident, actor: Person, classification: str, cause: str) -> None:
    """Close it.  Classification and cause are required; raises ``WrongInput`` without them."""
    if classification not in Incident.Classification.values:
        raise WrongInput("Say what it was: true positive, benign or false positive.")
    if not cause.strip():
        raise WrongInput("Say in a sentence what caused it.")
    closed = (
        Incident.objects.filter(id=incident.id)
        .exclude(state=Incident.State.RESOLVED)
        .update(
            state=Incident.State.RESOLVED,
            classification=classification,
            cause=cause.strip(),
            resolved_at=timezone.now(),
        )
    )
    if not closed:
        raise Conflict("This incident is already resolved.")
    _done(incident, RESOLVED, actor, cause.strip(), classification=classification)


@transaction.atomic
def reopen_incident(*, incident: Incident, actor: Person, reason: str) -> None:
    reopened = Incident.objects.filter(id=incident.id, state=Incident.State.RESOLVED).update(
        state=Incident.State.TRIAGED, resolved_at=None
    )
    if not reopened:
        raise Conflict("This incident is open already.")
    _done(incident, REOPENED, actor, reason)


@transaction.atomic
def share_incident(*, incident: Incident, actor: Person) -> None:
    """Let the client see it in the portal, from now on."""
    Incident.objects.filter(id=incident.id).update(shared_at=timezone.now(), shared_by=actor.name)
    _done(incident, SHARED, actor)


@transaction.atomic
def unshare_incident(*, incident: Incident, actor: Person) -> None:
    Incident.objects.filter(id=incident.id).update(shared_at=None, shared_by="")
    _done(incident, UNSHARED, actor)
