"""What the beat asks of the gateway's room beside the queues."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from tenants.doors import all_clients
from tenants.scope import Role, tenant_scope
from tenants.work import want_work


@shared_task(name="seg_bridge.want", ignore_result=True)
def want(queue: str) -> int:
    """Let every client be served in this queue, and not all in one breath; answers how many."""
    clients = all_clients()
    for client in clients:
        with tenant_scope(Role.WORKER, [client.tenant_id]):
            # With a time nobody is rung up for each: the sweep does it for all.
            want_work(client.tenant_id, queue, at=timezone.now())
    return len(clients)
