"""Intake against bare COPY of the same rows.

The baseline copies the rows, ready made, into a plain table with the same columns and indexes, not
partitioned and without row-level security; one transaction a batch, as intake commits. Intake takes
observations and does all of its work: JSON, the temporary table, duplicates, the backlog.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import django

from tests.bench import Measurement

if TYPE_CHECKING:
    from incidents.observations import Observation

BATCHES = 20
BATCH_ROWS = 500
ROUNDS = 4
GOAL = 0.8

Batches = Sequence[Sequence["Observation"]]


@contextmanager
def a_database() -> Iterator[None]:
    """A migrated database of our own, as the tests have; removed afterwards."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    made = setup_databases(verbosity=0, interactive=False, serialized_aliases=())
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)


def observations(tenant_id: int, round_number: int) -> Batches:
    """What a gate would ship of ordinary mail, every one new: 20 batches of 500."""
    from incidents.mail import read_mail
    from incidents.observations import Observation
    from incidents.words import Layer, Outcome, Place, Verdict

    facts = read_mail(MAIL, envelope_from="news@sender.example").as_json()
    start = datetime(2026, 11, 22, 8, tzinfo=UTC) + timedelta(hours=round_number)
    plain = Observation(
        tenant_id=tenant_id,
        layer=Layer.GATEWAY,
        source="gate:gate-1",
        source_key="",
        observed_at=start,
        recipient="info@acme.example",
        internet_message_id="<1@sender.example>",
        verdict=Verdict.CLEAN,
        score=0.4,
        score_limit=6.0,
        engine="embedded",
        action=Outcome.DELIVERED,
        place=Place.UNKNOWN,
        mail=facts,
        detail={"client_ip": "192.0.2.7", "helo": "mx.sender.example", "smtp_reply": "250 ok"},
    )
    return [
        [
            replace(
                plain,
                source_key=f"{round_number}-{batch}-{row}/info@acme.example",
                observed_at=start + timedelta(milliseconds=batch * BATCH_ROWS + row),
            )
            for row in range(BATCH_ROWS)
        ]
        for batch in range(BATCHES)
    ]


MAIL = b"""\
Received: from mx.sender.example (mx.sender.example [192.0.2.7]) by gate.bailey.example;
 Sun, 22 Nov 2026 08:00:00 +0000
From: "Sender, Inc." <news@sender.example>
To: info@acme.example
Subject: What is new in November
Message-ID: <1@sender.example>
Date: Sun, 22 Nov 2026 07:59:58 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear reader, our offices are closed on the first of December. Read more on
https://www.sender.example/news/2026/11 or write to us.
"""


def rows_per_second(seconds: float) -> float:
    return BATCHES * BATCH_ROWS / seconds


def time_copy(batches: Batches) -> float:
    """Rows per second of bare COPY."""
    from django.db import connection, transaction

    from incidents import intake

    columns = intake._LIST
    prepared: list[list[tuple[Any, ...]]] = [[intake._row(one) for one in part] for part in batches]
    started = time.perf_counter()
    for rows in prepared:
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY bare ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
    return rows_per_second(time.perf_counter() - started)


def time_intake(tenant_id: int, batches: Batches) -> float:
    """Rows per second of `incidents.intake.record`, one scope a batch as in ingest."""
    from incidents.intake import record
    from tenants.scope import Role, tenant_scope

    started = time.perf_counter()
    for batch in batches:
        with tenant_scope(Role.WORKER, [tenant_id]):
            stored = record(batch).stored
        assert stored == len(batch)
    return rows_per_second(time.perf_counter() - started)


def measure() -> list[Measurement]:
    with a_database():
        from django.db import connection

        from tests.factories import make_cast

        tenant_id = make_cast().acme.id
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE bare (LIKE incidents_observation INCLUDING ALL)")
        copied, taken_in = 0.0, 0.0
        for number in range(ROUNDS):
            batches = observations(tenant_id, number)
            copied = max(copied, time_copy(batches))
            taken_in = max(taken_in, time_intake(tenant_id, batches))
    ratio = taken_in / copied
    against = f"bare COPY, {copied:.0f} rows/s, best of {ROUNDS} rounds each"
    goal = f"≥ {GOAL}"
    return [
        Measurement(name="intake_rows", value=taken_in, unit="rows/s", against=against),
        Measurement(
            name="intake", value=ratio, unit="ratio", against=against, goal=goal, met=ratio >= GOAL
        ),
    ]


MEASURES = {"intake": measure}
