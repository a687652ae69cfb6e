"""`make run`: start everything in order, say where it is, watch it, stop it in order.

1. one launcher per data folder; every port free; secrets made; with GATEWAY=full the parts of the
   gateway found or installed, and written
2. PostgreSQL, Valkey and the sandbox cloud start together
3. roles and database, then `migrate` as the owner
4. the web processes, and at the same time the demo is set up; then the gateway's parts, gate,
   shipper, worker, beat
5. var/run.json, addresses and logins; the demo's mail begins to flow
6. children are watched until Ctrl-C or SIGTERM; then they stop, those who take mail in first
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from console.gateway_parts import PartSettings
from console.gateway_parts.certificate import self_signed
from console.gateway_parts.gateway import Gateway, only_one, read_settings
from console.launch import probes
from console.launch.children import Child, Children, Stopped
from console.launch.clean import LOCK_NAME
from console.launch.demo import forget_answer, last_answer, last_json, remember_answer
from console.launch.keys import installation_secrets, write_private
from console.launch.pglocal import LocalPostgres, is_passing_trouble
from console.launch.plan import (
    GATE_PORTS,
    HOST,
    LOGIN_URLS,
    Commands,
    Plan,
    WrongSetting,
    read_plan,
    shared_environment,
)
from console.launch.ports import free_port, is_port_free
from console.launch.process import DidNotStart, die_with_parent
from console.launch.roles import LOGINS, ensure_database, ensure_roles
from console.launch.say import say, step
from console.launch.schema import is_migrated, remember_migrated
from console.launch.valkeylocal import LocalValkey

DATABASE = "bailey"
# Generous: a slow machine is no failure, and a child that dies is noticed at once.
READY_WITHIN_S = 300.0
# Just after another launcher was killed its children need a moment to be gone.
PORTS_FREE_WITHIN_S = 3.0
STOP_WAVES = (
    ("gate", "beat"),
    ("console", "portal", "worker"),
    ("ship", "ingest", "sandbox"),
    ("valkey",),
    ("postgres",),
)
PROCESSES = (
    "console", "portal", "ingest", "gate", "ship", "worker", "beat", "sandbox", "postgres",
    "valkey",
)  # fmt: skip


class AlreadyRuns(Exception):
    """Another launcher holds this data folder."""


@contextmanager
def only_launcher(var: Path) -> Iterator[None]:
    """Hold the data folder. Raises AlreadyRuns."""
    with (var / LOCK_NAME).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRuns(
                f"Bailey runs already with the data in {var} (process {lock.read().strip()}). "
                "Stop that one, or name another folder: make run BAILEY_VAR=/path/to/folder"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def check_ports(plan: Plan) -> None:
    """Raises WrongSetting for the first port that somebody else has."""
    give_up_at = time.monotonic() + PORTS_FREE_WITHIN_S
    for variable, port in plan.ports.items():
        host = plan.gate_host if variable in GATE_PORTS else HOST
        kinds = [socket.SOCK_STREAM]
        if variable == "SANDBOX_DNS_PORT":
            kinds.append(socket.SOCK_DGRAM)
        while not all(is_port_free(host, port, kind) for kind in kinds):
            if time.monotonic() > give_up_at:
                is_low = port < 1024 and os.geteuid() != 0
                why = "is for root alone" if is_low else "is taken by another program"
                raise WrongSetting(
                    f"port {port} on {host} {why}. Choose another: "
                    f"make run {variable}={free_port(host)}"
                )
            time.sleep(0.1)


def open_var(var: Path) -> None:
    """The data folder: ours alone; root lets the database's account pass through it."""
    var.mkdir(parents=True, exist_ok=True)
    var.chmod(0o711 if os.geteuid() == 0 else 0o700)
    (var / "static").mkdir(exist_ok=True)  # the web processes warn where there is none


def part_settings(plan: Plan, shared: Mapping[str, str]) -> PartSettings:
    """The parts' settings by what this start has chosen."""
    chosen = {variable: str(port) for variable, port in plan.ports.items()}
    return read_settings({**shared, **chosen, "GATE_HOST": plan.gate_host}, plan.var)


