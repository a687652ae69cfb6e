"""The journal: what the gate has promised, on disk before the promise is given.

Append-only segments ``journal/<number>.log`` of lines ``<crc32> <json>``.  Many mails share one
fsync: a thread takes all waiting records, writes and syncs them, and wakes their owners.  A torn
tail is normal after a crash and is stepped over; a new process never appends to an old segment.

``Journal.append``     returns when the records are durable; ``JournalError`` when they are not
``read_records``       the records of one segment from an offset
``read_all``           of all segments, for recovery
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incidents.mail.json_text import parse_json, write_json
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.files import make_folder, sync_folder

log = logging.getLogger(__name__)

Record = dict[str, Any]
SEGMENT_BYTES = 8 * 1024 * 1024
_CRC_CHARS = 8


class JournalError(Exception):
    """The records may not be on disk: answer 4xx."""


@dataclass(slots=True)
class _Waiting:
    line: bytes
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Journal:
    """One writer per folder.  ``append`` is called from event loops, writing is done in a
    thread.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._fd: int | None = None
        self._size = 0
        self._waiting: list[_Waiting] = []
        self._wake = threading.Condition()
        self._is_closing = False
        make_folder(folder)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    async def append(self, *records: Mapping[str, Any]) -> None:
        """Returns when all records are durable.  Raises ``JournalError``."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        line = b"".join(encode_record(record) for record in records)
        with self._wake:
            if self._is_closing:
                raise JournalError("the journal is closed")
            self._waiting.append(_Waiting(line, loop, done))
            self._wake.notify()
        await done

    def close(self) -> None:
        """What waits is still written."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()
        self._drop_segment()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._is_closing:
                    self._wake.wait()
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            error: JournalError | None = None
            try:
                self._write(b"".join(each.line for each in batch))
            except OSError as problem:
                log.error("the journal could not be written: %s", problem)
                error = JournalError(str(problem))
            except Exception as problem:  # a bug, or no memory: nobody must wait for ever
                log.exception("the journal could not be written")
                self._drop_segment()
                error = JournalError(repr(problem))
            _wake_owners(batch, error)

    def _write(self, data: bytes) -> None:
        """Raises ``OSError``; nothing of ``data`` counts then."""
        fd = self._fd
        if fd is None or self._size >= self._segment_bytes:
            fd = self._open_segment()
        failpoint("journal.before_write")
        good = self._size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            failpoint("journal.after_write")
            os.fdatasync(fd)
        except OSError:
            # After a failed fsync the kernel may call the lost pages clean: never sync this
            # file again.  What was half written is cut off as far as the disk still lets us.
            try:
                os.ftruncate(fd, good)
            except OSError as problem:
                log.error("a torn tail stays in the journal: %s", problem)
            self._drop_segment()
            raise
        self._size += len(data)
        failpoint("journal.after_sync")

    def _open_segment(self) -> int:
        self._drop_segment()
        last = max((segment_number(path) for path in segments(self._folder)), default=0)
        path = segment_path(self._folder, last + 1)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = 0
        try:
            sync_folder(self._folder)
        except OSError:
            # Its name may not be on disk: what is written to it would be lost with the power.
            self._drop_segment()
            raise
        return self._fd

    def _drop_segment(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def _wake_owners(batch: list[_Waiting], error: JournalError | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for each in batch:
        by_loop.setdefault(each.loop, []).append(each.done)
    for loop, futures in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, futures, error)
        except RuntimeError:
            log.warning("a journal record was written after its event loop had ended")


def _resolve(futures: list[asyncio.Future[None]], error: JournalError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def encode_record(record: Mapping[str, Any]) -> bytes:
    text = write_json(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode_line(line: bytes) -> Record | None:
    """None: the line is torn or was changed on disk."""
    text = line[_CRC_CHARS + 1 :].rstrip(b"\n")
    if line[:_CRC_CHARS] != b"%08x" % zlib.crc32(text) or not line.endswith(b"\n"):
        return None
    record: Record = parse_json(text)
    return record


def segments(folder: Path) -> list[Path]:
    """Oldest first; the last one may still be written to."""
    found = [path for path in folder.glob("*.log") if path.stem.isdigit()]
    return sorted(found, key=segment_number)


def segment_number(path: Path) -> int:
    return int(path.stem)


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}.log"


def read_records(
    path: Path, offset: int = 0, *, is_sealed: bool = False
) -> Iterator[tuple[int, Record]]:
    """``(offset behind the record, record)``.

    An open segment is read up to its first torn line, which may still be in the making; in a
    sealed one a torn line is stepped over.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            record = decode_line(line)
            if record is not None:
                yield offset, record
            elif not is_sealed:
                return
            else:
                log.warning("%s: a torn record ends at byte %d", path.name, offset)


def read_all(folder: Path) -> Iterator[Record]:
    """Every record of every segment; for the time when no writer runs.

    A segment that the shipper removes meanwhile is shipped to its end and has nothing open: it is
    as if it had gone before.
    """
    for path in segments(folder):
        with suppress(FileNotFoundError):
            for _, record in read_records(path, is_sealed=True):
                yield record
