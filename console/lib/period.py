"""The period that an address names: ``from`` and ``to`` as days or as times."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from incidents.ledger import Period
from tenants.errors import WrongInput

USUAL = timedelta(days=30)
LONGEST = timedelta(days=800)


def read_period(since: str, until: str) -> Period:
    """``since`` and ``until``: a day (2026-11-22, in UTC; the last one belongs to the period) or a
    time with its zone, which ends the period.  "" gives the 30 days up to the end of today.

    Raises ``WrongInput``.
    """
    today = timezone.now().astimezone(UTC).date()
    end = _read(until, is_end=True) if until else _midnight(today + timedelta(days=1))
    try:
        start = _read(since, is_end=False) if since else end - USUAL
    except OverflowError as error:
        raise WrongInput(_HINT) from error
    if not start < end:
        raise WrongInput("A period ends after it begins.")
    if end - start > LONGEST:
        raise WrongInput(f"A period has at most {LONGEST.days} days.")
    return Period(start, end)


def _read(text: str, *, is_end: bool) -> datetime:
    try:
        # In an address "+" is a blank, also that of a zone.
        at, day = parse_datetime(text.replace(" ", "+")), parse_date(text)
        if day is not None:
            return _midnight(day + timedelta(days=1) if is_end else day)
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WrongInput(_HINT) from error
    raise WrongInput(_HINT)


_HINT = "A period is given as days (2026-11-22) or as times with their zone."


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
