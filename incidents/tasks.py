"""What the beat asks of the incident model beside the queues."""

from __future__ import annotations

from celery import shared_task
from django.db import connection

from incidents.answers import sweep_answers
from incidents.campaigns.store import forget_traits
from incidents.interference.hourly import want_compare
from incidents.prevalence import sweep_rare
from incidents.retitling import retitle
from tenants.doors import all_clients
from tenants.scope import Role, tenant_scope

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


@shared_task(name="incidents.forget_rare_traits", ignore_result=True)
def forget_rare_traits() -> int:
    """Drop from every client's counts what was rare and long ago, the traits of mails that grouping
    and campaigns no longer look back to, and what old sent mail may have answered; says how many.
    """
    forgotten = 0
    for client in all_clients():
        with tenant_scope(Role.WORKER, [client.tenant_id]):
            forgotten += sweep_rare(client.tenant_id) + forget_traits(client.tenant_id)
            forgotten += sweep_answers(client.tenant_id)
    return forgotten


@shared_task(name="incidents.follow_titles", ignore_result=True)
def follow_titles() -> int:
    """Name every client's open incidents by what is on record now; says how many changed."""
    changed = 0
    for client in all_clients():
        with tenant_scope(Role.WORKER, [client.tenant_id]):
            changed += retitle(client.tenant_id)
    return changed


@shared_task(name="incidents.want_compare", ignore_result=True)
def want_compare_of_all() -> int:
    """Want the comparison of the layers of every client whose last one is an hour old; says how
    many.
    """
    wanted = 0
    for client in all_clients():
        with tenant_scope(Role.WORKER, [client.tenant_id]):
            wanted += want_compare(client.tenant_id)
    return wanted
