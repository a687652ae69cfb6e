"""Stopping what is on its way to mailboxes, and putting back what was removed.

What was not sent yet is not done.  What may have been sent is settled by reading alone: for a
stopped job nothing is called any more (incidents/execution.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.announce import announce_incident
from incidents.holding import hold_copies
from incidents.models import Delivery, Incident, Intent, Job
from incidents.models.mail import Place
from incidents.orders import withdraw_orders_of
from incidents.remediation import copies_of, settle_job, start_job
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict
from tenants.models import Person, Tenant
from tenants.work import want_work

STOPPED = "incidents.job.stopped"
STOPPABLE = (Job.Kind.PULL, Job.Kind.RESTORE)


@transaction.atomic
def stop_job(*, job: Job, actor: Person, reason: str = "") -> None:
    """Later copies of the incident are not pulled for it either.

    Raises ``Conflict`` where it is over, or of a kind that is not done copy by copy in mailboxes.
    """
    if job.kind not in STOPPABLE:
        raise Conflict("Only a pull or a restore can be stopped.")
    if not _stop(job, actor, reason):
        raise Conflict("It is over: nothing is left to be stopped.")
    if job.incident is not None and job.kind == Job.Kind.PULL:
        withdraw_orders_of(job.incident, actor, "The pull was stopped.")


@transaction.atomic
def restore_incident(*, incident: Incident, actor: Person | Actor, reason: str = "") -> Job:
    """Put every copy that Bailey removed back where it was; pulls that are not over are stopped."""
    hold_copies(incident.id)
    copies = copies_of(incident)
    _stop_pulls(copies, actor, reason)
    pulled = _just_pulled(copies)
    removed = [copy for copy in copies if copy.place == Place.QUARANTINE or copy.id in pulled]
    withdraw_orders_of(incident, actor, "The copies were restored.")
    return start_job(Job.Kind.RESTORE, "restore", removed, incident, actor=actor, reason=reason)


def _stop_pulls(copies: Sequence[Delivery], actor: Person | Actor, reason: str) -> None:
    waiting = Intent.objects.filter(delivery__in=copies, action="pull")
    waiting = waiting.exclude(state__in=Intent.OVER)
    jobs = Job.objects.filter(id__in=waiting.values("job_id")).select_related("incident")
    for job in jobs.order_by("id"):
        _stop(job, actor, reason)


def _just_pulled(copies: Sequence[Delivery]) -> set[UUID]:
    """Those that a pull has removed, or may have, since they were last seen."""
    seen = {copy.id: copy.verified_at for copy in copies}
    pulls = Intent.objects.filter(
        delivery__in=copies, action="pull", state__in=(Intent.State.UNKNOWN, Intent.State.VERIFIED)
    )
    found = set()
    for delivery_id, removed_at in pulls.values_list("delivery_id", "finished_at"):
        seen_at = seen[delivery_id]
        if removed_at is None or seen_at is None or seen_at < removed_at:
            found.add(delivery_id)
    return found


def _stop(job: Job, actor: Person | Actor, reason: str) -> bool:
    """False: it was over."""
    intents = Intent.objects.filter(tenant=job.tenant_id, job=job).exclude(state__in=Intent.OVER)
    # The fence grows: a worker that is just about to send finds that its turn is over.
    held = list(intents.select_for_update(of=("self",)).order_by("id"))
    if not held:
        return False
    now = timezone.now()
    for intent in held:
        intent.fence += 1
        intent.waits_since, intent.due_at = None, now
        if intent.undo:
            intent.state = Intent.State.UNKNOWN
        else:
            intent.state, intent.finished_at = Intent.State.FAILED, now
            intent.error = stopped_words(actor.name)
    fields = ["fence", "waits_since", "due_at", "state", "finished_at", "error"]
    Intent.objects.bulk_update(held, fields, batch_size=500)
    job.detail = {**job.detail, "stopped_by": actor.name}
    job.save(update_fields=["detail"])
    settle_job(job)
    want_work(job.tenant_id, "remediate")
    _tell(job, actor, reason, copies=len(held))
    return True


def stopped_words(name: str) -> str:
    return f"Not done: {name} has stopped it."


def cameback_words(name: str) -> str:
    return f"It was removed and came back; {name} has stopped the pull."


def _tell(job: Job, actor: Person | Actor, reason: str, *, copies: int) -> None:
    write_audit(
        STOPPED,
        actor=actor,
        provider_id=Tenant.objects.values_list("provider_id", flat=True).get(id=job.tenant_id),
        tenant_id=job.tenant_id,
        object_kind="job",
        object_id=job.id,
        reason=reason,
        copies=copies,
    )
    if job.incident_id:
        announce_incident(job.tenant_id, job.incident_id)
