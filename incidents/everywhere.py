"""One order over several clients: a group of jobs, one for each incident, each with its result.

The incidents are those the caller may see: the wall has decided that before.  What fails for one
client stands in its job and stops none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.holding import in_order, take_turns
from incidents.models import Incident, Job
from incidents.remediation import block_sender, pull_incident
from tenants.errors import DomainError, WrongInput
from tenants.ids import new_id
from tenants.models import Person

MOST = 500


@dataclass(frozen=True, slots=True)
class Part:
    """One incident's part of an order.  ``refused`` says why it would not be done, "": it would."""

    incident: Incident
    copies: int
    refused: str


def pull_everywhere(*, incidents: Sequence[Incident], actor: Person, reason: str) -> UUID:
    """Pull every copy of these incidents; answers the group to follow.  Reversible, per job."""
    _check(incidents)
    group_id = new_id()
    for incident in _in_order(incidents):
        try:
            with transaction.atomic():
                pull_incident(incident=incident, actor=actor, reason=reason, group_id=group_id)
        except DomainError as error:
            _note_failure(Job.Kind.PULL, incident, actor, reason, group_id, error)
    return group_id


def block_everywhere(
    *,
    incidents: Sequence[Incident],
    actor: Person,
    reason: str,
    expires_at: datetime | None,
    despite: bool = False,
) -> UUID:
    """Hold further mail of each incident's sender at its client; answers the group to follow.

    Where a client's rehearsal objects its part fails and says why, unless ``despite``.
    """
    _check(incidents)
    if despite and not reason.strip():
        raise WrongInput("Say why it is to be blocked although a rehearsal objects.")
    group_id = new_id()
    for incident in _in_order(incidents):
        try:
            with transaction.atomic():
                block_sender(
                    incident=incident,
                    actor=actor,
                    reason=reason,
                    expires_at=expires_at,
                    despite=despite,
                    group_id=group_id,
                )
        except DomainError as error:
            _note_failure(Job.Kind.BLOCK, incident, actor, reason, group_id, error)
    return group_id


def foresee_order(give: Callable[[], UUID]) -> list[Part]:
    """What an order would come to at each client: it is given, read and taken back.

    By the same code, with its rehearsals; nothing of it stays, in no table and no queue.
    """
    with transaction.atomic():
        jobs = Job.objects.filter(group_id=give()).select_related("incident__tenant")
        parts = [
            # Each intent is one copy.
            Part(job.incident, job.intents.count(), job.error)
            for job in jobs.order_by("created_at")
            if job.incident is not None
        ]
        transaction.set_rollback(True)
    return parts


def _check(incidents: Sequence[Incident]) -> None:
    if not incidents:
        raise WrongInput("Choose at least one client.")
    if len(incidents) > MOST:
        raise WrongInput(f"At most {MOST} incidents in one order.")


def _in_order(incidents: Iterable[Incident]) -> list[Incident]:
    ordered = in_order(incidents)
    take_turns(ordered)
    return ordered


def _note_failure(
    kind: str, incident: Incident, actor: Person, reason: str, group_id: UUID, error: DomainError
) -> None:
    """The client's part that could not be done says why, beside those that could."""
    Job.objects.create(
        tenant_id=incident.tenant_id,
        kind=kind,
        state=Job.State.FAILED,
        incident=incident,
        group_id=group_id,
        requested_by_id=actor.id,
        requested_by=actor.name,
        reason=reason,
        error=str(error),
        finished_at=timezone.now(),
    )
