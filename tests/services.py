"""The tests' own database and broker, by the launcher's code; a pytest plugin loaded first of all.

Addresses and secrets are put into the environment here, before Django reads its settings; the
servers start only when a test asks for the database or the broker (fixture `services`). Where
DATABASE_URL or REDIS_URL is set, that one is used instead.

`python -m tests.services COMMAND…` runs a command with both servers up; before it, `--no-servers`
gives it the settings only and `--durable` servers that sync to disk, as in production.
"""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from itertools import takewhile
from pathlib import Path

import pytest

from console.launch.pglocal import LocalPostgres, is_passing_trouble
from console.launch.ports import free_port, take_part
from console.launch.process import Process, start_ready
from console.launch.roles import LOGINS, OWNER, ensure_database, ensure_roles
from console.launch.valkeylocal import LocalValkey
from tests import made_database

DATABASE = "bailey"
LOGIN_URLS = {
    "DATABASE_URL": OWNER,
    "DATABASE_URL_CONSOLE": "bailey_console",
    "DATABASE_URL_PORTAL": "bailey_portal",
    "DATABASE_URL_WORKER": "bailey_worker",
}


class Services:
    """Both servers: planned at once, started when first needed, stopped and removed at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"bailey-tests-{os.getpid()}"
        self.passwords = {login: secrets.token_hex(24) for login in LOGINS}
        self.superuser_password = secrets.token_hex(24)
        self.broker_password = secrets.token_hex(24)
        self.has_own_database = _is_ours("DATABASE_URL")
        self.has_own_broker = _is_ours("REDIS_URL")
        self.has_own_files = _is_ours("BAILEY_VAR")
        self.postgres_port = free_port()
        self.broker_port = free_port()
        self.is_durable = False
        self._running: list[Process] = []

    def set_environment(self) -> None:
        ours = []
        if self.has_own_database:
            address = f"127.0.0.1:{self.postgres_port}/{DATABASE}"
            for variable, login in LOGIN_URLS.items():
                os.environ[variable] = f"postgresql://{login}:{self.passwords[login]}@{address}"
            ours.append("DATABASE_URL")
        if self.has_own_broker:
            address = f"127.0.0.1:{self.broker_port}/0"
            os.environ["REDIS_URL"] = f"redis://:{self.broker_password}@{address}"
            ours.append("REDIS_URL")
        if self.has_own_files:
            os.environ["BAILEY_VAR"] = str(self.folder / "var")
            ours.append("BAILEY_VAR")
        # Parallel test processes inherit our environment; each has servers and originals of its
        # own, for their databases give the same numbers to other clients.
        os.environ["BAILEY_TEST_SERVICES"] = " ".join(ours)
        os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
        os.environ.setdefault("BAILEY_MASTER_KEY", secrets.token_hex(32))

    def start(self, *, is_migrated: bool = False) -> None:
        """With ``is_migrated``, a server of ours has ``test_bailey`` with all tables."""
        _remove_leftovers(self.folder)
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self.has_own_database:
            self._start_postgres(is_migrated)
        if self.has_own_broker:
            self._start_broker()

    def _start_postgres(self, is_migrated: bool) -> None:
        made = made_database.made_database() if is_migrated else None
        postgres = LocalPostgres(
            self.folder / "postgres",
            port=self.postgres_port,
            password=made.password if made else self.superuser_password,
            log=self.folder / "postgres.log",
            is_durable=self.is_durable,
        )
        if made:
            made_database.copy_data(made, postgres)
        postgres.prepare()
        self._running.append(
            start_ready(postgres.command(), postgres.is_ready, try_again=is_passing_trouble)
        )
        ensure_roles(postgres.superuser_url(), self.passwords)
        ensure_database(postgres.superuser_url(), DATABASE)

    def _start_broker(self) -> None:
        broker = LocalValkey(
            self.folder / "valkey",
            port=self.broker_port,
            password=self.broker_password,
            log=self.folder / "valkey.log",
            is_durable=self.is_durable,
        )
        broker.prepare()
        self._running.append(start_ready(broker.command(), lambda _: broker.is_ready()))

    def stop(self) -> None:
        for process in reversed(self._running):
            process.stop()
        self._running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_leftovers(own: Path) -> None:
    """What runs left that were killed before they could tidy up; their servers died with them."""
    for folder in own.parent.glob("bailey-tests-*"):
        if folder == own or not _is_running(folder.name.rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _is_ours(variable: str) -> bool:
    return variable not in os.environ or variable in os.environ.get("BAILEY_TEST_SERVICES", "")


def _keep_compiled_modules() -> None:
    """For the tests and for every process that they start, of which there are hundreds: compiling
    all modules takes twice as long as everything else that a process does at its start.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _take_ports() -> None:
    """Each process of pytest-xdist (gw0, gw1, …) looks for free ports in a part of its own."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number:
        take_part(int(number), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


_take_ports()
SERVICES = Services()
SERVICES.set_environment()
_keep_compiled_modules()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Eight thousand tests and all modules are made now, and none of it is garbage: looking
    through it again and again would take as long as making it.
    """
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    # Looked through more rarely than usual: a test makes much that lives until its end.
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def _left_out(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr
    return str(reason[2]) if isinstance(reason, tuple) else str(reason)


def _refuse_left_out(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With BAILEY_REQUIRE_ALL=1 a test that is left out fails the run, with its reason."""
    if os.environ.get("BAILEY_REQUIRE_ALL") != "1" or not report.skipped:
        return
    if hasattr(report, "wasxfail"):
        return
    words = f"{report.nodeid} was left out, and BAILEY_REQUIRE_ALL=1 allows none: "
    report.longrepr = words + _left_out(report)
    report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    _refuse_left_out(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _refuse_left_out(report)
    return report


def main(argv: list[str]) -> int:
    options = list(takewhile(lambda word: word.startswith("--"), argv))
    SERVICES.is_durable = "--durable" in options
    try:
        if "--no-servers" not in options:
            SERVICES.start()
        return _run(argv[len(options) :])
    finally:
        SERVICES.stop()


def _run(argv: list[str]) -> int:
    """To its end: a TERM is passed on, and a Ctrl-C the terminal gives to both of us."""
    command = subprocess.Popen(argv)
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    signal.signal(signal.SIGINT, lambda *_: None)
    return command.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
