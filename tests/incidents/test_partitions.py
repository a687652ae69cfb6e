"""Observations are kept by month; the months ahead are made in time."""

from datetime import UTC, datetime

from django.db import connection

from console.celery import app
from incidents.tasks import MONTHS_AHEAD, keep_partitions


def test_a_missing_month_is_made_behind_the_wall(db):
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 + MONTHS_AHEAD
    name = f"incidents_observation_{months // 12}{months % 12 + 1:02}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")

    assert keep_partitions() == 1
    assert keep_partitions() == 0

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = %s", [name]
        )
        assert cursor.fetchone() == (True, True)


def test_the_beat_asks_for_it():
    asked = {entry["task"] for entry in app.conf.beat_schedule.values()}
    app.loader.import_default_modules()
    assert asked <= set(app.tasks)
    assert keep_partitions.name in asked
