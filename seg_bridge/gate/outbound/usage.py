"""How much each mailbox has sent within the last hour, and how often it was too much.

In memory: a restart of the gate begins the hour anew.  What must outlive it, the stop of a sender,
is in ``watch.py``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from seg_bridge.gate.outbound.terms import SenderLimits

HOUR_S = 3600.0
_SWEEP_AT = 10_000

Mailbox = tuple[int, str]  # the client's id and the mailbox's main address


@dataclass(slots=True, eq=False)
class Sent:
    """One mail that was taken, or is being decided.  ``at_s`` by the monotonic clock."""

    at_s: float
    recipients: int
    ulid: str = ""


@dataclass(slots=True)
class _Hour:
    sent: deque[Sent] = field(default_factory=deque)
    refused_at_s: deque[float] = field(default_factory=deque)

    def forget(self, before_s: float) -> None:
        while self.sent and self.sent[0].at_s < before_s:
            self.sent.popleft()
        while self.refused_at_s and self.refused_at_s[0] < before_s:
            self.refused_at_s.popleft()


class Usage:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hours: dict[Mailbox, _Hour] = {}

    def messages_left(self, mailbox: Mailbox, limits: SenderLimits) -> int:
        return limits.messages_per_hour - len(self._hour(mailbox).sent)

    def recipients_left(self, mailbox: Mailbox, limits: SenderLimits) -> int:
        used = sum(each.recipients for each in self._hour(mailbox).sent)
        return limits.recipients_per_hour - used

    def take(self, mailbox: Mailbox, recipients: int, limits: SenderLimits) -> Sent | None:
        """Counts a mail before it is decided, so that mails at the same time count as well.

        None: there is no room for it.
        """
        hour = self._hour(mailbox)
        if self.messages_left(mailbox, limits) < 1:
            return None
        if self.recipients_left(mailbox, limits) < recipients:
            return None
        sent = Sent(self._clock(), recipients)
        hour.sent.append(sent)
        return sent

    def give_back(self, mailbox: Mailbox, sent: Sent) -> None:
        """It was not taken after all; its sender will repeat it."""
        hour = self._hour(mailbox)
        if sent in hour.sent:
            hour.sent.remove(sent)

    def refuse(self, mailbox: Mailbox) -> int:
        """Notes a mail that was one too many; answers how many there were within the hour."""
        hour = self._hour(mailbox)
        hour.refused_at_s.append(self._clock())
        return len(hour.refused_at_s)

    def newest(self, mailbox: Mailbox, most: int) -> list[str]:
        """Ulids of the last mails that were taken."""
        taken = [each.ulid for each in self._hour(mailbox).sent if each.ulid]
        return taken[-most:]

    def forgive(self, mailbox: Mailbox) -> None:
        """A person has let the sender send again: the counting begins anew."""
        self._hours.pop(mailbox, None)

    def _hour(self, mailbox: Mailbox) -> _Hour:
        now_s = self._clock()
        if len(self._hours) > _SWEEP_AT:
            self._sweep(now_s)
        hour = self._hours.setdefault(mailbox, _Hour())
        hour.forget(now_s - HOUR_S)
        return hour

    def _sweep(self, now_s: float) -> None:
        for mailbox, hour in list(self._hours.items()):
            hour.forget(now_s - HOUR_S)
            if not hour.sent and not hour.refused_at_s:
                del self._hours[mailbox]
