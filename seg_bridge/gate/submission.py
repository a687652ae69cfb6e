"""The submission listener as a part of the gate: made at its start, closed at its end."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seg_bridge.gate.core import CoreParts
from seg_bridge.gate.journal import Journal, JournalError
from seg_bridge.gate.known import Known
from seg_bridge.gate.limits import FrontLimits
from seg_bridge.gate.outbound.core import OutboundCore
from seg_bridge.gate.outbound.dkim import Signer
from seg_bridge.gate.outbound.session import SubmissionParts, SubmissionSession
from seg_bridge.gate.outbound.usage import Usage
from seg_bridge.gate.outbound.watch import SenderWatch
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.release import Command, Done
from seg_bridge.gate.session import FrontParts
from seg_bridge.gate.settings import GateSettings

log = logging.getLogger(__name__)

TELL_EVERY_S = 15.0
_BACKLOG = 512


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
    ) -> None:
        self._settings = settings
        self._latest = latest
        self._limits = limits
        self._known = known
        self._commits = commits
        self.signer = Signer(settings.secret)
        self.watch = SenderWatch(settings.folder / "outbound.json", journal=journal, usage=Usage())
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; known after ``start``."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def start(self, parts: CoreParts) -> None:
        """Raises ``OSError`` (also of a certificate that cannot be used) or ``ValueError``."""
        self.watch.load()
        if self._settings.submission is None:
            return
        loop = asyncio.get_running_loop()
        core = OutboundCore(replace(parts, reinject_hop=""), watch=self.watch, signer=self.signer)
        submission = SubmissionParts(
            front=FrontParts(
                hostname=self._settings.hostname,
                receive=core.receive,
                not_heard=core.not_heard,
                latest=self._latest,
                limits=self._limits,
                known=self._known,
                commits=self._commits,
                takes_xclient=self._settings.takes_xclient,
            ),
            watch=self.watch,
            tls=_context(self._settings.submission_tls),
        )
        host, port = self._settings.submission
        self._server = await loop.create_server(
            lambda: SubmissionSession(submission, loop), host, port, backlog=_BACKLOG
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

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


def _context(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
