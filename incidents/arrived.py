"""Whether a mail of Bailey's own has arrived: asked by its Message-ID before it is sent again."""

from __future__ import annotations

from incidents.layers import blind_layers
from incidents.models import Delivery
from tenants.models import Domain, Tenant


def has_arrived(tenant_id: int, address: str, message_id: str) -> bool | None:
    """None: nobody watches this address now, so nobody can say.  Needs the client's scope."""
    seen = Delivery.objects.filter(
        tenant_id=tenant_id, recipient=address.lower(), message__internet_message_id=message_id
    )
    if seen.exists():
        return True
    domain = address.lower().rpartition("@")[2]
    is_ours = Domain.objects.filter(tenant_id=tenant_id, name=domain, is_active=True).exists()
    is_watched = Tenant.objects.filter(id=tenant_id, protected_since__isnull=False).exists()
    return False if is_ours and is_watched and not blind_layers(tenant_id) else None
