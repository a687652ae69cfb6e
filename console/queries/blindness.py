"""Since when a layer of a client cannot see.  Said on every row, incident, job and report of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from api_bridge.models import Connection
from seg_bridge.models import GateClient

# A gate asks for commands at least every 20 s; three missed rounds and a margin.
GATE_SILENT_AFTER = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Blind:
    """Since when a layer cannot see; None: it sees, or is not there at all (``has_…``).

    ``why`` is a sentence.
    """

    gateway_since: datetime | None = None
    mailbox_since: datetime | None = None
    gateway_why: str = ""
    mailbox_why: str = ""
    has_gateway: bool = False
    has_mailbox: bool = False

    @property
    def since(self) -> datetime | None:
        return min(filter(None, (self.gateway_since, self.mailbox_since)), default=None)


_NOTHING = Blind()


class Blindness:
    """How the layers of these clients see, by two queries; ``of(tenant_id)`` for any of them."""

    def __init__(self, tenant_ids: Iterable[int]) -> None:
        ids = set(tenant_ids)
        connections = {
            connection.tenant_id: connection
            for connection in Connection.objects.filter(tenant_id__in=ids)
        }
        gates = _last_words(ids)
        limit = timezone.now() - GATE_SILENT_AFTER
        self._of = {
            tenant_id: _blind(gates.get(tenant_id), limit, connections.get(tenant_id))
            for tenant_id in connections.keys() | gates.keys()
        }

    def of(self, tenant_id: int) -> Blind:
        return self._of.get(tenant_id, _NOTHING)


def _last_words(tenant_ids: set[int]) -> dict[int, datetime]:
    """When a gate of each client spoke last."""
    latest: dict[int, datetime] = {}
    for link in GateClient.objects.filter(tenant_id__in=tenant_ids).select_related("gate"):
        seen = link.gate.last_seen_at or link.gate.created_at
        latest[link.tenant_id] = max(seen, latest.get(link.tenant_id, seen))
    return latest


def _blind(spoke_at: datetime | None, limit: datetime, connection: Connection | None) -> Blind:
    is_silent = spoke_at is not None and spoke_at < limit
    mailbox_since = connection.blind_since if connection else None
    return Blind(
        gateway_since=spoke_at if is_silent else None,
        mailbox_since=mailbox_since,
        gateway_why="No gate has reported since." if is_silent else "",
        mailbox_why=f"{connection.get_state_display()}." if connection and mailbox_since else "",
        has_gateway=spoke_at is not None,
        has_mailbox=connection is not None,
    )
