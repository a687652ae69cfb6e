"""The connections of a client, opened: which of them may be asked at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from api_bridge.connectors import Connector
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.health import note_blind
from api_bridge.models import Connection
from api_bridge.runtime import connector_of, wire_connection
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection's connector, ready to be used outside scopes."""

    connection_id: UUID
    created_at: datetime
    list_due_at: datetime
    kind: str
    internal_hosts: tuple[str, ...]
    connector: Connector


def open_all(claimed: ClaimedWork) -> list[Opened]:
    """The client's connections; a blind one only when it is time to try it again, and none whose
    host is left alone.
    """
    with work_scope(claimed):
        wired = []
        for row in Connection.objects.exclude(resting()).order_by("created_at"):
            if row.state == Connection.State.ACTIVE or row.list_due_at <= timezone.now():
                try:
                    wired.append((row, wire_connection(row)))
                except AuthExpired as error:
                    note_blind(row.id, error)
    opened = []
    for row, wiring in wired:
        try:
            connector = connector_of(wiring)
        except BridgeError as error:
            log.warning("connection %s cannot be opened: %s", row.id, error)
            with work_scope(claimed):
                note_blind(row.id, error)
            continue
        hosts = tuple(row.settings.get("internal_hosts", "").lower().split())
        opened.append(Opened(row.id, row.created_at, row.list_due_at, row.kind, hosts, connector))
    return opened


def resting(path: str = "") -> Q:
    """Its host did not answer, and is left alone."""
    return Q(**{f"{path}rests_until__gt": timezone.now()})
