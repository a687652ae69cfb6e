"""Named places where a test lets the process die, to prove that nothing is lost there.

Every commit point of the gate and the shipper passes one of these.  ``BAILEY_FAILPOINT`` arms one:
``name`` dies at its first passing, ``name:3`` at the third, ``*:7`` at the seventh passing of any.
Unset, a passing costs one comparison.
"""

from __future__ import annotations

import os
import signal
import threading

FAILPOINTS = frozenset(
    {
        "file.before_rename",
        "file.after_rename",
        "journal.before_write",
        "journal.after_write",
        "journal.after_sync",
        "originals.after_bytes",
        "originals.after_sync",
        "core.after_begun",
        "relay.before_end_of_data",
        "relay.after_answer",
        "core.before_done",
        "core.after_done",
        "queue.after_begun",
        "queue.after_reinjection",
        "queue.after_note",
        "queue.before_answer",
        "maillog.after_journal",
        "maillog.after_state",
        "spool.after_files",
        "spool.after_rename",
        "spool.after_relay",
        "spool.after_done",
        "commands.after_begun",
        "commands.after_relay",
        "commands.after_lesson",
        "commands.after_done",
        "commands.after_state",
        "ship.after_evidence",
        "ship.after_batch",
        "ship.after_settling",
        "ship.after_offset",
        "ship.after_trim",
    }
)


class _Armed:
    def __init__(self, wanted: str) -> None:
        self.name, _, count = wanted.partition(":")
        self.left = int(count or 1)
        self.lock = threading.Lock()
        if self.name not in FAILPOINTS | {"", "*"}:
            raise ValueError(f"BAILEY_FAILPOINT names no failpoint: {self.name}")

    def passes(self, name: str) -> bool:
        if self.name not in (name, "*"):
            return False
        with self.lock:
            self.left -= 1
            return self.left == 0


_ARMED = _Armed(os.environ.get("BAILEY_FAILPOINT", ""))


def failpoint(name: str) -> None:
    """Kills this process, as the power would, if the place is armed."""
    if _ARMED.name and _ARMED.passes(name):
        os.kill(os.getpid(), signal.SIGKILL)
