"""The gate as a whole: recovery, parts, listener, and an orderly end."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from seg_bridge.engines import Engine
from seg_bridge.gate.commands import CommandLoop, Memory
from seg_bridge.gate.core import Core, FactsReader, Stores
from seg_bridge.gate.files import make_folder
from seg_bridge.gate.hop import HopTimeouts
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.journal import Journal
from seg_bridge.gate.limits import FrontLimits
from seg_bridge.gate.originals import Originals
from seg_bridge.gate.recovery import read_leftovers
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.release import Releaser
from seg_bridge.gate.session import FrontParts, GateSession
from seg_bridge.gate.settings import GateSettings
from seg_bridge.gate.snapshots import SnapshotKeeper
from seg_bridge.gate.spool import Spool, SpoolTimes

log = logging.getLogger(__name__)

FINISH_S = 20.0


class FolderTaken(Exception):
    """Another gate works in the same folder."""


class Gate:
    """``start`` … ``stop`` within one event loop."""

    def __init__(
        self,
        settings: GateSettings,
        *,
        engines: Sequence[Engine],
        reader: FactsReader,
        client: IngestClient,
        limits: FrontLimits | None = None,
        timeouts: HopTimeouts | None = None,
        spool_times: SpoolTimes | None = None,
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._reader = reader
        self._client = client
        self._limits = limits or FrontLimits()
        self._spool_times = spool_times or SpoolTimes()
        self._lock = take_folder(settings.folder)
        self.keeper = SnapshotKeeper(
            settings.snapshot_file, gate=settings.name, secret=settings.secret
        )
        self._relay = Relay(helo=settings.hostname, timeouts=timeouts)
        self._commits: set[asyncio.Task[str]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; known after ``start``."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Listens on return.  Raises ``OSError`` or ``JournalError``."""
        settings = self._settings
        leftovers = await asyncio.to_thread(read_leftovers, settings.journal_folder)
        memory = Memory(settings.folder / "commands.json")
        memory.load([*leftovers.commands, *leftovers.begun_commands.values()])
        self.keeper.load()
        self._journal = Journal(settings.journal_folder)
        if records := leftovers.settling_records(datetime.now(UTC)):
            await self._journal.append(*records)
        memory.save()
        originals = Originals(settings.originals_folder)
        originals.drop_unrecorded(leftovers.kept)
        spool = Spool(
            settings.spool_folder,
            journal=self._journal,
            relay=self._relay,
            source=f"gate:{settings.name}",
            snapshot=lambda: self.keeper.current,
            times=self._spool_times,
        )
        spool.recover(leftovers.spooled)
        core = self._make_core(originals, spool)
        await self._listen(core)
        self._tasks = [
            asyncio.create_task(spool.run(), name="spool"),
            asyncio.create_task(self._make_commands(originals, memory).run(), name="commands"),
        ]

    async def stop(self) -> None:
        """Takes no more mail, finishes what was begun, closes the books."""
        if self._server is not None:
            self._server.close()
        if self._commits:
            await asyncio.wait(self._commits, timeout=FINISH_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._relay.close()
        await asyncio.to_thread(self._journal.close)
        os.close(self._lock)

    async def _listen(self, core: Core) -> None:
        loop = asyncio.get_running_loop()
        parts = FrontParts(
            hostname=self._settings.hostname,
            receive=core.receive,
            latest=lambda: self.keeper.current,
            limits=self._limits,
            commits=self._commits,
            takes_xclient=self._settings.takes_xclient,
        )
        host, port = self._settings.listen
        self._server = await loop.create_server(
            lambda: GateSession(parts, loop), host, port, backlog=512
        )

    def _make_core(self, originals: Originals, spool: Spool) -> Core:
        return Core(
            name=self._settings.name,
            hostname=self._settings.hostname,
            reader=self._reader,
            engines=self._engines,
            stores=Stores(journal=self._journal, originals=originals, spool=spool),
            relay=self._relay,
            latest=lambda: self.keeper.current,
        )

    def _make_commands(self, originals: Originals, memory: Memory) -> CommandLoop:
        releaser = Releaser(
            name=self._settings.name,
            hostname=self._settings.hostname,
            keeper=self.keeper,
            reader=self._reader,
            journal=self._journal,
            originals=originals,
            relay=self._relay,
            client=self._client,
        )
        return CommandLoop(
            client=self._client,
            keeper=self.keeper,
            journal=self._journal,
            releaser=releaser,
            memory=memory,
        )


def take_folder(folder: Path) -> int:
    """Locks the folder for this process.  Raises ``FolderTaken`` or ``OSError``."""
    make_folder(folder)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FolderTaken(f"another gate works in {folder}") from None
    return lock
