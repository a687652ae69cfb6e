"""Submission as a part of the gate: its own listeners, or what Postfix asks; made at the gate's
start, closed at its end.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from seg_bridge.gate.conversation import FrontParts
from seg_bridge.gate.core import CoreParts
from seg_bridge.gate.journal import Journal, JournalError
from seg_bridge.gate.known import Known
from seg_bridge.gate.limits import FrontLimits
from seg_bridge.gate.milter import MilterParts
from seg_bridge.gate.outbound.core import OutboundCore
from seg_bridge.gate.outbound.dkim import Signer
from seg_bridge.gate.outbound.milter import SubmissionMilter, answering, taking_back
from seg_bridge.gate.outbound.sasl import SaslServer
from seg_bridge.gate.outbound.session import SubmissionParts, SubmissionSession
from seg_bridge.gate.outbound.submitter import Submitter
from seg_bridge.gate.outbound.usage import Usage
from seg_bridge.gate.outbound.watch import SenderWatch
from seg_bridge.gate.outbound.ways_out import WaysOut
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.release import Command, Done
from seg_bridge.gate.settings import GateSettings
from seg_bridge.gate.sockets import BACKLOG, Acceptor, open_socket

log = logging.getLogger(__name__)

TELL_EVERY_S = 15.0


class Submission:
    """``start`` … ``close``; one for each gate, in its first process."""

    def __init__(
        self,
        settings: GateSettings,
        *,
        journal: Journal,
        latest: Callable[[], PolicySnapshot | None],
        limits: FrontLimits,
        known: Known,
        commits: set[asyncio.Task[object]],
        lines: set[asyncio.Transport],
        smart_hosts: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._settings = settings
        self._latest = latest
        self._limits = limits
        self._known = known
        self._commits = commits
        self._lines = lines
        self.ways_out = WaysOut(
            settings.own_postfix,
            asks_dns=settings.own_postfix is None,
            smart_hosts=smart_hosts,
        )
        self.signer = Signer(settings.secret)
        self.watch = SenderWatch(settings.folder / "outbound.json", journal=journal, usage=Usage())
        self._servers: list[asyncio.Server | Acceptor] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where its first listener is; known after ``start``."""
        return _address(self._servers[0])

    @property
    def tls_address(self) -> tuple[str, int]:
        """Where it listens with TLS from the first byte; known after ``start``."""
        return _address(self._servers[-1])

    async def start(self, parts: CoreParts) -> None:
        """Raises ``OSError`` (also of a certificate that cannot be used) or ``ValueError``."""
        self.watch.load()
        core = OutboundCore(
            replace(parts, reinject_hop=""),
            watch=self.watch,
            signer=self.signer,
            ways_out=self.ways_out,
        )
        await self._listen(core)
        if self._settings.own_postfix is not None:
            await self._answer_postfix(core)

    async def _listen(self, core: OutboundCore) -> None:
        settings = self._settings
        tls = _context(settings.submission_tls)
        submission = SubmissionParts(
            front=FrontParts(
                hostname=settings.hostname,
                receive=core.receive,
                not_heard=core.not_heard,
                latest=self._latest,
                limits=self._limits,
                known=self._known,
                commits=self._commits,
                takes_xclient=settings.takes_xclient,
            ),
            watch=self.watch,
            ways_out=self.ways_out,
            tls=tls,
        )
        loop = asyncio.get_running_loop()
        for where, context in ((settings.submission, None), (settings.submissions, tls)):
            if where is not None:
                server = await loop.create_server(
                    lambda: SubmissionSession(submission, loop),
                    *where,
                    backlog=BACKLOG,
                    ssl=context,
                )
                self._servers.append(server)

    async def _answer_postfix(self, core: OutboundCore) -> None:
        settings = self._settings
        front = MilterParts(
            receive=answering(core.receive),
            take_back=taking_back(core.not_heard),
            latest=self._latest,
            limits=replace(self._limits, connections_per_ip=self._limits.connections),
            known=self._known,
            commits=self._commits,
            lines=self._lines,
        )

        def converse() -> SubmissionMilter:
            return SubmissionMilter(front, Submitter(self.watch, self.ways_out))

        self._servers.append(Acceptor(open_socket(settings.socket_for("submission")), converse))
        sasl = SaslServer(self._latest, self._lines)
        self._servers.append(
            await asyncio.start_unix_server(
                sasl.serve, sock=open_socket(settings.socket_for("sasl"))
            )
        )

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def run(self) -> None:
        """Tells the console of stops that it could not be told of yet; for ever."""
        while True:
            try:
                await self.watch.tell()
            except (JournalError, OSError) as error:
                log.error("a stopped sender could not be told to the console: %s", error)
            await asyncio.sleep(TELL_EVERY_S)

    async def lift(self, command: Command) -> Done:
        """The person who lifts the stop has named it by its number.  Raises ``OSError``."""
        was_here = await self.watch.lift(command.tenant_id, command.ulid)
        if not was_here:
            for mailbox in command.recipients:
                self.watch.forgive(command.tenant_id, mailbox)
        return Done(True, "lifted" if was_here else "it did not stand at this gate")


def _address(server: asyncio.Server | Acceptor) -> tuple[str, int]:
    assert isinstance(server, asyncio.Server)
    host, port = server.sockets[0].getsockname()[:2]
    return host, port


def _context(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
