"""The one Celery task of Bailey: a ring.  What to do stands in the table of work."""

from __future__ import annotations

from celery import shared_task

from tenants.standstill import may_act
from tenants.work import queues, ring, serve_one


@shared_task(name="tenants.serve", ignore_result=True)
def serve(queue: str, limit: int = 50) -> int:
    """Serve clients of this queue until none waits; answers how many were served.

    None while the database stands still (tenants/standstill.py).
    """
    served = 0
    while served < limit and may_act() and serve_one(queue):
        served += 1
    return served


@shared_task(name="tenants.ring_all", ignore_result=True)
def ring_all() -> None:
    """The beat's sweep: every queue is rung, whether or not a ring was lost."""
    for queue in queues():
        ring(queue)
