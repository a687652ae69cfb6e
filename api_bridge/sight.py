"""Since when the mailboxes of a client cannot be read.  Read in the caller's scope."""

from __future__ import annotations

from api_bridge.models import Connection
from incidents.layers import BlindLayer


def mailbox_blindness(tenant_id: int) -> BlindLayer | None:
    connection = (
        Connection.objects.filter(tenant=tenant_id, blind_since__isnull=False)
        .only("id", "tenant_id", "state", "blind_since")
        .first()
    )
    if connection is None or connection.blind_since is None:
        return None
    return BlindLayer(
        layer="mailbox",
        name="The mailbox layer",
        since=connection.blind_since,
        why=f"{connection.get_state_display()}.",
    )
