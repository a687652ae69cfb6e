"""What is inside an archive, by its directory and with hard limits; nothing is ever written out.

Sizes are read before anything is unpacked, and unpacking itself stops at a limit, because a
directory can lie.  Crossing a limit is a flag of the attachment, not an error.
"""

from __future__ import annotations

import bz2
import html
import lzma
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from incidents.mail.archive_names import Names, iso_names, rar_names
from incidents.mail.filetypes import EXECUTABLE, extension_of, kind_of, kind_of_zip
from incidents.mail.limits import LIMITS, Limits

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_NESTED = frozenset(str.split("zip gz tgz tar 7z rar iso img cab jar docm xlsm docx xlsx pptx"))
_DANGEROUS = frozenset(
    str.split(
        "exe scr com pif dll cpl msi msix js jse vbs vbe wsf wsh hta ps1 bat cmd lnk url chm jar"
        " iqy reg sct xll iso img vhd vhdx one library-ms search-ms appref-ms application"
    )
)
_LOOKED_INTO = frozenset({"zip", "tar", "gzip", "bzip2", "xz", "rar", "iso"})
_OPAQUE = frozenset({"7z", "cab", "ace", "lzh", "arj", "zstd", "vhd"})
_BROKEN = (
    struct.error, ValueError, IndexError, OverflowError, EOFError, OSError, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
_XZ_MEMORY = 128 * 1024 * 1024
_PEEK = 64 * 1024
_RELATION = re.compile(rb'<Relationship\b[^>]{0,4000}TargetMode="External"[^>]{0,4000}>')
_TARGET = re.compile(rb'\bTarget="(https?://[^"]{1,2000})"')
_TAR_BLOCK = 512


@dataclass(slots=True)
class Inside:
    """``flags`` in the words of ``incidents.mail.attachments.FLAGS``; ``urls`` of office files."""

    kind: str
    members: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Budget:
    """What all archives of one mail may cost together."""

    entries: int
    bytes_left: int

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        return cls(entries=limits.archive_entries, bytes_left=limits.inspect_bytes)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    packed: int
    unpacked: int
    method: int
    is_encrypted: bool
    is_link: bool
    offset: int


def look_inside(
    data: bytes, kind: str, budget: Budget, *, limits: Limits = LIMITS, depth: int = 0
) -> Inside:
    """Reads the directory of a zip, tar, rar or iso, and through gzip, bzip2 and xz.

    Never raises: what cannot be read is flagged ``broken_archive``.
    """
    inside = Inside(kind)
    if depth >= limits.archive_depth:
        inside.flags.add("too_deep")
        return inside
    try:
        if kind == "zip":
            _look_in_zip(data, inside, budget, limits, depth)
        elif kind == "tar":
            _look_in_tar(data, inside, budget, limits)
        elif kind in ("gzip", "bzip2", "xz"):
            _look_in_stream(data, inside, budget, limits, depth)
        elif kind == "rar":
            _take_names(rar_names(data, limits.archive_entries), inside)
        elif kind == "iso":
            _take_names(iso_names(data, limits.archive_entries), inside)
        elif kind in _OPAQUE:
            inside.flags.add("opaque")
    except _BROKEN:
        inside.flags.add("broken_archive")
    _judge_names(inside)
    del inside.members[limits.archive_names_kept :]
    return inside


def _look_in_zip(data: bytes, inside: Inside, budget: Budget, limits: Limits, depth: int) -> None:
    members = []
    for member in _zip_members(data, inside):
        budget.entries -= 1
        if budget.entries < 0:
            inside.flags.add("too_big")
            break
        members.append(member)
    inside.members = [member.name[: limits.name_characters] for member in members]
    inside.kind = kind_of_zip(inside.members)
    packed = sum(member.packed for member in members)
    unpacked = sum(member.unpacked for member in members)
    if unpacked > limits.archive_bytes:
        inside.flags.add("too_big")
    # Members that share their bytes make a bomb without any one of them being large.
    if unpacked > 1024 * 1024 and unpacked > limits.archive_ratio * min(packed, len(data)):
        inside.flags.add("bomb")
    if packed > len(data):
        inside.flags.add("bomb")
    if any(member.is_encrypted for member in members):
        inside.flags.add("encrypted")
    if any(member.is_link for member in members):
        inside.flags.add("symlink")
    if any(member.name.startswith("/") or ".." in member.name.split("/") for member in members):
        inside.flags.add("path_escape")
    if any(member.name.lower().endswith("vbaproject.bin") for member in members):
        inside.flags.add("macro")
    if any("embeddings/" in member.name for member in members):
        inside.flags.add("embedded_object")
    if "bomb" not in inside.flags:
        _look_in_members(data, members, inside, budget, limits, depth)


def _zip_members(data: bytes, inside: Inside) -> Iterator[_Member]:
    end_at = data.rfind(b"PK\x05\x06", max(0, len(data) - 66_000))
    if end_at < 0:
        raise ValueError("no end of directory")
    _, _, _, _, count, size, offset, _ = _END.unpack_from(data, end_at)
    at = end_at - size if end_at >= size else offset
    if data[at : at + 4] != b"PK\x01\x02":
        at = offset
    shift = at - offset  # bytes that stand before the archive
    seen = 0
    while data[at : at + 4] == b"PK\x01\x02":
        values = _ENTRY.unpack_from(data, at)
        (made_on, flags, method, packed, unpacked) = (
            values[2], values[5], values[6], values[10], values[11],
        )  # fmt: skip
        name_length, extra_length, comment_length = values[12], values[13], values[14]
        attributes, local = values[17], values[18]
        name = data[at + 46 : at + 46 + name_length]
        seen += 1
        yield _Member(
            name=name.decode("utf-8" if flags & 0x800 else "cp437", "replace").replace("\\", "/"),
            packed=packed,
            unpacked=unpacked,
            method=method,
            is_encrypted=bool(flags & 1),
            is_link=made_on == 3 and attributes >> 28 == 0xA,
            offset=local + shift,
        )
        at += 46 + name_length + extra_length + comment_length
    if seen == 0 and count:
        raise ValueError("no directory")
    if seen & 0xFFFF != count:
        inside.flags.add("broken_archive")


def _look_in_members(
    data: bytes,
    members: list[_Member],
    inside: Inside,
    budget: Budget,
    limits: Limits,
    depth: int,
) -> None:
    """Opens nested archives, and looks at the first bytes of the others."""
    for member in members[: limits.archive_names_kept]:
        is_nested = extension_of(member.name) in _NESTED
        if member.is_encrypted or budget.bytes_left <= 0 or not member.unpacked:
            continue
        most = min(budget.bytes_left, limits.inspect_bytes if is_nested else _PEEK)
        content = _unpacked(data, member, most)
        budget.bytes_left -= len(content)
        kind = kind_of(content, name=member.name)
        if kind in EXECUTABLE:
            inside.flags.add("executable_inside")
        if member.unpacked > most and is_nested:
            inside.flags.add("too_big")
        elif kind in _LOOKED_INTO:
            inside.flags.add("nested")
            deeper = look_inside(content, kind, budget, limits=limits, depth=depth + 1)
            inside.flags |= deeper.flags
            inside.members += [f"{member.name}/{name}" for name in deeper.members]
        elif kind == "ole" and b"V\x00B\x00A\x00" in content:
            inside.flags.add("macro")
        elif member.name.endswith(".rels") and b'TargetMode="External"' in content:
            _judge_relations(content, inside)


def _judge_relations(content: bytes, inside: Inside) -> None:
    """Links of office files, and whether one fetches something as soon as it is opened."""
    for match in _RELATION.finditer(content):
        target = _TARGET.search(match[0])
        if target:
            inside.urls.append(html.unescape(target[1].decode("utf-8", "replace")))
    lower = content.lower()
    if any(
        each in lower for each in (b"/attachedtemplate", b"/oleobject", b"/frame", b"/subdocument")
    ):
        inside.flags.add("external_content")


def _unpacked(data: bytes, member: _Member, most: int) -> bytes:
    if data[member.offset : member.offset + 4] != b"PK\x03\x04":
        return b""
    local = _LOCAL.unpack_from(data, member.offset)
    start = member.offset + 30 + local[10] + local[11]
    # What packs to more than it unpacks to is no real member; and slices of slices cost memory.
    packed = memoryview(data)[start : start + min(member.packed, most + most // 8 + 1_024)]
    if member.method == 0:
        return bytes(packed[:most])
    if member.method != 8:
        return b""
    try:
        return zlib.decompressobj(-15).decompress(packed, most)
    except zlib.error:
        return b""


def _look_in_tar(data: bytes, inside: Inside, budget: Budget, limits: Limits) -> None:
    at = 0
    while at + _TAR_BLOCK <= len(data) and data[at] != 0:
        budget.entries -= 1
        if budget.entries < 0:
            inside.flags.add("too_big")
            return
        header = data[at : at + _TAR_BLOCK]
        size = int(header[124:136].rstrip(b"\0 ").lstrip(b" ") or b"0", 8)
        name = header[:100].rstrip(b"\0").decode("utf-8", "replace")
        if header[156:157] in (b"1", b"2"):
            inside.flags.add("symlink")
        if name.startswith("/") or ".." in name.split("/"):
            inside.flags.add("path_escape")
        inside.members.append(name)
        start = at + _TAR_BLOCK
        if kind_of(data[start : start + min(size, 2_048)], name=name) in EXECUTABLE:
            inside.flags.add("executable_inside")
        at = start + -(-max(0, size) // _TAR_BLOCK) * _TAR_BLOCK


def _look_in_stream(
    data: bytes, inside: Inside, budget: Budget, limits: Limits, depth: int
) -> None:
    """One file that is packed: gzip, bzip2, xz."""
    most = max(1, budget.bytes_left)
    content, used = _unpacked_stream(data, inside.kind, most)
    budget.bytes_left -= len(content)
    if len(content) > 1024 * 1024 and len(content) > limits.archive_ratio * used:
        inside.flags.add("bomb")
        return
    if len(content) >= most:
        inside.flags.add("too_big")
    kind = kind_of(content)
    if kind in EXECUTABLE:
        inside.flags.add("executable_inside")
    if kind in _LOOKED_INTO:
        deeper = look_inside(content, kind, budget, limits=limits, depth=depth + 1)
        inside.flags |= deeper.flags | ({"nested"} if kind != "tar" else set())
        inside.members += deeper.members


def _unpacked_stream(data: bytes, kind: str, most: int) -> tuple[bytes, int]:
    """At most ``most`` bytes, and how many packed bytes they took (where it can be known)."""
    if kind == "gzip":
        unpacker = zlib.decompressobj(31)
        content = unpacker.decompress(data, most)
        if not unpacker.eof and len(content) < most:
            raise EOFError("the file ends in the middle")
        return content, len(data) - len(unpacker.unconsumed_tail)
    if kind == "bzip2":
        return bz2.BZ2Decompressor().decompress(data, most), len(data)
    xz = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    return xz.decompress(data, most), len(data)


def _take_names(names: Names, inside: Inside) -> None:
    inside.members = names.names
    inside.flags |= {"encrypted"} if names.is_encrypted else set()
    inside.flags |= {"too_big"} if names.is_cut else set()


def _judge_names(inside: Inside) -> None:
    if any(extension_of(name) in _DANGEROUS for name in inside.members):
        inside.flags.add("executable_inside")
