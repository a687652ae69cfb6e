"""Since when the mailboxes of a client cannot be read.  Read in the caller's scope."""

from __future__ import annotations

from api_bridge.models import Connection
from incidents.layers import BlindLayer


def why_blind(connection: Connection) -> str:
    """In a sentence.  A connection that still counts as connected gets no answer."""
    if connection.state in ("", Connection.State.ACTIVE):
        return "The mail host does not answer us."
    return f"{connection.get_state_display()}."


def mailbox_blindness(tenant_id: int) -> BlindLayer | None:
    connection = (
        Connection.objects.filter(tenant=tenant_id, blind_since__isnull=False)
        .only("id", "tenant_id", "state", "blind_since")
        .first()
    )
    return blindness_of(connection) if connection is not None else None


def blindness_of(connection: Connection) -> BlindLayer | None:
    """None: this one sees."""
    if connection.blind_since is None:
        return None
    return BlindLayer(
        layer="mailbox",
        name="The mailbox layer",
        since=connection.blind_since,
        why=why_blind(connection),
    )
