"""What waits to be done in mailboxes, called off after a restore (tenants/standstill.py)."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from incidents.models import Intent, Job, Renewal
from incidents.remediation import settle_job
from tenants.audit import BAILEY, write_audit
from tenants.standstill import CALLED_OFF

CALLED_OFF_ACTION = "incidents.job.called_off"
_LATER_CHECK = Q(state=Intent.State.VERIFIED) & ~Q(checks_left=[])


def call_off_intents(tenant_id: int, now: datetime) -> int:
    """Intents that were not over; and nothing is removed again because it came back.

    What was under way at the time of the backup is read by the next sync, as any mail.
    """
    rows = Intent.objects.filter(tenant_id=tenant_id)
    rows.filter(_LATER_CHECK).update(checks_left=[])
    waiting = rows.exclude(state__in=Intent.OVER)
    jobs = list(
        Job.objects.filter(tenant_id=tenant_id, id__in=waiting.values("job_id")).select_related(
            "tenant"
        )
    )
    count = waiting.update(
        state=Intent.State.FAILED, error=CALLED_OFF, finished_at=now, waits_since=None
    )
    open_ones = (Renewal.State.LOOKING, Renewal.State.ASKED)
    Renewal.objects.filter(tenant_id=tenant_id, state__in=open_ones).update(
        state=Renewal.State.REPLACED
    )
    for job in jobs:
        settle_job(job)
        write_audit(
            CALLED_OFF_ACTION,
            actor=BAILEY,
            provider_id=job.tenant.provider_id,
            tenant_id=tenant_id,
            object_kind="job",
            object_id=job.id,
            reason=CALLED_OFF,
        )
    return count
