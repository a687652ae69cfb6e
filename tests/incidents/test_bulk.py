"""Many rows in one statement, and statements that are not waited for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction

from incidents.bulk import by_column, fetch, run, with_rows, without_waiting
from incidents.models.mail import Match, Outcome
from tenants.ids import new_id

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_rows_arrive_in_their_order_with_gaps_and_words_of_several_kinds(db: None):
    rows = [
        (new_id(), "one_layer", None, AT, True),
        (new_id(), Match.WEAK, 3, None, None),
        (new_id(), Outcome.HELD, 2**40, None, False),
    ]
    statement = with_rows(
        "SELECT s.* FROM {rows} WHERE s.id <> ALL(%b)",
        'id uuid, "match" text, size bigint, at timestamptz, is_read boolean',
    )
    assert fetch(statement, [*by_column(rows), []]) == rows


def test_a_column_without_any_value_is_one_of_nulls(db: None):
    statement = with_rows("SELECT s.* FROM {rows}", "at timestamptz, size bigint, name text")
    assert fetch(statement, by_column([(None, None, None)] * 2)) == [(None, None, None)] * 2


@pytest.fixture
def things(db: None) -> None:
    run("CREATE TEMPORARY TABLE things (id integer PRIMARY KEY) ON COMMIT DROP")


def put(*ids: int) -> None:
    """One statement for each, none waited for; 0 is an error of ours."""
    with transaction.atomic(), without_waiting():
        for each in ids:
            run("INSERT INTO things VALUES (%s)", [each // each * each])


def test_what_is_not_waited_for_is_done_in_its_order(things: None):
    with without_waiting():
        run("INSERT INTO things SELECT generate_series(1, 3)")
        run("DELETE FROM things WHERE id = %s", [2])
        run("UPDATE things SET id = id * 10")
    assert fetch("SELECT id FROM things ORDER BY id") == [(10,), (30,)]


@pytest.mark.parametrize(
    ("ids", "error"),
    [((1, 1, 2), IntegrityError), ((1, 0), ZeroDivisionError), ((1, 1, 0), ZeroDivisionError)],
    ids=["the server's", "ours", "both"],
)
def test_an_error_is_raised_at_the_latest_at_the_end_and_nothing_was_done(
    things: None, ids: tuple[int, ...], error: type[Exception]
):
    with pytest.raises(error):
        put(*ids)
    assert fetch("SELECT id FROM things") == []
    put(3)
    assert fetch("SELECT id FROM things") == [(3,)]
