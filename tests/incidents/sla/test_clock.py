"""The clock against its definition, minute by minute, and against days that everybody can check."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from incidents.sla.clock import ALWAYS, Hours, due_at, running_time

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
ZONES = (
    *(BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Asia/Kathmandu", "Africa/Casablanca"),
    # Here the clock goes back at midnight: a day ends twice.
    *("America/Havana", "Asia/Beirut", "America/St_Johns", "Pacific/Apia"),
)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ALL_DAY = (((0, 1440),),) * 7
OFFICE = (((540, 1020),),) * 5 + ((),) * 2  # Monday to Friday, 9 to 17


def at(zone: str, text: str, fold: int = 0) -> datetime:
    """What the wall shows there; ``fold`` 1: the second time on a day that repeats an hour."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def hours(zone: str, weekly=OFFICE, *holidays: date) -> Hours:
    return Hours(ZoneInfo(zone), weekly, frozenset(holidays))


# Days with a change, around which minutes go astray.
CHANGES = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        *("2026-03-29T00:00", "2026-10-25T00:00", "2026-03-08T06:00", "2026-11-01T05:00"),
        *("2026-04-04T14:00", "2026-10-03T15:00", "2026-11-01T04:00", "2026-02-15T01:00"),
        *("2006-10-29T02:30", "2011-12-30T09:00", "2026-06-15T00:00"),
    )
]
days = st.lists(st.integers(0, 1440), min_size=0, max_size=4, unique=True).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)
weeks = st.lists(days, min_size=7, max_size=7).map(tuple)
moments = st.builds(
    lambda change, minutes: change + minutes * MINUTE,
    st.sampled_from(CHANGES),
    st.integers(-2 * 1440, 2 * 1440),
)
calendars = st.builds(
    lambda zone, weekly, free: Hours(ZoneInfo(zone), weekly, frozenset(free)),
    st.sampled_from(ZONES),
    weeks,
    st.sets(st.sampled_from([change.date() for change in CHANGES]), max_size=2),
)
pauses = st.lists(
    st.tuples(moments, st.integers(0, 1440).map(lambda n: n * MINUTE)).map(
        lambda pair: (pair[0], pair[0] + pair[1])
    ),
    max_size=3,
)


def counted(calendar: Hours, start: datetime, end: datetime, stops=()) -> timedelta:
    """The definition: each minute at which the wall shows an open time and no pause holds."""
    total, moment = timedelta(0), start
    while moment < end:
        stopped = any(since <= moment < (until or end) for since, until in stops)
        total += MINUTE * (calendar.is_open(moment) and not stopped)
        moment += MINUTE
    return total


@settings(max_examples=150, deadline=None)
@given(calendars, moments, st.integers(0, 2 * 1440), pauses)
@example(Hours(ZoneInfo("America/St_Johns"), ALL_DAY), CHANGES[8] - HOUR, 240, [])
def test_it_counts_the_minutes_at_which_the_wall_shows_an_open_time(
    calendar, start, minutes, stops
):
    end = start + minutes * MINUTE
    assert running_time(calendar, start, end, stops) == counted(calendar, start, end, stops)


@settings(max_examples=150, deadline=None)
@given(calendars, moments, st.integers(0, 4000), st.integers(0, 4000), pauses)
def test_two_stretches_add_up_to_the_whole(calendar, start, first, second, stops):
    middle, end = start + first * MINUTE, start + (first + second) * MINUTE
    parts = running_time(calendar, start, middle, stops) + running_time(
        calendar, middle, end, stops
    )
    assert parts == running_time(calendar, start, end, stops)


@settings(max_examples=150, deadline=None)
@given(calendars, moments, st.integers(1, 20_000), pauses)
@example(Hours(ZoneInfo(BERLIN), (((121, 181),),) * 7), CHANGES[0], 1, [])
def test_what_is_due_is_the_first_moment_at_which_the_time_is_used_up(
    calendar, start, seconds, stops
):
    target = timedelta(seconds=seconds)
    due = due_at(calendar, start, target, stops)
    if due is None:
        assert running_time(calendar, start, start + 60 * DAY, stops) < target
        return
    assert running_time(calendar, start, due, stops) == target
    assert running_time(calendar, start, due - timedelta(seconds=1), stops) < target


