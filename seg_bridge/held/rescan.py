"""Looking again at held mail when somebody asks for it: the stored original, by today's engine.

Reading and judging happen in processes that can be killed; no scope is open meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from incidents.mail.reader import MailReader, ReaderUnavailable
from seg_bridge.engines import Engine, Envelope
from seg_bridge.engines.embedded import JUDGE
from seg_bridge.engines.isolated import IsolatedEngine
from seg_bridge.gate.decide import Decidable, decidable
from seg_bridge.gate.scanning import ScanResult, scan_with_all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Original:
    """One mail to be looked at again.  ``raw`` None: its bytes are not to be had."""

    wish_id: UUID
    raw: bytes | None
    client_ip: str
    helo: str
    mail_from: str
    recipient: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Rescan:
    """``mail`` None: nobody could look; ``why`` says so in a sentence."""

    mail: Decidable | None
    why: str = ""
    engine: str = ""
    reasons: tuple[str, ...] = field(default_factory=tuple)


def rescan(originals: Sequence[Original]) -> dict[UUID, Rescan]:
    """Wish → what its mail is found to be now.  Never raises for a mail's sake."""
    return asyncio.run(_rescan(originals)) if originals else {}


async def _rescan(originals: Sequence[Original]) -> dict[UUID, Rescan]:
    reader = MailReader(workers=1, judge=JUDGE)
    options = {"resolver": _resolver(), "authserv_id": "bailey"}
    engine = IsolatedEngine("embedded", "seg_bridge.engines.embedded:EmbeddedEngine", options)
    try:
        return {each.wish_id: await _look(each, reader, engine) for each in originals}
    finally:
        await engine.close()
        await asyncio.to_thread(reader.close)


async def _look(original: Original, reader: MailReader, engine: Engine) -> Rescan:
    if original.raw is None:
        return Rescan(None, "The original is not in the store.")
    envelope = Envelope(
        client_ip=original.client_ip,
        helo=original.helo,
        mail_from=original.mail_from,
        recipients=(original.recipient,),
        received_at=original.received_at,
    )
    try:
        facts = await asyncio.to_thread(reader.read, original.raw, envelope_from=original.mail_from)
    except ReaderUnavailable as error:
        log.warning("no reader for a new scan: %s", error)
        return Rescan(None, "No process could be had to read it.")
    result = await scan_with_all([engine], original.raw, facts, envelope)
    if result.verdict is None:
        return Rescan(None, f"The engine did not answer ({', '.join(result.why)}).")
    return Rescan(decidable(result, facts, envelope), "", result.engine, _words(result))


def _words(result: ScanResult) -> tuple[str, ...]:
    """The heaviest reasons first."""
    heavy = sorted(result.reasons, key=lambda reason: -reason.weight)
    return tuple(reason.text for reason in heavy[:5] if reason.weight > 0)


def _resolver() -> tuple[str, int] | None:
    """BAILEY_DNS as host and port; None: the host's own."""
    host, _, port = os.environ.get("BAILEY_DNS", "").rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None
