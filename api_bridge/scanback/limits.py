"""Behind the live sync: the same shared counts, taken from only where they are hardly used.

A slot is had while at most a quarter of a name's slots is in use, and tokens while half of them
are left to others.  What cannot be had soon is given up: the run comes again later.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from api_bridge.connectors.google import units
from api_bridge.limits import Quota

PATIENCE_S = 2.0


class _Shared(Protocol):
    """``RedisLimits`` or ``LocalLimits``."""

    @property
    def quota(self) -> Quota: ...

    def slot(
        self, name: str, *, cost: int = 1, quota: Quota | None = None
    ) -> AbstractContextManager[None]: ...

    def pause(self, name: str, seconds: float) -> None: ...


def behind(quota: Quota, cost: int = 1) -> Quota:
    """What is left of it for whoever has time; a call that costs more than half a bucket waits for
    a full one.
    """
    spare = max(0.0, min(quota.burst / 2, quota.burst - cost))
    return replace(quota, concurrent=max(1, quota.concurrent // 4), spare=spare)


class LowerLimits:
    """``api_bridge.limits.Limits``; counts the requests that were let through."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._guard = threading.Lock()
        self._requests = 0
        self._by_name: Counter[str] = Counter()

    def slot(
        self, name: str, *, cost: int = 1, quota: Quota | None = None
    ) -> AbstractContextManager[None]:
        quota = quota or self._shared.quota
        with self._guard:
            counted = _requests(name, cost, quota)
            self._requests += counted
            self._by_name[name] += counted
        return self._shared.slot(name, cost=cost, quota=behind(quota, cost))

    def pause(self, name: str, seconds: float) -> None:
        """What the host says counts for all."""
        self._shared.pause(name, seconds)

    def take_count(self) -> int:
        """Requests since it was asked last."""
        with self._guard:
            counted, self._requests = self._requests, 0
        return counted

    def take_counts(self) -> Counter[str]:
        """The same by name, since it was asked last."""
        with self._guard:
            counted, self._by_name = self._by_name, Counter()
        return counted


def _requests(name: str, cost: int, quota: Quota) -> int:
    """A call may take slots of several names: it counts once, by its mailbox.  Google counts in
    units, of which reading one mail takes twenty.
    """
    if quota == units.USER:
        return -(-cost // units.GET_MESSAGE)
    is_counted_elsewhere = quota == units.PROJECT or ".lane" in name
    return 0 if is_counted_elsewhere else cost
