"""Several processes of one gate behind Postfix: they share the socket, each has its own journal.

The parent holds folder and socket, tidies up what earlier processes left, forks, and starts again
what dies.  It takes no mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from seg_bridge.gate.journal import Journal
from seg_bridge.gate.originals import Originals
from seg_bridge.gate.recovery import read_leftovers
from seg_bridge.gate.repeats import Repeats
from seg_bridge.gate.server import FINISH_S, take_folder
from seg_bridge.gate.settings import GateSettings
from seg_bridge.gate.sockets import open_socket

log = logging.getLogger(__name__)

RESTART_AFTER_S = 0.5
LOOK_EVERY_S = 0.1

# What one process does: its number, the socket, where to say "ready", whose end is its own end.
Work = Callable[[int, socket.socket, int, int], int]


class Herd:
    def __init__(self, settings: GateSettings, work: Work) -> None:
        assert settings.milter is not None
        self._settings = settings
        self._work = work
        self._lock = take_folder(settings.folder)
        self._listener = open_socket(settings.milter)
        # Children read the one end, which nobody ever writes to: it closes when we die.
        self._life, self._our_life = os.pipe()
        self._ready, self._say_ready = os.pipe()
        self._children: dict[int, int] = {}
        self._start_at_s: dict[int, float] = {}
        self._is_ending = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._end)
        asyncio.run(settle_leftovers(self._settings))
        for number in range(self._settings.processes):
            self._start(number)
        missing = self._settings.processes
        while not self._is_ending:
            self._bury()
            for number, at_s in list(self._start_at_s.items()):
                if time.monotonic() >= at_s:
                    del self._start_at_s[number]
                    self._start(number)
            if select.select([self._ready], [], [], LOOK_EVERY_S)[0] and missing > 0:
                missing -= len(os.read(self._ready, missing))
                if missing == 0:
                    sys.stdout.write("ready\n")
                    sys.stdout.flush()
        return self._stop()

    def _end(self, *_: object) -> None:
        self._is_ending = True

    def _start(self, number: int) -> None:
        pid = os.fork()
        if pid:
            self._children[pid] = number
            return
        code = 1
        try:
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, signal.SIG_DFL)
            os.close(self._our_life)
            os.close(self._lock)
            code = self._work(number, self._listener, self._say_ready, self._life)
        except BaseException:  # whatever it is, a child must not go on as its parent
            log.exception("process %d ended", number)
        finally:
            logging.shutdown()
            os._exit(code)

    def _bury(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._children.pop(pid)
            log.error("process %d ended with status %d", number, status)
            self._start_at_s[number] = time.monotonic() + RESTART_AFTER_S

    def _stop(self) -> int:
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)
        deadline_s = time.monotonic() + FINISH_S + 5.0
        for pid in self._children:
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline_s:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        return 0


async def settle_leftovers(settings: GateSettings) -> None:
    """Before any process runs: journals of processes that there are no more are closed, and bytes
    that no journal answers for go.

    Raises ``OSError`` or ``JournalError``.
    """
    kept: set[tuple[int, str]] = set()
    repeats = Repeats(settings.repeats_folder)
    for number, folder in settings.journal_folders():
        leftovers = read_leftovers(folder)
        kept |= leftovers.kept
        leftovers.note_unheard(repeats)
        records = leftovers.settling_records(datetime.now(UTC))
        if number >= settings.processes and records:
            journal = Journal(folder)
            await journal.append(*records)
            journal.close()
    Originals(settings.originals_folder).drop_unrecorded(kept)
