"""Mail that was let through unscanned is scanned when the engines answer again.

``Unscanned``  the mails that wait for it: bytes, envelope and copies, on disk before the 250
``Rescanner``  asks the engines about them, one after the other; what they say goes into the
               journal as a second observation of each copy

A mail waits under ``.eml`` until its outcome is on record, then under ``.stored``.  How many wait,
and for how long, is bounded; who is left out is in the log, and stays *not scanned* on record.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ulid import ULID

from incidents.mail.facts import MailFacts
from incidents.observations import Observation
from incidents.words import LET_THROUGH, Layer
from seg_bridge.engines import Engine, Envelope
from seg_bridge.gate.files import make_folder, sync_folder, write_synced
from seg_bridge.gate.journal import Journal, JournalError
from seg_bridge.gate.records import (
    MAX_MESSAGE_ID_CHARS,
    SeenMail,
    facts_told,
    observation_record,
)
from seg_bridge.gate.scanning import ENGINE_TIMEOUT_S, ScanResult, scan_with_all

log = logging.getLogger(__name__)

MOST_WAITING = 2000
MOST_BYTES = 2 * 2**30
LONGEST_WAIT_S = 3 * 24 * 3600.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 900.0
# After so many mails in a row without an answer the engines are away, not the mails odd.
ENOUGH_FAILED = 3


class FactsReader(Protocol):
    """What is needed of ``incidents.mail.reader.MailReader``."""

    async def read_async(self, raw: bytes, *, envelope_from: str = "") -> MailFacts: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """``copies``: client's id, recipient, the score from which her policy acts."""

    ulid: str
    envelope: Envelope
    copies: tuple[tuple[int, str, float], ...]
    raw: bytes


def is_to_be_scanned(mail: SeenMail) -> bool:
    """Did a copy go on although an engine was missing?"""
    went_on = any(copy.outcome in LET_THROUGH or copy.is_spooled for copy in mail.copies)
    return bool(mail.result.missing) and went_on


class Unscanned:
    def __init__(
        self, folder: Path, *, most: int = MOST_WAITING, most_bytes: int = MOST_BYTES
    ) -> None:
        self._folder = folder
        self._most = most
        self._most_bytes = most_bytes
        make_folder(folder)

    def put(self, mail: SeenMail) -> bool:
        """Durable on return; False: too many wait already.  Raises ``OSError``."""
        sizes = [path.stat().st_size for path in self._folder.glob("*.*")]
        if len(sizes) >= self._most or sum(sizes) + len(mail.raw) > self._most_bytes:
            log.error("%s stays unscanned: %d mails wait for a scan", mail.ulid, len(sizes))
            return False
        envelope = asdict(mail.envelope)
        envelope["received_at"] = mail.envelope.received_at.isoformat()
        copies = [
            (copy.route.tenant.tenant_id, copy.route.address, copy.route.treatment.act_from)
            for copy in mail.copies
            if copy.outcome in LET_THROUGH or copy.is_spooled
        ]
        head = json.dumps({"envelope": envelope, "copies": copies}).encode("ascii")
        # no failpoint: as for originals, what is not on record is removed by ``recover``
        write_synced(self._path(mail.ulid, ".eml"), head + b"\n" + mail.raw)
        sync_folder(self._folder)
        return True

    def discard(self, ulid: str) -> None:
        """The mail was not answered for."""
        self._path(ulid, ".eml").unlink(missing_ok=True)

    def activate(self, ulid: str) -> None:
        """Its outcome is on record.  Repeats do nothing."""
        path = self._path(ulid, ".eml")
        if path.exists():
            # no failpoint: core.after_done stands before it, and ``recover`` does the same
            path.rename(path.with_suffix(".stored"))

    def recover(self, answered: Collection[str]) -> None:
        """Before the first mail of a gate of one process: activates what is on record, removes what
        its sender has kept.
        """
        for path in self._folder.glob("*.eml"):
            if path.stem in answered:
                self.activate(path.stem)
            else:
                self.discard(path.stem)

    def oldest_first(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.stored"))

    def read(self, ulid: str) -> Waiting | None:
        """None: no longer here, or not readable; then it is removed."""
        path = self._path(ulid, ".stored")
        try:
            head, _, raw = path.read_bytes().partition(b"\n")
            data = json.loads(head)
            told = dict(data["envelope"])
            told["recipients"] = tuple(told["recipients"])
            told["received_at"] = datetime.fromisoformat(told["received_at"])
            copies = tuple((int(a), str(b), float(c)) for a, b, c in data["copies"])
            return Waiting(ulid, Envelope(**told), copies, raw)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            log.exception("%s cannot be read and is not scanned", path)
            path.unlink(missing_ok=True)
            return None

    def remove(self, ulid: str) -> None:
        self._path(ulid, ".stored").unlink(missing_ok=True)

    def drop_older(self, before_s: float) -> int:
        """What came before this time (Unix seconds), settled or not; returns how many."""
        old = [path for path in self._folder.glob("*.*") if path.stat().st_mtime < before_s]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, ulid: str, suffix: str) -> Path:
        return self._folder / f"{ULID.from_str(ulid)}{suffix}"