@settings(max_examples=100, deadline=None)
@given(calendars, moments, st.integers(1, 20_000), pauses, moments, st.integers(0, 1440))
def test_a_pause_never_brings_a_breach_forward(calendar, start, seconds, stops, since, minutes):
    target = timedelta(seconds=seconds)
    without = due_at(calendar, start, target, stops)
    paused = due_at(calendar, start, target, [*stops, (since, since + minutes * MINUTE)])
    if without is None:
        assert paused is None
    else:
        assert paused is not None
        assert paused >= without


@settings(max_examples=60, deadline=None)
@given(moments, st.integers(1, 50_000), pauses)
def test_round_the_clock_a_pause_moves_the_breach_by_what_it_stopped(start, seconds, stops):
    target = timedelta(seconds=seconds)
    due = due_at(ALWAYS, start, target, stops)
    assert due is not None
    stopped = (due - start) - running_time(ALWAYS, start, due, stops)
    assert due == start + target + stopped


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), moments, st.integers(0, 5000))
def test_round_the_clock_in_any_zone_is_the_time_that_passed(zone, start, minutes):
    end = start + minutes * MINUTE
    assert running_time(hours(zone, ALL_DAY), start, end) == end - start


@settings(max_examples=80, deadline=None)
@given(calendars, moments, st.integers(0, 3000), pauses)
def test_the_order_and_doubling_of_pauses_change_nothing(calendar, start, minutes, stops):
    end = start + minutes * MINUTE
    expected = running_time(calendar, start, end, stops)
    assert running_time(calendar, start, end, [*stops[::-1], *stops]) == expected


@pytest.mark.parametrize(
    ("zone", "day", "long"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
        (LORD_HOWE, "2026-10-04", 23.5),
        (LORD_HOWE, "2026-04-05", 24.5),
        ("America/Havana", "2026-11-01", 25),
        ("Asia/Beirut", "2026-03-29", 23),
        ("Europe/Berlin", "2026-06-01", 24),
        ("Pacific/Apia", "2011-12-30", 0),  # this day was left out there
    ],
)
def test_a_day_is_as_long_as_it_was(zone, day, long):
    calendar = hours(zone, ALL_DAY)
    only = Hours(
        calendar.zone,
        ALL_DAY,
        frozenset(date.fromisoformat(day) + n * DAY for n in range(-5, 6) if n),
    )
    noon = datetime.fromisoformat(f"{day}T12:00+00:00")
    assert running_time(only, noon - 4 * DAY, noon + 4 * DAY) == long * HOUR


@pytest.mark.parametrize(
    ("zone", "weekly", "start", "end", "ran"),
    [
        # 02:00 to 03:00 does not exist on this morning.
        (BERLIN, (((60, 240),),) * 7, "2026-03-29T00:00", "2026-03-29T12:00", 2),
        # Hours within the gap alone never come.
        (BERLIN, (((120, 180),),) * 7, "2026-03-29T00:00", "2026-03-29T12:00", 0),
        # 02:00 to 03:00 comes twice.
        (BERLIN, (((60, 240),),) * 7, "2026-10-25T00:00", "2026-10-25T12:00", 4),
        (BERLIN, (((120, 180),),) * 7, "2026-10-25T00:00", "2026-10-25T12:00", 2),
        # Until half past two: the half hour after two comes twice, in two pieces.
        (BERLIN, (((60, 150),),) * 7, "2026-10-25T00:00", "2026-10-25T12:00", 2),
        (NEW_YORK, (((0, 240),),) * 7, "2026-03-08T00:00", "2026-03-08T12:00", 3),
        (NEW_YORK, (((0, 240),),) * 7, "2026-11-01T00:00", "2026-11-01T12:00", 5),
        # Half an hour, the other way round: the southern spring is in October.
        (LORD_HOWE, (((60, 180),),) * 7, "2026-10-04T00:00", "2026-10-04T12:00", 1.5),
        (LORD_HOWE, (((60, 180),),) * 7, "2026-04-05T00:00", "2026-04-05T12:00", 2.5),
        # Office hours do not meet the change at all.
        (BERLIN, OFFICE, "2026-03-27T00:00", "2026-03-31T00:00", 16),
        (BERLIN, OFFICE, "2026-10-23T00:00", "2026-10-27T00:00", 16),
    ],
)
def test_hours_on_the_day_of_a_change(zone, weekly, start, end, ran):
    assert running_time(hours(zone, weekly), at(zone, start), at(zone, end)) == ran * HOUR


