"""What became of mail in Postfix's queue, read from its log and written to the journal.

The log names the queue's mail by our trace (``maillog_lines.Traced``), so it can be read alone.
Where it was read to, and which mail is still in the queue, is in ``maillog.json``, written after
the journal.  Whatever the gate dies between, lines are read again and give the same observations:
their time is the log's, so intake knows them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from incidents.observations import Observation
from incidents.words import Direction, Layer, Outcome, Place
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.files import replace_file
from seg_bridge.gate.journal import Journal, JournalError
from seg_bridge.gate.maillog_lines import (
    Attempted,
    Expired,
    Removed,
    State,
    Traced,
    is_of_interest,
    read_line,
)
from seg_bridge.gate.policy import normalise_address
from seg_bridge.gate.records import observation_record

log = logging.getLogger(__name__)

POLL_S = 0.5
# What Postfix writes within it shares one look, and one fsync of the journal.
GATHER_S = 0.1
READ_BYTES = 1024 * 1024
RETRY_S = 5.0
MAX_OPEN = 200_000
_OUTCOME: dict[State, tuple[Outcome, Place | None, str]] = {
    "sent": (Outcome.DELIVERED, None, "taken by the next hop"),
    "deferred": (
        Outcome.DEFERRED,
        Place.NOWHERE,
        "the next hop did not take it yet, Postfix goes on trying",
    ),
    "bounced": (
        Outcome.REJECTED,
        Place.NOWHERE,
        "the next hop refused it after it was queued, its sender gets a notice",
    ),
}
_GAVE_UP = "the next hop did not take it in time, its sender gets a notice"
_TAKEN_OUT = "taken out of the queue by hand"


@dataclass(slots=True)
class Queued:
    """A mail in the queue.  ``states``: recipient → the last state and status code told of;
    ``told``: how many observations, so that no two have the same time.
    """

    tenant_id: int
    ulid: str
    states: dict[str, str] = field(default_factory=dict)
    told: int = 0
    is_outbound: bool = False


@dataclass(slots=True)
class Progress:
    """``inode`` 0: nothing was read yet."""

    inode: int = 0
    offset: int = 0
    queued: dict[str, Queued] = field(default_factory=dict)

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode("ascii")

    @classmethod
    def load(cls, path: Path) -> Progress:
        """Where it can't be read the log is read from its start: intake knows the repeats."""
        try:
            data = json.loads(path.read_bytes())
            queued = {name: Queued(**each) for name, each in data["queued"].items()}
            return cls(int(data["inode"]), int(data["offset"]), queued)
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError):
            log.exception("%s cannot be read and is begun anew", path)
            return cls()


