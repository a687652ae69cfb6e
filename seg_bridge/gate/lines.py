"""Commands that wait for others than us: each client's in a line of its own.

A release waits for the client's mail host, for minutes where that hangs.  Meanwhile the gate goes
on asking for news: no policy, and no other client's mail, waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from seg_bridge.gate.journal import JournalError
from seg_bridge.gate.release import Command

log = logging.getLogger(__name__)

# Each has a mail's bytes in memory.
MOST_AT_ONCE = 32
PAUSE_S = 0.5


class Lines:
    """``work`` carries one command out and acknowledges it; what it raises leaves the command to
    be offered again.  Of one client one after the other, in the order in which they came.
    """

    def __init__(self, work: Callable[[Command], Coroutine[Any, Any, object]]) -> None:
        self._work = work
        # Client → its commands by id, the first of which is being carried out.
        self._waiting: dict[int, dict[str, Command]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._has_new = asyncio.Event()

    def put(self, command: Command) -> bool:
        """False: it is in its line already."""
        line = self._waiting.setdefault(command.tenant_id, {})
        if command.id in line:
            return False
        line[command.id] = command
        self._has_new.set()
        return True

    async def run(self) -> None:
        """For ever.  Whoever cancels it cancels what is being carried out."""
        try:
            while True:
                await self._has_new.wait()
                self._has_new.clear()
                for tenant_id in self._waiting.keys() - self._running.keys():
                    self._running[tenant_id] = asyncio.create_task(self._serve(tenant_id))
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _serve(self, tenant_id: int) -> None:
        line = self._waiting[tenant_id]
        while line:
            command = next(iter(line.values()))
            async with self._places:
                await self._carry_out(command)
            del line[command.id]
        del self._waiting[tenant_id], self._running[tenant_id]

    async def _carry_out(self, command: Command) -> None:
        try:
            await self._work(command)
        except (JournalError, OSError) as error:
            log.warning("%s is not on record, and will be offered again: %s", command.id, error)
            await asyncio.sleep(PAUSE_S)
        except Exception:  # a bug must not stop the commands behind it
            log.exception("%s failed, and will be offered again", command.id)
            await asyncio.sleep(PAUSE_S)
