"""The queue ``outbound``: incidents of stopped senders, and looks into the DNS."""

from __future__ import annotations

from datetime import datetime

from seg_bridge.outbound.checking import look_up
from seg_bridge.outbound.services import note_check, wanted_checks
from seg_bridge.outbound.stopping import open_incidents
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.work import work_scope


def serve_outbound(claimed: ClaimedWork) -> datetime | None:
    """One client; answers when it wants to come again."""
    with work_scope(claimed):
        again_at = open_incidents(Tenant.objects.get(id=claimed.tenant_id))
        wanted = wanted_checks(claimed.tenant_id)
    # The DNS is asked between two scopes: a scope is a transaction.
    for key in wanted:
        found = look_up(key.name, key.public)
        with work_scope(claimed):
            note_check(key, found)
    return again_at
