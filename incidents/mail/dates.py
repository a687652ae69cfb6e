"""Dates of mail headers, read and written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

_LONGEST = 200
_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()  # noqa: SIM905
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905  one line
# As nearly all programs write it; all else is left to the standard library, which takes ten times
# as long.
_USUAL = re.compile(
    r"(?:[A-Z][a-z]{2}, +)?([0-3]?[0-9]) +([A-Z][a-z]{2}) +([12][0-9]{3})"
    r" +([0-9]{2}):([0-9]{2}):([0-9]{2}) +([+-])([01][0-9])([0-5][0-9])(?: +\([A-Z]{1,5}\))?\Z"
)


def parse_date(text: str) -> datetime | None:
    """An RFC 5322 date as an aware UTC time; None if it cannot be read."""
    text = text.strip()[:_LONGEST]
    usual = _USUAL.match(text)
    try:
        if usual is not None and usual[2] in _MONTHS:
            return _usual_date(usual)
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def format_date(at: datetime) -> str:
    """As RFC 5322 wants it; ``at`` is aware."""
    if at.tzinfo is not UTC:
        return format_datetime(at)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    clock = f"{at.hour:02}:{at.minute:02}:{at.second:02}"
    return f"{day}, {at.day:02} {month} {at.year:04} {clock} +0000"


def _usual_date(found: re.Match[str]) -> datetime:
    """Raises ``ValueError``."""
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    at = datetime(
        int(year),
        _MONTHS.index(month) + 1,
        int(day),
        int(hour),
        int(minute),
        int(second),
        tzinfo=UTC,
    )
    zone = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    return at + zone if sign == "-" else at - zone
