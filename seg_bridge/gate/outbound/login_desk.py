"""Does a login's secret fit?  One desk for all who ask: our own listener, and Postfix.

What holds is the policy's hash, so a login that a person has ended is none within a second or two.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from seg_bridge.gate.outbound.logins import NO_LOGIN, check_secret
from seg_bridge.gate.policy import PolicySnapshot

log = logging.getLogger(__name__)

FAILED_WITHIN_S = 600.0
MOST_FAILED = 20


@dataclass(slots=True)
class FailedLogins:
    """By address, so that guessing ends; forgotten after ten minutes."""

    clock: Callable[[], float] = time.monotonic
    since_s: float = 0.0
    by_ip: Counter[str] = field(default_factory=Counter)

    def note(self, client_ip: str) -> None:
        self.by_ip[client_ip] += 1

    def is_too_many(self, client_ip: str) -> bool:
        if self.clock() - self.since_s > FAILED_WITHIN_S:
            self.since_s = self.clock()
            self.by_ip.clear()
        return self.by_ip[client_ip] >= MOST_FAILED


async def fitting_hash(
    snapshot: PolicySnapshot, failed: FailedLogins, *, name: str, secret: str, client_ip: str
) -> str | None:
    """The hash that the secret fits; None: it fits none, and the address has one try less."""
    hashed = hash_of(snapshot, name) or NO_LOGIN
    if await asyncio.to_thread(check_secret, secret, hashed):
        return hashed
    failed.note(client_ip)
    log.warning("a login from %s failed", client_ip)
    return None


def hash_of(snapshot: PolicySnapshot, name: str) -> str | None:
    logins = (one.outbound.logins for one in snapshot.tenants if one.outbound is not None)
    return next((known[name] for known in logins if name in known), None)
