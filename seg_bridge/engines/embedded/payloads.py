"""The bytes inside a mail, without trusting its MIME structure.

Every run of base64 lines is decoded wherever it stands, and archives among the results are opened:
a scanner that follows the structure sees what the structure wants it to see.  All of it is bounded,
and what was not looked at is said.
"""

from __future__ import annotations

import binascii
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

DECODED_BYTES: Final = 16_000_000
MEMBER_BYTES: Final = 2_000_000
MEMBERS_OPENED: Final = 40
MEMBERS_LISTED: Final = 2_000
DEPTH: Final = 3

# From the start of a line and without going back: a long line costs one look, not a million.
_BASE64_RUN = re.compile(
    rb"(?m)^(?:[A-Za-z0-9+/]{60,}+={0,2}[ \t]*+\r?\n)++(?:[A-Za-z0-9+/]++={0,2})?"
)
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # a password is asked for
    NotImplementedError,
    ValueError,
    OverflowError,
    MemoryError,
)


@dataclass(slots=True)
class Budget:
    """What may still be decoded of one mail."""

    decoded_bytes: int = DECODED_BYTES
    members: int = MEMBERS_OPENED
    is_spent: bool = False
    notes: set[str] = field(default_factory=set)

    def take(self, count: int) -> bool:
        if count > self.decoded_bytes:
            self.is_spent = True
            return False
        self.decoded_bytes -= count
        return True


def payloads(raw: bytes, budget: Budget) -> Iterator[bytes]:
    """The mail itself, then everything decoded from it, depth first."""
    yield raw
    for run in _BASE64_RUN.finditer(raw):
        block = run.group(0)
        if not budget.take(len(block)):
            return
        packed = re.sub(rb"[ \t\r\n=]", b"", block)
        try:
            data = binascii.a2b_base64(packed[: len(packed) // 4 * 4] + _tail(packed))
        except binascii.Error:
            continue
        if len(data) >= 16:
            yield from _opened(data, budget, depth=0)


def _tail(packed: bytes) -> bytes:
    """What is left after whole groups of four, padded; one letter alone is noise."""
    rest = packed[len(packed) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _opened(data: bytes, budget: Budget, *, depth: int) -> Iterator[bytes]:
    yield data
    if depth >= DEPTH:
        budget.is_spent = True
        return
    if data[:4] == b"PK\x03\x04":
        yield from _zip_members(data, budget, depth=depth)
    elif data[:2] == b"\x1f\x8b":
        unpacked = _gunzip(data)
        if unpacked and budget.take(len(unpacked)):
            yield from _opened(unpacked, budget, depth=depth + 1)


def _gunzip(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(data, MEMBER_BYTES)
    except zlib.error:
        return b""


def _zip_members(data: bytes, budget: Budget, *, depth: int) -> Iterator[bytes]:
    # The central directory is read whole by zipfile, so its size is looked at first.
    if data.count(b"PK\x01\x02") > MEMBERS_LISTED:
        budget.is_spent = True
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.is_dir() or info.flag_bits & 0x1:
                    continue
                if budget.members <= 0:
                    budget.is_spent = True
                    return
                budget.members -= 1
                member = _member(archive, info)
                if member and budget.take(len(member)):
                    yield from _opened(member, budget, depth=depth + 1)
    except _ZIP_ERRORS:
        budget.notes.add("archive_unreadable")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The beginning of one member, b"" where it cannot be unpacked."""
    try:
        with archive.open(info) as stream:
            return stream.read(MEMBER_BYTES)
    except _ZIP_ERRORS:
        return b""
