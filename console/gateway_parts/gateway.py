"""All parts as one: found or installed, written, started, told of in ``run.json``.

The launcher (``make run GATEWAY=full``) and ``manage.py gateway up`` both use it; whoever runs the
parts holds ``lock``.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.gateway_parts import Part, PartMissing, PartPlan, PartSettings
from console.gateway_parts.prepare import find_or_install, gateway_home, prepare
from console.gateway_parts.registry import PARTS
from console.launch.account import Account
from console.launch.children import Child
from console.launch.keys import write_private
from seg_bridge.gate.settings import DEFAULT_ENGINES, ENGINES

LOCK, RUN_FILE = "lock", "run.json"
HOST = "127.0.0.1"


class GatewayRuns(Exception):
    """Somebody runs the parts already; the words say who."""


class WrongGatewaySetting(Exception):
    """A variable that can't be used; the words name it and say what it should look like."""


def read_settings(environment: Mapping[str, str], var: Path) -> PartSettings:
    """Raises ``WrongGatewaySetting``."""
    account = _account(environment.get("BAILEY_GATE_ACCOUNT", ""))
    home = gateway_home(var, _accounts(account))
    return PartSettings(
        folder=home,
        logs=var / "log",
        hostname=environment.get("BAILEY_GATE_HOSTNAME") or socket.gethostname(),
        ports={
            variable: _port(environment, variable, default)
            for part in PARTS
            for variable, default in part.ports.items()
        },
        host=environment.get("GATE_HOST") or HOST,
        dns=_dns(environment.get("BAILEY_DNS", "")),
        gate_account=account,
        takes_xclient=environment.get("BAILEY_GATE_XCLIENT") == "1",
    )


def _accounts(gate: Account | None) -> list[Account]:
    """Who must be able to reach the parts' folder, as far as they exist."""
    found = [gate] if gate is not None else []
    for name in ("postfix", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        found.append(Account(name, entry.pw_uid, entry.pw_gid))
    return found if os.geteuid() == 0 else []


def _account(name: str) -> Account | None:
    if not name:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise WrongGatewaySetting(
            f"BAILEY_GATE_ACCOUNT is {name!r}, and there is no such account here; name the one "
            "that runs the gate, like bailey"
        ) from None
    return Account(name, entry.pw_uid, entry.pw_gid)


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    value = environment.get(variable) or str(default)
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 65536:
        raise WrongGatewaySetting(f"{variable} is {value!r}; it should be a port, like {default}")
    return int(value)


def _dns(value: str) -> tuple[str, int] | None:
    if not value:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit():
        raise WrongGatewaySetting(f"BAILEY_DNS is {value!r}; it should look like 127.0.0.1:53")
    return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that is left out, with why."""

    part: Part
    why: str


class Gateway:
    def __init__(self, settings: PartSettings, parts: Sequence[Part] = PARTS) -> None:
        self.settings = settings
        self._parts = parts
        self.plans: dict[str, PartPlan] = {}
        self.left_out: list[Missing] = []

    def prepare(self) -> None:
        """Everything on disk and checked.  Raises ``PartMissing``, ``BadConfiguration`` or
        ``OSError``.
        """
        for part in self._parts:
            try:
                if part.is_needed:
                    find_or_install(part)
                else:
                    part.find()
            except PartMissing as missing:
                if part.is_needed:
                    raise
                self.left_out.append(Missing(part, str(missing)))
                continue
            self.plans[part.name] = prepare(part, self.settings)

    def children(self) -> list[Child]:
        return [
            Child(command=program.command, is_ready=program.is_ready, tend=program.tend)
            for plan in self.plans.values()
            for program in plan.programs
        ]

    def gate_environment(self) -> dict[str, str]:
        """What the gate must be told to work with the parts: where they are, and to ask those of
        them that are engines beside its own.
        """
        told = {name: value for plan in self.plans.values() for name, value in plan.gate.items()}
        engines = [DEFAULT_ENGINES, *(name for name in ENGINES if name in self.plans)]
        return told | {"BAILEY_GATE_ENGINES": ",".join(engines)}

    def write_run_file(self, pids: Mapping[str, int], **more: Any) -> None:
        names = [child.name for child in self.children()]
        content = {
            "pid": os.getpid(),
            "pids": {name: pids[name] for name in names if name in pids},
            "smtp": f"{self.settings.host}:{self.settings.ports['GATE_PORT']}",
            "ports": dict(self.settings.ports),
            "gate": self.gate_environment(),
            **more,
        }
        write_private(self.settings.folder / RUN_FILE, json.dumps(content, indent=1) + "\n")

    def forget_run_file(self) -> None:
        (self.settings.folder / RUN_FILE).unlink(missing_ok=True)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Whoever runs the parts holds this.  Raises ``GatewayRuns``."""
    with (folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GatewayRuns(f"the gateway in {folder} runs already") from None
        yield


def read_run_file(folder: Path) -> dict[str, Any] | None:
    """None: nobody runs the parts."""
    try:
        content: dict[str, Any] = json.loads((folder / RUN_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return content if is_held(folder) else None


def is_held(folder: Path) -> bool:
    try:
        with only_one(folder):
            return False
    except GatewayRuns:
        return True
