"""Intake against bare COPY of the same rows.

The baseline copies the rows into a plain table with the same columns and indexes, not partitioned
and without row-level security; one transaction a batch, as intake commits.  Both start from
observations, because whoever stores them has to write them out; `intake_ready` gives the baseline
its rows ready made, which shows all that intake does: writing out, the temporary table, duplicates,
the wall, the backlog.  Short rounds of both take turns and the best of each counts, because other
work on the machine can only slow one down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import django

from tests.bench import Measurement

if TYPE_CHECKING:
    from incidents.observations import Observation

ROWS = 5_000
BATCH_ROWS = (500, 5000)
ROUNDS = 15
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


def observations(tenant_id: int, round_number: int, batch_rows: int) -> Batches:
    """What a gate would ship of ordinary mail, every one new, in batches."""
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
    rows = [
        replace(
            plain,
            source_key=f"{batch_rows}-{round_number}-{row}/info@acme.example",
            observed_at=start + timedelta(milliseconds=row),
        )
        for row in range(ROWS)
    ]
    return [rows[first : first + batch_rows] for first in range(0, ROWS, batch_rows)]


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


def time_copy(batches: Batches, *, is_ready: bool) -> float:
    """Seconds of bare COPY; with ``is_ready`` the rows are written out before the clock starts."""
    from django.db import connection, transaction

    from incidents import intake

    columns = intake._LIST
    ready = [[intake._row(one) for one in batch] for batch in batches] if is_ready else None
    started = time.perf_counter()
    for number, batch in enumerate(batches):
        rows = ready[number] if ready else [intake._row(one) for one in batch]
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY bare ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
    return time.perf_counter() - started


def time_intake(tenant_id: int, batches: Batches) -> float:
    """Seconds of `incidents.intake.record`, one scope a batch as in ingest."""
    from incidents.intake import record
    from tenants.scope import Role, tenant_scope

    started = time.perf_counter()
    for batch in batches:
        with tenant_scope(Role.WORKER, [tenant_id]):
            stored = record(batch).stored
        assert stored == len(batch)
    return time.perf_counter() - started


def take_turns(tenant_id: int, batch_rows: int) -> tuple[float, float, float]:
    """Rows per second of intake, and its speed as a share of COPY and of COPY with ready rows."""
    copied, copied_ready, taken = [], [], []
    for number in range(ROUNDS):
        batches = observations(tenant_id, number, batch_rows)
        copied.append(time_copy(batches, is_ready=False))
        taken.append(time_intake(tenant_id, batches))
        # The same rows again would break the table's unique index: other keys.
        others = observations(tenant_id, number + ROUNDS, batch_rows)
        copied_ready.append(time_copy(others, is_ready=True))
    best = min(taken)
    return ROWS / best, min(copied) / best, min(copied_ready) / best


def measure() -> list[Measurement]:
    with a_database():
        from django.db import connection

        from tests.factories import make_cast

        tenant_id = make_cast().acme.id
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE bare (LIKE incidents_observation INCLUDING ALL)")
        return [row for size in BATCH_ROWS for row in _rows(tenant_id, size)]


def _rows(tenant_id: int, batch_rows: int) -> list[Measurement]:
    speed, share, share_of_ready = take_turns(tenant_id, batch_rows)
    against = f"bare COPY in batches of {batch_rows}, best of {ROUNDS} rounds"
    return [
        Measurement(name=f"intake_rows_{batch_rows}", value=speed, unit="rows/s", against=against),
        Measurement(
            name="intake" if batch_rows == BATCH_ROWS[0] else f"intake_{batch_rows}",
            value=share,
            unit="ratio",
            against=against,
            goal=f"≥ {GOAL}",
            met=share >= GOAL,
        ),
        Measurement(
            name=f"intake_ready_{batch_rows}",
            value=share_of_ready,
            unit="ratio",
            against=f"{against}, its rows ready made",
        ),
    ]


MEASURES = {"intake": measure}
