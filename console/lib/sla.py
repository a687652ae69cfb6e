"""The time in which an incident should be contained, by its severity."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

TARGETS = {
    "critical": timedelta(minutes=30),
    "high": timedelta(hours=1),
    "medium": timedelta(hours=8),
    "low": timedelta(days=2),
}


class Sla(NamedTuple):
    """``tone`` "" while there is time enough."""

    text: str
    tone: str


def span(length: timedelta) -> str:
    """``8 min``, ``3 h 10``, ``2 days``."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest:02}" if rest else f"{hours} h"
    return f"{minutes // (24 * 60)} days"


def sla_left(severity: str, opened_at: datetime, state: str, now: datetime) -> Sla:
    """The clock stops when the incident is contained or resolved."""
    if state in ("contained", "resolved"):
        return Sla("", "")
    target = TARGETS[severity]
    left = opened_at + target - now
    if left < timedelta(0):
        return Sla(f"{span(-left)} over", "crit")
    return Sla(f"{span(left)} left", "high" if left < target / 4 else "")
