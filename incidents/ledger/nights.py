"""The night's look at the ledger: made anew from the history, and what had drifted is on record."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from django.utils import timezone

from incidents.ledger.upkeep import Recomputed, recompute
from incidents.warnings import sweep_marks
from tenants.audit import BAILEY, write_audit
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tenants.work import work_scope

CORRECTED = "incidents.ledger.corrected"
LOOKED_BACK = timedelta(days=7)


def serve_ledger(claimed: ClaimedWork) -> datetime | None:
    """One client's night; its next condemned mail wants the next one."""
    with work_scope(claimed):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
    check_ledger(tenant)
    return None


def check_ledger(tenant: Tenant) -> Recomputed:
    """The rows of the last week from the history; marks that warn nobody any more go.

    Opens scopes of its own.
    """
    now = timezone.now()
    done = recompute(
        tenant, since=now - LOOKED_BACK, until=now + timedelta(days=1), note=partial(_note, tenant)
    )
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        sweep_marks(tenant)
    return done


def _note(tenant: Tenant, done: Recomputed) -> None:
    write_audit(
        CORRECTED,
        actor=BAILEY,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="client",
        object_id=tenant.slug,
        rows=done.rows,
        differing=done.differing,
    )
