"""When a digest is due: days and hour in a time zone, as the policy of a mailbox says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from seg_bridge.held.policy import Policy
from seg_bridge.policies.keys import CLIENTS_ZONE

_MONDAY, _SATURDAY = 0, 5


@dataclass(frozen=True, slots=True)
class Schedule:
    """``when``: ``never daily weekdays weekly``; ``hour`` 0..23 in ``zone``.  ``language`` is the
    one that the digest is written in.
    """

    when: str
    hour: int
    zone: ZoneInfo
    language: str = "en"

    @classmethod
    def of(cls, policy: Policy, time_zone: str) -> Schedule:
        """``time_zone``: the client's own, where the policy names none."""
        said = str(policy["digest.zone"].value)
        name = time_zone if said == CLIENTS_ZONE else said
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        language = str(policy["digest.language"].value)
        return cls(
            str(policy["digest.when"].value), int(policy["digest.hour"].value), zone, language
        )

    def last_slot(self, now: datetime) -> datetime | None:
        """The latest time at or before ``now`` at which it was due, in UTC; None: never."""
        if self.when == "never":
            return None
        today = now.astimezone(self.zone).date()
        for back in range(9):
            day = today - timedelta(days=back)
            slot = datetime.combine(day, time(self.hour), self.zone).astimezone(UTC)
            if slot <= now and self._fits(day.weekday()):
                return slot
        return None

    def _fits(self, weekday: int) -> bool:
        if self.when == "weekly":
            return weekday == _MONDAY
        return self.when == "daily" or weekday < _SATURDAY
