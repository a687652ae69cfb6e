"""The clock, the forecast and what was kept against a second one that only counts minutes.

It is written here from the words of docs/sla.md alone and takes what a lead types into the form:
nothing of it but the standard library's zones is shared with the clock under test.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from incidents.models import Incident, Pause, Quiet, SlaPlan
from incidents.sla.attest import _kept
from incidents.sla.clock import due_at, running_time
from incidents.sla.plan import TARGETS, read_hours, read_plan
from incidents.sla.reckoning import next_due, pause_spans
from tenants.ids import new_id

# What was drawn, by name.
Story = dict[str, Any]
Stops = list[tuple[datetime, datetime | None]]
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
# Half an hour, a quarter, two hours, a change at midnight, one that is undone for a month.
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"),
    *("America/St_Johns", "Pacific/Chatham", "Antarctica/Troll", "America/Havana"),
    *("Africa/Cairo", "Asia/Beirut", "Asia/Kathmandu", "America/Sao_Paulo", "UTC"),
)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)


def _changes(zone: str) -> list[datetime]:
    """Every hour before which the zone's offset was another."""
    there, found = ZoneInfo(zone), []
    for hour in range(int((LAST - FIRST) / timedelta(hours=6))):
        at = FIRST + hour * timedelta(hours=6)
        if at.astimezone(there).utcoffset() != (at - 6 * 60 * MINUTE).astimezone(there).utcoffset():
            found.append(at)
    return found


CHANGES = {zone: _changes(zone) for zone in ZONES}
YEARS = [datetime(year, 1, 1, tzinfo=UTC) for year in range(2025, 2029)]


def test_the_zones_change_as_often_as_they_should():
    """What is drawn from is not empty."""
    assert len(CHANGES["Europe/Berlin"]) == len(CHANGES["America/New_York"]) == 10
    assert len(CHANGES["Africa/Casablanca"]) == 10
    assert CHANGES["UTC"] == []


# --- the second clock


def shows_open(
    zone: ZoneInfo, weekly: list[list[list[str]]], free: list[str], at: datetime
) -> bool:
    """Does the clock on the wall show a time within the hours of a day that is not free?"""
    wall = at.astimezone(zone)
    if wall.strftime("%Y-%m-%d") in free:
        return False
    shown = wall.strftime("%H:%M")
    return any(since <= shown < until for since, until in weekly[wall.weekday()])


def counts(calendar: Story, stops: Stops, at: datetime) -> bool:
    if any(since <= at and (until is None or at < until) for since, until in stops):
        return False
    if calendar["hours"] == "always":
        return True
    return shows_open(calendar["zone"], calendar["weekly"], calendar["free"], at)


def naive_ran(calendar: Story, start: datetime, end: datetime, stops: Stops) -> timedelta:
    ran, at = timedelta(0), start
    while at < end:
        ran += MINUTE * counts(calendar, stops, at)
        at += MINUTE
    return ran


def naive_due(
    calendar: Story, start: datetime, minutes: int, stops: Stops, until: datetime
) -> datetime | None:
    """None: not before ``until``."""
    ran, at = 0, start
    while at < until:
        ran += counts(calendar, stops, at)
        at += MINUTE
        if ran == minutes:
            return at
    return None


# --- what is drawn


@st.composite
def days(draw: st.DrawFn) -> list[list[str]]:
    """Spans as they are typed; ``24:00`` is the end of a day."""
    edges = sorted(draw(st.sets(st.integers(0, 1440), max_size=4)))
    texts = [f"{edge // 60:02}:{edge % 60:02}" for edge in edges]
    return [[since, until] for since, until in zip(texts[::2], texts[1::2], strict=False)]


@st.composite
def cases(draw: st.DrawFn) -> Story:
    """A calendar, a start beside a change or the border of a year, and pauses around it."""
    zone = draw(st.sampled_from(ZONES))
    turn = draw(st.sampled_from([*CHANGES[zone], *YEARS]))
    start = turn + draw(st.integers(-2 * 1440, 1440)) * MINUTE
    near = [(turn + n * DAY).astimezone(ZoneInfo(zone)).date() for n in range(-2, 3)]
    moments = st.integers(-1440, 3 * 1440).map(lambda n: start + n * MINUTE)
    lengths = st.one_of(st.none(), st.integers(0, 1440).map(lambda n: n * MINUTE))
    stops = draw(st.lists(st.tuples(moments, lengths), max_size=4))
    is_all_day = draw(st.booleans())
    return {
        "zone": ZoneInfo(zone),
        "weekly": [[["00:00", "24:00"]]] * 7
        if is_all_day
        else draw(st.lists(days(), min_size=7, max_size=7)),
        "free": sorted(
            each.isoformat() for each in draw(st.sets(st.sampled_from(near), max_size=2))
        ),
        "hours": "business",
        "start": start,
        "stops": [(since, None if length is None else since + length) for since, length in stops],
    }


BERLIN_CHRISTMAS: Story = {
    "zone": ZoneInfo("Europe/Berlin"),
    "weekly": [[["09:00", "17:00"]]] * 7,
    "free": ["2026-12-31", "2027-01-01"],
    "hours": "business",
    "start": datetime(2026, 12, 30, 15, tzinfo=UTC),  # 16:00 there: one hour is left
    "stops": [],
}
slowly = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@slowly
@given(cases(), st.integers(0, 2 * 1440))
def test_it_runs_as_many_minutes_as_are_counted(case, minutes):
    hours = read_hours(case["zone"].key, case["weekly"], case["free"])
    end = case["start"] + minutes * MINUTE
    assert running_time(hours, case["start"], end, case["stops"]) == naive_ran(
        case, case["start"], end, case["stops"]
    )


