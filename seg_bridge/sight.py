"""Since when the gateway has been silent for a client.  Read in the caller's scope."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.layers import BlindLayer
from seg_bridge.models import GateClient
from tenants.doors import ask
from tenants.scope import Role, current_scope

# A gate asks for commands at least every 20 s; three missed rounds and a margin.
GATE_SILENT_AFTER = timedelta(seconds=90)
SILENT = _n("No gate has reported since.")


def gates_spoke(tenant_ids: Collection[int]) -> dict[int, datetime]:
    """When a gate of each client spoke last; a client without a gate is not in it."""
    if current_scope().role is Role.PORTAL:
        # Gates are the provider's: a door tells the client the one time.
        spoke = ask("door_gateway_spoke")
        return {one: datetime.fromisoformat(spoke) for one in tenant_ids} if spoke else {}
    latest: dict[int, datetime] = {}
    gates = GateClient.objects.filter(tenant_id__in=tenant_ids)
    for tenant_id, spoke_at, made_at in gates.values_list(
        "tenant_id", "gate__last_seen_at", "gate__created_at"
    ):
        seen = spoke_at or made_at
        latest[tenant_id] = max(seen, latest.get(tenant_id, seen))
    return latest


def gateway_blindness(tenant_id: int) -> BlindLayer | None:
    spoke_at = gates_spoke([tenant_id]).get(tenant_id)
    if spoke_at is None or spoke_at >= timezone.now() - GATE_SILENT_AFTER:
        return None
    return BlindLayer(layer="gateway", name=_("The gateway"), since=spoke_at, why=_(SILENT))
