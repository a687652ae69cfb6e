"""The time that is left of an incident's next agreed time, in words.  What is due: docs/sla.md."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from incidents.models import Incident


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


_LONG = timedelta(hours=4)  # with more than this left nothing is urgent, however long the target


def sla_left(incident: Incident, now: datetime) -> Sla:
    """What is due next, or that the clocks stand still; "" where nothing is."""
    if incident.due_at is None:
        return Sla("waiting", "") if incident.waiting_since else Sla("", "")
    left = incident.due_at - now
    if left < timedelta(0):
        return Sla(f"{span(-left)} over", "crit")
    whole = incident.due_at - incident.opened_at
    return Sla(f"{span(left)} left", "high" if left < min(whole / 4, _LONG) else "")