@slowly
@given(cases(), st.integers(1, 1000))
@example(BERLIN_CHRISTMAS, 90)
def test_it_is_due_at_the_minute_at_which_they_are_used_up(case, minutes):
    hours = read_hours(case["zone"].key, case["weekly"], case["free"])
    until = case["start"] + 4 * DAY
    expected = naive_due(case, case["start"], minutes, case["stops"], until)
    due = due_at(hours, case["start"], minutes * MINUTE, case["stops"])
    if expected is None:
        assert due is None or due > until
    else:
        assert due == expected


def test_over_a_new_year_the_second_clock_is_right():
    """It is no better than what it is held against unless somebody has checked it by hand."""
    start, until = BERLIN_CHRISTMAS["start"], BERLIN_CHRISTMAS["start"] + 4 * DAY
    due = naive_due(BERLIN_CHRISTMAS, start, 90, [], until)
    assert due == datetime(2027, 1, 2, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))


# --- an incident's forecast and what was kept, by a whole agreement


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """An incident with its agreement, pauses, silences, steps that were reached, and a "now"."""
    case = draw(cases())
    after = st.integers(0, 2 * 1440).map(lambda n: case["start"] + n * MINUTE)
    steps = sorted(draw(st.lists(after, min_size=3, max_size=3)))
    severities = {}
    for severity in Incident.Severity.values:
        minutes = sorted(draw(st.lists(st.integers(1, 900), min_size=3, max_size=3)))
        named = dict(zip(TARGETS, minutes, strict=True))
        severities[severity] = {**named, "hours": draw(st.sampled_from(["always", "business"]))}
    silences = draw(
        st.lists(
            st.tuples(after, st.integers(1, 900), st.none() | st.integers(0, 2000)), max_size=2
        )
    )
    return case | {
        "targets": severities,
        "severity": draw(st.sampled_from(Incident.Severity.values)),
        "kind": draw(st.sampled_from(["phish", "health"])),
        "steps": Story(zip(TARGETS, steps, strict=True)),
        "reached": draw(st.sets(st.sampled_from(list(TARGETS)))),
        "now": draw(after),
        # When it began, how many minutes it was meant for, when somebody noted its end.
        "silences": [
            (since, since + said * MINUTE, None if noted is None else since + noted * MINUTE)
            for since, said, noted in silences
        ],
    }


def rows_of(story: Story) -> tuple[Incident, SlaPlan, Stops]:
    """As they stand in the database; nothing of it is written there."""
    reached = {name: story["steps"][name] for name in story["reached"]}
    incident = Incident(
        id=new_id(),
        tenant_id=1,
        kind=story["kind"],
        severity=story["severity"],
        opened_at=story["start"],
        triaged_at=reached.get("triage"),
        contained_at=reached.get("contain"),
        resolved_at=reached.get("resolve"),
    )
    plan = SlaPlan(
        id=new_id(),
        name="Drawn",
        time_zone=story["zone"].key,
        weekly=story["weekly"],
        holidays=story["free"],
        targets=story["targets"],
    )
    pauses = [Pause(started_at=since, ended_at=until) for since, until in story["stops"]]
    silences = [
        Quiet(started_at=since, until=until, ended_at=noted, kind="muted")
        for since, until, noted in story["silences"]
    ]
    return incident, plan, pause_spans(pauses, silences)


def stops_of(story: Story) -> Stops:
    """A silence lasts until the end that was said, or until somebody ended it before."""
    stops: Stops = story["stops"]
    return stops + [
        (since, until if noted is None or noted > until else noted)
        for since, until, noted in story["silences"]
    ]


def reached_at(story: Story, name: str) -> datetime | None:
    """Closing settles what was not reached before."""
    reached = story["reached"]
    steps: dict[str, datetime] = story["steps"]
    return (
        steps.get(name if name in reached else "resolve") if {name, "resolve"} & reached else None
    )


@slowly
@given(stories())
def test_the_forecast_and_what_was_kept_follow_the_agreement(story):
    incident, row, spans = rows_of(story)
    plan, agreed = read_plan(row), story["targets"][story["severity"]]
    calendar, stops = story | {"hours": agreed["hours"]}, stops_of(story)
    names = [name for name in TARGETS if (name, story["kind"]) != ("contain", "health")]

    for kept in _kept(incident, plan, spans, story["now"]):
        at = reached_at(story, kept.target)
        at = at if at is not None and at <= story["now"] else None
        ran = naive_ran(calendar, story["start"], at or story["now"], stops)
        late = ran > agreed[kept.target] * MINUTE
        assert kept.ran == ran
        assert kept.state == ("missed" if late else "kept" if at else "open")
        names.remove(kept.target)
    assert names == []

    until = story["start"] + 4 * DAY
    left = [name for name in TARGETS if reached_at(story, name) is None]
    dues = [
        (due, name)
        for name in left
        if (name, story["kind"]) != ("contain", "health")
        and (due := naive_due(calendar, story["start"], agreed[name], stops, until))
    ]
    due, name = next_due(incident, plan, spans)
    if dues:
        assert (due, name) == min(dues)
    else:
        assert due is None or due > until


def test_a_free_day_that_is_no_date_of_the_wall_counts():
    """29 February is free in a leap year and does not exist in the next."""
    hours = read_hours("Europe/Berlin", [[["00:00", "24:00"]]] * 7, ["2028-02-29"])
    assert hours.holidays == {date(2028, 2, 29)}
    start = datetime(2028, 2, 28, tzinfo=ZoneInfo("Europe/Berlin"))
    assert running_time(hours, start, start + 3 * DAY) == 2 * DAY
