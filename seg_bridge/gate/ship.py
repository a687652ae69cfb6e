"""``python -m seg_bridge.gate.ship``: carries the journal to ingest, at least once.

Order for each batch: original bytes, then the lines, then the bytes' fate, then the offset.
Whatever it dies between, the next run repeats the batch and nothing changes at the other end.
A segment is removed when all of it is shipped, a newer one exists and no mail in it is unfinished.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from incidents.mail.json_text import write_json
from seg_bridge import sign_of_life
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.files import make_folder, replace_file
from seg_bridge.gate.ingest import IngestClient, IngestError, json_object
from seg_bridge.gate.journal import (
    Record,
    read_records,
    segment_number,
    segment_path,
    segments,
)
from seg_bridge.gate.originals import Originals
from seg_bridge.gate.records import observations
from seg_bridge.gate.settings import EXIT_BAD_SETTING, GateSettings, settings_or_exit

log = logging.getLogger(__name__)

# Not our client's any more, other bytes than were received, too large: asking again won't help.
_NEVER_STORED = (404, 409, 413)
BATCH_RECORDS = 200
BATCH_BYTES = 2 * 1024 * 1024
# One mail's lines repeat its facts for every recipient and can be far more than a batch should be;
# ingest takes no request over 64 MB.
REQUEST_BYTES = 8 * 1024 * 1024
POLL_S = 0.2
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 30.0
KEEP_HELD_S = 30 * 24 * 3600.0
SWEEP_EVERY_S = 3600.0
NEW_JOURNALS_EVERY_S = 2.0


@dataclass(slots=True)
class Batch:
    """Records of one segment; ``end`` is the offset behind the last of them."""

    segment: int
    end: int
    records: list[Record] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class OpenMails:
    """Which segments hold a begin without its outcome."""

    begun_in: dict[str, int] = field(default_factory=dict)

    def note(self, segment: int, record: Record) -> None:
        match record["kind"]:
            case "begun":
                self.begun_in.setdefault(f"mail {record['ulid']}", segment)
            case "done":
                self.begun_in.pop(f"mail {record['ulid']}", None)
            case "command_begun":
                self.begun_in.setdefault(f"command {record['command']['command_id']}", segment)
            case "command":
                self.begun_in.pop(f"command {record['command']['command_id']}", None)

    def oldest(self) -> int | None:
        return min(self.begun_in.values(), default=None)


class Shipper:
    """Of one process's journal (``settings.journal_folder_of``)."""

    def __init__(self, settings: GateSettings, client: IngestClient, number: int = 0) -> None:
        self._number = number
        # False from the start on, and after what failed until it is done.
        self.is_well = False
        self._journal = settings.journal_folder_of(number)
        self._offset_file = settings.folder / (f"ship-{number}.json" if number else "ship.json")
        self._refused = settings.folder / "refused"
        self._originals = Originals(settings.originals_folder)
        self._client = client
        self._open = OpenMails()
        self._segment, self._offset = self._load_offset()
        for path in segments(self._journal):
            number = segment_number(path)
            for end, record in read_records(path, is_sealed=True):
                if number < self._segment or (number == self._segment and end <= self._offset):
                    self._open.note(number, record)

    async def run(self) -> None:
        """For ever."""
        retry_s, swept_at_s = FIRST_RETRY_S, 0.0
        while True:
            try:
                has_shipped = await self.step()
                retry_s = FIRST_RETRY_S
                self.is_well = True
                if self._number == 0 and time.time() - swept_at_s > SWEEP_EVERY_S:
                    swept_at_s = time.time()
                    self._originals.drop_older(swept_at_s - KEEP_HELD_S)
                if not has_shipped:
                    await asyncio.sleep(POLL_S)
            except (IngestError, OSError) as error:
                self.is_well = False
                log.warning("shipping waits: %s", error)
                await asyncio.sleep(retry_s)
                retry_s = min(LONGEST_RETRY_S, retry_s * 2)

    async def step(self) -> bool:
        """Ships one batch; False: there was none.  Raises ``IngestError`` or ``OSError``."""
        batch = await asyncio.to_thread(self._next_batch)
        if batch is None:
            return False
        await self._ship_evidence(batch)
        failpoint("ship.after_evidence")
        if batch.lines:
            await self._ship_lines(batch)
        failpoint("ship.after_batch")
        for record in batch.records:
            self._settle_originals(record)
        failpoint("ship.after_settling")
        self._save_offset(batch)
        failpoint("ship.after_offset")
        self._trim()
        return True

    def _next_batch(self) -> Batch | None:
        existing = {segment_number(path) for path in segments(self._journal)}
        while True:
            later = [number for number in existing if number > self._segment]
            if self._segment in existing:
                batch = self._read_batch(is_sealed=bool(later))
                if batch.end > self._offset:
                    return batch
            if not later:
                return None
            self._segment, self._offset = min(later), 0

    def _read_batch(self, *, is_sealed: bool) -> Batch:
        batch = Batch(self._segment, self._offset)
        path = segment_path(self._journal, self._segment)
        size_bytes = 0
        for end, record in read_records(path, self._offset, is_sealed=is_sealed):
            batch.end = end
            batch.records.append(record)
            for line in lines_of(record):
                batch.lines.append(line)
                size_bytes += len(line)
            if len(batch.records) >= BATCH_RECORDS or size_bytes >= BATCH_BYTES:
                break
        return batch

    async def _ship_evidence(self, batch: Batch) -> None:
        for record in batch.records:
            for tenant_id, sha256 in kept_originals(record):
                raw = self._originals.unshipped(tenant_id, record["ulid"])
                if raw is None:
                    continue  # an earlier run shipped it and died before its offset was saved
                try:
                    await self._client.ask(
                        "PUT",
                        f"/ship/evidence/{tenant_id}/{sha256}",
                        body=raw,
                        content_type="message/rfc822",
                        accepted=(200, 201),
                    )
                except IngestError as error:
                    if error.status not in _NEVER_STORED:
                        raise
                    log.error("original of %s was refused: %s", record["ulid"], error)
                    make_folder(self._refused)
                    replace_file(self._refused / f"{record['ulid']}.eml", raw)

    async def _ship_lines(self, batch: Batch) -> None:
        refused: list[dict[str, Any]] = []
        for first, lines in portions(batch.lines):
            body = b"\n".join(lines) + b"\n"
            response = await self._client.ask(
                "POST", "/ship", body=body, content_type="application/jsonl"
            )
            found = json_object(response).get("refused", [])
            refused += [{**each, "line": first + int(each["line"])} for each in found]
        if refused:
            self._park(batch, refused)
        log.info("shipped %d lines, %d refused", len(batch.lines), len(refused))

    def _park(self, batch: Batch, refused: Iterable[dict[str, Any]]) -> None:
        """Refused lines will be refused again: a person looks at them here."""
        make_folder(self._refused)
        parked = b""
        for each in refused:
            line = batch.lines[int(each["line"])]
            entry = {"error": str(each.get("error", "")), "line": json.loads(line)}
            parked += json.dumps(entry).encode("ascii") + b"\n"
            log.error("ingest refused a line: %s", entry["error"])
        process = f"{self._number}-" if self._number else ""
        name = f"{process}{batch.segment:010d}-{batch.end:010d}.jsonl"
        replace_file(self._refused / name, parked)

    def _settle_originals(self, record: Record) -> None:
        for tenant_id, _ in kept_originals(record):
            held_for = [
                each["recipient"]
                for each in observations(record)
                if each["tenant_id"] == tenant_id and each["place"] == "hold"
            ]
            self._originals.settle(tenant_id, record["ulid"], held_for=held_for)

    def _save_offset(self, batch: Batch) -> None:
        for record in batch.records:
            self._open.note(batch.segment, record)
        offset = {"segment": batch.segment, "offset": batch.end}
        replace_file(self._offset_file, json.dumps(offset).encode("ascii"))
        self._segment, self._offset = batch.segment, batch.end

    def _trim(self) -> None:
        """Removes what is shipped to its end; the newest segment always stays."""
        oldest_open = self._open.oldest()
        for path in segments(self._journal)[:-1]:
            number = segment_number(path)
            if number >= self._segment or (oldest_open is not None and number >= oldest_open):
                return
            path.unlink()
            failpoint("ship.after_trim")

    def _load_offset(self) -> tuple[int, int]:
        try:
            data = json.loads(self._offset_file.read_bytes())
            return int(data["segment"]), int(data["offset"])
        except FileNotFoundError:
            return 0, 0
        except (ValueError, KeyError, TypeError):
            # Shipping again what is there changes nothing at the other end.
            log.exception("%s can't be read, shipping from the start", self._offset_file.name)
            return 0, 0


