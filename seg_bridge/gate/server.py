"""The gate as a whole: recovery, parts, listener, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seg_bridge.engines import Engine
from seg_bridge.engines.embedded.resolver import Resolver
from seg_bridge.gate.commands import CommandLoop, Memory
from seg_bridge.gate.conversation import FrontParts
from seg_bridge.gate.core import CoreParts, FactsReader, RelayCore, Stores
from seg_bridge.gate.desk import Desk
from seg_bridge.gate.files import make_folder
from seg_bridge.gate.hop import HopTimeouts
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.journal import Journal, JournalError
from seg_bridge.gate.known import Known
from seg_bridge.gate.lessons import Learner, make_teacher
from seg_bridge.gate.limits import FrontLimits
from seg_bridge.gate.mail_hosts import MailHosts
from seg_bridge.gate.maillog import MailLog, queue_log
from seg_bridge.gate.maps import PostfixMaps
from seg_bridge.gate.milter import MilterParts, MilterSession
from seg_bridge.gate.originals import Originals
from seg_bridge.gate.policy import join_hop
from seg_bridge.gate.postfix_notices import NoticeMilter
from seg_bridge.gate.queueing import QueueCore
from seg_bridge.gate.queues import PostfixQueue, Queue, QueueHands, QueueWatch, SpoolQueue
from seg_bridge.gate.recovery import STOPPED, Leftovers, read_leftovers
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.release import Releaser
from seg_bridge.gate.repeats import Repeats
from seg_bridge.gate.rescan import FIRST_PAUSE_S, Rescanner, Unscanned
from seg_bridge.gate.returning import Returner
from seg_bridge.gate.session import GateSession
from seg_bridge.gate.settings import GateSettings
from seg_bridge.gate.snapshots import SnapshotKeeper
from seg_bridge.gate.sockets import BACKLOG, Acceptor, open_socket
from seg_bridge.gate.spool import Spool, SpoolTimes
from seg_bridge.gate.submission import Submission

log = logging.getLogger(__name__)

FINISH_S = 20.0


class FolderTaken(Exception):
    """Another gate works in the same folder."""


class Gate:
    """``start`` … ``stop`` within one event loop.

    ``number`` 0 is the first process, which also follows the console, Postfix's log and the spool;
    the others (``herd.py``) take mail only, from the same ``listener``.
    """

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
        rescan_pause_s: float = FIRST_PAUSE_S,
        number: int = 0,
        listener: socket.socket | None = None,
        mail_hosts: MailHosts | None = None,
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._reader = reader
        self._client = client
        self._limits = limits or FrontLimits()
        self._spool_times = spool_times or SpoolTimes()
        self._rescan_pause_s = rescan_pause_s
        self._number = number
        self._listener = listener
        self._journal_folder = settings.journal_folder_of(number)
        # The herd holds the folder itself for all its processes.
        self._lock = take_folder(settings.folder if listener is None else self._journal_folder)
        self.keeper = SnapshotKeeper(
            settings.snapshot_file, gate=settings.name, secret=settings.secret
        )
        self._lookup = Resolver(settings.dns)
        self._relay = Relay(
            helo=settings.hostname,
            timeouts=timeouts,
            mail_hosts=mail_hosts or MailHosts(self._lookup, to_loopback=settings.takes_xclient),
        )
        self._known = Known(self._relay)
        self._maps = PostfixMaps(settings.postfix) if settings.postfix is not None else None
        self._commits: set[asyncio.Task[Any]] = set()
        self._submission: Submission | None = None
        self._lines: set[asyncio.Transport] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | Acceptor | None = None
        self._notices: Acceptor | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; known after ``start``."""
        # uvloop's server is not one of asyncio's.
        assert self._server is not None
        assert not isinstance(self._server, Acceptor)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def submissions_address(self) -> tuple[str, int]:
        """The same with TLS from the first byte."""
        assert self._submission is not None
        return self._submission.tls_address

    @property
    def submission_address(self) -> tuple[str, int]:
        """Where clients submit their outbound mail; known after ``start``."""
        assert self._submission is not None
        return self._submission.address

    async def start(self) -> None:
        """Listens on return.  Raises ``OSError``, ``JournalError`` or ``ValueError``."""
        leftovers = await asyncio.to_thread(read_leftovers, self._journal_folder)
        self.keeper.load()
        await self._open_books(leftovers)
        originals, unscanned = self._open_stores(leftovers)
        submission = self._submission = self._make_submission()
        spool = self._make_spool(submission)
        parts = self._core_parts(originals, spool, unscanned)
        if self._number:
            await self._listen(parts)
            self._begin(self.keeper.watch())
            return
        memory = self._recall(leftovers)
        spool.recover(leftovers.spooled, leftovers.followed_up)
        await submission.start(parts)
        await self._listen(parts)
        mail_log = self._make_mail_log()
        queue = self._queue(spool, mail_log)
        watch = QueueWatch(queue, self._client)
        commands = self._make_commands(originals, memory, submission, QueueHands(queue, watch))
        self._begin(
            spool.run(),
            commands.run(),
            commands.run_releases(),
            commands.run_lessons(),
            watch.run(),
            submission.run(),
            self._make_rescanner(unscanned).run(),
            *self._beside(mail_log),
        )

    async def _open_books(self, leftovers: Leftovers) -> None:
        """The journal, in which what an earlier process began is settled, and the repeats."""
        self._journal = Journal(self._journal_folder)
        if records := leftovers.settling_records(datetime.now(UTC)):
            await self._journal.append(*records)
        repeats = self._repeats = Repeats(self._settings.repeats_folder)
        await asyncio.to_thread(leftovers.note_unheard, repeats)
        await asyncio.to_thread(repeats.sweep)

    def _open_stores(self, leftovers: Leftovers) -> tuple[Originals, Unscanned]:
        originals = Originals(self._settings.originals_folder)
        unscanned = Unscanned(self._settings.unscanned_folder)
        if self._listener is None:
            originals.drop_unrecorded(leftovers.kept)
            unscanned.recover(leftovers.answered)
        return originals, unscanned

    def _make_spool(self, submission: Submission) -> Spool:
        settings = self._settings
        return Spool(
            settings.spool_folder,
            journal=self._journal,
            relay=self._relay,
            source=f"gate:{settings.name}",
            snapshot=lambda: self.keeper.current,
            times=self._spool_times,
            ways_out=submission.ways_out,
            returner=Returner(
                relay=self._relay,
                lookup=self._lookup,
                hostname=settings.hostname,
                latest=lambda: self.keeper.current,
            ),
        )

    def _recall(self, leftovers: Leftovers) -> Memory:
        memory = Memory(self._settings.folder / "commands.json")
        memory.load([*leftovers.commands, *leftovers.begun_commands.values()])
        memory.save()
        return memory

    def _make_rescanner(self, unscanned: Unscanned) -> Rescanner:
        return Rescanner(
            unscanned,
            source=f"gate:{self._settings.name}",
            reader=self._reader,
            engines=self._engines,
            journal=self._journal,
            first_pause_s=self._rescan_pause_s,
        )

    def _begin(self, *work: Coroutine[Any, Any, None]) -> None:
        self._tasks = [asyncio.create_task(each) for each in work]

    def _make_mail_log(self) -> MailLog | None:
        settings = self._settings
        if settings.postfix is None:
            return None
        return MailLog(
            queue_log(settings.postfix),
            state_file=settings.folder / "maillog.json",
            source=f"gate:{settings.name}",
            journal=self._journal,
        )

    def _queue(self, spool: Spool, mail_log: MailLog | None) -> Queue:
        """Where mail waits for its next hop."""
        postfix = self._settings.postfix
        if postfix is None or mail_log is None:
            return SpoolQueue(spool, lambda: self.keeper.current)
        return PostfixQueue(Desk(postfix), lambda: self.keeper.current, mail_log.queued)

    def _beside(self, mail_log: MailLog | None) -> list[Coroutine[Any, Any, None]]:
        """What Postfix is told and what its log tells."""
        postfix = self._settings.postfix
        if postfix is None or mail_log is None:
            return []
        assert self._maps is not None
        return [self._maps.run(lambda: self.keeper.current), mail_log.run()]

    async def stop(self) -> None:
        """Takes no more mail, finishes what was begun, closes the books."""
        for server in (self._server, self._notices):
            if server is not None:
                server.close()
        if self._submission is not None:
            self._submission.close()
        if self._commits:
            await asyncio.wait(self._commits, timeout=FINISH_S)
        for line in list(self._lines):
            line.abort()  # Postfix keeps its connections for as long as it likes
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._relay.close()
        if not any(not each.done() for each in self._commits):
            with contextlib.suppress(JournalError):  # then the last mails are noted once more
                await self._journal.append(STOPPED)
        await asyncio.to_thread(self._journal.close)
        os.close(self._lock)

    async def _listen(self, parts: CoreParts) -> None:
        if self._settings.milter is not None:
            self._listen_to_postfix(QueueCore(parts), self._settings.milter)
            return
        core = RelayCore(parts)
        loop = asyncio.get_running_loop()
        front = FrontParts(
            hostname=self._settings.hostname,
            receive=core.receive,
            not_heard=core.not_heard,
            latest=lambda: self.keeper.current,
            limits=self._limits,
            known=self._known,
            commits=self._commits,
            takes_xclient=self._settings.takes_xclient,
        )
        host, port = self._settings.listen
        self._server = await loop.create_server(
            lambda: GateSession(front, loop), host, port, backlog=BACKLOG
        )

    def _listen_to_postfix(self, core: QueueCore, path: Path) -> None:
        front = MilterParts(
            receive=core.receive,
            take_back=core.take_back,
            latest=lambda: self.keeper.current,
            limits=replace(self._limits, connections_per_ip=self._limits.connections),
            known=self._known,
            commits=self._commits,
            lines=self._lines,
        )
        listener = self._listener or open_socket(path)
        self._server = Acceptor(listener, lambda: MilterSession(front))
        if self._number == 0 and self._settings.own_postfix is not None:
            notices = open_socket(self._settings.socket_for("notices"))
            self._notices = Acceptor(notices, lambda: NoticeMilter(front))

    def _core_parts(self, originals: Originals, spool: Spool, unscanned: Unscanned) -> CoreParts:
        return CoreParts(
            name=self._settings.name,
            hostname=self._settings.hostname,
            reader=self._reader,
            engines=self._engines,
            stores=Stores(
                journal=self._journal,
                originals=originals,
                spool=spool,
                unscanned=unscanned,
                repeats=self._repeats,
            ),
            relay=self._relay,
            latest=lambda: self.keeper.current,
            reinject_hop=self._reinject_hop(),
        )

    def _reinject_hop(self) -> str:
        settings = self._settings
        return join_hop(*settings.reinject) if settings.milter and settings.reinject else ""

    def _make_submission(self) -> Submission:
        return Submission(
            self._settings,
            journal=self._journal,
            latest=lambda: self.keeper.current,
            limits=self._limits,
            known=self._known,
            commits=self._commits,
            lines=self._lines,
            smart_hosts=self._maps.smart_hosts if self._maps is not None else dict,
        )

    def _make_commands(
        self, originals: Originals, memory: Memory, submission: Submission, hands: QueueHands
    ) -> CommandLoop:
        releaser = Releaser(
            name=self._settings.name,
            hostname=self._settings.hostname,
            keeper=self.keeper,
            reader=self._reader,
            journal=self._journal,
            originals=originals,
            relay=self._relay,
            client=self._client,
            reinject_hop=self._reinject_hop(),
            signer=submission.signer,
            ways_out=submission.ways_out,
        )
        return CommandLoop(
            client=self._client,
            keeper=self.keeper,
            journal=self._journal,
            releaser=releaser,
            submission=submission,
            learner=Learner(make_teacher(self._settings), releaser.original),
            memory=memory,
            hands=hands,
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
