"""Faults on demand: what a test or a demo wants to go wrong next.

Kept in memory: a restart is the way back to health.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = (
    "status_429", "status_503", "timeout", "drop_before_commit", "drop_after_commit",
    "lying_move", "move_back", "lost_notification", "duplicate_notification",
    "delayed_notification", "truncated_body", "repeated_link", "expired_delta", "smtp_451",
    "smtp_down", "status_500", "quota_403", "expired_history",
    "no_mime",
    "late_item",
    "late_log",
)  # fmt: skip
DEFAULT_SECONDS = {"status_429": 1.0, "status_503": 1.0, "timeout": 30.0, "move_back": 2.0,
                   "delayed_notification": 5.0, "late_log": 120.0}  # fmt: skip


class BadFault(ValueError):
    """What was asked for is no fault.  The text says why."""


@dataclass(slots=True)
class Fault:
    """``left``: how many more times it strikes.  ``match``: a part of what it strikes (HTTP: method
    and path; SMTP: recipient; notifications: resource), empty for anything.  ``seconds``: the
    Retry-After, the wait or the delay of the kinds that have one.
    """

    kind: str
    left: int
    match: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "count": self.left, "match": self.match,
                "seconds": self.seconds}  # fmt: skip


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, wanted: Mapping[str, Any]) -> Fault:
        """Raises BadFault."""
        kind, count = wanted.get("kind"), wanted.get("count", 1)
        if kind not in KINDS:
            raise BadFault(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadFault(f"count is a number from 1, not {count!r}")
        seconds = wanted.get("seconds", DEFAULT_SECONDS.get(kind, 0.0))
        if not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
            raise BadFault(f"seconds is a number from 0 to 3600, not {seconds!r}")
        fault = Fault(kind, count, str(wanted.get("match") or ""), float(seconds))
        self._faults.append(fault)
        return fault

    def take(self, kind: str, subject: str) -> Fault | None:
        """The fault that strikes here, used up by one.  None: nothing goes wrong."""
        for fault in self._faults:
            if fault.kind == kind and fault.match.lower() in subject.lower():
                fault.left -= 1
                if fault.left == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        self._faults.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [fault.as_json() for fault in self._faults]
