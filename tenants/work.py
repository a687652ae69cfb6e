"""Who has to do what for which client: wanted, claimed, done.

1. A service that leaves something to do calls ``want_work(tenant_id, queue)`` in its transaction.
2. After the commit it rings; the ring may be lost or doubled, the beat repeats it.
3. A worker claims the client that has waited longest, under a lease with a growing fence.
4. It serves the client, and says whether something is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from importlib import import_module

from celery import current_app
from django.db import connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from tenants.doors import ClaimedWork, claim_work
from tenants.ids import new_id
from tenants.scope import Role, Scope, tenant_scope

log = logging.getLogger(__name__)

# Serves one client once, for a bounded time; answers when it wants to be called again, None: not.
Handler = Callable[[ClaimedWork], datetime | None]

_handlers: dict[str, str] = {}


def register_queue(queue: str, handler: str) -> None:
    """``handler`` is the dotted path of a ``Handler``; rooms register when they are ready."""
    _handlers[queue] = handler


def queues() -> list[str]:
    return sorted(_handlers)


def load_handlers() -> None:
    """Import whatever serves a queue: a worker does before its threads would, two at a time."""
    for queue in _handlers:
        _handler_of(queue)


def _handler_of(queue: str) -> Handler:
    module, _, name = _handlers[queue].rpartition(".")
    handler: Handler = getattr(import_module(module), name)
    return handler


def want_work(tenant_id: int, queue: str, *, at: datetime | None = None) -> None:
    """Must run in a scope that holds the client.  An earlier wish stands; a later one gives way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_work (id, tenant_id, queue, wanted_at, fence)"
            " VALUES (%s, %s, %s, %s, 0) ON CONFLICT (tenant_id, queue) DO UPDATE"
            " SET wanted_at = least(tenants_work.wanted_at, excluded.wanted_at)",
            [new_id(), tenant_id, queue, at or timezone.now()],
        )
    if at is None:
        transaction.on_commit(lambda: ring(queue))


def ring(queue: str) -> None:
    """Wake a worker.  A broker that is away costs seconds, not work: the beat rings again."""
    try:
        current_app.send_task("tenants.serve", [queue], queue=queue, ignore_result=True)
    except OperationalError:
        log.warning("the broker does not answer; the beat will ring for %s", queue)


def serve_one(queue: str, *, lease_s: int = 60) -> bool:
    """Claim one client and serve it.  False: nobody waits."""
    claimed = claim_work(queue, lease_s)
    if claimed is None:
        return False
    handler = _handler_of(queue)
    try:
        again_at = handler(claimed)
    except Exception:
        # One client's failure never stops the next; it comes round again after a while.
        log.exception("queue %s failed for client %s", queue, claimed.tenant_id)
        again_at = timezone.now() + timedelta(seconds=10)
    _finish(queue, claimed, again_at)
    return True


def work_scope(claimed: ClaimedWork) -> AbstractContextManager[Scope]:
    """In which a worker serves this client: hers, with her provider's rows."""
    return tenant_scope(Role.WORKER, [claimed.tenant_id], provider_id=claimed.provider_id)


def _finish(queue: str, claimed: ClaimedWork, again_at: datetime | None) -> None:
    """Give the lease back, unless another worker holds it by now.

    What was wanted during the serving is kept: the claim had cleared ``wanted_at``.
    """
    with tenant_scope(Role.WORKER, [claimed.tenant_id]), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_work SET leased_until = NULL, wanted_at = least(wanted_at, %s)"
            " WHERE tenant_id = %s AND queue = %s AND fence = %s",
            [again_at, claimed.tenant_id, queue, claimed.fence],
        )
