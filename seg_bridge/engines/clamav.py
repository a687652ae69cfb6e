"""ClamAV as an engine: the whole mail by INSTREAM, beside the other engines.

clamd must say ``OK`` or ``FOUND``.  An OK is not believed where the mail holds an archive bomb:
clamd passes those, because it stops unpacking at limits of its own without a word.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from incidents.mail.facts import MailFacts
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Envelope, Scan
from seg_bridge.engines.endpoints import Endpoint, NoAnswer, exchange

NAME: Final = "clamav"
TIMEOUT_S: Final = 25.0
CHUNK_BYTES: Final = 256 * 1024
_LONGEST_ANSWER: Final = 4096
# What a signature's name says it is, the first that fits; all others are malware.  Points: from 6
# a mail is condemned, from 15 it is very bad.
_BY_NAME: Final[tuple[tuple[str, Verdict, float], ...]] = (
    ("heuristics.limits.", Verdict.UNSCANNABLE, 6.0),
    ("heuristics.encrypted.", Verdict.UNSCANNABLE, 6.0),
    ("phish", Verdict.PHISH, 9.0),
    ("spam", Verdict.SPAM, 7.0),
    ("junk", Verdict.SPAM, 7.0),
    ("pua.", Verdict.SUSPICIOUS, 6.0),
)
_MALWARE_POINTS: Final = 20.0


class ClamavEngine:
    """``endpoint`` is clamd's socket."""

    name = NAME

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    async def scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """Raises ``EngineDidNotAnswer``."""
        del envelope
        try:
            version, said = await exchange(
                self._endpoint, lambda *link: _ask(raw, *link), timeout_s=self._timeout_s
            )
        except NoAnswer as error:
            raise EngineDidNotAnswer(str(error)) from error
        return read_answer(said, version, facts)


async def _ask(
    raw: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[str, str]:
    """clamd's version and what it says of the mail."""
    # Read beside writing: of a mail that it takes for too long it says so, and hangs up.
    answers = asyncio.create_task(_read(reader))
    try:
        with suppress(ConnectionError):
            writer.write(b"zIDSESSION\0zVERSION\0zINSTREAM\0")
            for start in range(0, len(raw), CHUNK_BYTES):
                part = raw[start : start + CHUNK_BYTES]
                writer.write(struct.pack(">I", len(part)) + part)
                await writer.drain()
            writer.write(struct.pack(">I", 0))
            await writer.drain()
        found = await answers
    finally:
        answers.cancel()
    return found.get("1", ""), found["2"]


async def _read(reader: asyncio.StreamReader) -> dict[str, str]:
    """Answers by the number of their question, until that of the second has come."""
    found: dict[str, str] = {}
    while "2" not in found:
        line = (await reader.readuntil(b"\0"))[:-1]
        if len(line) > _LONGEST_ANSWER:
            raise NoAnswer("its answer is too long")
        number, _, text = line.decode("utf-8", "replace").partition(": ")
        if not number.isdigit():  # an error before the session has begun
            raise NoAnswer(f"it answered {line.decode('utf-8', 'replace')[:200]}")
        found[number] = text.strip()
    return found


def read_answer(said: str, version: str, facts: MailFacts) -> Scan:
    """``said`` is like ``stream: Win.Test.EICAR_HDB-1 FOUND``.  Raises ``EngineDidNotAnswer``."""
    text = said.removeprefix("stream: ")
    if text.endswith(" FOUND"):
        return _found(text.removesuffix(" FOUND"), version)
    if text != "OK":
        raise EngineDidNotAnswer(f"it answered {said[:200] or 'nothing'}")
    bombs = tuple(_bombs(facts))
    return Scan(
        engine=NAME,
        version=_short(version),
        verdict=Verdict.UNSCANNABLE if bombs else Verdict.CLEAN,
        score=0.0,
        confidence=1.0 if bombs else 0.5,
        reasons=bombs,
    )


def _found(signature: str, version: str) -> Scan:
    name = signature.lower()
    fitting = ((verdict, points) for part, verdict, points in _BY_NAME if part in name)
    verdict, points = next(fitting, (Verdict.MALWARE, _MALWARE_POINTS))
    reason = Reason(
        "clamav_found",
        f"ClamAV recognises {signature} in the mail.",
        signature,
        points,
    )
    return Scan(
        engine=NAME,
        version=_short(version),
        verdict=verdict,
        score=points,
        confidence=0.99 if verdict is Verdict.MALWARE else 0.8,
        reasons=(reason,),
    )


def _bombs(facts: MailFacts) -> Iterator[Reason]:
    for attachment in facts.attachments:
        if "bomb" in attachment.flags:
            yield Reason(
                "clamav_not_all_scanned",
                f"The archive {attachment.name} unpacks to far more than its size, so that ClamAV "
                "cannot have looked at all of it.",
                attachment.name,
            )


def _short(version: str) -> str:
    """``1.4.6/27500`` of ``ClamAV 1.4.6/27500/Mon Nov 16 …``: program and signatures."""
    return "/".join(version.removeprefix("ClamAV ").split("/")[:2])[:40]
