"""Intake with correlation against bare COPY of the same rows.

One client's ordinary day passes through `record` and `make_sense_of_backlog`: each mail is seen by
the gate and, where it was delivered, by the mailbox layer; spam and threats are held, a few are
condemned only in the mailbox and open incidents.

The baseline copies the same rows into plain tables with the same columns and indexes, not
partitioned and without row-level security and keys between tables, one transaction a batch:

- `intake_correlated`: every row that the step writes.  Observations are written out from memory, as
  intake has to; all others are ready made: the backlog, messages, deliveries (a second time where
  the mailbox layer's word was written over the gate's), sightings, counts of traits, the ledger's
  rows, incidents and whatever else of Bailey's tables has a new or changed row.
- `intake_correlated_left`: only what is left behind in the end, each row once and no backlog.
- `intake_correlated_observations`: the observations alone.

Both sides take turns and the best round of each counts: other work on the machine can only slow
one down.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from tests.bench import Measurement
from tests.bench.intake import a_database

if TYPE_CHECKING:
    from incidents.observations import Observation
    from tenants.models import Tenant

MAILS = 2_000
BATCH_MAILS = 500
ROUNDS = 9
GOAL = 0.5
MAILBOXES = 150
# Held by the gateway as spam or worse, of all mail.  One mail in so many opens an incident: with 40
# mails a day in each mailbox that is 20 incidents a day for 1,000 mailboxes.
SHARE_HELD, ONE_INCIDENT_IN = 0.06, 2_000
START = datetime(2026, 11, 22, 8, tzinfo=UTC)

Batches = Sequence[Sequence["Observation"]]
Rows = dict[str, list[tuple[Any, ...]]]

LETTER = """\
Received: from mx{0}.sender{1}.example (mx{0}.sender{1}.example [198.51.{1}.{0}])
 by gate.bailey.example with ESMTPS; Sun, 22 Nov 2026 08:00:00 +0000
From: "Sender {1}" <person{0}@sender{1}.example>
To: someone@acme.example
Subject: {2} {0}
Message-ID: <{0}.{1}@sender{1}.example>
Date: Sun, 22 Nov 2026 07:59:58 +0000
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><body><p>Dear reader, {3}</p>
<p><a href="https://www.sender{1}.example/{4}/{0}?u=77">Read more</a>
<a href="https://www.sender{1}.example/unsubscribe">Unsubscribe</a></p>
<p>Sender {1}, 12 Some Street, phone +49 30 1234{1:03d}</p></body></html>
"""
WORDS = (  # noqa: SIM905 - a list of words is read as words
    "offer invoice meeting minutes delivery order project status update holiday travel budget"
    " contract draft review office server backup ticket question answer report numbers quarter"
).split()


def letters() -> list[dict[str, Any]]:
    """The facts of a hundred mails of sixty senders, as the gate reads them."""
    from incidents.mail import read_mail

    chooser = Random(7)
    found = []
    for number in range(100):
        text = " ".join(chooser.choices(WORDS, k=chooser.choice((30, 80, 200))))
        subject = " ".join(chooser.choices(WORDS, k=4))
        raw = LETTER.format(number, chooser.randrange(60), subject, text, chooser.choice(WORDS))
        found.append(read_mail(raw.encode(), envelope_from="bounce@sender.example").as_json())
    return found


def mails(tenant_id: int, of_round: int, facts: Sequence[dict[str, Any]]) -> Iterator[Any]:
    """(the gate's word, the mailbox layer's word or None) of every mail of one round."""
    from incidents.observations import Reason
    from incidents.words import Outcome, Place, Verdict
    from tenants.models import Tenant
    from tests.factories import gateway_saw, mailbox_saw

    chooser = Random(of_round)
    acme = Tenant(id=tenant_id)
    for number in range(MAILS):
        fate = chooser.random()
        known = chooser.choice(facts)
        key = f"{of_round:04d}{number:06d}"
        recipient = f"box{chooser.randrange(MAILBOXES)}@acme.example"
        at = START + timedelta(hours=of_round, milliseconds=number * 50)
        common: dict[str, Any] = {
            "internet_message_id": f"<{key}@sender.example>",
            # One in five is one of many equal ones, as newsletters and notices are.
            "fingerprint": known["fingerprint"] if number % 5 == 0 else f"{key:0>32}",
            "mail": known
            | {
                "subject": f"{known['subject']} {key}",
                # Links name their reader, as a rule.
                "links": [each | {"url": f"{each['url']}/{key}"} for each in known["links"]],
            },
            "reasons": (Reason("first_contact", "Never wrote to this client before.", "x", 0.4),),
        }
        ulid = f"01J{key:0>23}"
        gate = gateway_saw(acme, recipient, ulid=ulid, observed_at=at, **common)
        if fate < SHARE_HELD and number % ONE_INCIDENT_IN:
            held = replace(gate, verdict=Verdict.SPAM, score=9.0)
            yield replace(held, action=Outcome.HELD, place=Place.HOLD), None
            continue
        seen = mailbox_saw(
            acme, recipient, item=key, trace_ulid=ulid, observed_at=at + timedelta(1e-4), **common
        )
        is_missed = number % ONE_INCIDENT_IN == ONE_INCIDENT_IN // 2
        yield gate, replace(seen, verdict=Verdict.PHISH) if is_missed else seen


def batches_of(tenant_id: int, of_round: int, facts: Sequence[dict[str, Any]]) -> Batches:
    """The gate ships what it saw, then the mailbox layer tells of the same mails."""
    pairs = list(mails(tenant_id, of_round, facts))
    found: list[list[Observation]] = []
    for first in range(0, len(pairs), BATCH_MAILS):
        chunk = pairs[first : first + BATCH_MAILS]
        found.append([gate for gate, _ in chunk])
        found.append([seen for _, seen in chunk if seen is not None])
    return found


def time_intake(tenant: Tenant, batches: Batches) -> float:
    """Seconds of `record` and `make_sense_of_backlog`, a transaction each, as in life."""
    from incidents.correlation import make_sense_of_backlog
    from incidents.intake import record
    from tenants.scope import Role, tenant_scope

    of = {"provider_id": tenant.provider_id}
    started = time.perf_counter()
    for batch in batches:
        with tenant_scope(Role.WORKER, [tenant.id], **of):
            assert record(batch).stored == len(batch)
        with tenant_scope(Role.WORKER, [tenant.id], **of):
            while make_sense_of_backlog(tenant):
                pass
    return time.perf_counter() - started


# What the step wrote and is not there any more: the backlog, which is empty again, and the
# deliveries as the gate's word alone had made them.
GONE = {
    "incidents_backlog": "SELECT id, observed_at, NULL::timestamptz, tenant_id"
    " FROM incidents_observation",
    "first_delivery": "SELECT * FROM incidents_delivery",
}
LIKE = {"first_delivery": "incidents_delivery"}


def tables() -> list[str]:
    """Every table that the step may leave rows in, but the observations."""
    from django.apps import apps

    found = {model._meta.db_table for model in apps.get_app_config("incidents").get_models()}
    return [*sorted(found - {"incidents_observation", "incidents_backlog"}), "tenants_auditentry"]


def now_xid() -> int:
    """The number of this transaction: rows that are written from now on have no smaller one."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


