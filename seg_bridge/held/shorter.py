"""What a change of a policy would delete of the mail that is held now: the rehearsal of a shorter
time, or of less room, for held mail (``held.keep_days``, ``held.most_mb``).
"""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from incidents.models import Delivery
from incidents.models.mail import Place
from seg_bridge.held.policy import HeldPolicies
from seg_bridge.held.retention import expired
from seg_bridge.models import PolicyChange
from seg_bridge.policies.layers import Layers
from seg_bridge.policies.services import clients_of, layer_after, target_of

_KEYS = ("held.keep_days", "held.most_mb")


def would_be_deleted(change: PolicyChange) -> int:
    """How many held copies the retention would take that it leaves as things are; of these it still
    leaves what an open incident, a legal hold, a wish or a release needs.  0 for a change that is
    about something else.  Needs the scope of the clients that it is for.
    """
    if not any(one["key"] in _KEYS and one["before"] != one["after"] for one in change.differences):
        return 0
    target = target_of(change)
    tenant_ids = set(clients_of(target))
    held = Delivery.objects.filter(tenant_id__in=tenant_ids, place=Place.HOLD).order_by()
    holding = list(held.values_list("tenant_id", flat=True).distinct())
    if not holding:
        return 0
    layers = Layers(holding)
    changed = layers.replaced(target, layer_after(change, target))
    return sum(
        len(_expired(tenant_id, changed) - _expired(tenant_id, layers)) for tenant_id in holding
    )


def _expired(tenant_id: int, layers: Layers) -> set[UUID]:
    policies = HeldPolicies.by(layers, [tenant_id])
    found = expired(tenant_id, timezone.now(), policies=policies)
    return {delivery_id for delivery_id, *_ in found}
