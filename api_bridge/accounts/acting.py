"""What a step does to an account and how it is read back, in words of no provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

# That sessions ended is shown minutes later: so long it is read, and never ordered a second time.
PROVEN_WITHIN = timedelta(minutes=30)
LATE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One step, free of the database.  ``called_at`` None: the mail host was not called for it yet.
    ``before``: what was there before the call.
    """

    kind: str
    user_id: str
    target: str
    called_at: datetime | None = None
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sight:
    """How it is now.  ``content``: what a way back, or the proof, needs; ``words``: for the result.

    ``is_late``: the call may have worked and cannot be seen yet: read again, call nothing.
    ``is_over``: nor will it be seen any more.
    """

    is_done: bool
    words: str
    content: dict[str, Any] = field(default_factory=dict)
    is_late: bool = False
    is_over: bool = False


class Hand(Protocol):
    """Acts on accounts of one connection.  Never used inside a scope."""

    def read(self, task: Task) -> Sight:
        """Raises ``BridgeError``."""

    def call(self, task: Task) -> None:
        """One call.  Raises ``BridgeError``; what ``may_have_happened`` only reading can tell."""


def not_shown(task: Task, now: datetime, words: str) -> Sight:
    """Of something that was ordered once and leaves no trace but a later one."""
    if task.called_at is not None and now >= task.called_at + PROVEN_WITHIN:
        minutes = PROVEN_WITHIN.total_seconds() / 60
        said = f"{words} {minutes:.0f} minutes have passed. It may have happened all the same."
        return Sight(False, said, is_over=True)
    return Sight(False, words, is_late=True)