class Rescanner:
    def __init__(
        self,
        unscanned: Unscanned,
        *,
        source: str,
        reader: FactsReader,
        engines: Sequence[Engine],
        journal: Journal,
        engine_timeout_s: float = ENGINE_TIMEOUT_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._unscanned = unscanned
        self._source = source
        self._reader = reader
        self._engines = engines
        self._journal = journal
        self._engine_timeout_s = engine_timeout_s
        self._first_pause_s = first_pause_s
        self._tries: dict[str, int] = {}

    async def run(self) -> None:
        """For ever.  While an engine is away it is asked about a few mails, ever more seldom."""
        pause_s = self._first_pause_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                is_well = await self.round()
            except Exception:  # a bug here must not end the mail flow beside it
                log.exception("scanning after delivery failed")
                is_well = False
            pause_s = self._first_pause_s if is_well else min(LONGEST_PAUSE_S, pause_s * 2)

    async def round(self) -> bool:
        """Scan what waits, what failed most often last; False: something is left.

        Raises what the reader raises.
        """
        dropped = await asyncio.to_thread(self._unscanned.drop_older, time.time() - LONGEST_WAIT_S)
        if dropped:
            log.error("%d mails stay unscanned: no engine answered for days", dropped)
        ulids = await asyncio.to_thread(self._unscanned.oldest_first)
        tries = self._tries = {ulid: self._tries.get(ulid, 0) for ulid in ulids}
        failed, in_a_row = 0, 0
        for ulid in sorted(ulids, key=lambda ulid: (tries[ulid], ulid)):
            waiting = await asyncio.to_thread(self._unscanned.read, ulid)
            if waiting is None or await self._scan(waiting):
                in_a_row = 0
                continue
            tries[ulid] += 1
            failed, in_a_row = failed + 1, in_a_row + 1
            if in_a_row == ENOUGH_FAILED:
                break
        return not failed

    async def _scan(self, mail: Waiting) -> bool:
        facts = await self._reader.read_async(mail.raw, envelope_from=mail.envelope.mail_from)
        result = await scan_with_all(
            self._engines, mail.raw, facts, mail.envelope, timeout_s=self._engine_timeout_s
        )
        if result.missing:
            return False
        told = [self._observe(mail, copy, facts, result) for copy in mail.copies]
        try:
            await self._journal.append(observation_record("rescan", told))
        except JournalError as error:
            log.warning("a scan after delivery is not on record: %s", error)
            return False
        # A death here repeats the scan; the second word of the gate supersedes the first.
        await asyncio.to_thread(self._unscanned.remove, mail.ulid)
        log.info("%s scanned after delivery: %s", mail.ulid, result.verdict)
        return True

    def _observe(
        self,
        mail: Waiting,
        copy: tuple[int, str, float],
        facts: MailFacts,
        result: ScanResult,
    ) -> Observation:
        tenant_id, recipient, act_from = copy
        return Observation(
            tenant_id=tenant_id,
            layer=Layer.GATEWAY,
            source=self._source,
            source_key=f"{mail.ulid}/{recipient}",
            observed_at=datetime.now(UTC),
            recipient=recipient,
            internet_message_id=facts.internet_message_id[:MAX_MESSAGE_ID_CHARS],
            fingerprint=facts.fingerprint,
            trace_ulid=mail.ulid,
            verdict=result.verdict,
            score=result.score,
            score_limit=act_from,
            confidence=result.confidence,
            reasons=result.reasons,
            engine=result.engine,
            engine_version=result.version,
            rule="scanned after delivery, when the engines answered again",
            mail=facts_told(facts, result),
            detail=_detail(result),
        )


def _detail(result: ScanResult) -> dict[str, Any]:
    return {
        "is_rescan": True,
        "engines": [
            {
                "engine": scan.engine,
                "version": scan.version,
                "verdict": str(scan.verdict),
                "score": scan.score,
                "confidence": scan.confidence,
            }
            for scan in result.scans
        ],
    }
