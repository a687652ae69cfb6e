"""When a mailbox's night is, and how long one that fails waits."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from uuid import UUID
from zlib import crc32
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone

from api_bridge.models import NightReading

QUEUE = "nightly"
# In the client's own time.  Clients begin within five hours from ten in the evening, and each
# one's mailboxes within an hour: those of one step share their calls.
BEGINS = time(22, 0)
SPREAD_S = 5 * 3_600
STEPS, STEP = 12, timedelta(minutes=5)
# A night that went on into the day does not begin again in the same one.
APART = timedelta(hours=12)
TRIES = 6
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=5), timedelta(hours=1)


def next_night(tenant_id: int, mailbox_id: UUID, time_zone: str, after: datetime) -> datetime:
    """The mailbox's next turn after then."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    later = timedelta(seconds=crc32(str(tenant_id).encode()) % SPREAD_S)
    later += (crc32(mailbox_id.bytes) % STEPS) * STEP
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        due_at = datetime.combine(day, BEGINS, zone) + later
        if due_at > after:
            return due_at
        day += timedelta(days=1)


def wait(night: NightReading, why: str, *, wait_s: float = 0.0) -> None:
    """Longer each time; after six tries it waits for the next night.  The caller saves it."""
    night.failures += 1
    night.last_error = why[:500]
    pause = min(FIRST_PAUSE * 2 ** min(night.failures - 1, 10), LONGEST_PAUSE)
    night.due_at = timezone.now() + max(pause, timedelta(seconds=wait_s))
    if night.failures >= TRIES:
        night.failures, night.began_at = 0, None
        zone = night.tenant.time_zone
        night.due_at = next_night(night.tenant_id, night.mailbox_id, zone, timezone.now() + APART)
