"""A whole Bailey for tests: the launcher and all its processes, on free ports, in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console.launch.clean import clean
from console.launch.plan import SANDBOX_PORTS, WEB_PORTS
from console.launch.ports import free_port
from console.launch.run import open_var
from tests.made_database import give_database

ROOT = Path(__file__).resolve().parents[1]
# What the tests' own services put into the environment, and what make would.
_NOT_PASSED_ON = ("DATABASE_URL", "REDIS_URL", "BAILEY_", "SECRET_KEY", "DJANGO_", "MAKE", "DEMO")
START_WITHIN_S = 240.0


def is_alive(pid: int) -> bool:
    """Whether the process still does anything (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def wait_for(condition: Callable[[], bool], within_s: float, what: str = "it") -> None:
    """Raises AssertionError when it does not become true in time."""
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, f"{what}: not within {within_s:.0f} s"
        time.sleep(0.1)


class Installation:
    """`variables` are those of `make run`: DEMO="0", DEMO_MAIL="0" …  `is_apart`: a Ctrl-C in the
    terminal does not reach it.  `is_migrated`: it begins with its tables made, as after an earlier
    start; making them is what test_run.py looks at.
    """

    def __init__(
        self, folder: Path, *, is_apart: bool = False, is_migrated: bool = False, **variables: str
    ) -> None:
        self.is_apart = is_apart
        self.is_migrated = is_migrated
        self.var = folder / "var"
        self.output = folder / "output"
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)
        }
        ports = {name: str(free_port()) for name in (*WEB_PORTS, *SANDBOX_PORTS)}
        self.environment = plain | ports | variables | {"BAILEY_VAR": str(self.var)}
        self.launcher: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        """Start and wait until everything is ready; what var/run.json says."""
        argv = [sys.executable, "-m", "console.launch", "run"]
        (self.var / "run.json").unlink(missing_ok=True)
        if self.is_migrated and not self.var.exists():
            open_var(self.var)
            give_database(self.var)
        with self.output.open("ab") as out:
            launcher = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                process_group=0 if self.is_apart else None,
            )
        self.launcher = launcher
        wait_for(
            lambda: (self.var / "run.json").exists() or launcher.poll() is not None,
            START_WITHIN_S,
            "the start",
        )
        assert launcher.poll() is None, self.said()
        return self.facts()

    def facts(self) -> dict[str, Any]:
        """var/run.json as it is now."""
        facts: dict[str, Any] = json.loads((self.var / "run.json").read_text())
        return facts

    def said(self) -> str:
        """Everything that the launcher told the person."""
        return self.output.read_text()

    def setting(self, name: str) -> str:
        """A variable as the children have it, like DATABASE_URL."""
        return str(json.loads((self.var / "environment.json").read_text())[name])

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`manage.py` of this installation, as a person in another terminal runs it."""
        argv = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            argv, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def kill(self, name: str) -> int:
        """SIGKILL one process; its pid."""
        pid = int(self.facts()["pids"][name])
        os.kill(pid, signal.SIGKILL)
        return pid

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the launcher a signal and wait for its end; the exit code."""
        assert self.launcher
        self.launcher.send_signal(number)
        return self.launcher.wait(timeout=120)

    def stop(self) -> None:
        """As Ctrl-C does, if it runs; the data stays until `remove`."""
        if self.launcher and self.launcher.poll() is None:
            self.end()

    def remove(self) -> None:
        """Stop whatever runs and take the data away."""
        self.stop()
        lock = self.var / "postgres" / "postmaster.pid"
        wait_for(lambda: not lock.exists(), 60, "PostgreSQL's end")
        clean(self.var)
