"""Watching the children: each is started, waited for, started again when it dies, stopped in order.

One thread does all of it by calling `tick()`; the kernel ties a child's life to the thread that
started it (see process.py).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from console.launch.process import Command, DidNotStart, Process
from console.launch.say import Step, say

TICK_S = 0.1
RESTART_AFTER_S = (0.2, 0.5, 1.0, 2.0, 3.0)
# One that was ready and lived so long starts again at once: what ended it was not its start.
STEADY_AFTER_S = 5.0
# So many deaths before the first readiness end the launcher.
DEATHS_BEFORE_GIVING_UP = 3
WRONG_SETTINGS_EXIT = 2
LINES_SHOWN = 6
TRIM_LOGS_EVERY_S = 60.0


class Stopped(Exception):
    """The person, or the system, asked us to stop."""


def _nothing_passes(log_text: str) -> bool:
    return False


def nothing_to_tend() -> None:
    """Most children need no care while they run."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One command and its life. `is_passing` sees the log of a death that need not be told; `tend`
    is called each minute while it runs.
    """

    command: Command
    is_ready: Callable[[Process], bool]
    is_passing: Callable[[str], bool] = _nothing_passes
    tend: Callable[[], None] = nothing_to_tend
    process: Process | None = None
    has_been_ready: bool = False
    runs: bool = False
    deaths: int = 0
    start_at: float = field(default=0.0)

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def restart_after_s(self) -> float:
        return RESTART_AFTER_S[min(self.deaths, len(RESTART_AFTER_S)) - 1]


def end_in_words(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


class Children:
    """All children in the order they were added. `on_change` is called when a pid has changed."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self._children: dict[str, Child] = {}
        self._on_change = on_change
        self._stop_asked = 0
        self._trim_at = 0.0

    def ask_stop(self) -> None:
        """Safe in a signal handler; asked again, stopping waits no longer."""
        self._stop_asked += 1

    def start(self, child: Child) -> None:
        self._children[child.name] = child
        child.process = Process(child.command)

    def pids(self) -> dict[str, int]:
        """Of those that run now."""
        return {
            child.name: child.process.pid
            for child in self._children.values()
            if child.process is not None and child.process.poll() is None
        }

    def tick(self) -> None:
        """Look after every child once, then rest a moment. Raises Stopped when asked to."""
        if self._stop_asked:
            raise Stopped
        for child in self._children.values():
            self._look_after(child)
        if time.monotonic() > self._trim_at:
            self._trim_at = time.monotonic() + TRIM_LOGS_EVERY_S
            for child in self._children.values():
                if child.process:
                    child.process.trim_log()
                    child.tend()
        time.sleep(TICK_S)

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_at:
                child.process = Process(child.command)
            return
        code = child.process.poll()
        if code is not None:
            self._bury(child, child.process, code)
        elif not child.runs and child.is_ready(child.process):
            child.runs = True
            if child.has_been_ready:
                self._on_change()
                say(f"{child.name} runs again (pid {child.process.pid}).")
            child.has_been_ready = True

    def _bury(self, child: Child, process: Process, code: int) -> None:
        process.kill_group()
        lived_s = time.monotonic() - process.started_at
        passing = child.is_passing(process.log_since_start())
        child.deaths = 1 if child.runs and lived_s > STEADY_AFTER_S else child.deaths + 1
        is_hopeless = code == WRONG_SETTINGS_EXIT or child.deaths >= DEATHS_BEFORE_GIVING_UP
        if not child.has_been_ready and not passing and is_hopeless:
            raise DidNotStart(_last_words(child, process, end_in_words(code)))
        wait_s = 0.5 if passing else child.restart_after_s
        if not passing:
            words = f"{end_in_words(code)}, starting it again"
            # What somebody else killed has nothing to say about why.
            is_foul = code in (-signal.SIGKILL, -signal.SIGTERM)
            say(f"{child.name} {words}." if is_foul else _last_words(child, process, words))
        child.process = None
        child.runs = False
        child.start_at = time.monotonic() + wait_s

    def wait_until_ready(self, names: Iterable[str], step: Step, *, within_s: float) -> None:
        """Raises DidNotStart for the first that ends for good or stays silent, and Stopped."""
        missing = list(names)
        give_up_at = time.monotonic() + within_s
        while missing := [name for name in missing if not self._children[name].runs]:
            if time.monotonic() > give_up_at:
                late = self._children[missing[0]]
                said = f"was not ready after {within_s:.0f} s"
                raise DidNotStart(
                    _last_words(late, late.process, said) if late.process else f"{late.name} {said}"
                )
            self.tick()
            step.tick("waiting for " + ", ".join(missing))

    def run_once(self, command: Command, step: Step) -> str:
        """Run a command to its end while the children are looked after; what it wrote.

        Raises DidNotStart when it fails.
        """
        process = Process(command)
        try:
            while (code := process.poll()) is None:
                self.tick()
                step.tick((process.last_lines(1) or [""])[0])
        except BaseException:
            process.stop()
            raise
        if code != 0:
            said = "\n".join(f"    {line}" for line in process.last_lines(LINES_SHOWN * 2))
            raise DidNotStart(f"{command.name} {end_in_words(code)}:\n{said}")
        return process.log_since_start(limit_bytes=1_000_000)

    def stop(self, waves: Sequence[Sequence[str]]) -> None:
        """Stop wave after wave, all of a wave at once; whoever is in no wave comes first."""
        named = {name for wave in waves for name in wave}
        first = [name for name in self._children if name not in named]
        asked_before = self._stop_asked
        for wave in (first, *waves):
            running = [
                child.process
                for name in wave
                if (child := self._children.get(name)) and child.process is not None
            ]
            for process in running:
                process.send_stop()
            for process in running:
                is_urgent = self._stop_asked > asked_before
                within_s = 1.0 if is_urgent else process.command.stop_within_s
                if not process.end(within_s):
                    say(f"{process.command.name} did not stop within {within_s:.0f} s: killed.")


def _last_words(child: Child, process: Process, what: str) -> str:
    lines = process.last_lines(LINES_SHOWN)
    words = f"{child.name} {what}"
    if not lines:
        return words + "."
    shown = "\n".join(f"    {line}" for line in lines)
    return f"{words}. Its last lines ({child.command.log}):\n{shown}"
