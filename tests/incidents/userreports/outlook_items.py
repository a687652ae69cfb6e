"""Outlook items for tests: a compound file (MS-CFB, version 3) of the given streams.

Streams shorter than 4096 bytes would lie in a file of their own inside the file: here all are
padded, which those who read texts take for the text's end.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

SECTOR = 512
_LONG = 4096
_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def item(texts: Mapping[str, str], *, html: bytes = b"", sent_at: datetime | None = None) -> bytes:
    """``texts`` by property tag, like ``0037`` for the subject."""
    streams = {f"__substg1.0_{tag}001F": text.encode("utf-16-le") for tag, text in texts.items()}
    if html:
        streams["__substg1.0_10130102"] = html
    if sent_at is not None:
        ticks = (sent_at - _EPOCH) // timedelta(microseconds=1) * 10
        entry = struct.pack("<IIQ", 0x0E060040, 6, ticks)
        streams["__properties_version1.0"] = b"\0" * 32 + entry
    return compound_file(streams)


def compound_file(streams: Mapping[str, bytes]) -> bytes:
    padded = {name: data.ljust(_LONG, b"\0") for name, data in streams.items()}
    directory_sectors = -(-(len(padded) + 1) * 128 // SECTOR)
    counts = [-(-len(data) // SECTOR) for data in padded.values()]
    total = directory_sectors + sum(counts)
    fat_sectors = 1
    while (total + fat_sectors) * 4 > fat_sectors * SECTOR:
        fat_sectors += 1
    fat = [_FAT] * fat_sectors + _chain(fat_sectors, directory_sectors)
    entries = [_entry("Root Entry", 5, child=1 if padded else _NONE)]
    body = b""
    for number, (name, data) in enumerate(padded.items(), 1):
        is_last = number == len(padded)
        after = _NONE if is_last else number + 1
        entries.append(_entry(name, 2, right=after, start=len(fat), size=len(data)))
        fat += _chain(len(fat), counts[number - 1])
        body += data.ljust(counts[number - 1] * SECTOR, b"\0")
    fat += [_FREE] * (fat_sectors * SECTOR // 4 - len(fat))
    directory = b"".join(entries).ljust(directory_sectors * SECTOR, b"\0")
    return _head(fat_sectors) + struct.pack(f"<{len(fat)}I", *fat) + directory + body


def _chain(first: int, count: int) -> list[int]:
    return [*range(first + 1, first + count), _END] if count else []


def _entry(
    name: str,
    kind: int,
    *,
    right: int = _NONE,
    child: int = _NONE,
    start: int = _END,
    size: int = 0,
) -> bytes:
    wide = name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBBIII16sIQQIQ",
        *(wide, len(wide), kind, 1, _NONE, right, child, b"", 0, 0, 0, start, size),
    )


def _head(fat_sectors: int) -> bytes:
    """The FAT lies in the first sectors, the directory after it."""
    fixed = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII",
        *(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fat_sectors),
        *(fat_sectors, 0, _LONG, _END, 0, _END, 0),
    )
    difat = [*range(fat_sectors), *[_FREE] * (109 - fat_sectors)]
    return fixed + struct.pack("<109I", *difat)
