"""Standing still for a cause on record: the client, or the mail host, has the next word."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from incidents.campaigns.moving import lineage
from incidents.models import Incident, Pause
from incidents.services.acts import change, done, hold
from tenants.audit import BAILEY, Actor
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

WAITING = "incidents.incident.waiting"
ANSWERED = "incidents.incident.answered"


@transaction.atomic
def wait_for(
    *, incident: Incident, actor: Person, cause: str, asked: str, revision: int | None = None
) -> Pause:
    """Stop the clocks.  ``asked``: what is needed, in words that a client may read."""
    if cause not in dict(Pause.ASKED):
        raise WrongInput("Choose from the list whom it waits for.")
    if not asked.strip():
        raise WrongInput("Say what was asked for: a clock stops only for a cause on record.")
    hold(incident, revision)
    if not incident.is_open:
        raise Conflict("This incident is resolved: no clock runs.")
    if incident.waiting_since is not None:
        raise Conflict("This incident is waiting already.")
    pause = Pause.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        cause=cause,
        asked=asked.strip(),
        started_at=timezone.now(),
        started_by=actor.name,
    )
    change(incident)
    done(incident, WAITING, actor, asked.strip(), cause=cause, revision=incident.revision)
    return pause


@transaction.atomic
def stop_waiting(
    *, incident: Incident, actor: Person, answer: str = "", revision: int | None = None
) -> None:
    """The clocks run again.  Raises ``Conflict`` where they do already."""
    hold(incident, revision)
    if not end_pause(incident, actor, answer=answer.strip()):
        raise Conflict("This incident does not wait for anybody.")
    change(incident)
    done(incident, ANSWERED, actor, answer.strip(), revision=incident.revision)


def end_pause(incident: Incident, actor: Person | Actor, *, answer: str) -> bool:
    """Did one hold?  The caller reckons anew.

    What was asked on an incident that went into this one is answered with it.
    """
    ended = Pause.objects.filter(
        tenant=incident.tenant_id, incident__in=lineage(incident), ended_at=None
    ).update(ended_at=timezone.now(), ended_by=actor.name, answer=answer)
    return bool(ended)


def note_resolved(incident: Incident, since: datetime) -> None:
    """More of it came after it was resolved: till then there was nothing to be done.

    Where a person opens it again the clock had run on, for it was not over.
    """
    Pause.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        cause=Pause.Cause.RESOLVED,
        asked="It was resolved; then more of it came.",
        started_at=since,
        started_by=BAILEY.name,
        ended_at=timezone.now(),
        ended_by=BAILEY.name,
    )