def portions(lines: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The lines in requests of ``REQUEST_BYTES``, or one line where that is longer; each with the
    number of its first line.
    """
    first, size_bytes = 0, 0
    for number, line in enumerate(lines):
        if number > first and size_bytes + len(line) > REQUEST_BYTES:
            yield first, lines[first:number]
            first, size_bytes = number, 0
        size_bytes += len(line) + 1
    yield first, lines[first:]


def lines_of(record: Record) -> list[bytes]:
    """The lines of ``POST /ship`` that one record makes."""
    lines = [
        write_json({"kind": "observation", "observation": each}) for each in observations(record)
    ]
    if record["kind"] == "command":
        done = record["command"]
        named = {name: done[name] for name in ("command_id", "ok", "detail", "at")}
        lines.append(write_json({"kind": "command_done", **named}))
    if record["kind"] == "sender_stopped":
        lines.append(write_json({"kind": "sender_stopped", **record["stop"]}))
    return lines


def kept_originals(record: Record) -> set[tuple[int, str]]:
    """(tenant id, sha256) of the original bytes that this record answers for."""
    if record["kind"] != "done":
        return set()
    return {
        (mail["shared"]["tenant_id"], mail["shared"]["evidence"])
        for mail in record["mails"]
        if mail["shared"].get("evidence")
    }


async def ship_all(settings: GateSettings, client: IngestClient) -> None:
    """Every process's journal, for ever; one that appears later, too."""
    async with asyncio.TaskGroup() as group:
        shippers: dict[int, Shipper] = {}
        while True:
            for number, _ in settings.journal_folders():
                if number not in shippers:
                    shippers[number] = Shipper(settings, client, number)
                    group.create_task(shippers[number].run())
            if all(each.is_well for each in shippers.values()):
                sign_of_life.give()
            await asyncio.sleep(NEW_JOURNALS_EVERY_S)


async def serve(settings: GateSettings) -> None:
    """Runs until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with IngestClient(
        url=settings.ingest_url, gate=settings.name, secret=settings.secret
    ) as client:
        work = asyncio.create_task(ship_all(settings, client))
        end = asyncio.create_task(ended.wait())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        work.cancel()
        await asyncio.gather(work, return_exceptions=not work.done())


def main() -> int:
    settings = settings_or_exit(os.environ)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s ship %(levelname)s %(name)s: %(message)s",
    )
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lock = _take_lock(settings.folder)
    if lock is None:
        sys.stderr.write(f"bailey ship: BAILEY_GATE_DIR: another shipper in {settings.folder}\n")
        return EXIT_BAD_SETTING
    sign_of_life.forget()
    asyncio.run(serve(settings))
    return 0


def _take_lock(folder: Path) -> int | None:
    make_folder(folder)
    lock = os.open(folder / "ship.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


if __name__ == "__main__":
    sys.exit(main())