class LogTail:
    """Whole lines of a log that grows and is rotated by renaming.  Moves ``progress`` on."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._file: BinaryIO | None = None
        # Read in a thread, which goes on when whoever waits for it is cancelled.
        self._turn = threading.Lock()
        self._is_over = False

    def read(self) -> list[bytes]:
        """What is new, at most about ``READ_BYTES``; nothing after ``end``.  Raises ``OSError``."""
        with self._turn:
            return [] if self._is_over else self._read()

    def end(self) -> None:
        with self._turn:
            self._is_over = True
            self.close()

    def _read(self) -> list[bytes]:
        if self._file is None and not self._open():
            return []
        lines = self._read_lines()
        if not lines and self._is_rotated():
            lines = self._read_lines()  # what was written until it was renamed
            if not lines:
                self.close()
        return lines

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> bool:
        path = self._next_file()
        if path is None:
            return False
        self._file = path.open("rb")
        found = os.fstat(self._file.fileno())
        progress = self._progress
        if found.st_ino != progress.inode or found.st_size < progress.offset:
            progress.inode, progress.offset = found.st_ino, 0
        return True

    def _next_file(self) -> Path | None:
        """The one we are in, or the oldest that is younger; None: there is no log yet."""
        files = sorted(
            (each for each in self._path.parent.glob(f"{self._path.name}*") if _is_plain(each)),
            key=lambda each: (each == self._path, each.stat().st_mtime_ns, each.name),
        )
        if not files or self._progress.inode == 0:
            return files[0] if files else None
        ours = [n for n, each in enumerate(files) if each.stat().st_ino == self._progress.inode]
        if not ours:
            log.warning("%s was rotated away unread", self._path.name)
            return files[-1]
        here = files[ours[0]]
        is_read = here.stat().st_size <= self._progress.offset and here != self._path
        return files[ours[0] + 1] if is_read and ours[0] + 1 < len(files) else here

    def _read_lines(self) -> list[bytes]:
        assert self._file is not None
        progress = self._progress
        if os.fstat(self._file.fileno()).st_size < progress.offset:
            progress.offset = 0  # emptied in its place
        self._file.seek(progress.offset)
        data = self._file.read(READ_BYTES)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == READ_BYTES:
            end = len(data)  # no line is so long
        progress.offset += end
        return data[:end].splitlines()

    def _is_rotated(self) -> bool:
        try:
            return self._path.stat().st_ino != self._progress.inode
        except FileNotFoundError:
            return False


def _is_plain(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".gz", ".xz", ".bz2", ".zst")


class MailLog:
    def __init__(self, path: Path, *, state_file: Path, source: str, journal: Journal) -> None:
        self._state_file = state_file
        self._source = source
        self._journal = journal
        self._progress = Progress.load(state_file)
        self._tail = LogTail(path, self._progress)
        self._save_at_s = 0.0

    def queued(self, queue_id: str) -> Queued | None:
        """None: the log has not named this mail."""
        return self._progress.queued.get(queue_id)

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                try:
                    has_read = await self.step()
                    await asyncio.sleep(GATHER_S if has_read else POLL_S)
                except (OSError, JournalError) as error:
                    log.error("the mail log waits: %s", error)
                    await asyncio.sleep(RETRY_S)
                    self._begin_again()
        finally:
            self._tail.end()

    async def step(self) -> bool:
        """False: there was nothing new.  Raises ``OSError`` or ``JournalError``."""
        lines = await asyncio.to_thread(self._tail.read)
        if not lines:
            return False
        observations = list(self._observe(lines))
        if observations:
            await self._journal.append(observation_record("followed_up", observations))
        failpoint("maillog.after_journal")
        if time.monotonic() >= self._save_at_s:
            await self._save()
        return True

    async def _save(self) -> None:
        """A long queue makes a long file: it is written in a twentieth of the time at most."""
        started_s = time.monotonic()
        data = await asyncio.to_thread(self._progress.encode)
        await asyncio.to_thread(replace_file, self._state_file, data)
        failpoint("maillog.after_state")
        now_s = time.monotonic()
        self._save_at_s = now_s + 20 * (now_s - started_s)

    def _begin_again(self) -> None:
        """From what is on disk: the last lines may not be in the journal."""
        saved = Progress.load(self._state_file)
        progress = self._progress
        progress.inode, progress.offset = saved.inode, saved.offset
        progress.queued = saved.queued
        self._tail.close()

    def _observe(self, lines: Iterable[bytes]) -> Iterator[Observation]:
        now = datetime.now(UTC)
        for line in lines:
            if not is_of_interest(line):
                continue
            event = read_line(line.decode("utf-8", "replace"), now)
            match event:
                case Traced():
                    self._note(event)
                case Attempted() if event.queue_id in self._progress.queued:
                    yield from self._attempted(self._progress.queued[event.queue_id], event)
                case Expired() if event.queue_id in self._progress.queued:
                    yield from self._give_up(event.queue_id, event.at, _GAVE_UP)
                case Removed():
                    if event.by_hand:
                        yield from self._give_up(event.queue_id, event.at, _TAKEN_OUT)
                    self._progress.queued.pop(event.queue_id, None)

    def _note(self, event: Traced) -> None:
        queued = self._progress.queued
        queued[event.queue_id] = Queued(event.tenant_id, event.ulid, is_outbound=event.is_outbound)
        while len(queued) > MAX_OPEN:
            del queued[next(iter(queued))]

    def _attempted(self, mail: Queued, event: Attempted) -> Iterator[Observation]:
        recipient = normalise_address(event.recipient)
        state = f"{event.state} {event.dsn}"
        if mail.states.get(recipient) == state:
            return  # one more try with the same end
        mail.states[recipient] = state
        outcome, place, rule = _OUTCOME[event.state]
        detail = {
            "next_hop": event.relay,
            "next_hop_reply": event.reply[:1000],
            "dsn": event.dsn,
            "queue_id": event.queue_id,
        }
        yield self._observation(mail, event.at, recipient, outcome, place, rule, detail)

    def _give_up(self, queue_id: str, at: datetime, rule: str) -> Iterator[Observation]:
        """Of the recipients that were still waiting."""
        mail = self._progress.queued.get(queue_id)
        for recipient, state in mail.states.items() if mail else ():
            if mail is not None and state.startswith("deferred"):
                detail = {"queue_id": queue_id}
                mail.states[recipient] = "bounced"
                yield self._observation(
                    mail, at, recipient, Outcome.REJECTED, Place.NOWHERE, rule, detail
                )

    def _observation(
        self,
        mail: Queued,
        at: datetime,
        recipient: str,
        outcome: Outcome,
        place: Place | None,
        rule: str,
        detail: dict[str, str],
    ) -> Observation:
        # The log knows whole seconds, and our own record of the mail lies within one of them.
        moment = min(999_000 + mail.told, 999_999)
        mail.told += 1
        return Observation(
            tenant_id=mail.tenant_id,
            layer=Layer.GATEWAY,
            source=self._source,
            source_key=f"{mail.ulid}/{recipient}",
            observed_at=at.replace(microsecond=0) + timedelta(microseconds=moment),
            recipient=recipient,
            direction=str(Direction.OUTBOUND if mail.is_outbound else Direction.INBOUND),
            trace_ulid=mail.ulid,
            action=outcome,
            place=place,
            rule=rule,
            detail=detail,
        )


def queue_log(postfix: Path) -> Path:
    """Of the instance in this folder (console/gateway_parts/postfix.py)."""
    return postfix / "log" / "mail.log"
