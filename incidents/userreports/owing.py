"""A resolved incident owes its reporters an outcome; a worker tells them."""

from __future__ import annotations

from incidents.models import Incident, UserReport
from incidents.userreports.taking import QUEUE
from tenants.work import want_work


def owe_outcomes(incident: Incident) -> int:
    """In the transaction that resolves it; answers how many reports are owed."""
    owed = UserReport.objects.filter(
        tenant=incident.tenant_id,
        trust=UserReport.Trust.OWN,
        delivery__message__memberships__incident=incident,
    )
    ids = list(owed.values_list("id", flat=True))
    if ids:
        UserReport.objects.filter(tenant=incident.tenant_id, id__in=ids).update(owes_outcome=True)
        want_work(incident.tenant_id, QUEUE)
    return len(ids)
