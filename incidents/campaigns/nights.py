"""When the canonical pass runs: in the small hours, in universal time."""

from __future__ import annotations

from datetime import datetime, timedelta

NIGHT_HOUR = 2


def next_night(now: datetime) -> datetime:
    """The first moment of the coming night's pass after ``now``."""
    at = now.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return at if at > now else at + timedelta(days=1)
