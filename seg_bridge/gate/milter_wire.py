"""The milter protocol, version 6: packets, negotiation, answers.  No decision is made here.

A packet is a length (4 bytes), a letter and data.  Sources: ``mfdef.h`` and ``mfapi.h`` of Sendmail
8.18, ``src/milter/milter8.c`` of Postfix 3.7 (read 2026-11-22).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VERSION = 6
# A body chunk has 64 KB; a header is as long as the MTA lets it be (Postfix: header_size_limit).
MAX_PACKET_BYTES = 1024 * 1024

_HEAD = struct.Struct(">I")
# Before each header field Postfix says that it has no macros for it.
_NO_MACROS = b"DL"
_OPTIONS = struct.Struct(">III")
_NUMBER = struct.Struct(">I")

# What we do to a mail.
_ADD_HEADERS, _CHANGE_HEADERS, _REMOVE_RECIPIENTS, _SET_MACROS = 0x01, 0x10, 0x08, 0x100
_WANTED_ACTIONS = _ADD_HEADERS | _CHANGE_HEADERS | _REMOVE_RECIPIENTS
# Steps we do without, and steps that need no answer of ours.
_NO_DATA, _NO_UNKNOWN, _NO_END_OF_HEADERS = 0x200, 0x100, 0x40
_QUIET_CONNECT, _QUIET_HELO, _QUIET_SENDER = 0x1000, 0x2000, 0x4000
_QUIET_HEADER, _QUIET_BODY = 0x80, 0x80000
# Header values with their leading space, in both directions: else no byte can be trusted.
_LEADING_SPACE = 0x100000
_NEEDED_STEPS = _QUIET_CONNECT | _QUIET_HELO | _QUIET_HEADER | _QUIET_BODY | _LEADING_SPACE
_WANTED_STEPS = _NEEDED_STEPS | _NO_DATA | _NO_UNKNOWN | _NO_END_OF_HEADERS
# Stage of the conversation -> the macros that we ask for there.  Where no name is given, Postfix
# says what its own settings name; it says nothing for a name that has no value.
_NOTHING = "{none}"
_MACROS = (
    (0, _NOTHING),
    (1, "{tls_version}"),
    (2, "{tls_version} {auth_authen}"),
    (3, _NOTHING),
    (4, _NOTHING),
    (5, "i"),
    (6, _NOTHING),  # said before each header field
)


class BadPacket(Exception):
    """The other end does not speak the protocol as we can follow it: hang up."""


class Packets:
    """Feed it what comes; it gives whole packets.  Memory stays within one packet."""

    def __init__(self, max_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max_bytes = max_bytes
        self._inbox = b""
        self._at = 0  # what stands before it was given
        # What came behind the inbox, and how much of it the next packet still needs: a body comes
        # in many pieces, which are put together once.
        self._pieces: list[bytes] = []
        self._piece_bytes = self._missing = 0

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._piece_bytes += len(data)

    @property
    def waiting_bytes(self) -> int:
        return len(self._inbox) - self._at + self._piece_bytes

    def _join(self) -> None:
        self._inbox = b"".join((self._inbox[self._at :], *self._pieces))
        self._pieces.clear()
        self._at = self._piece_bytes = self._missing = 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Letter and data of each whole packet.  Raises ``BadPacket``."""
        while True:
            if self._piece_bytes and self._piece_bytes >= self._missing:
                self._join()
            at, inbox = self._at, self._inbox
            start = at + _HEAD.size
            if len(inbox) < start:
                return
            (length,) = _HEAD.unpack_from(inbox, at)
            if not 0 < length <= self._max_bytes:
                raise BadPacket(f"a packet of {length} bytes")
            end = start + length
            if len(inbox) < end:
                self._missing = end - len(inbox)
                if self._piece_bytes < self._missing:
                    return
                continue
            self._at = end
            if length == len(_NO_MACROS) and inbox.startswith(_NO_MACROS, start):
                continue
            yield chr(inbox[start]), inbox[start + 1 : end]


