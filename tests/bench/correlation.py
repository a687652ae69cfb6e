"""Intake with correlation against bare COPY of the same rows.

One client's ordinary day passes through `record` and `make_sense_of_backlog`: each mail is seen by
the gate and, where it was delivered, by the mailbox layer; spam and threats are held, a few are
condemned only in the mailbox and open incidents.

The baseline of `intake_correlated` copies every row that this leaves behind, in as many
transactions: observations (written out from memory as intake has to), and, ready made, messages,
deliveries, sightings, counts of traits, incidents with their memberships and group keys, and audit
entries; into plain tables with the same columns and indexes, not partitioned and without row-level
security and keys between tables.  A row that was written several times counts once.
`intake_correlated_observations` takes the observations alone, `intake_correlated_ready` has these
ready made, too.  Both sides take turns and the best round of each counts.
"""

from __future__ import annotations

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

MAILS = 1_500
BATCH_MAILS = 500
ROUNDS = 7
GOAL = 0.5
MAILBOXES = 150
# Of all mail: held by the gateway as spam or worse; condemned by the mailbox layer alone.
SHARE_HELD, SHARE_MISSED = 0.06, 0.002
START = datetime(2026, 11, 22, 8, tzinfo=UTC)

Batches = Sequence[Sequence["Observation"]]

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
    from tests.factories import gateway_saw, mailbox_saw

    chooser = Random(of_round)
    acme = _Id(tenant_id)
    for number in range(MAILS):
        fate = chooser.random()
        known = chooser.choice(facts)
        key = f"{of_round:04d}{number:06d}"
        recipient = f"box{chooser.randrange(MAILBOXES)}@acme.example"
        at = START + timedelta(hours=of_round, milliseconds=number * 50)
        common = {
            "internet_message_id": f"<{key}@sender.example>",
            # One in five is one of many equal ones, as newsletters and notices are.
            "fingerprint": known["fingerprint"] if number % 5 == 0 else f"{key:0>32}",
            "mail": known | {"subject": f"{known['subject']} {key}"},
            "reasons": (Reason("first_contact", "Never wrote to this client before.", "x", 0.4),),
        }
        held = {"verdict": Verdict.SPAM, "score": 9.0, "action": Outcome.HELD, "place": Place.HOLD}
        ulid = f"01J{key:0>23}"
        gate = gateway_saw(acme, recipient, ulid=ulid, observed_at=at, **common)
        if fate < SHARE_HELD:
            yield replace(gate, **held), None
            continue
        seen = mailbox_saw(
            acme, recipient, item=key, trace_ulid=ulid, observed_at=at + timedelta(1e-4), **common
        )
        is_missed = fate < SHARE_HELD + SHARE_MISSED
        yield gate, replace(seen, verdict=Verdict.PHISH) if is_missed else seen


class _Id:
    """As much of a client as the factories ask for."""

    def __init__(self, tenant_id: int) -> None:
        self.id = tenant_id


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


# Every table that the step leaves rows in, and which rows are those of the last round.
TABLES = {
    "incidents_message": "first_seen_at >= %s",
    "incidents_delivery": "received_at >= %s",
    "incidents_sighting": "observed_at >= %s",
    "incidents_traitcount": "last_seen_at >= %s",
    "incidents_incident": "last_seen_at >= %s",
    "incidents_incidentmessage": "message_id IN (SELECT id FROM incidents_message WHERE"
    " first_seen_at >= %s)",
    "incidents_groupkey": "last_seen_at >= %s",
    "tenants_auditentry": "tenant_id IS NOT NULL AND at >= (SELECT min(recorded_at) FROM"
    " incidents_observation WHERE observed_at >= %s)",
}


def rows_left(tenant_id: int, since: datetime) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of `TABLES` that a round left behind, as COPY takes them."""
    from django.db import connection

    from tenants.scope import maintenance_scope

    with maintenance_scope(), connection.cursor() as cursor:
        found = {}
        for table, which in TABLES.items():
            cursor.execute(f"SELECT * FROM {table} WHERE {which}", [since])
            found[table] = cursor.fetchall()
        return found


def time_copy(
    batches: Batches, rows: dict[str, list[tuple[Any, ...]]], *, is_ready: bool = False
) -> float:
    """Seconds of bare COPY of the observations and, with each batch, an equal share of ``rows``."""
    from django.db import connection, transaction

    from incidents import intake

    ready = [[intake._row(one) for one in batch] for batch in batches] if is_ready else None
    count = len(batches)
    shares = [{t: each[n::count] for t, each in rows.items()} for n in range(count)]
    started = time.perf_counter()
    for number, batch in enumerate(batches):
        seen = ready[number] if ready else map(intake._row, batch)
        with transaction.atomic(), connection.cursor() as cursor:
            _copy(cursor, f"bare_incidents_observation ({intake._LIST})", seen)
            for table, share in shares[number].items():
                _copy(cursor, f"bare_{table}", share)
    taken = time.perf_counter() - started
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(f"bare_{t}" for t in _all_tables()))
    return taken


def _copy(cursor: Any, into: str, rows: Any) -> None:
    with cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _all_tables() -> list[str]:
    return ["incidents_observation", *TABLES]


def measure() -> list[Measurement]:
    with a_database():
        from django.db import connection

        from tests.factories import make_cast

        acme, facts = make_cast().acme, letters()
        with connection.cursor() as cursor:
            for table in _all_tables():
                cursor.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
        return _rows(acme, facts)


def _rows(acme: Tenant, facts: Sequence[dict[str, Any]]) -> list[Measurement]:
    taken, copied, alone, ready, left = [], [], [], [], {}
    for number in range(ROUNDS):
        batches = batches_of(acme.id, number, facts)
        taken.append(time_intake(acme, batches))
        left = rows_left(acme.id, START + timedelta(hours=number))
        copied.append(time_copy(batches, left))
        alone.append(time_copy(batches, {}))
        ready.append(time_copy(batches, left, is_ready=True))
    observations = sum(map(len, batches))
    best = min(taken)
    share = min(copied) / best
    others = ", ".join(f"{len(rows)} {t.partition('_')[2]}" for t, rows in left.items())
    of = f"best of {ROUNDS} rounds"
    return [
        Measurement(
            name="intake_correlated_rows",
            value=observations / best,
            unit="observations/s",
            against=of,
        ),
        Measurement(
            name="intake_correlated",
            value=share,
            unit="ratio",
            against=f"bare COPY of the same rows ({observations} observation, {others}), {of}",
            goal=f"≥ {GOAL}",
            met=share >= GOAL,
        ),
        Measurement(
            name="intake_correlated_observations",
            value=min(alone) / best,
            unit="ratio",
            against=f"bare COPY of the observations alone, {of}",
        ),
        Measurement(
            name="intake_correlated_ready",
            value=min(ready) / best,
            unit="ratio",
            against=f"bare COPY of all these rows, every one ready made, {of}",
        ),
    ]


MEASURES = {"intake_correlated": measure}
