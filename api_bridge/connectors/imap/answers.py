"""What an IMAP server said, taken apart by IMAPClient's parser, one answer at a time: an answer
that cannot be read spoils none of the others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from imapclient.exceptions import IMAPClientError
from imapclient.imap_utf7 import decode as from_utf7
from imapclient.imap_utf7 import encode as to_utf7
from imapclient.response_parser import parse_fetch_response, parse_response

log = logging.getLogger(__name__)

UNREADABLE = (ValueError, TypeError, KeyError, IndexError, RecursionError, IMAPClientError)
CODE = re.compile(rb"\[([A-Za-z-]{2,40})[ \]]")
COPYUID = re.compile(rb"(\d{1,10}) ([\d:,]+) ([\d:,]+)")
LONGEST_NAME = 400

Part = Any  # bytes, or (bytes up to a literal, the literal)


def groups(data: Iterable[Part]) -> Iterator[list[Part]]:
    """Each answer by itself: literals in pairs, and what stands behind the last one."""
    group: list[Part] = []
    for part in data:
        if part is None:
            continue
        group.append(part)
        if isinstance(part, bytes):
            yield group
            group = []


def fetched(data: Iterable[Part]) -> dict[int, dict[bytes, Any]]:
    """UID → what was said of it.  Answers without a UID, or that cannot be read, are left out."""
    found: dict[int, dict[bytes, Any]] = {}
    for group in groups(data):
        try:
            said = parse_fetch_response(group, normalise_times=False, uid_is_key=False)
        except UNREADABLE as error:
            log.warning("a FETCH answer cannot be read: %s", type(error).__name__)
            continue
        for fields in said.values():
            uid = fields.get(b"UID")
            if isinstance(uid, int) and 0 < uid < 2**32:
                found.setdefault(uid, {}).update(fields)
    return found


def parsed(group: list[Part]) -> tuple[Any, ...]:
    """() for what cannot be read."""
    try:
        return tuple(parse_response(group))
    except UNREADABLE as error:
        log.warning("an answer cannot be read: %s", type(error).__name__)
        return ()


def numbers(data: Iterable[Part]) -> list[int]:
    """Of a SEARCH answer, ascending, each once; ``(MODSEQ n)`` at its end is none of them."""
    found: set[int] = set()
    for line in data:
        if isinstance(line, bytes):
            words = line.partition(b"(")[0].split()
            found.update(int(word) for word in words if word.isdigit() and len(word) <= 10)
    return sorted(found)


def folder_name(value: object) -> str:
    """A folder's name as text; "" if it is none that can be named in a command."""
    if isinstance(value, int):
        value = str(value).encode()
    if not isinstance(value, bytes) or len(value) > LONGEST_NAME:
        return ""
    value = value.replace(b'\\"', b'"').replace(b"\\\\", b"\\")
    try:
        name = str(from_utf7(value))
    except UNREADABLE:
        return ""
    return name if name.isprintable() and bytes(to_utf7(name)) == value else ""


def quoted_folder(name: str) -> str:
    encoded = bytes(to_utf7(name)).decode("ascii")
    return quoted(encoded)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def pairs(value: object) -> dict[str, int]:
    """``(MESSAGES 3 UIDNEXT 7)`` as names and numbers."""
    if not isinstance(value, tuple):
        return {}
    names, values = value[::2], value[1::2]
    return {
        name.decode("ascii", "replace").upper(): number
        for name, number in zip(names, values, strict=False)
        if isinstance(name, bytes) and isinstance(number, int)
    }


def code_of(data: Iterable[Part]) -> str:
    """The response code of a refusal (RFC 5530), "" without one."""
    for line in data:
        if isinstance(line, bytes) and (match := CODE.match(line)):
            return match[1].decode().upper()
    return ""


def copied_to(data: Iterable[Part]) -> tuple[int, int] | None:
    """(UIDVALIDITY, UID) that the one moved mail has now (RFC 4315); None if it was not said."""
    for line in data:
        match = COPYUID.match(line) if isinstance(line, bytes) else None
        if match and match[3].isdigit():
            return int(match[1]), int(match[3])
    return None


def utc(value: object) -> datetime | None:
    """INTERNALDATE as an aware UTC time."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return None
