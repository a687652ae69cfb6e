"""A real Rspamd with its store, a real clamd with a signature of ours, and DNS from a table.

Programs come from Debian: installed ones, or packages unpacked into a folder once per machine.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.launch.parts import Part, clamav, rspamd
from console.launch.parts.debian import Programs, find_programs, unpack
from console.launch.ports import free_port
from console.launch.process import Process, start_ready
from seg_bridge.engines.names import Names
from seg_bridge.engines.rspamd import RspamdEngine
from seg_bridge.engines.rspamd.learning import Teacher
from tests.seg_bridge.engines.dns import dns_server

AUTHSERV_ID = "mx1.keep.example"
PASSWORD = "the controller's"
# Rspamd compiles the whole list of the world's endings, which takes ten seconds and more.
ENDINGS = "com\nnet\norg\nexample\nuk\nco.uk\n"
EICAR_SIGNATURE = (
    "Local.Eicar.Body:0:*:58354f2150254041505b345c505a58353428505e2937434329377d24454943415"
    "22d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a\n"
)


def programs_of(program: str, package: str) -> Programs:
    """Raises ``PartMissing``."""
    folder = Path(tempfile.gettempdir()) / f"bailey-{package}-{os.getuid()}"
    return find_programs(program, folder) or unpack([package], folder)


@contextmanager
def paused(process: Process) -> Iterator[None]:
    """Takes connections and says nothing, as a server does that hangs; its children too."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


@dataclass
class RealRspamd:
    """Running.  ``zone`` is what its resolver knows; names once asked for are remembered there."""

    settings: rspamd.RspamdSettings
    zone: dict[tuple[str, str], tuple[str, ...]]
    processes: dict[str, Process] = field(default_factory=dict)

    def engine(self, **options: float) -> RspamdEngine:
        """In the running event loop."""
        return RspamdEngine(
            ("127.0.0.1", self.settings.scan_port),
            authserv_id=AUTHSERV_ID,
            names=Names(self.settings.dns),
            **options,
        )

    def teacher(self) -> Teacher:
        return Teacher(("127.0.0.1", self.settings.learn_port), PASSWORD)

    def restart_store(self) -> None:
        """After a test that killed it."""
        store = rspamd.plan(self.settings)[0]
        self.processes["rspamd-store"].stop()
        self.processes["rspamd-store"] = start_ready(store.command, store.is_ready)


@contextmanager
def run_rspamd(folder: Path) -> Iterator[RealRspamd]:
    """Raises ``PartMissing``."""
    programs = programs_of("usr/bin/rspamd", "rspamd")
    _open(folder)
    endings = folder / "endings.dat"
    endings.write_text(ENDINGS)
    endings.chmod(0o644)
    zone: dict[tuple[str, str], tuple[str, ...]] = {}
    with ExitStack() as stack:
        dns = stack.enter_context(dns_server(zone, asked=[]))
        settings = rspamd.RspamdSettings(
            programs=programs,
            folder=folder / "rspamd",
            logs=folder / "log",
            scan_port=free_port(),
            learn_port=free_port(),
            fuzzy_port=free_port(),
            store_port=free_port(),
            password=PASSWORD,
            store_password="store",
            dns=dns,
            is_durable=False,
        )
        real = RealRspamd(settings, zone)
        store, scanner = rspamd.plan(settings)
        for part in (store, _with_few_endings(scanner, settings.folder / "conf", endings)):
            part.prepare()
            process = start_ready(part.command, part.is_ready, within_s=part.ready_within_s)
            real.processes[part.name] = process
            stack.callback(lambda name=part.name: real.processes[name].stop())
        yield real


def _with_few_endings(part: Part, conf: Path, endings: Path) -> Part:
    own = {conf / "local.d" / "options.inc": f'url_tld = "{endings}";\n'}
    return replace(part, files={**part.files, **own})


@dataclass
class RealClamd:
    endpoint: tuple[str, int]
    process: Process


@contextmanager
def run_clamd(folder: Path) -> Iterator[RealClamd]:
    """Raises ``PartMissing``."""
    programs = programs_of("usr/sbin/clamd", "clamav-daemon")
    _open(folder)
    signatures = folder / "signatures"
    signatures.mkdir(mode=0o755)
    (signatures / "local.ndb").write_text(EICAR_SIGNATURE)
    (signatures / "local.ndb").chmod(0o644)
    settings = clamav.ClamavSettings(
        programs=programs,
        folder=folder / "clamav",
        logs=folder / "log",
        port=free_port(),
        signatures=signatures,
    )
    (part,) = clamav.plan(settings)
    part.prepare()
    process = start_ready(part.command, part.is_ready, within_s=30.0)
    try:
        yield RealClamd(("127.0.0.1", settings.port), process)
    finally:
        process.stop()


def _open(folder: Path) -> None:
    """Root's engines run under an account of their own, which must get here."""
    folder.chmod(0o755)
    above = folder.parent
    while above.stat().st_uid == os.getuid() and above != Path(tempfile.gettempdir()):
        above.chmod(above.stat().st_mode | 0o011)
        above = above.parent