class Launcher:
    """One run from the first child to the last."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.secrets = installation_secrets(plan.var)
        self.children = Children(on_change=self._write_run_file)
        self.demo: dict[str, Any] = {}
        self._is_up = False
        self.postgres: LocalPostgres | None = None
        self.valkey: LocalValkey | None = None
        self.urls = self._addresses()
        self.shared = shared_environment(plan, self.secrets, self.urls)
        self.gateway: Gateway | None = None
        if plan.has_full_gateway:
            self.gateway = Gateway(part_settings(plan, self.shared))
        self.commands = Commands(plan, self.shared)

    def _addresses(self) -> dict[str, str]:
        """Of database and broker: given from outside, or our own on free ports."""
        plan, urls = self.plan, {}
        if plan.has_own_database:
            self.postgres = LocalPostgres(
                plan.var / "postgres",
                port=free_port(),
                password=self.secrets["postgres"],
                log=plan.logs / "postgres.log",
            )
            variables = ("DATABASE_URL", *LOGIN_URLS)
            for variable, login in zip(variables, LOGINS, strict=True):
                urls[variable] = self.postgres.url(login, self.secrets[login], DATABASE)
        else:
            urls = {name: plan.outside[name] for name in ("DATABASE_URL", *LOGIN_URLS)}
        if plan.has_own_broker:
            self.valkey = LocalValkey(
                plan.var / "valkey",
                port=free_port(),
                password=self.secrets["valkey"],
                log=plan.logs / "valkey.log",
            )
            return urls | {"REDIS_URL": self.valkey.url}
        return urls | {"REDIS_URL": plan.outside["REDIS_URL"]}

    def start(self) -> None:
        if self.gateway is not None:
            with step("Preparing the gateway's parts"):
                self.gateway.prepare()
            chosen = self.shared.get("BAILEY_GATE_ENGINES")
            self.shared |= self.gateway.gate_environment()
            # Who names engines herself has a reason.
            self.shared |= {"BAILEY_GATE_ENGINES": chosen} if chosen else {}
        elif not self.plan.certificate.exists():
            name = self.shared["BAILEY_GATE_HOSTNAME"] or socket.gethostname()
            write_private(self.plan.certificate, self_signed(name))
        write_private(self.plan.var / "environment.json", json.dumps(self.shared, indent=1))
        if self.plan.has_demo:
            self.children.start(Child(command=self.commands.sandbox(), is_ready=probes.says_ready))
        self._start_servers()
        self._migrate()
        self._start_web_and_set_up_demo()
        self._start_mail()
        self._is_up = True
        self._write_run_file()
        self._greet()
        if self.plan.has_demo_mail:
            self.children.start(
                Child(command=self.commands.manage("demo", "demo", "mail"), is_ready=probes.lives)
            )

    def _start_servers(self) -> None:
        names = []
        with step("Starting database and broker") as starting:
            if self.valkey:
                valkey = self.valkey
                valkey.prepare()
                child = Child(command=valkey.command(), is_ready=lambda _: valkey.is_ready())
                self.children.start(child)
                names.append(child.name)
            if self.postgres:
                if self.postgres.prepare():
                    forget_answer(self.plan)
                child = Child(
                    command=self.postgres.command(),
                    is_ready=self.postgres.is_ready,
                    is_passing=is_passing_trouble,
                )
                self.children.start(child)
                names.append(child.name)
            self.children.wait_until_ready(names, starting, within_s=READY_WITHIN_S)
            if self.postgres:
                self._make_roles(self.postgres)

    def _make_roles(self, postgres: LocalPostgres) -> None:
        try:
            ensure_roles(postgres.superuser_url(), {name: self.secrets[name] for name in LOGINS})
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            raise DidNotStart(
                f"{self.plan.var}/secrets.json does not fit the database beside it: put the right "
                "one back, or begin afresh with make clean-data"
            ) from error
        ensure_database(postgres.superuser_url(), DATABASE)

    def _migrate(self) -> None:
        stamp = self.plan.var / "migrated"
        if is_migrated(self.shared["DATABASE_URL"], stamp):
            return
        with step("Making the tables") as making:
            self.children.run_once(self.commands.manage("migrate", "migrate", "--no-input"), making)
        remember_migrated(stamp)

    def _start_web_and_set_up_demo(self) -> None:
        for surface in ("console", "portal", "ingest"):
            port = self.plan.port(f"{surface.upper()}_PORT")
            probe = probes.answers_http(HOST, port, "/healthz")
            self.children.start(Child(command=self.commands.web(surface), is_ready=probe))
        if not self.plan.has_demo:
            return
        if known := last_answer(self.plan):
            self.demo = known
            return
        with step("Setting up the demo") as setting_up:
            self.children.wait_until_ready(["sandbox"], setting_up, within_s=READY_WITHIN_S)
            command = self.commands.manage("demo-setup", "demo", "setup", "--json")
            self.demo = last_json(self.children.run_once(command, setting_up))
        remember_answer(self.plan, self.demo)

    def _start_mail(self) -> None:
        with step("Starting everything else") as starting:
            for child in self.gateway.children() if self.gateway is not None else ():
                self.children.start(child)
            for command, probe in (
                (self.commands.gate(), probes.says_ready),
                (self.commands.ship(), probes.lives),
                (self.commands.worker(), probes.worker_is_ready),
                (self.commands.beat(), probes.lives),
            ):
                self.children.start(Child(command=command, is_ready=probe))
            self.children.wait_until_ready(
                list(self.children.pids()), starting, within_s=READY_WITHIN_S
            )

    def _write_run_file(self) -> None:
        if not self._is_up:
            return
        plan, pids = self.plan, self.children.pids()
        parts = []
        if self.gateway is not None:
            parts = [child.name for child in self.gateway.children()]
            self.gateway.write_run_file(pids, launcher=True)
        content = {
            "console": self.shared["BAILEY_CONSOLE_URL"],
            "portal": self.shared["BAILEY_PORTAL_URL"],
            "api": self.shared["BAILEY_CONSOLE_URL"] + "/api/v1",
            "sandbox": plan.url("SANDBOX_HTTP_PORT") if plan.has_demo else None,
            "smtp": self.shared["BAILEY_GATE_LISTEN"],
            "submission": self.shared["BAILEY_SUBMISSION_AT"],
            "submissions": self.shared["BAILEY_SUBMISSIONS_AT"],
            "api_token": self.demo.get("api_token"),
            "people": self.demo.get("people", []),
            "pids": {name: pids[name] for name in (*PROCESSES, *parts) if name in pids},
            "sandbox_ca": str(plan.var / "sandbox" / "ca.pem") if plan.has_demo else None,
            "sandbox_apps": self.demo.get("sandbox_apps", {}),
        }
        write_private(plan.var / "run.json", json.dumps(content, indent=1) + "\n")

    def _greet(self) -> None:
        say("Bailey runs.")
        say(f"  console   {self.shared['BAILEY_CONSOLE_URL']}")
        say(f"  portal    {self.shared['BAILEY_PORTAL_URL']}")
        say(f"  API       {self.shared['BAILEY_CONSOLE_URL']}/api/v1/")
        say(f"  mail in   {self.shared['BAILEY_GATE_LISTEN']} (SMTP)")
        say(f"  submit    {self.shared['BAILEY_SUBMISSION_AT']} (STARTTLS),")
        say(f"            {self.shared['BAILEY_SUBMISSIONS_AT']} (TLS): what clients send")
        if not self.shared.get("BAILEY_SMTP_URL"):
            say(f"  mail out  {self.plan.var / 'outgoing'} (files: digests and notices)")
        if self.plan.has_demo:
            say(f"  sandbox   {self.plan.url('SANDBOX_HTTP_PORT')} (the clients' mailboxes)")
            say("Logins of the demo:")
            for person in self.demo.get("people", []):
                where = (
                    f"{person['role']}, {person['tenant']}"
                    if person.get("tenant")
                    else (person["role"])
                )
                say(f"  {person['email']:<28} {person['password']:<24} {where}")
        else:
            say("Make the first provider: .venv/bin/python manage.py createprovider --help")
        say(f"Logs: {self.plan.logs}. Stop with Ctrl-C.")

    def watch(self) -> None:
        """Until Stopped."""
        while True:
            self.children.tick()

    def stop(self) -> None:
        with step("Stopping"):
            parts = self.gateway.children() if self.gateway is not None else []
            waves = [[child.name] for child in reversed(parts)]
            self.children.stop([*waves, *STOP_WAVES])
            if self.gateway is not None:
                self.gateway.forget_run_file()
        for name in ("run.json", "environment.json"):
            (self.plan.var / name).unlink(missing_ok=True)


def run(environment: Mapping[str, str], var: Path) -> None:
    """All of it. Raises what the person must be told: see __main__."""
    os.umask(0o077)
    plan = read_plan(environment, var)
    open_var(var)
    with ExitStack() as held:
        held.enter_context(only_launcher(var))
        # What a killed launcher left must not be taken for this one's.
        (var / "run.json").unlink(missing_ok=True)
        check_ports(plan)
        launcher = Launcher(plan)
        if launcher.gateway is not None:
            held.enter_context(only_one(launcher.gateway.settings.folder))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: launcher.children.ask_stop())
        if environment.get("MAKELEVEL"):
            die_with_parent(signal.SIGTERM)  # killing make stops us, in order
        try:
            launcher.start()
            launcher.watch()
        except Stopped:
            say("")
        finally:
            launcher.stop()
            say("Stopped.")
