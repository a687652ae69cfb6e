"""Looking again at held mail when somebody asks for it: the stored original, by today's engines.

They are those that a gate asks (``BAILEY_GATE_ENGINES`` and where they are, in the worker's
environment), and what counts is as there: an engine that does not answer leaves the mail not
scanned, unless another one finds a threat.  No scope is open meanwhile.
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
from seg_bridge.gate.decide import Decidable, decidable
from seg_bridge.gate.engines import make_engines
from seg_bridge.gate.scanning import ScanResult, scan_with_all
from seg_bridge.gate.settings import BadSetting, read_engine_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Original:
    """One mail to be looked at again.  ``raw`` None: its bytes are not to be had."""

    wish_id: UUID
    tenant_id: int
    raw: bytes | None
    client_ip: str
    helo: str
    mail_from: str
    recipient: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Rescan:
    """``mail`` None: nobody could look; ``why`` says so in a sentence.  ``is_away``: what
    was missing may be there again in a while.
    """

    mail: Decidable | None
    why: str = ""
    engine: str = ""
    reasons: tuple[str, ...] = field(default_factory=tuple)
    is_away: bool = False


def rescan(originals: Sequence[Original]) -> dict[UUID, Rescan]:
    """Wish → what its mail is found to be now.  Never raises for a mail's sake."""
    return asyncio.run(_rescan(originals)) if originals else {}


async def _rescan(originals: Sequence[Original]) -> dict[UUID, Rescan]:
    try:
        engines = make_engines(read_engine_settings(os.environ))
    except BadSetting as error:
        log.error("no new scan: %s", error)
        told = Rescan(None, "The engines' settings are wrong.", is_away=True)
        return {each.wish_id: told for each in originals}
    reader = MailReader(workers=1, judge=engines.judge)
    try:
        return {each.wish_id: await _look(each, reader, engines.asked) for each in originals}
    finally:
        await engines.close()
        await asyncio.to_thread(reader.close)


async def _look(original: Original, reader: MailReader, engines: Sequence[Engine]) -> Rescan:
    if original.raw is None:
        return Rescan(None, "The original is not in the store.")
    envelope = Envelope(
        client_ip=original.client_ip,
        helo=original.helo,
        mail_from=original.mail_from,
        recipients=(original.recipient,),
        received_at=original.received_at,
        tenant_id=original.tenant_id,
    )
    try:
        facts = await asyncio.to_thread(reader.read, original.raw, envelope_from=original.mail_from)
    except ReaderUnavailable as error:
        log.warning("no reader for a new scan: %s", error)
        return Rescan(None, "No process could be had to read it.", is_away=True)
    result = await scan_with_all(engines, original.raw, facts, envelope)
    if result.verdict is None:
        missing = ", ".join(result.missing)
        return Rescan(None, f"Not scanned: {missing} did not answer.", is_away=True)
    return Rescan(decidable(result, facts, envelope), "", result.engine, _words(result))


def _words(result: ScanResult) -> tuple[str, ...]:
    """The heaviest reasons first."""
    heavy = sorted(result.reasons, key=lambda reason: -reason.weight)
    return tuple(reason.text for reason in heavy[:5] if reason.weight > 0)
