"""For whoever has time: a connector of its own, whose calls give way to the live sync's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Self
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from api_bridge import connectors
from api_bridge.connectors import GOOGLE_HOSTS, MICROSOFT_HOSTS, Connector, Runtime, open_connector
from api_bridge.errors import RateLimited
from api_bridge.limits import Quota, RedisLimits
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import open_broker, shared_runtime
from api_bridge.scanback.limits import PATIENCE_S, LowerLimits
from tenants.models import Mailbox

# One worker of the whole installation: the slot of a name that has no other.
ONE = Quota(concurrent=1, per_s=1_000.0, burst=1_000.0, lease_s=120.0)
AGAIN_SOON = timedelta(seconds=5)


@cache
def shared_limits(wait_s: float) -> RedisLimits:
    """The shared counts, for whoever waits no longer than that."""
    return RedisLimits(open_broker(settings.REDIS_URL), wait_s=wait_s)


def by_one_worker(name: str, work: Callable[[], datetime | None]) -> datetime | None:
    """What ``work`` answers; where another worker is at it, when to come again.

    Nobody waits for it: a waiting worker would be one less for new mail.
    """
    try:
        with shared_limits(0.0).slot(name, quota=ONE):
            return work()
    except RateLimited:
        return timezone.now() + AGAIN_SOON


def is_sync_behind(tenant_id: int, now: datetime) -> bool:
    """Is a mailbox due that the live sync can read?  One that it has parked waits by itself."""
    due = MailboxSync.objects.filter(
        tenant=tenant_id, due_at__lte=now, connection__state=Connection.State.ACTIVE, failures=0
    )
    return bool(due.exclude(mailbox__state=Mailbox.State.GONE).exists())


class BehindSync:
    """Raises ``BridgeError`` where the connection's settings are wrong."""

    def __init__(self, wired: connectors.Connection) -> None:
        shared = shared_runtime()
        self.limits = LowerLimits(shared_limits(PATIENCE_S))
        self.connector: Connector = open_connector(
            wired,
            Runtime(
                cache=shared.cache,
                limits=self.limits,
                allowed_hosts=MICROSOFT_HOSTS | GOOGLE_HOSTS | set(settings.OUTGOING_HOSTS),
            ),
        )

    def close(self) -> None:
        self.connector.close()


class Slice:
    """Some seconds of work, and the connections that it opened: they are closed with it."""

    def __init__(self, lasts_s: float) -> None:
        self._ends_s = time.monotonic() + lasts_s
        self._opened: dict[UUID, BehindSync] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._opened.values():
            each.close()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._ends_s

    def opened(self, connection_id: UUID) -> BehindSync | None:
        return self._opened.get(connection_id)

    def open(self, connection_id: UUID, wire: Callable[[], BehindSync]) -> BehindSync:
        """Opened once in a slice.  Raises as ``wire`` does."""
        if connection_id not in self._opened:
            self._opened[connection_id] = wire()
        return self._opened[connection_id]
