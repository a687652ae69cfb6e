"""What the beat asks of the incident model beside the queues."""

from __future__ import annotations

from celery import shared_task
from django.db import connection

MONTHS_AHEAD = 3


@shared_task(name="incidents.keep_partitions", ignore_result=True)
def keep_partitions() -> int:
    """Make the months of observations that are missing up to ``MONTHS_AHEAD``; answers how many.

    The function belongs to the owner: no login of a process may make tables.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT keep_partitions(%s)", [MONTHS_AHEAD])
        row = cursor.fetchone()
    return int(row[0])
