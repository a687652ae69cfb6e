"""``python -m console.gateway_parts up|down|status|check``, and ``manage.py gateway`` after it.

It needs neither Django's settings nor a database, so it works on a host that has only a gate.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console.gateway_parts import PartMissing
from console.gateway_parts.gateway import (
    RUN_FILE,
    Gateway,
    GatewayRuns,
    WrongGatewaySetting,
    is_held,
    only_one,
    read_run_file,
    read_settings,
)
from console.gateway_parts.prepare import BadConfiguration, check_apart
from console.gateway_parts.registry import PARTS
from console.launch.children import Children, Stopped
from console.launch.clean import var_folder
from console.launch.process import DidNotStart
from console.launch.say import say, step

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0
ACTIONS = {
    "up": "start the parts, and install those that are needed where that is possible",
    "down": "stop them",
    "status": "what runs (ends with 3 where something does not)",
    "check": "what is here, what is missing, and whether the configuration is good",
}
TROUBLES = (
    *(PartMissing, BadConfiguration, GatewayRuns, WrongGatewaySetting, DidNotStart),
    PermissionError,
)


def main(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    parser = argparse.ArgumentParser(prog="manage.py gateway", description="The gateway's parts.")
    add_arguments(parser)
    options = parser.parse_args(argv)
    return run(options.action, is_foreground=options.foreground, environment=environment)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    told = "; ".join(f"{name}: {words}" for name, words in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=told)
    parser.add_argument("--foreground", action="store_true", help="up: stay here, end with Ctrl-C")


def run(action: str, *, is_foreground: bool, environment: Mapping[str, str]) -> int:
    """The exit code."""
    var = var_folder()
    try:
        match action:
            case "up":
                return _stay(environment, var) if is_foreground else _up(environment, var)
            case "down":
                return _down(environment, var)
            case "status":
                return _status(environment, var)
            case _:
                return _check(environment, var)
    except TROUBLES as trouble:
        sys.stderr.write(f"bailey: {trouble}\n")
        return 1


def _stay(environment: Mapping[str, str], var: Path) -> int:
    """Runs the parts until SIGTERM or SIGINT."""
    os.umask(0o022)
    settings = read_settings(environment, var)
    gateway = Gateway(settings)
    children = Children(on_change=lambda: gateway.write_run_file(children.pids()))
    with only_one(settings.folder):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: children.ask_stop())
        started = gateway.children
        try:
            gateway.prepare()
            for child in started():
                children.start(child)
            with step("Starting the gateway's parts") as starting:
                names = [child.name for child in started()]
                children.wait_until_ready(names, starting, within_s=READY_WITHIN_S)
            gateway.write_run_file(children.pids())
            _greet(gateway)
            while True:
                children.tick()
        except Stopped:
            return 0
        finally:
            children.stop([[child.name] for child in reversed(started())])
            gateway.forget_run_file()


def _greet(gateway: Gateway) -> None:
    settings = gateway.settings
    say(f"The gateway's parts run: {', '.join(gateway.plans)}.")
    say(f"  mail in   {settings.host}:{settings.ports['GATE_PORT']} (SMTP)")
    say(f"  submit    {settings.host}:{settings.ports['SUBMISSION_PORT']} (STARTTLS),")
    say(
        f"            {settings.host}:{settings.ports['SUBMISSIONS_PORT']} (TLS): what clients send"
    )
    for missing in gateway.left_out:
        say(f"  without {missing.part.name}: {missing.why}")
    say("The gate needs:")
    for name, value in gateway.gate_environment().items():
        # What is said here ends in a journal that more than root reads.
        shown = f"(it stands in {settings.folder / RUN_FILE})" if "PASSWORD" in name else value
        say(f"  {name}={shown}")


def _up(environment: Mapping[str, str], var: Path) -> int:
    """Starts the supervisor behind us, and tells what it told."""
    settings = read_settings(environment, var)
    if is_held(settings.folder):
        raise GatewayRuns(f"the gateway in {settings.folder} runs already")
    settings.logs.mkdir(parents=True, exist_ok=True)
    path = settings.logs / "gateway.log"
    with path.open("w") as log:
        supervisor = subprocess.Popen(
            (sys.executable, "-m", "console.gateway_parts", "up", "--foreground"),
            cwd=ROOT,
            env={**environment, "BAILEY_VAR": str(var)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with step("Starting the gateway") as starting:
        while (found := read_run_file(settings.folder)) is None:
            if supervisor.poll() is not None:
                raise DidNotStart(path.read_text().strip().removeprefix("bailey: "))
            time.sleep(0.1)
            starting.tick()
    supervisor.returncode = 0  # it is not ours any more
    say(path.read_text().strip())
    say(f"Stop with: manage.py gateway down (process {found['pid']}). Log: {path}")
    return 0


def _down(environment: Mapping[str, str], var: Path) -> int:
    settings = read_settings(environment, var)
    found = read_run_file(settings.folder)
    if found is None:
        say("The gateway does not run.")
        return 0
    if "launcher" in found:
        say(f"make run started it (process {found['pid']}): stop that one.")
        return 1
    os.kill(int(found["pid"]), signal.SIGTERM)
    deadline_s = time.monotonic() + STOP_WITHIN_S
    with step("Stopping the gateway") as stopping:
        while is_held(settings.folder):
            if time.monotonic() > deadline_s:
                say(f"Process {found['pid']} has not stopped within {STOP_WITHIN_S:.0f} s.")
                return 1
            time.sleep(0.1)
            stopping.tick()
    say("Stopped.")
    return 0


def _status(environment: Mapping[str, str], var: Path) -> int:
    settings = read_settings(environment, var)
    found = read_run_file(settings.folder)
    if found is None:
        say("The gateway does not run.")
        return 3
    is_well = True
    for name, pid in found["pids"].items():
        runs = Path(f"/proc/{pid}").exists()
        is_well &= runs
        say(f"{name:<12} {'runs' if runs else 'does not run'} (process {pid})")
    for variable, port in found["ports"].items():
        answers = _answers(port)
        is_well &= answers
        say(f"{variable:<20} {port:<6} {'answers' if answers else 'does not answer'}")
    is_well &= _tell_gate(found)
    return 0 if is_well else 3


def _tell_gate(found: Mapping[str, Any]) -> bool:
    path = found["gate"].get("BAILEY_GATE_MILTER")
    if path is None:
        return True
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
        except OSError:
            say(f"the gate does not answer on {path}: Postfix puts all mail off (451)")
            return False
    say(f"the gate answers on {path}")
    return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _check(environment: Mapping[str, str], var: Path) -> int:
    settings = read_settings(environment, var)
    is_good = True
    for part in PARTS:
        try:
            found = part.find()
            check_apart(part, settings)
        except PartMissing as missing:
            is_good &= not part.is_needed
            say(f"{part.name:<12} missing: {missing}")
        except BadConfiguration as error:
            is_good = False
            say(f"{part.name:<12} bad configuration: {error}")
        else:
            say(f"{part.name:<12} {found}; the configuration is good")
    return 0 if is_good else 1