@pytest.mark.parametrize(
    ("zone", "start", "target", "due"),
    [
        # Friday 16:00, four hours: one is left today, three on Monday, whatever Sunday night did.
        (BERLIN, "2026-03-27T16:00", 4, "2026-03-30T12:00"),
        (BERLIN, "2026-10-23T16:00", 4, "2026-10-26T12:00"),
        (NEW_YORK, "2026-03-06T16:00", 4, "2026-03-09T12:00"),
        (NEW_YORK, "2026-10-30T16:00", 4, "2026-11-02T12:00"),
        (LORD_HOWE, "2026-04-03T16:00", 4, "2026-04-06T12:00"),
        (LORD_HOWE, "2026-10-02T16:00", 4, "2026-10-05T12:00"),
        # Before hours the clock waits; what ends with the day is due at its end.
        (BERLIN, "2026-06-01T03:00", 8, "2026-06-01T17:00"),
        # At the very end of the hours nothing is left of the day.
        (BERLIN, "2026-06-01T17:00", 1, "2026-06-02T10:00"),
    ],
)
def test_office_hours_over_a_change(zone, start, target, due):
    assert due_at(hours(zone), at(zone, start), target * HOUR) == at(zone, due)


@pytest.mark.parametrize(
    ("zone", "start", "due", "fold"),
    [
        (BERLIN, "2026-03-29T01:30", "2026-03-29T03:30", 0),
        (BERLIN, "2026-10-25T01:30", "2026-10-25T02:30", 0),
        (NEW_YORK, "2026-03-08T01:30", "2026-03-08T03:30", 0),
        (NEW_YORK, "2026-11-01T00:30", "2026-11-01T01:30", 0),
        (LORD_HOWE, "2026-10-04T01:30", "2026-10-04T03:00", 0),
        (LORD_HOWE, "2026-04-05T01:00", "2026-04-05T01:30", 1),
    ],
)
def test_one_hour_round_the_clock_is_one_hour_on_no_wall(zone, start, due, fold):
    found = due_at(hours(zone, ALL_DAY), at(zone, start), HOUR)
    assert found == at(zone, due, fold).astimezone(UTC)
    assert found == at(zone, start).astimezone(UTC) + HOUR


def test_a_start_in_the_repeated_hour_is_the_one_that_was_meant():
    night = hours(BERLIN, (((120, 180),),) * 7)
    first, second = at(BERLIN, "2026-10-25T02:30"), at(BERLIN, "2026-10-25T02:30", fold=1)
    noon = at(BERLIN, "2026-10-25T12:00")
    assert running_time(night, first, noon) == 1.5 * HOUR
    assert running_time(night, second, noon) == 0.5 * HOUR


def test_a_holiday_does_not_count():
    calendar = hours(BERLIN, OFFICE, date(2026, 5, 1))
    assert due_at(calendar, at(BERLIN, "2026-04-30T16:00"), 2 * HOUR) == at(
        BERLIN, "2026-05-04T10:00"
    )


def test_a_holiday_is_a_day_of_the_clients_wall_and_not_of_utc():
    calendar = hours("Asia/Kathmandu", ALL_DAY, date(2026, 5, 1))
    day = at("Asia/Kathmandu", "2026-05-01T00:00")
    assert running_time(calendar, day - HOUR, day + 25 * HOUR) == 2 * HOUR


def test_while_a_pause_holds_nothing_is_due():
    start = at(BERLIN, "2026-06-01T10:00")
    assert due_at(hours(BERLIN), start, 4 * HOUR, [(start + HOUR, None)]) is None


def test_what_was_missed_before_the_pause_stays_missed():
    start = at(BERLIN, "2026-06-01T10:00")
    due = due_at(hours(BERLIN), start, HOUR, [(start + 2 * HOUR, None)])
    assert due == at(BERLIN, "2026-06-01T11:00")


def test_a_pause_over_the_change_stops_what_the_wall_showed_meanwhile():
    night = hours(BERLIN, (((0, 360),),) * 7)  # 0 to 6
    start, noon = at(BERLIN, "2026-10-25T00:00"), at(BERLIN, "2026-10-25T12:00")
    pause = (at(BERLIN, "2026-10-25T01:00"), at(BERLIN, "2026-10-25T04:00"))
    assert running_time(night, start, noon, [pause]) == 3 * HOUR


def test_hours_that_never_come_are_never_due():
    assert due_at(hours(BERLIN, ((),) * 7), at(BERLIN, "2026-06-01T10:00"), HOUR) is None


def test_an_end_before_the_start_is_no_time():
    now = at(BERLIN, "2026-06-01T10:00")
    assert running_time(hours(BERLIN), now, now - DAY) == timedelta(0)
