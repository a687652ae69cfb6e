"""Dates of mail headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 200


def parse_date(text: str) -> datetime | None:
    """An RFC 5322 date as an aware UTC time; None if it cannot be read."""
    try:
        found = parsedate_to_datetime(text.strip()[:_LONGEST])
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
