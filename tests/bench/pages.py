"""Pages of 2,000,000 observations, 200,000 incidents, 300 clients: server time, beside the SQL.

Somebody who works for all 300 clients asks for the pages through the whole stack (middleware,
scope, templates), in this process.  Beside the page's time stands that of its statements alone, as
the same requests sent them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from typing_extensions import override

from tests.bench import Measurement
from tests.bench._pages_data import CLIENTS, INCIDENTS, OBSERVATIONS, make_data
from tests.bench.intake import a_database

ROUNDS = 40
GOAL_QUEUE_MS = 60
GOAL_MS = 300


def addresses(ids: list[Any]) -> dict[str, list[str]]:
    """Page → the addresses that are asked in turn."""
    tabs = ("mine", "team")
    sizes = (1, 20, 150, 299)
    words = ("bench1996", "sender77@host77.example", "client-7.example", "Invoice")
    return {
        "queue": [f"/console/?tab={tab}" for tab in tabs],
        "queue_narrowed": [
            *(f"/console/?tab=team&client=client-{n}" for n in sizes),
            *(f"/console/?tab=team&severity={each}" for each in ("critical", "low")),
            "/console/?tab=team&layer=mailbox",
            "/console/?tab=team&differ=any",
        ],
        "search": [f"/console/?tab=team&q={word}" for word in words],
        "search_id": [
            "/console/?tab=team&q=%3Cbench796000@host.example%3E",
            "/console/?tab=team&q=%2312",
            "/console/?tab=team&entity=host77.example&days=90",
            "/console/?tab=team&entity=sender77@host77.example",
        ],
        "incident": [f"/console/incidents/{each}" for each in ids],
        "ledger": ["/console/ledger", "/console/ledger?client=client-1"],
        "ledger_90_days": ["/console/ledger?from={since}&to={until}"],
        "ledger_list": [f"/console/ledger/{name}" for name in ("condemned", "both", "person_only")],
        "ledger_api": ["/api/v1/ledger/", "/api/v1/ledger/both/", "/api/v1/ledger/person_only/"],
        "mail": ["/console/mail", "/console/mail?client=client-1&days=30"],
        "mail_search": [
            "/console/mail?q=sender77@host77.example",
            "/console/mail?q=%3Cbench796000@host.example%3E",
            "/console/mail?q=m7@client-1.example",
        ],
        "mail_search_words": ["/console/mail?q=bench7999", "/console/mail?q=host77"],
        "handled": ["/console/handled"],
        "clients": ["/console/clients"],
        "entity": [
            "/console/entities?kind=domain&value=host77.example",
            "/console/entities?kind=sender&value=sender77@host77.example",
            "/console/entities?kind=mailbox&value=m7@client-1.example",
            "/console/entities?kind=host&value=host77.example",
            "/console/entities?kind=host&value=host77.example&days=90",
        ],
        "entity_graph": [
            "/console/entities/graph?kind=host&value=host77.example",
            "/console/entities/graph?kind=mailbox&value=m7@client-1.example",
        ],
        "entity_api": [
            "/api/v1/entities/host/?value=host77.example",
            "/api/v1/entities/host/mails/?value=host77.example",
        ],
    }


class Clock:
    """Seconds that the statements of the requests take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slowest: tuple[float, str] = (0.0, "")

    def __call__(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, *rest)
        finally:
            taken = time.perf_counter() - started
            self.seconds += taken
            self.slowest = max(self.slowest, (taken, sql))

    @contextmanager
    def runs(self) -> Iterator[None]:
        """Times what goes through Django's cursor and what ``incidents.bulk`` sends beside it."""
        from django.db import connection
        from psycopg import Cursor

        from incidents import bulk

        clock = self

        class Timed(Cursor[Any]):
            @override
            def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
                run = super().execute
                return clock(lambda sql, *more: run(sql, *more, **options), query, *rest)

        with connection.execute_wrapper(clock), mock.patch.object(bulk, "Cursor", Timed):
            yield


@contextmanager
def somebody() -> Iterator[Any]:
    """A test client signed in as Ana, with a cache of this process."""
    from django.test import Client, override_settings

    from tenants.models import Person
    from tenants.scope import maintenance_scope

    local = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    with override_settings(CACHES=local, ALLOWED_HOSTS=["*"]):
        with maintenance_scope():
            ana = Person.objects.get(name="Ana")
        client = Client()
        client.force_login(ana)
        yield client


def p95(values: list[float]) -> float:
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def time_page(client: Any, asked: list[str]) -> tuple[float, float, str]:
    """Milliseconds (p95) of the page and of its statements, and the slowest statement."""
    pages, statements, slowest = [], [], (0.0, "")
    for number in range(ROUNDS):
        address = asked[number % len(asked)]
        if number < len(asked):  # what is read once per process is not the page's
            assert client.get(address).status_code == 200, address
        clock = Clock()
        started = time.perf_counter()
        with clock.runs():
            client.get(address)
        pages.append((time.perf_counter() - started) * 1000)
        statements.append(clock.seconds * 1000)
        slowest = max(slowest, clock.slowest)
    return p95(pages), p95(statements), f"{slowest[0] * 1000:.0f} ms {slowest[1]}"


def incident_ids() -> list[Any]:
    """Some of the latest that are open, some long closed."""
    from incidents.models import Incident
    from tenants.scope import maintenance_scope

    with maintenance_scope():
        newest = Incident.objects.exclude(state="resolved").order_by("-id")
        closed = Incident.objects.filter(state="resolved").order_by("id")
        return [
            *newest.values_list("id", flat=True)[:10],
            *closed.values_list("id", flat=True)[:10],
        ]


def measure() -> list[Measurement]:
    with a_database():
        make_data()
        return list(measure_pages())


def measure_pages() -> Iterator[Measurement]:
    from datetime import timedelta

    from django.utils import timezone

    today = timezone.now().date()
    days = {"since": today - timedelta(days=90), "until": today}
    against = (
        f"its statements alone; {OBSERVATIONS:,} observations, {INCIDENTS:,} incidents,"
        f" {CLIENTS} clients in sight, p95 of {ROUNDS}"
    )
    from console.lib.memory import settle

    with somebody() as client:
        for asked in addresses(incident_ids()).values():
            client.get(asked[0].format(**days))
        settle()  # as the process does that serves pages
        for name, asked in addresses(incident_ids()).items():
            page, statements, _ = time_page(client, [each.format(**days) for each in asked])
            goal = GOAL_QUEUE_MS if name == "queue" else GOAL_MS
            yield Measurement(
                name=f"page_{name}",
                value=page,
                unit="ms",
                against=f"{statements:.1f} ms: {against}",
                goal=f"≤ {goal} ms",
                met=page <= goal,
            )


MEASURES = {"pages": measure}
