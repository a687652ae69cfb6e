"""How a report's document writes times."""

from __future__ import annotations

from datetime import datetime


def iso(at: datetime | None) -> str | None:
    """To the second, with its zone; None stays None."""
    return at.isoformat(timespec="seconds") if at else None
