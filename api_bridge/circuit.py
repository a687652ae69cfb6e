"""A mail host that does not answer is not asked for a while: who waits for it holds up a worker,
and with it the other clients.

One circuit for each outgoing client, so for each client's connection.  It opens when the host has
failed several times in a row, whichever mailbox was asked, and stays open longer each time; after
that one failure is enough.  Any answer that is one closes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from api_bridge.errors import Temporary

OPEN_CODE = "circuit_open"
# More than one call tries by itself (http.ATTEMPTS), or as many seconds as a worker's turn allows.
MOST_FAILURES = 6
MOST_LOST_S = 40.0
FIRST_REST_S, LONGEST_REST_S = 15.0, 300.0
# What stands before a host says so when it is away.  500 may be the fault of one mail, 504 of one
# page that is too big.
NOT_THERE = frozenset({502, 503})


class Circuit:
    """Safe for threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._failures = 0
        self._lost_s = 0.0
        self._opened = 0
        self._open_until = 0.0

    def check(self) -> None:
        """Raises ``Temporary`` (``circuit_open``) while it is open: nothing was sent."""
        left_s = self._open_until - self._clock()
        if left_s > 0:
            raise Temporary(
                "The mail host did not answer several times in a row and is left alone.",
                retry_after_s=left_s,
                code=OPEN_CODE,
            )

    def answered(self) -> None:
        with self._guard:
            self._failures, self._lost_s, self._opened = 0, 0.0, 0

    def failed(self, lost_s: float) -> None:
        """``lost_s``: how long the caller waited in vain."""
        with self._guard:
            if self._open_until > self._clock():
                return  # a call that was under way when it opened
            self._failures += 1
            self._lost_s += lost_s
            if not self._opened and self._failures < MOST_FAILURES and self._lost_s < MOST_LOST_S:
                return
            rest_s = min(FIRST_REST_S * 2.0 ** min(self._opened, 10), LONGEST_REST_S)
            self._open_until = self._clock() + rest_s
            self._opened += 1
            self._failures, self._lost_s = 0, 0.0