def packet(letter: str, data: bytes = b"") -> bytes:
    return _HEAD.pack(len(data) + 1) + letter.encode("ascii") + data


CONTINUE = packet("c")
ACCEPT = packet("a")
DISCARD = packet("d")
TRY_LATER = packet("t")


def negotiate(data: bytes, *, is_sender_quiet: bool = False) -> tuple[bytes, bool]:
    """Our answer to the MTA's offer, and whether it waits for none to MAIL, which is only so where
    ``is_sender_quiet`` asks for it.  Raises ``BadPacket`` where it can't do what we need.
    """
    if len(data) < _OPTIONS.size:
        raise BadPacket("the offer is too short")
    version, actions, steps = _OPTIONS.unpack_from(data)
    if version < VERSION:
        raise BadPacket(f"version {version} of the protocol, {VERSION} is needed")
    if actions & _WANTED_ACTIONS != _WANTED_ACTIONS or steps & _NEEDED_STEPS != _NEEDED_STEPS:
        raise BadPacket(f"the MTA offers actions {actions:#x} and steps {steps:#x} only")
    macros = b""
    if actions & _SET_MACROS:
        macros = b"".join(
            _NUMBER.pack(stage) + names.encode("ascii") + b"\0" for stage, names in _MACROS
        )
    steps &= _WANTED_STEPS | (_QUIET_SENDER if is_sender_quiet else 0)
    options = _OPTIONS.pack(VERSION, _WANTED_ACTIONS | (actions & _SET_MACROS), steps)
    return packet("O", options + macros), bool(steps & _QUIET_SENDER)


def strings(data: bytes) -> list[bytes]:
    """The NUL-ended strings in ``data``."""
    return data.removesuffix(b"\0").split(b"\0") if data else []


def read_macros(data: bytes) -> dict[str, str]:
    """Names without braces."""
    words = [_text(each) for each in strings(data[1:])]
    return {
        name.removeprefix("{").removesuffix("}"): value
        for name, value in zip(words[::2], words[1::2], strict=False)
    }


def read_connect(data: bytes) -> tuple[str, str]:
    """Name and address of the sending host; the address is "" where it came by no network."""
    name, _, rest = data.partition(b"\0")
    if rest[:1] not in (b"4", b"6"):
        return _text(name), ""
    address = _text(rest[3:].partition(b"\0")[0])
    return _text(name), address.removeprefix("IPv6:").removeprefix("::ffff:")


def read_header(data: bytes) -> tuple[bytes, bytes]:
    """Name, and value as it stands behind the colon, its lines ended by LF.

    Raises ``BadPacket``.
    """
    parts = data.removesuffix(b"\0").split(b"\0")
    if len(parts) != 2 or not parts[0]:
        raise BadPacket("a header that is none")
    return parts[0], parts[1]


def remove_recipient(address: bytes) -> bytes:
    """``address`` as it came, with its angle brackets."""
    return packet("-", address + b"\0")


def insert_header(position: int, name: str, value: str) -> bytes:
    """At 0 before all that the mail has."""
    field = name.encode("ascii") + b"\0 " + value.encode("ascii") + b"\0"
    return packet("i", _NUMBER.pack(position) + field)


def change_header(number: int, name: bytes, value: bytes) -> bytes:
    """The ``number``-th field of this name, from 1; an empty value takes it out.

    ``value`` comes with its leading space.
    """
    return packet("m", _NUMBER.pack(number) + name + b"\0" + value + b"\0")


def reply(text: str) -> bytes:
    """A whole SMTP reply, 4xx or 5xx."""
    # MTAs read % as printf does; a line break would be a second reply.
    clean = " ".join(text.replace("%", "").split())
    return packet("y", clean.encode("ascii", "replace")[:900] + b"\0")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
