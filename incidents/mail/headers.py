"""Header fields of a raw mail: reading them and editing them byte by byte.

Edits touch only the named lines: every other byte, the body above all, stays as it was, so that
DKIM signatures survive.  A field is everything from its name to the line end before the next
field; a line that is no field is stepped over, because some readers do so too and would see what
stands behind it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from incidents.mail.encoded import decode_header_bytes
from incidents.mail.limits import LIMITS, Limits

_LF, _CR, _DASH = b"\n\r-"
_KNOWN_NAME = re.compile(
    r"(?:from|to|cc|bcc|subject|date|sender|reply-to|received|message-id|return-path|mime-version"
    r"|content-[a-z-]+|x-[!-9;-~]+|list-[a-z-]+|references|in-reply-to|dkim-signature|arc-[a-z-]+"
    r"|authentication-results|delivered-to)\Z"
)
_NAME = re.compile(r"[!-9;-~]+\Z")
_UNFOLD = re.compile(rb"\r?\n(?=[ \t])")
_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")
_LINE_END = re.compile(rb"\n(?![ \t])")
_FOLD_AT = 900
_STRAY = b"X-Bailey-Stray"


@dataclass(slots=True)
class Field:
    """One header field; ``raw[start:end]`` is all of it with its line end.  Nobody changes one: it
    is not frozen because that takes three times as long to make, forty times a mail.

    ``key`` is the name as it is compared: lower case, without the blanks some put before the colon.
    """

    name: str
    value: bytes  # still folded, without the final line end
    start: int
    end: int
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.name.strip().lower()

    def unfolded(self) -> bytes:
        return _unfolded(self.value)

    def text(self) -> str:
        """The value unfolded and read as UTF-8 or Windows-1252; encoded words stay as they are."""
        return header_text(self.value)


def header_text(value: bytes) -> str:
    """``Field.text`` of this value."""
    value = _unfolded(value)
    if value.isascii() and b"\0" not in value:
        return value.decode("ascii")
    return decode_header_bytes(value)


def _unfolded(value: bytes) -> bytes:
    if lines := value.count(b"\n"):
        if value.count(b"\r\n ") + value.count(b"\r\n\t") == lines:
            value = value.replace(b"\r\n", b"")
        else:  # line ends of other forms, or none before a blank
            value = _UNFOLD.sub(b"", value)
    return value.strip()


@dataclass(slots=True)
class HeaderBlock:
    """The fields at the head of a mail or part.

    The body begins at ``body_start``; lines up to ``scanned_to`` were looked at as header lines.
    """

    fields: list[Field] = field(default_factory=list)
    body_start: int = 0
    scanned_to: int = 0
    problems: list[str] = field(default_factory=list)
    _by_key: dict[str, list[Field]] = field(default_factory=dict)

    def first(self, key: str) -> Field | None:
        found = self.all(key)
        return found[0] if found else None

    def all(self, key: str) -> list[Field]:
        """Of a block that was read to its end."""
        if not self._by_key:
            for each in self.fields:
                self._by_key.setdefault(each.key, []).append(each)
        return self._by_key.get(key, [])

    def note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def scan_block(
    raw: bytes,
    start: int = 0,
    end: int | None = None,
    *,
    limits: Limits = LIMITS,
    stop_at_dashes: bool = False,
) -> HeaderBlock:
    """Reads the header block at ``start``; linear in its length, never raises.

    ``stop_at_dashes``: a line that begins with ``--`` ends the block, as it must inside a
    multipart, where it may be the next boundary.
    """
    scanner = _Scanner(raw, start, len(raw) if end is None else end, limits, stop_at_dashes)
    return scanner.scan()


class _Scanner:
    """Goes over the fields of one block; ``position`` is the line it looks at."""

    def __init__(
        self, raw: bytes, start: int, end: int, limits: Limits, stop_at_dashes: bool
    ) -> None:
        self.raw, self.start, self.end, self.limits = raw, start, end, limits
        self.stop_at_dashes = stop_at_dashes
        self.block = HeaderBlock(body_start=end)
        self.position = start
        self.first_broken = -1

    def scan(self) -> HeaderBlock:
        raw, end, last = self.raw, self.end, self.start + self.limits.all_headers_bytes
        while self.position < end and not self._ends_here(last):
            found = _LINE_END.search(raw, self.position, end)
            field_end = found.end() if found is not None else end
            if field_end > last:  # no line that begins beyond is looked at
                field_end = raw.find(b"\n", max(self.position, last), end) + 1 or end
            self._take(self.position, field_end)
            self.position = field_end
        self.block.scanned_to = max(self.position, self.block.body_start)
        _settle_broken_line(self.block, self.first_broken)
        return self.block

    def _ends_here(self, last: int) -> bool:
        raw, position = self.raw, self.position
        first = raw[position]
        if first == _LF or (first == _CR and raw.startswith(b"\r\n", position, self.end)):
            self.block.body_start = raw.find(b"\n", position) + 1
        elif first == _DASH and self.stop_at_dashes and raw.startswith(b"--", position, self.end):
            self.block.body_start = position
        elif position > last:
            self.block.note("headers_too_long")
            self.block.body_start = _after_blank_line(raw, position, self.end)
        else:
            return False
        return True

    def _take(self, start: int, field_end: int) -> None:
        """The line at ``start`` with those that continue it."""
        raw, limits, block = self.raw, self.limits, self.block
        colon = raw.find(b":", start, field_end)
        raw_name = raw[start:colon] if 0 < colon - start <= limits.name_characters else b""
        bare = raw_name.strip()
        if not bare or b" " in bare or b"\t" in bare or b"\n" in raw_name:
            if not raw.startswith((b"From ", b">From "), start):
                block.note("broken_header_line")
                if self.first_broken < 0:
                    self.first_broken = start
            return
        if len(block.fields) >= limits.headers:
            block.note("too_many_headers")
            return
        most = colon + 1 + limits.header_bytes
        if field_end > most:
            block.note("header_too_long")
        value = raw[colon + 1 : min(field_end, most)].rstrip(b"\r\n")
        if value.count(b"\r") != value.count(b"\r\n"):
            block.note("bare_cr")
        if b"\x00" in value or b"\x00" in raw_name:
            block.note("nul_in_headers")
        block.fields.append(Field(raw_name.decode("latin-1"), value, start, field_end))


def _after_blank_line(raw: bytes, position: int, end: int) -> int:
    found = _BLANK_LINE.search(raw, position - 1, end)
    return found.end() if found else end


def _settle_broken_line(block: HeaderBlock, first_broken: int) -> None:
    """A line that is no field: broken header, or a body that begins without a blank line?

    Where well-known fields follow it, it was a broken header; else the body begins there.
    """
    if first_broken < 0:
        return
    after = [each for each in block.fields if each.start > first_broken]
    if any(_KNOWN_NAME.match(each.key) for each in after):
        return
    block.fields = [each for each in block.fields if each.start < first_broken]
    block.body_start = first_broken
    block.note("no_blank_line")


def header_values(raw: bytes, name: str) -> list[str]:
    """The unfolded values of all fields of that name, topmost first; encoded words undecoded."""
    return [each.text() for each in scan_block(raw).all(name.lower())]


def drop_headers(raw: bytes, names: Collection[str]) -> bytes:
    """The mail without the header fields of these names; every other byte is kept."""
    if not names:
        return raw
    # Expressions and not ``scan_block``: an edit has no limits, so it must cost next to nothing.
    blank = _BLANK_LINE.search(raw)
    end = blank.start() + 1 if blank else len(raw)
    name = b"|".join(re.escape(each.encode()) for each in names)
    begins = re.compile(rb"^(?:" + name + rb")[ \t]*:", re.IGNORECASE | re.MULTILINE)
    pieces: list[bytes] = []
    position = 0
    for match in begins.finditer(raw, 0, end):
        pieces.append(raw[position : match.start()])
        last = _LINE_END.search(raw, match.end(), end)
        position = last.end() if last else end
    pieces.append(raw[position:])
    return b"".join(pieces) if position else raw


def prepend_headers(raw: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """The mail with these fields on top, in this order, with the line ends of the mail itself.

    Raises ``ValueError`` for a name that is no token and for a value with a line break, NUL or
    anything but ASCII: nothing that came out of a mail can add a header of its own.
    A mail that begins with a blank would continue the last of our lines: it gets a field to
    continue, ``X-Bailey-Stray``.
    """
    first_line = raw.find(b"\n")
    line_end = b"\n" if first_line >= 0 and raw[first_line - 1 : first_line] != b"\r" else b"\r\n"
    lines = [_printed(name, value, line_end) for name, value in headers]
    at = first_line + 1 if raw.startswith(b"From ") and first_line >= 0 else 0
    if lines and raw[at : at + 1] in (b" ", b"\t"):
        lines.append(_STRAY + b": -" + line_end)
    return raw[:at] + b"".join(lines) + raw[at:]


def tag_subject(raw: bytes, tag: str) -> bytes:
    """The mail with ``tag`` and a blank before the first Subject's value; added where none is.

    Raises ``ValueError`` for a tag with a line break or anything but printable ASCII.
    """
    if not tag or not (tag.isascii() and tag.isprintable()):
        raise ValueError("a subject tag is printable ASCII")
    subject = scan_block(raw).first("subject")
    if subject is None:
        return prepend_headers(raw, [("Subject", tag)])
    value_at = subject.start + len(subject.name.encode("latin-1")) + 1
    blank = b"" if raw[value_at : value_at + 1] in (b" ", b"\t") else b" "
    return raw[:value_at] + b" " + tag.encode() + blank + raw[value_at:]


def _printed(name: str, value: str, line_end: bytes) -> bytes:
    if not _NAME.match(name):
        raise ValueError(f"not a header name: {name!r}")
    if not value.isascii() or not value.replace("\t", " ").isprintable():
        raise ValueError(f"the value of {name} has a line break or is not printable ASCII")
    lines = [f"{name}:"]
    for word in value.split(" "):
        if len(lines[-1]) + len(word) > _FOLD_AT and len(lines[-1]) > len(name) + 1:
            lines.append("")
        lines[-1] += " " + word
    return line_end.join(line.encode() for line in lines) + line_end
