"""Stopping a sender whose account seems to be in other hands, until a person lifts the stop.

``outbound.json`` in the gate's folder holds the stops and the condemned mails that count towards
one: it is on disk before the mail that caused it is answered, and a restart changes nothing.  A
stop is told to the console through the journal; where the gate dies in between, it is told again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ulid import ULID

from seg_bridge.gate.files import replace_file
from seg_bridge.gate.journal import Journal, Record
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.outbound.usage import Usage

log = logging.getLogger(__name__)

MOST_EVIDENCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """``cause``: ``threats`` or ``limits``; ``words`` say it for a person.  ``evidence`` are ulids
    of the mails behind it, the newest last.  ``is_told``: the journal has it.
    """

    ulid: str
    tenant_id: int
    mailbox: str
    cause: str
    words: str
    at: str
    evidence: tuple[str, ...]
    is_told: bool = False

    def record(self) -> Record:
        told = asdict(self)
        del told["is_told"]
        return {"kind": "sender_stopped", "ulid": self.ulid, "stop": told}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """One mail of a mailbox that was held to be a threat."""

    tenant_id: int
    mailbox: str
    ulid: str
    at: str


class SenderWatch:
    def __init__(
        self,
        path: Path,
        *,
        journal: Journal,
        usage: Usage,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._journal = journal
        self.usage = usage
        self._now = now
        self._stops: dict[str, Stop] = {}
        self._condemned: list[Condemned] = []
        self._saving = asyncio.Lock()

    def load(self) -> None:
        """Raises ``OSError`` or ``ValueError``: a gate that does not know whom it stopped must not
        let them send.
        """
        try:
            data = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return
        try:
            for each in data["stops"]:
                stop = Stop(**{**each, "evidence": tuple(each["evidence"])})
                self._stops[stop.ulid] = stop
            self._condemned = [Condemned(**each) for each in data["condemned"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._path} cannot be read: {error!r}") from error

    def stopped(self, tenant_id: int, mailbox: str, terms: OutboundTerms) -> str | None:
        """The number of the stop that stands against this mailbox, None: it may send."""
        for stop in self._stops.values():
            if (stop.tenant_id, stop.mailbox) == (tenant_id, mailbox):
                return stop.ulid
        return next((ulid for ulid, name in terms.stopped.items() if name == mailbox), None)

    async def note_condemned(
        self, tenant_id: int, mailbox: str, ulid: str, terms: OutboundTerms
    ) -> None:
        """Stops the mailbox where this is one mail too many.  Raises ``OSError`` or
        ``JournalError``.
        """
        now, limits = self._now(), terms.limits
        mine = Condemned(tenant_id=tenant_id, mailbox=mailbox, ulid=ulid, at=now.isoformat())
        since = now - timedelta(minutes=limits.within_minutes)
        self._condemned = [
            each
            for each in self._condemned
            if (each.tenant_id, each.mailbox) != (tenant_id, mailbox)
            or datetime.fromisoformat(each.at) >= since
        ]
        self._condemned.append(mine)
        counted = [
            each.ulid
            for each in self._condemned
            if (each.tenant_id, each.mailbox) == (tenant_id, mailbox)
        ]
        if len(counted) < limits.threats:
            await self._save()
            return
        words = (
            f"{len(counted)} of its mails within {limits.within_minutes} minutes "
            "were held to be threats"
        )
        await self._stop(tenant_id, mailbox, "threats", words, counted, terms)

    async def note_refused(self, tenant_id: int, mailbox: str, terms: OutboundTerms) -> None:
        """A mail was one too many for its mailbox.  Raises as ``note_condemned`` does."""
        count = self.usage.refuse((tenant_id, mailbox))
        most = terms.limits.refusals
        if most and count >= most:
            words = f"{count} of its mails within an hour were beyond its limits"
            newest = self.usage.newest((tenant_id, mailbox), MOST_EVIDENCE)
            await self._stop(tenant_id, mailbox, "limits", words, newest, terms)

    async def lift(self, tenant_id: int, ulid: str) -> bool:
        """False: no such stop stands here.  Raises ``OSError``."""
        stop = self._stops.get(ulid)
        if stop is None or stop.tenant_id != tenant_id:
            return False
        del self._stops[ulid]
        self._forget(tenant_id, stop.mailbox)
        await self._save()
        log.info("%s may send again: stop %s is lifted", stop.mailbox, ulid)
        return True

    def forgive(self, tenant_id: int, mailbox: str) -> None:
        """The stop was another gate's; what was counted here begins anew as well."""
        self._forget(tenant_id, mailbox)

    async def tell(self) -> None:
        """Stops that are not in the journal yet.  Raises ``JournalError`` or ``OSError``."""
        for stop in [each for each in self._stops.values() if not each.is_told]:
            # no failpoint: a stop that is told twice is one stop at the other end
            await self._journal.append(stop.record())
            self._stops[stop.ulid] = replace(stop, is_told=True)
            await self._save()

    async def _stop(
        self,
        tenant_id: int,
        mailbox: str,
        cause: str,
        words: str,
        evidence: list[str],
        terms: OutboundTerms,
    ) -> None:
        if self.stopped(tenant_id, mailbox, terms) is not None:
            return
        now = self._now()
        stop = Stop(
            ulid=str(ULID.from_datetime(now)),
            tenant_id=tenant_id,
            mailbox=mailbox,
            cause=cause,
            words=words,
            at=now.isoformat(),
            evidence=tuple(evidence[-MOST_EVIDENCE:]),
        )
        self._stops[stop.ulid] = stop
        self._forget_condemned(tenant_id, mailbox)
        log.warning("%s is stopped (%s): %s", mailbox, stop.ulid, words)
        await self._save()
        await self.tell()

    def _forget(self, tenant_id: int, mailbox: str) -> None:
        self.usage.forgive((tenant_id, mailbox))
        self._forget_condemned(tenant_id, mailbox)

    def _forget_condemned(self, tenant_id: int, mailbox: str) -> None:
        self._condemned = [
            each
            for each in self._condemned
            if (each.tenant_id, each.mailbox) != (tenant_id, mailbox)
        ]

    async def _save(self) -> None:
        async with self._saving:  # two savings must not overtake each other
            await asyncio.to_thread(self._write, self._state())

    def _state(self) -> bytes:
        data: dict[str, Any] = {
            "stops": [asdict(each) for each in self._stops.values()],
            "condemned": [asdict(each) for each in self._condemned],
        }
        return json.dumps(data).encode("ascii")

    def _write(self, data: bytes) -> None:
        # no failpoint: the file is whole whenever the gate dies
        replace_file(self._path, data)
