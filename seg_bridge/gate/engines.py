"""The engines that the settings name, ready to be asked, and what the mail's reader is to judge."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from seg_bridge.engines import Engine, EngineDidNotAnswer
from seg_bridge.engines.clamav import ClamavEngine
from seg_bridge.engines.embedded import JUDGE
from seg_bridge.engines.isolated import IsolatedEngine
from seg_bridge.engines.names import Names
from seg_bridge.engines.rspamd import RspamdEngine
from seg_bridge.gate.settings import EngineSettings, GateSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engines:
    """``judge`` is what the reading process calls for them, "" for nothing."""

    asked: Sequence[Engine]
    judge: str
    isolated: IsolatedEngine | None
    names: Names | None

    async def start(self) -> None:
        """So that the first mail need not wait.  One that does not start is asked again with each
        mail: until it answers the policy says what becomes of mail.
        """
        if self.isolated is not None:
            with contextlib.suppress(EngineDidNotAnswer):
                await self.isolated.start()

    async def close(self) -> None:
        if self.isolated is not None:
            await self.isolated.close()
        if self.names is not None:
            await asyncio.to_thread(self.names.close)


def make_engines(settings: EngineSettings | GateSettings) -> Engines:
    """In the order of ``settings.engines``: of several that looked at it, the first one's SPF, DKIM
    and DMARC are told.
    """
    asked: list[Engine] = []
    isolated: IsolatedEngine | None = None
    names: Names | None = None
    for name in settings.engines:
        match name:
            case "embedded":
                options = {"resolver": settings.dns, "authserv_id": settings.hostname}
                factory = "seg_bridge.engines.embedded:EmbeddedEngine"
                isolated = IsolatedEngine("embedded", factory, options)
                asked.append(isolated)
            case "rspamd":
                names = Names(settings.dns)
                asked.append(
                    RspamdEngine(settings.rspamd, authserv_id=settings.hostname, names=names)
                )
            case "clamav":
                asked.append(ClamavEngine(settings.clamav))
    return Engines(asked, JUDGE if isolated is not None else "", isolated, names)
