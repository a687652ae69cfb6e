"""Time that counts: the instants between two moments at which an agreed clock runs.

Pure: no Django, no "now".  Moments are aware; answers are UTC.  One definition carries everything:
**the clock runs at an instant if the clock on the client's wall shows a time within the hours of
that day, and the day is no holiday.**  So an hour that daylight saving skips never counts, and one
that it repeats counts twice, each time the wall shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 24 * 60
# No zone changes its offset twice within this time.
_STEP = timedelta(hours=6)
# A clock that has not run out by then never will: no agreement has hours so rare.
HORIZON = timedelta(days=3 * 366)

Span = tuple[datetime, datetime]
# A pause without an end still holds.
Pause = tuple[datetime, datetime | None]


@dataclass(frozen=True, slots=True)
class Hours:
    """When a clock runs.

    ``weekly``: Monday to Sunday, each the spans ``(from, to)`` of that day in minutes of the wall
    clock, ascending, without overlap; ``to`` is not part of it and at most 1440.
    """

    zone: ZoneInfo
    weekly: tuple[tuple[tuple[int, int], ...], ...]
    holidays: frozenset[date] = frozenset()

    def is_open(self, at: datetime) -> bool:
        wall = at.astimezone(self.zone)
        if wall.date() in self.holidays:
            return False
        minutes = wall.hour * 60 + wall.minute
        return any(start <= minutes < end for start, end in self.weekly[wall.weekday()])


ALWAYS = Hours(ZoneInfo("UTC"), (((0, DAY_MINUTES),),) * 7)


def running_time(
    hours: Hours, start: datetime, end: datetime, pauses: Sequence[Pause] = ()
) -> timedelta:
    """How long the clock ran from ``start`` to ``end``; zero where ``end`` is not later."""
    if hours is ALWAYS and not pauses:
        return max(end - start, timedelta(0))
    total = timedelta(0)
    for opened, closed in _counted(hours, start, end, pauses):
        total += closed - opened
    return total


def due_at(
    hours: Hours, start: datetime, target: timedelta, pauses: Sequence[Pause] = ()
) -> datetime | None:
    """The first moment at which the clock has run for ``target``, which is more than zero.

    None: it never will as things stand, for a pause holds or no hours are left.
    """
    left = target
    for opened, closed in _counted(hours, start, start + HORIZON, pauses):
        if closed - opened >= left:
            return opened + left
        left -= closed - opened
    return None


def _counted(
    hours: Hours, start: datetime, end: datetime, pauses: Sequence[Pause]
) -> Iterator[Span]:
    """The open spans of ``[start, end)`` without the pauses, ascending."""
    gone = _merged(pauses, end)
    for opened, closed in _open_spans(hours, start.astimezone(UTC), end.astimezone(UTC)):
        at = opened
        for stopped, resumed in gone:
            if resumed > at and stopped < closed:
                if stopped > at:
                    yield at, stopped
                at = resumed
        if at < closed:
            yield at, closed


def _merged(pauses: Sequence[Pause], end: datetime) -> list[Span]:
    """Ascending and apart; a pause that holds reaches to ``end``."""
    if not pauses:
        return []
    merged: list[Span] = []
    known = ((stopped, end if resumed is None else resumed) for stopped, resumed in pauses)
    for stopped, resumed in sorted(known):
        if merged and stopped <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], resumed))
        else:
            merged.append((stopped, resumed))
    return merged


def _open_spans(hours: Hours, start: datetime, end: datetime) -> Iterator[Span]:
    """One by one, so that a far end costs nothing to whoever stops early."""
    if hours is ALWAYS:
        if start < end:
            yield start, end
        return
    known = _days_of(hours)
    for day in range(start.toordinal(), end.toordinal() + 1):
        if day not in known:
            known[day] = _spans_of_day(hours, day)
        for opened, closed in known[day]:
            if opened < end and closed > start:
                yield max(opened, start), min(closed, end)


@lru_cache(maxsize=512)
def _days_of(hours: Hours) -> dict[int, tuple[Span, ...]]:
    """Open spans by day, each worked out once: thousands of clocks ask for the same days."""
    return {}


def _spans_of_day(hours: Hours, day: int) -> tuple[Span, ...]:
    """``day``: its ordinal; from midnight to midnight in UTC."""
    midnight = datetime.combine(date.fromordinal(day), time.min, UTC)
    return tuple(
        span
        for since, to, offset in _same_offset(hours.zone, midnight, midnight + timedelta(days=1))
        for span in _within(hours, since, to, offset)
    )


def _same_offset(
    zone: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """``[start, end)`` cut where the zone changes its offset to UTC."""
    since, offset = start, _offset(zone, start)
    known = start
    while known < end:
        probe = min(known + _STEP, end)
        if _offset(zone, probe) != offset:
            probe = min(_change_between(zone, known, probe), end)
            yield since, probe, offset
            since, offset = probe, _offset(zone, probe)
        known = probe
    if since < end:
        yield since, end, offset


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second after ``low`` with another offset; ``high`` already has it."""
    before = _offset(zone, low)
    base = low.replace(microsecond=0)
    near, far = 0, -((base - high) // timedelta(seconds=1))
    while far - near > 1:
        middle = (near + far) // 2
        if _offset(zone, base + timedelta(seconds=middle)) == before:
            near = middle
        else:
            far = middle
    return base + timedelta(seconds=far)


def _within(hours: Hours, start: datetime, end: datetime, offset: timedelta) -> Iterator[Span]:
    """Open spans where the wall is ``offset`` ahead of UTC all the time: its days follow evenly."""
    midnight = (start + offset).replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight < end + offset:
        if midnight.date() not in hours.holidays:
            for opens, closes in hours.weekly[midnight.weekday()]:
                opened = max(start, midnight + timedelta(minutes=opens) - offset)
                closed = min(end, midnight + timedelta(minutes=closes) - offset)
                if opened < closed:
                    yield opened, closed
        midnight += timedelta(days=1)
