"""How fast we may call: concurrent calls, a token bucket and a pause for each name.

A name is what the provider counts by: one application and one mailbox at Microsoft (4 concurrent,
10,000 requests in 10 minutes: contract A.8), or a whole connection for a pause.
``LocalLimits`` counts in one process, ``RedisLimits`` over all; if Redis does not answer, each
process goes on counting for itself.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import redis

from api_bridge.errors import RateLimited

log = logging.getLogger(__name__)

Clock = Callable[[], float]
Sleep = Callable[[float], None]

# What is missing of a token may be less than a clock can tell from nothing.
SHORTEST_WAIT_S = 0.001
BUSY_POLL_S = 0.02
LOCAL_NAMES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """``per_s`` requests flow in each second up to ``burst``; ``lease_s`` is when a slot whose
    holder died is free again; ``spare``: so many tokens must be left to others.
    """

    concurrent: int = 4
    per_s: float = 10_000 / 600
    burst: float = 400.0
    lease_s: float = 120.0
    spare: float = 0.0


class Limits(Protocol):
    """What a connector asks before it calls."""

    def slot(
        self, name: str, *, cost: int = 1, quota: Quota | None = None
    ) -> AbstractContextManager[None]:
        """Holds one of the concurrent slots and takes ``cost`` tokens.

        ``quota``: what this name may do, where it is not the usual.  Raises ``RateLimited`` if
        that would mean waiting longer than the caller should.
        """

    def pause(self, name: str, seconds: float) -> None:
        """No slot of ``name`` for so long: the provider said so."""


class _Counter(Protocol):
    """Where the counting is kept."""

    def try_take(self, name: str, holder: str, cost: int, quota: Quota | None = None) -> float:
        """0.0 if taken, else how many seconds to wait before the next try."""

    def give_back(self, name: str, holder: str) -> None: ...


@contextmanager
def _waiting(
    counter: _Counter,
    name: str,
    cost: int,
    *,
    quota: Quota | None,
    wait_s: float,
    clock: Clock,
    sleep: Sleep,
) -> Iterator[None]:
    """Tries, waits a little, tries again, for at most ``wait_s``."""
    holder = uuid.uuid4().hex
    deadline = clock() + wait_s
    while (next_try_s := counter.try_take(name, holder, cost, quota)) > 0:
        if next_try_s > deadline - clock():
            raise RateLimited(
                f"The limit for {name} is reached.", retry_after_s=next_try_s, code="own_limit"
            )
        sleep(max(next_try_s, SHORTEST_WAIT_S))
    try:
        yield
    finally:
        counter.give_back(name, holder)


@dataclass(slots=True)
class _Count:
    tokens: float
    at: float
    holders: dict[str, float] = field(default_factory=dict)
    paused_until: float = 0.0


class LocalLimits:
    """For one process; safe for its threads."""

    def __init__(
        self,
        quota: Quota | None = None,
        *,
        wait_s: float = 10.0,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.quota = quota or Quota()
        self._wait_s = wait_s
        self._clock = clock
        self._sleep = sleep
        self._guard = threading.Lock()
        self._counts: dict[str, _Count] = {}

    def slot(
        self, name: str, *, cost: int = 1, quota: Quota | None = None
    ) -> AbstractContextManager[None]:
        return _waiting(
            self,
            name,
            cost,
            quota=quota,
            wait_s=self._wait_s,
            clock=self._clock,
            sleep=self._sleep,
        )

    def pause(self, name: str, seconds: float) -> None:
        with self._guard:
            count = self._count(name)
            count.paused_until = max(count.paused_until, self._clock() + seconds)

    def try_take(self, name: str, holder: str, cost: int, quota: Quota | None = None) -> float:
        now = self._clock()
        quota = quota or self.quota
        with self._guard:
            count = self._count(name, quota)
            if count.paused_until > now:
                return count.paused_until - now
            count.holders = {who: end for who, end in count.holders.items() if end > now}
            if len(count.holders) >= quota.concurrent:
                return BUSY_POLL_S
            count.tokens = min(quota.burst, count.tokens + (now - count.at) * quota.per_s)
            count.at = now
            if count.tokens < cost + quota.spare:
                return (cost + quota.spare - count.tokens) / quota.per_s
            count.tokens -= cost
            count.holders[holder] = now + quota.lease_s
            return 0.0

    def give_back(self, name: str, holder: str) -> None:
        with self._guard:
            self._count(name).holders.pop(holder, None)

    def _count(self, name: str, quota: Quota | None = None) -> _Count:
        if name not in self._counts:
            if len(self._counts) >= LOCAL_NAMES:
                self._forget_idle()
            self._counts[name] = _Count(tokens=(quota or self.quota).burst, at=self._clock())
        return self._counts[name]

    def _forget_idle(self) -> None:
        """What is full and free says nothing that a new count would not say."""
        now = self._clock()
        fill_s = self.quota.burst / self.quota.per_s
        self._counts = {
            name: count
            for name, count in self._counts.items()
            if count.holders or count.paused_until > now or now - count.at < fill_s
        }


class RedisLimits:
    """For all processes: one script decides, by the server's clock."""

    def __init__(
        self,
        client: redis.Redis[bytes],
        quota: Quota | None = None,
        *,
        prefix: str = "limit.",
        wait_s: float = 10.0,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.quota = quota or Quota()
        self._wait_s = wait_s
        self._sleep = sleep
        self._client = client
        self._prefix = prefix
        self._take = client.register_script(TAKE)
        self._pause = client.register_script(PAUSE)
        self._alone = LocalLimits(quota, wait_s=wait_s, sleep=sleep)

    def slot(
        self, name: str, *, cost: int = 1, quota: Quota | None = None
    ) -> AbstractContextManager[None]:
        return _waiting(
            self,
            name,
            cost,
            quota=quota,
            wait_s=self._wait_s,
            clock=time.monotonic,
            sleep=self._sleep,
        )

    def pause(self, name: str, seconds: float) -> None:
        self._alone.pause(name, seconds)
        try:
            self._pause(keys=[self._key(name, "pause")], args=[int(seconds * 1000)])
        except redis.RedisError as error:
            log.warning("Pause of %s is known to this process only: %s", name, type(error).__name__)

    def try_take(self, name: str, holder: str, cost: int, quota: Quota | None = None) -> float:
        wanted, quota = quota, quota or self.quota
        keys = [self._key(name, part) for part in ("pause", "slots", "bucket")]
        values = [holder, cost, quota.concurrent, quota.per_s, quota.burst, quota.lease_s]
        values.append(quota.spare)
        try:
            wait_ms = self._take(keys=keys, args=values)
        except redis.RedisError as error:
            log.warning("Limits are counted by this process alone: %s", type(error).__name__)
            return self._alone.try_take(name, holder, cost, wanted)
        if not isinstance(wait_ms, int):
            raise TypeError(f"the limit script answered {type(wait_ms).__name__}")
        return wait_ms / 1000

    def give_back(self, name: str, holder: str) -> None:
        self._alone.give_back(name, holder)
        try:
            self._client.zrem(self._key(name, "slots"), holder)
        except redis.RedisError as error:
            log.warning("A slot of %s is free after its lease: %s", name, type(error).__name__)

    def _key(self, name: str, part: str) -> str:
        return f"{self._prefix}{{{name}}}.{part}"


# KEYS: pause, slots, bucket.  ARGV: holder, cost, concurrent, per_s, burst, lease_s, spare.
# Answers 0 (taken) or the milliseconds to wait.
TAKE = """
local paused = redis.call('PTTL', KEYS[1])
if paused > 0 then return paused end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 20 end
local cost, per_s, burst = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local kept = redis.call('HMGET', KEYS[3], 'tokens', 'at')
local tokens = tonumber(kept[1]) or burst
local at = tonumber(kept[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * per_s)
local needed = cost + tonumber(ARGV[7])
if tokens < needed then return math.ceil((needed - tokens) / per_s * 1000) end
redis.call('HSET', KEYS[3], 'tokens', tostring(tokens - cost), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[3], math.ceil(burst / per_s * 1000) + 1000)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[6]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], math.ceil(tonumber(ARGV[6]) * 1000) + 1000)
return 0
"""

# A longer pause that is already there stays.
PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 1
"""
