"""Who exists at a mail host that is asked for it: a domain without a list of its recipients.

The next hop's word is kept for a while, so that one address costs one question.  A host that takes
every address makes every address known: what the client then does with it is the host's matter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from seg_bridge.gate.policy import Route
from seg_bridge.gate.relay import Relay

KNOWN_FOR_S = 3600.0
UNKNOWN_FOR_S = 300.0
MOST_KEPT = 50_000
# Postfix gives a milter 30 s for its answer.
ASK_WITHIN_S = 20.0
MOST_ASKING = 16

NO_SUCH_MAILBOX = "550 5.1.1 No such mailbox here"
CANNOT_ASK = "451 4.4.1 The mail host cannot be asked for this address now, please repeat"


class Known:
    """``clock`` in seconds that only go on."""

    def __init__(self, relay: Relay, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._relay = relay
        self._clock = clock
        self._places = asyncio.Semaphore(MOST_ASKING)
        self._until: dict[tuple[str, str], tuple[float, str]] = {}

    def kept(self, route: Route) -> str | None:
        """Our reply, "" for yes; None: the host has to be asked."""
        until_s, reply = self._until.get(_key(route), (0.0, ""))
        return reply if until_s > self._clock() else None

    async def ask(self, route: Route) -> str:
        """Our refusal of this recipient, "" where the host knows it."""
        kept = self.kept(route)
        if kept is not None:
            return kept
        try:
            async with asyncio.timeout(ASK_WITHIN_S), self._places:
                answer = await self._relay.ask_for(route.domain.way, route.address)
        except TimeoutError:
            return CANNOT_ASK
        if answer.state == "accepted":
            self._keep(route, KNOWN_FOR_S, "")
            return ""
        if answer.state == "refused":
            self._keep(route, UNKNOWN_FOR_S, NO_SUCH_MAILBOX)
            return NO_SUCH_MAILBOX
        return CANNOT_ASK

    def _keep(self, route: Route, for_s: float, reply: str) -> None:
        self._until[_key(route)] = (self._clock() + for_s, reply)
        while len(self._until) > MOST_KEPT:
            del self._until[next(iter(self._until))]


def _key(route: Route) -> tuple[str, str]:
    # Another way is another host, which may know others.
    return str(route.domain.way), route.address
