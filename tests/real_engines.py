"""A real Rspamd with its store, a real clamd with a signature of ours, and DNS from a table.

Programs come from Debian: installed ones, or packages unpacked into a folder once per machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.gateway_parts import Part, PartPlan, PartSettings
from console.gateway_parts.clamav import ClamavPart
from console.gateway_parts.debian import find_programs, unpack
from console.gateway_parts.rspamd import RspamdPart
from console.launch.account import Account
from console.launch.ports import free_port
from console.launch.process import Process, start_ready
from seg_bridge.engines.endpoints import Endpoint
from seg_bridge.engines.names import Names
from seg_bridge.engines.rspamd import RspamdEngine
from seg_bridge.engines.rspamd.learning import Teacher
from seg_bridge.gate.policy import split_hop
from tests.seg_bridge.engines.dns import dns_server

AUTHSERV_ID = "mx1.keep.example"
PASSWORD = "the controller's"
# Rspamd compiles the whole list of the world's endings, which takes ten seconds and more.
ENDINGS = "com\nnet\norg\nexample\nuk\nco.uk\n"
EICAR_SIGNATURE = (
    "Local.Eicar.Body:0:*:58354f2150254041505b345c505a58353428505e2937434329377d24454943415"
    "22d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a\n"
)


def have(program: str, package: str) -> Path:
    """The folder where the package is unpacked if it is not installed.  Raises ``PartMissing``."""
    folder = Path(tempfile.gettempdir()) / f"bailey-{package}-{os.getuid()}"
    if find_programs(program, folder) is None:
        unpack([package], folder)
    return folder


@contextmanager
def paused(process: Process) -> Iterator[None]:
    """Takes connections and says nothing, as a server does that hangs; its children too."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


def write_and_start(plan: PartPlan) -> list[Process]:
    """The part's programs, each ready before the next one starts."""
    for folder in plan.folders:
        folder.path.mkdir(mode=folder.mode, parents=True, exist_ok=True)
        _give(folder.path, folder.owner)
    for file in plan.files:
        file.path.write_text(file.text)
        file.path.chmod(file.mode)
        _give(file.path, file.owner)
    done = subprocess.run(plan.check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return start_all(plan)


def start_all(plan: PartPlan) -> list[Process]:
    """Each ready before the next one starts; if one does not, none is left running."""
    running: list[Process] = []
    try:
        for each in plan.programs:
            running.append(start_ready(each.command, each.is_ready, within_s=60.0))
    except BaseException:
        for process in reversed(running):
            process.stop()
        raise
    return running


def _give(path: Path, owner: Account | None) -> None:
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)


@dataclass
class RealRspamd:
    """Running.  ``zone`` is what its resolver knows; names once asked for are remembered there."""

    plan: PartPlan
    dns: tuple[str, int]
    zone: dict[tuple[str, str], tuple[str, ...]]
    store: Process
    process: Process

    @property
    def scan(self) -> Endpoint:
        place = self.plan.gate["BAILEY_RSPAMD_SCAN"]
        return Path(place) if place.startswith("/") else split_hop(place)

    @property
    def learn(self) -> tuple[str, int]:
        return split_hop(self.plan.gate["BAILEY_RSPAMD_LEARN"])

    def engine(self, **options: Any) -> RspamdEngine:
        """In the running event loop."""
        return RspamdEngine(self.scan, authserv_id=AUTHSERV_ID, names=Names(self.dns), **options)

    def teacher(self) -> Teacher:
        return Teacher(self.learn, self.plan.gate["BAILEY_RSPAMD_PASSWORD"])

    def restart_store(self) -> None:
        """After a test that killed it."""
        program = self.plan.programs[0]
        self.store = start_ready(program.command, program.is_ready)


def settings_in(folder: Path, part: Part, dns: tuple[str, int] | None) -> PartSettings:
    return PartSettings(
        folder=folder,
        logs=folder / "log",
        hostname=AUTHSERV_ID,
        ports={name: free_port() for name in part.ports},
        dns=dns,
    )


@contextmanager
def run_rspamd(
    *, dns: tuple[str, int] | None = None, own: Mapping[str, str] | None = None
) -> Iterator[RealRspamd]:
    """``dns`` None: from a table, ``zone``.  ``own`` are an operator's files, like
    ``override.d/rbl.conf`` and its text.  Raises ``PartMissing``.
    """
    part = RspamdPart(have("usr/bin/rspamd", "rspamd"), is_durable=False)
    zone: dict[tuple[str, str], tuple[str, ...]] = {}
    with _folder("rspamd") as folder, ExitStack() as servers:
        write_own(folder, own or {})
        dns = dns or servers.enter_context(dns_server(zone, asked=[]))
        plan = part.plan(settings_in(folder, part, dns))
        real = RealRspamd(plan, dns, zone, *write_and_start(plan))
        try:
            yield real
        finally:
            real.process.stop()
            real.store.stop()


def write_own(folder: Path, own: Mapping[str, str]) -> None:
    """An operator's files, and a short list of endings: reading the whole one takes ten seconds."""
    endings = folder / "endings.dat"
    folder.mkdir(mode=0o755, exist_ok=True)
    endings.write_text(ENDINGS)
    local = folder / "rspamd" / "local"
    for name, text in {"local.d/options.inc": f'url_tld = "{endings}";\n', **own}.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_text(text)


@dataclass
class RealClamd:
    endpoint: tuple[str, int]
    process: Process


@contextmanager
def run_clamd() -> Iterator[RealClamd]:
    """Raises ``PartMissing``."""
    unpacked = have("usr/sbin/clamd", "clamav-daemon")
    with _folder("clamd") as folder:
        yield from _clamd_in(folder, unpacked)


def _clamd_in(folder: Path, unpacked: Path) -> Iterator[RealClamd]:
    signatures = folder / "signatures"
    signatures.mkdir()
    (signatures / "local.ndb").write_text(EICAR_SIGNATURE)
    part = ClamavPart(unpacked, signatures)
    plan = part.plan(settings_in(folder, part, None))
    (process,) = write_and_start(plan)
    try:
        yield RealClamd(split_hop(plan.gate["BAILEY_CLAMAV"]), process)
    finally:
        process.stop()


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    """Root's engines run under an account of their own, which pytest's folders keep out.  What a
    killed run leaves goes with what its other servers left (tests/services.py).
    """
    folder = Path(tempfile.gettempdir()) / f"bailey-tests-{name}-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
