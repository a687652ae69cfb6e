"""One child process: started so that it can never outlive us, stopped with its whole group.

Every child leads its own process group (a Ctrl-C in the terminal reaches the launcher alone, which
then stops the children in order) and asks the kernel to be signalled when its parent dies, so that
`kill -9` of the launcher leaves nothing behind. The kernel watches the *thread* that started the
child: start children from the main thread only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from console.launch.account import Account

PR_SET_PDEATHSIG = 1
LOG_ROTATE_BYTES = 20_000_000

# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: signal.Signals) -> None:
    """Ask the kernel to send us `death_signal` when the thread that started us ends."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to start and stop one process.

    `account` is who runs it (None: ourselves). `death_signal` is what it gets when the launcher
    dies; SIGKILL for whatever is safe against crashes, since it can't be held up.
    `own_session` is for a program that would otherwise leave our group by itself.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = Path("/")
    log: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stop_within_s: float = 10.0
    own_session: bool = False


def _before_exec(death_signal: signal.Signals, parent_pid: int) -> Callable[[], None]:
    def prepare() -> None:
        die_with_parent(death_signal)
        if os.getppid() != parent_pid:  # the parent died before the kernel knew
            os._exit(1)

    return prepare


class Process:
    """A started command. `poll()` as in subprocess; `stop()` ends the whole group."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.started_at = time.monotonic()
        account = command.account
        with _open_log(command.log) as log:
            self.log_start = log.seek(0, os.SEEK_END) if command.log else 0
            self._popen = subprocess.Popen(
                command.argv,
                env=dict(command.env),
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=None if command.own_session else 0,
                start_new_session=command.own_session,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_before_exec(command.death_signal, os.getpid()),  # noqa: PLW1509 - prctl must run in the child
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it); None while it runs."""
        return self._popen.poll()

    def send_stop(self) -> None:
        """Ask it to end; does not wait."""
        if self.poll() is None:
            self._popen.send_signal(self.command.stop_signal)

    def end(self, within_s: float) -> bool:
        """Wait for the end that was asked for, then kill whatever is left of its group.

        False when it had to be killed itself.
        """
        ended = True
        try:
            self._popen.wait(timeout=max(within_s, 0.01))
        except subprocess.TimeoutExpired:
            ended = False
            self._popen.kill()
            self._popen.wait()
        self.kill_group()
        return ended

    def stop(self) -> None:
        self.send_stop()
        self.end(self.command.stop_within_s)

    def kill_group(self) -> None:
        """End what the process itself started and left behind."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def log_since_start(self, limit_bytes: int = 64_000) -> str:
        """What this run wrote to its log, at most its last `limit_bytes`."""
        if self.command.log is None:
            return ""
        with self.command.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(min(self.log_start, end), end - limit_bytes))
            return log.read().decode("utf-8", "replace")

    def trim_log(self) -> None:
        """Keep a log that has grown too long as .old.log and begin it anew, while it is written.

        The child appends, so that its next line lands at the new beginning.
        """
        path = self.command.log
        if path is None or path.stat().st_size <= LOG_ROTATE_BYTES:
            return
        shutil.copyfile(path, _old_log(path))
        os.truncate(path, 0)
        self.log_start = 0

    def last_lines(self, count: int = 12) -> list[str]:
        return self.log_since_start().rstrip().splitlines()[-count:]


def _old_log(path: Path) -> Path:
    return path.with_suffix(".old.log")


def _open_log(path: Path | None) -> BinaryIO:
    if path is None:
        return Path(os.devnull).open("ab")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_ROTATE_BYTES:
        path.replace(_old_log(path))
    return path.open("ab")


class DidNotStart(Exception):
    """A process ended or stayed silent instead of becoming ready."""


def start_ready(
    command: Command,
    is_ready: Callable[[Process], bool],
    *,
    within_s: float = 30.0,
    try_again: Callable[[str], bool] = lambda log_text: False,
) -> Process:
    """Start and wait until ready; `try_again` sees the log of a start that failed.

    Raises DidNotStart with the last lines of the log.
    """
    give_up_at = time.monotonic() + within_s
    process = Process(command)
    while not is_ready(process):
        ended = process.poll() is not None
        is_late = time.monotonic() > give_up_at
        if is_late or (ended and not try_again(process.log_since_start())):
            process.stop()
            said = "\n".join(process.last_lines())
            raise DidNotStart(f"{command.name} did not start:\n{said}")
        if ended:
            time.sleep(0.5)
            process = Process(command)
        time.sleep(0.02)
    return process
