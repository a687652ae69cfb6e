"""Names in archives that cannot be unpacked here: RAR 4 and 5, ISO 9660.

Only headers are read: who hides a program in a disk image still has to name it.
Sources: RAR 5.0 archive format (rarlab.com/technote.htm), ECMA-119.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_RAR5 = b"Rar!\x1a\x07\x01\x00"
_RAR4 = b"Rar!\x1a\x07\x00"
_SECTOR = 2048
_MOST_FOLDERS = 200


@dataclass(slots=True)
class Names:
    """``is_cut``: there are more than were asked for."""

    names: list[str] = field(default_factory=list)
    is_encrypted: bool = False
    is_cut: bool = False

    def add(self, name: bytes, most: int, encoding: str = "utf-8") -> None:
        if len(self.names) >= most:
            self.is_cut = True
        else:
            self.names.append(name.decode(encoding, "replace").replace("\\", "/")[:255])


def rar_names(data: bytes, most: int) -> Names:
    """Raises ``ValueError``, ``IndexError`` or ``struct.error`` on a broken archive."""
    found = Names()
    if data.startswith(_RAR5):
        _read_rar5(data, found, most)
    elif data.startswith(_RAR4):
        _read_rar4(data, found, most)
    return found


def _read_rar5(data: bytes, found: Names, most: int) -> None:
    at = len(_RAR5)
    while at + 7 < len(data) and not found.is_cut:
        size, start = _vint(data, at + 4)
        kind, at_field = _vint(data, start)
        flags, at_field = _vint(data, at_field)
        packed = 0
        if kind == 4:  # all that follows is encrypted, names too
            found.is_encrypted = True
            return
        if flags & 1:
            _, at_field = _vint(data, at_field)
        if flags & 2:
            packed, at_field = _vint(data, at_field)
        if kind == 2:
            file_flags, at_field = _vint(data, at_field)
            for _ in range(2):  # unpacked size, attributes
                _, at_field = _vint(data, at_field)
            at_field += 4 * bool(file_flags & 2) + 4 * bool(file_flags & 4)
            for _ in range(2):  # compression, system
                _, at_field = _vint(data, at_field)
            length, at_field = _vint(data, at_field)
            found.add(data[at_field : at_field + min(length, 1_024)], most)
            # An encrypted file has an encryption record (type 1) in the extra area.
            found.is_encrypted |= (
                bool(flags & 1) and b"\x01\x00" in data[at_field + length : start + size][:8]
            )
        if kind == 5 or size == 0:
            return
        at = start + size + packed


def _vint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError("a number without end")


def _read_rar4(data: bytes, found: Names, most: int) -> None:
    at = len(_RAR4)
    while at + 7 <= len(data) and not found.is_cut:
        _, kind, flags, size = struct.unpack_from("<HBHH", data, at)
        packed = struct.unpack_from("<L", data, at + 7)[0] if flags & 0x8000 else 0
        if kind == 0x73 and flags & 0x80:
            found.is_encrypted = True
            return
        if kind == 0x74:
            packed = struct.unpack_from("<L", data, at + 7)[0]
            length = struct.unpack_from("<H", data, at + 26)[0]
            start = at + 32 + 8 * bool(flags & 0x100)
            found.add(data[start : start + min(length, 1_024)].partition(b"\0")[0], most)
            found.is_encrypted |= bool(flags & 4)
        if kind == 0x7B or size == 0:
            return
        at += size + packed


def iso_names(data: bytes, most: int) -> Names:
    """Files of an ISO 9660 image, by the Joliet names where it has them.

    Raises ``ValueError``, ``IndexError`` or ``struct.error`` on a broken image.
    """
    found = Names()
    root, is_joliet = _iso_root(data)
    encoding = "utf-16-be" if is_joliet else "ascii"
    folders = [root]
    seen: set[int] = set()
    while folders and not found.is_cut and len(seen) < _MOST_FOLDERS:
        start, length = folders.pop()
        if start in seen:
            continue
        seen.add(start)
        _read_iso_folder(
            data[start : start + min(length, 64 * _SECTOR)], found, folders, encoding, most
        )
    return found


def _iso_root(data: bytes) -> tuple[tuple[int, int], bool]:
    plain: tuple[int, int] | None = None
    for sector in range(16, 32):
        at = sector * _SECTOR
        if data[at + 1 : at + 6] != b"CD001" or data[at] == 255:
            break
        place = (
            struct.unpack_from("<L", data, at + 158)[0] * _SECTOR,
            struct.unpack_from("<L", data, at + 166)[0],
        )
        if data[at] == 2 and data[at + 88 : at + 91] in (b"%/@", b"%/C", b"%/E"):
            return place, True
        plain = place if data[at] == 1 else plain
    if plain is None:
        raise ValueError("no volume descriptor")
    return plain, False


def _read_iso_folder(
    folder: bytes, found: Names, folders: list[tuple[int, int]], encoding: str, most: int
) -> None:
    at = 0
    while at < len(folder) and not found.is_cut:
        size = folder[at]
        if size == 0:  # the rest of the sector is empty
            at = (at // _SECTOR + 1) * _SECTOR
            continue
        name = folder[at + 33 : at + 33 + folder[at + 32]]
        if folder[at + 25] & 2:
            if name not in (b"\0", b"\1"):
                start, length = struct.unpack_from("<L4xL", folder, at + 2)
                folders.append((start * _SECTOR, length))
        else:
            found.add(name.split(b"\0;" if encoding != "ascii" else b";")[0], most, encoding)
        at += size
