"""Since when a layer of a client cannot see.  Said on every row, incident, job and report of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from api_bridge.models import Connection
from api_bridge.sight import NOT_GRANTED, may_act, why_blind
from seg_bridge.sight import GATE_SILENT_AFTER, SILENT, gates_spoke
from tenants.groups import of_clients
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Blind:
    """Since when a layer cannot see; None: it sees, or is not there at all (``has_…``).

    ``why`` is a sentence; ``acts_not`` too: why the mailbox layer sees and does not move mail, ""
    where it does.
    """

    gateway_since: datetime | None = None
    mailbox_since: datetime | None = None
    gateway_why: str = ""
    mailbox_why: str = ""
    has_gateway: bool = False
    has_mailbox: bool = False
    acts_not: str = ""

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Those that cannot see: ``layer``, ``since``, ``why``."""
        found = (
            ("gateway", self.gateway_since, self.gateway_why),
            ("mailbox", self.mailbox_since, self.mailbox_why),
        )
        return [{"layer": name, "since": at, "why": why} for name, at, why in found if at]

    @property
    def since(self) -> datetime | None:
        return min(filter(None, (self.gateway_since, self.mailbox_since)), default=None)


_NOTHING = Blind()
SHOWN = 3


class Blindness:
    """How the layers of these clients see, by two queries; ``of(tenant_id)`` for any of them."""

    def __init__(self, tenant_ids: Iterable[int]) -> None:
        ids = set(tenant_ids)
        # Of several connections the one that has been blind longest comes last, and counts.
        connections = {
            connection.tenant_id: connection
            for connection in Connection.objects.filter(tenant_id__in=ids)
            .only("id", "tenant_id", "state", "blind_since")
            .annotate(acts=may_act())
            .order_by(F("blind_since").desc(nulls_first=True))
        }
        gates = gates_spoke(ids)
        limit = timezone.now() - GATE_SILENT_AFTER
        self._of = {
            tenant_id: _blind(gates.get(tenant_id), limit, connections.get(tenant_id))
            for tenant_id in connections.keys() | gates.keys()
        }

    def of(self, tenant_id: int) -> Blind:
        return self._of.get(tenant_id, _NOTHING)


def blind_of(tenant_id: int) -> Blind:
    """Of one client."""
    return Blindness([tenant_id]).of(tenant_id)


@dataclass(frozen=True, slots=True)
class BlindClients:
    """For a list over several clients: the first that some layer cannot see, and how many more."""

    shown: list[tuple[Tenant, Blind]]
    more: int


def blind_clients(client: str) -> BlindClients:
    """Of the clients in sight; ``client``: of this one or of this group, "" of all."""
    clients = list(of_clients(Tenant.objects.order_by("name"), client, path=""))
    blindness = Blindness(each.id for each in clients)
    found = [(each, blind) for each in clients if (blind := blindness.of(each.id)).since]
    return BlindClients(found[:SHOWN], len(found[SHOWN:]))


def _blind(spoke_at: datetime | None, limit: datetime, connection: Any) -> Blind:
    """``connection``: with ``acts``, or None."""
    is_silent = spoke_at is not None and spoke_at < limit
    mailbox_since = connection.blind_since if connection else None
    return Blind(
        gateway_since=spoke_at if is_silent else None,
        mailbox_since=mailbox_since,
        gateway_why=SILENT if is_silent else "",
        mailbox_why=why_blind(connection) if connection and mailbox_since else "",
        has_gateway=spoke_at is not None,
        has_mailbox=connection is not None,
        acts_not=NOT_GRANTED if connection and not connection.acts else "",
    )
