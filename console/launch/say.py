"""What the person at the terminal is told: plain lines, and one moving line for what takes time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SAY_AFTER_S = 1.0
REDRAW_S = 0.3


def say(line: str = "") -> None:
    """Print a line; a closed terminal or pipe is no reason to stop."""
    try:
        print(line, flush=True)
    except OSError:
        return


class Step:
    """Something that takes time. Nothing is said when it is done within a second.

    On a terminal the line is redrawn with the seconds and `detail`; elsewhere it is said once when
    it starts to take time and once when it is done.
    """

    def __init__(self, words: str) -> None:
        self.words = words
        self.started_at = time.monotonic()
        self._next_at = self.started_at + SAY_AFTER_S
        self._is_said = False

    def tick(self, detail: str = "") -> None:
        """Call while waiting, as often as you like."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + REDRAW_S
        if sys.stdout.isatty():
            seconds = int(now - self.started_at)
            line = f"{self.words} … {seconds} s  {detail}"
            self._write(f"\r{line[:110]}\033[K")
        elif not self._is_said:
            say(f"{self.words} …")
        self._is_said = True

    def done(self, outcome: str = "done") -> None:
        if not self._is_said:
            return
        if sys.stdout.isatty():
            self._write("\r\033[K")
        say(f"{self.words}: {outcome} after {time.monotonic() - self.started_at:.1f} s")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            return


@contextmanager
def step(words: str) -> Iterator[Step]:
    """`with step("Making the tables") as making: … making.tick()`."""
    current = Step(words)
    try:
        yield current
    except BaseException:
        current.done("stopped")
        raise
    current.done()