def rows_since(xid: int) -> tuple[Rows, Rows]:
    """What has been written since and is there, and what is gone again, as COPY takes it."""
    from django.db import connection

    from tenants.scope import maintenance_scope

    with maintenance_scope(), connection.cursor() as cursor:

        def fetch(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(f"{query} WHERE xmin::text::bigint >= %s", [xid])
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

        left = {table: fetch(f"SELECT * FROM {table}") for table in tables()}
        gone = {table: fetch(query) for table, query in GONE.items()}
    column = [each.name for each in columns_of("incidents_delivery")].index("mailbox_at")
    gone["first_delivery"] = [row for row in gone["first_delivery"] if row[column]]
    return {table: rows for table, rows in left.items() if rows}, gone


def columns_of(table: str) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        return list(connection.introspection.get_table_description(cursor, table))


def bare() -> list[str]:
    """The tables that the baseline writes, without their prefix."""
    return ["incidents_observation", *tables(), *GONE]


def time_copy(batches: Batches, rows: Rows) -> float:
    """Seconds of bare COPY of the observations and, with each batch, an equal share of ``rows``."""
    from django.db import connection, transaction

    from incidents import intake

    count = len(batches)
    shares = [{t: each[n::count] for t, each in rows.items()} for n in range(count)]
    started = time.perf_counter()
    for batch, share in zip(batches, shares, strict=True):
        with transaction.atomic(), connection.cursor() as cursor:
            _copy(cursor, f"bare_incidents_observation ({intake._LIST})", map(intake._row, batch))
            for table, some in share.items():
                _copy(cursor, f"bare_{table}", some)
    taken = time.perf_counter() - started
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(f"bare_{t}" for t in bare()))
    return taken


def analyze() -> None:
    """What autovacuum does within a minute; until then the planner knows nothing of the tables."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _copy(cursor: Any, into: str, rows: Any) -> None:
    with cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def measure() -> list[Measurement]:
    with a_database():
        from django.db import connection

        from tests.factories import make_cast

        acme, facts = make_cast().acme, letters()
        with connection.cursor() as cursor:
            for table in bare():
                like = LIKE.get(table, table)
                cursor.execute(f"CREATE TABLE bare_{table} (LIKE {like} INCLUDING ALL)")
        return _rows(acme, facts)


def _rows(acme: Tenant, facts: Sequence[dict[str, Any]]) -> list[Measurement]:
    taken, copied, copied_left, alone = [], [], [], []
    for number in range(ROUNDS):
        batches = batches_of(acme.id, number, facts)
        if number == 1:
            analyze()
        # No process of ours holds so many mails that were read: Python's collector would go through
        # those of all batches again and again while one of them is made sense of.
        gc.collect()
        gc.freeze()
        since = now_xid()
        taken.append(time_intake(acme, batches))
        left, gone = rows_since(since)
        written = left | gone
        copied.append(time_copy(batches, written))
        copied_left.append(time_copy(batches, left))
        alone.append(time_copy(batches, {}))
        gc.unfreeze()
    observations = sum(map(len, batches))
    best, of = min(taken), f"best of {ROUNDS} rounds"
    rows = ", ".join(f"{len(some)} {table.partition('_')[2]}" for table, some in written.items())
    share = min(copied) / best
    bases = {
        "": f"bare COPY of all rows it writes ({observations} observation, {rows}), {of}",
        "_left": f"bare COPY of the rows that are left in the end, {of}",
        "_observations": f"bare COPY of the observations alone, {of}",
    }
    values = (share, min(copied_left) / best, min(alone) / best)
    speed = Measurement(
        name="intake_correlated_rows", value=observations / best, unit="rows/s", against=of
    )
    return [speed] + [
        Measurement(
            name=f"intake_correlated{name}",
            value=value,
            unit="ratio",
            against=against,
            goal="" if name else f"≥ {GOAL}",
            met=None if name else share >= GOAL,
        )
        for (name, against), value in zip(bases.items(), values, strict=True)
    ]


MEASURES = {"intake_correlated": measure}
