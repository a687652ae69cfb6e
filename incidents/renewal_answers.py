"""A person's one answer to all that a renewed rehearsal found to go beyond what was approved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.campaigns.moving import successor
from incidents.layers import blind_layers, why_not_acting
from incidents.models import Delivery, Incident, Job, Renewal, RenewalCopy
from incidents.remediation import pullable, start_job
from incidents.renewals import close, go_on
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant

ANSWERED = "incidents.renewal.answered"
Answer, Found, State = Renewal.Answer, RenewalCopy.Found, Renewal.State


@transaction.atomic
def answer_renewal(*, renewal: Renewal, answer: str, actor: Person, reason: str = "") -> Renewal:
    """``all``: what was approved and what goes beyond it; ``approved``: only the former; ``none``.

    Copies that nobody had approved are pulled by jobs of their own, asked for by ``actor``.  Raises
    ``WrongInput``, or ``Conflict`` where it was answered already, or nothing can be moved now.
    """
    if answer not in Answer.values:
        raise WrongInput("Answer with one of all, approved and none.")
    if answer == Answer.NONE and not reason.strip():
        raise WrongInput("Say why nothing of it is done.")
    row: Renewal = Renewal.objects.select_for_update(of=("self",)).get(id=renewal.id)
    if row.state != State.ASKED:
        raise Conflict(_over(row))
    if answer != Answer.NONE:
        _check_can_act(row.tenant_id)
    copies = _asking_copies(row)
    row.state, row.answer, row.reason = State.ANSWERED, answer, reason.strip()
    row.answered_by_id, row.answered_by, row.answered_at = actor.id, actor.name, timezone.now()
    row.save()
    jobs = _act(copies, answer, actor, row)
    write_audit(
        ANSWERED,
        actor=actor,
        provider_id=Tenant.objects.values_list("provider_id", flat=True).get(id=row.tenant_id),
        tenant_id=row.tenant_id,
        object_kind="renewal",
        object_id=row.id,
        reason=row.reason,
        answer=answer,
        copies=len(copies),
        jobs=[str(job.id) for job in jobs],
    )
    return row


def _over(row: Renewal) -> str:
    if row.state == State.ANSWERED:
        return f"This was answered by {row.answered_by} already."
    if row.state == State.LOOKING:
        return "The copies are still being read. Come again in a moment."
    return "Nothing of it waits for an answer any more."


def _check_can_act(tenant_id: int) -> None:
    """Raises ``Conflict``: whoever says yes should not learn later that nothing happened."""
    for blind in blind_layers(tenant_id):
        raise Conflict(f"{blind.sentence} It is looked at anew when access comes back.")
    if why := why_not_acting(tenant_id):
        raise Conflict(why)


def _asking_copies(renewal: Renewal) -> list[RenewalCopy]:
    """All copies of the jobs that wait for the answer."""
    rows = RenewalCopy.objects.filter(tenant_id=renewal.tenant_id, renewal=renewal)
    asking = rows.exclude(differs="").values("job_id")
    return list(
        rows.filter(job_id__in=asking).select_related(
            "intent", "job__incident", "delivery__message"
        )
    )


def _act(copies: Sequence[RenewalCopy], answer: str, actor: Person, renewal: Renewal) -> list[Job]:
    approved = [row for row in copies if row.intent_id is not None]
    if answer == Answer.NONE:
        words = f"Not done: {actor.name} said no after the renewed rehearsal. {renewal.reason}"
        close({row.intent_id: words for row in approved if row.intent_id})
        return []
    if answer == Answer.APPROVED:
        words = f"Not done: {actor.name} let only go on what was approved. {renewal.reason}"
        close({row.intent_id: words.strip() for row in approved if row.differs and row.intent_id})
        go_on([row for row in approved if not row.differs])
        return []
    go_on(approved)
    return _pull_new([row for row in copies if row.found == Found.NEW], actor, renewal)


def _pull_new(rows: Sequence[RenewalCopy], actor: Person, renewal: Renewal) -> list[Job]:
    by_incident: dict[UUID, list[Delivery]] = defaultdict(list)
    incidents: dict[UUID, Incident] = {}
    for row in rows:
        assert row.job.incident is not None
        incident = successor(row.job.incident)
        incidents[incident.id] = incident
        by_incident[incident.id] += pullable([row.delivery])
    return [
        start_job(
            Job.Kind.PULL,
            "pull",
            found,
            incidents[incident_id],
            actor=actor,
            reason=renewal.reason or "Came while access was away; approved after it.",
            detail={"renewal": str(renewal.id)},
        )
        for incident_id, found in by_incident.items()
        if found
    ]
