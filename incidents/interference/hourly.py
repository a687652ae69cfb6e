"""The worker's look at a client's layers, once an hour, so that no page has to count.

It reads at most ``MOST_COPIES`` copies of the last ``PERIOD``, the newest.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from incidents.interference.checks import examine
from incidents.interference.pairs import pairs_of
from incidents.models import Interference
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.work import want_work, work_scope

QUEUE = "compare"
PERIOD = timedelta(days=7)
EVERY = timedelta(hours=1)
MOST_COPIES = 20_000


def serve_compare(claimed: ClaimedWork) -> datetime | None:
    """One client's hour; the beat wants the next one."""
    with work_scope(claimed):
        compare(Tenant.objects.get(id=claimed.tenant_id))
    return None


def want_compare(tenant_id: int) -> bool:
    """Wants a client's look where the last one is an hour old.  Needs the client's scope."""
    recent = Interference.objects.filter(
        tenant=tenant_id, looked_at__gt=timezone.now() - EVERY
    ).exists()
    if not recent:
        want_work(tenant_id, QUEUE)
    return not recent


def compare(tenant: Tenant) -> list[Interference]:
    """Look at the client's mail and store what each check finds.  Needs the client's scope."""
    now = timezone.now()
    since = now - PERIOD
    pairs = pairs_of(tenant.id, since, now, MOST_COPIES + 1)
    is_cut = len(pairs) > MOST_COPIES
    if is_cut:
        pairs = pairs[:MOST_COPIES]
        since = pairs[-1].received_at
    return [
        Interference.objects.update_or_create(
            tenant=tenant,
            kind=kind,
            defaults={
                "copies": result.copies,
                "findings": [finding.as_json() for finding in result.findings],
                "is_cut": is_cut,
                "since": since,
                "looked_at": now,
            },
        )[0]
        for kind, result in examine(pairs).items()
    ]
