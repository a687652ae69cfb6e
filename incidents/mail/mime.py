"""The MIME tree of a mail, flattened to its leaves: one pass, linear, never raises.

A parser of our own, because general ones are quadratic or recursive on hostile input and follow
one reading where clients follow several.  Here a part can be missed by no disagreement: a line
that is a boundary of any open multipart always begins a part, also after that multipart's end.
Source: RFC 2045, 2046; the limits are in ``incidents.mail.limits``.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from incidents.mail.encoded import decode_base64, decode_words, parse_parameters
from incidents.mail.headers import HeaderBlock, scan_block
from incidents.mail.limits import LIMITS, Limits

_DASH_LINE = re.compile(rb"\n--([^\n]*)")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}\Z")
_MESSAGE_TYPES = ("message/rfc822", "message/global")
_UU_BYTES = 4 * 1024 * 1024  # it is decoded line by line, and nobody has sent one for decades
_WHOLE_ENCODINGS = ("", "7bit", "8bit", "binary")


@dataclass(slots=True)
class Part:
    """One part.  ``raw[start:end]`` of the mail is its body, still encoded."""

    content_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    disposition: str = ""
    name: str = ""
    content_id: str = ""
    encoding: str = ""
    charset: str = ""
    start: int = 0
    end: int = 0
    depth: int = 0
    container: str = ""  # content type of the multipart it stands in, "" at the top
    message_depth: int = 0  # how many attached messages it is inside of

    @property
    def is_multipart(self) -> bool:
        return self.content_type.startswith("multipart/")

    @property
    def is_open_message(self) -> bool:
        """An attached mail whose parts stand among the parts of the mail itself."""
        return self.content_type in _MESSAGE_TYPES and self.encoding in _WHOLE_ENCODINGS

    def decoded(self, raw: bytes) -> tuple[bytes, str]:
        """The body without its transfer encoding, and a problem code or ""."""
        data = raw[self.start : self.end]
        if self.encoding == "base64":
            decoded, is_whole = decode_base64(data)
            return decoded, "" if is_whole else "broken_base64"
        if self.encoding == "quoted-printable":
            return binascii.a2b_qp(data), ""
        if self.encoding in ("x-uuencode", "uuencode", "x-uue") and len(data) <= _UU_BYTES:
            return _uudecoded(data), ""
        return data, "" if self.encoding in _WHOLE_ENCODINGS else "unknown_encoding"


@dataclass(slots=True)
class Mime:
    """``block`` is the mail's own header; ``messages`` are the attached ones as parts."""

    block: HeaderBlock
    leaves: list[Part] = field(default_factory=list)
    messages: list[Part] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


@dataclass(slots=True)
class _Frame:
    """An open multipart."""

    boundary: bytes
    part: Part
    children: int = 0
    is_ended: bool = False


def parse_mime(raw: bytes, *, limits: Limits = LIMITS) -> Mime:
    """Reads the structure of ``raw``, which must not be longer than ``limits.raw_bytes``."""
    block = scan_block(raw, limits=limits)
    walker = _Walker(raw, Mime(block=block, problems=list(block.problems)), limits)
    walker.begin(block, Part(end=len(raw)))
    walker.walk(block.body_start)
    return walker.mime


class _Walker:
    """Goes once over all lines that begin with two dashes and keeps the open multiparts."""

    def __init__(self, raw: bytes, mime: Mime, limits: Limits) -> None:
        self.raw, self.mime, self.limits = raw, mime, limits
        self.frames: list[_Frame] = []
        self.by_boundary: dict[bytes, int] = {}
        self.leaf: Part | None = None
        self.open_messages: list[tuple[int, Part]] = []  # (frames open when it began, part)
        self.parts = 0
        self.header_bytes = 0

    def walk(self, start: int) -> None:
        body_start = start
        lines = _DASH_LINE.finditer(self.raw, max(0, start - 1)) if self.frames else iter(())
        for count, line in enumerate(lines):
            if count > self.limits.dash_lines:
                self.mime.note("too_many_parts")
                break
            line_start = line.start() + 1
            if line_start < body_start:
                continue
            text = line[1].rstrip(b" \t\r")
            index, is_end = self.by_boundary.get(text, -1), False
            if index < 0 and text.endswith(b"--"):
                index, is_end = self.by_boundary.get(text[:-2].rstrip(b" \t"), -1), True
            if index < 0:
                continue
            self._close_down_to(index, line_start)
            if is_end:
                self.frames[index].is_ended = True
                continue
            next_start = self._begin_child(line.end() + 1)
            if next_start < 0:
                return
            body_start = next_start
        self._close_down_to(-1, len(self.raw))

    def begin(self, block: HeaderBlock, part: Part) -> None:
        """Fills ``part`` from its header and opens what it is: multipart, message or leaf."""
        self.parts += 1
        part.start = block.body_start
        _describe(block, part, self.mime)
        while part.is_open_message:
            if part.depth >= self.limits.depth:
                self.mime.note("too_deep")
                break
            self.mime.messages.append(part)
            self.open_messages.append((len(self.frames), part))
            inner = scan_block(self.raw, part.start, limits=self.limits, stop_at_dashes=True)
            self.header_bytes += inner.scanned_to - part.start
            part = Part(
                start=inner.body_start,
                depth=part.depth + 1,
                message_depth=part.message_depth + 1,
            )
            _describe(inner, part, self.mime)
        if part.is_multipart and self._opened(part):
            return
        self.leaf = part

    def _opened(self, part: Part) -> bool:
        boundary = part.parameters.get("boundary", "").encode("utf-8", "replace").rstrip(b" \t")
        if not boundary:
            self.mime.note("no_boundary")
        elif boundary in self.by_boundary:
            self.mime.note("duplicate_boundary")
        elif part.depth >= self.limits.depth:
            self.mime.note("too_deep")
        else:
            self.by_boundary[boundary] = len(self.frames)
            self.frames.append(_Frame(boundary, part))
            return True
        return False

    def _begin_child(self, start: int) -> int:
        """Opens the part behind a boundary line; where its body begins, -1: too many parts."""
        for is_crossed, problem in (
            (self.parts >= self.limits.parts, "too_many_parts"),
            (self.header_bytes > self.limits.part_headers_bytes, "headers_too_long"),
        ):
            if is_crossed:
                self.mime.note(problem)
                self._close_down_to(-1, start)
                return -1
        frame = self.frames[-1]
        if frame.is_ended:
            self.mime.note("parts_after_end")
        frame.children += 1
        block = scan_block(self.raw, start, limits=self.limits, stop_at_dashes=True)
        self.header_bytes += block.scanned_to - start
        for problem in block.problems:
            self.mime.note(problem)
        parent = frame.part
        is_digest = parent.content_type == "multipart/digest"
        child = Part(
            content_type="message/rfc822" if is_digest else "text/plain",
            depth=parent.depth + 1,
            container=parent.content_type,
            message_depth=parent.message_depth,
        )
        self.begin(block, child)
        return self.leaf.start if self.leaf else self.frames[-1].part.start

    def _close_down_to(self, index: int, line_start: int) -> None:
        """Ends the open leaf and all multiparts above ``index`` before the line at that place."""
        end = line_start
        if end < len(self.raw) and self.raw[end - 1 : end] == b"\n":
            end -= 2 if self.raw[end - 2 : end] == b"\r\n" else 1
        if self.leaf is not None:
            self.leaf.end = max(self.leaf.start, end)
            self.mime.leaves.append(self.leaf)
            self.leaf = None
        while len(self.frames) > index + 1:
            frame = self.frames.pop()
            del self.by_boundary[frame.boundary]
            frame.part.end = max(frame.part.start, end)
            if not frame.children:
                self.mime.note("boundary_not_found")
                frame.part.content_type = "text/plain"
                self.mime.leaves.append(frame.part)
            elif not frame.is_ended:
                self.mime.note("boundary_not_closed")
        while self.open_messages and self.open_messages[-1][0] > index:
            self.open_messages.pop()[1].end = end


def _describe(block: HeaderBlock, part: Part, mime: Mime) -> None:
    fields = {"content-type": "", "content-disposition": "", "content-id": ""}
    fields["content-transfer-encoding"] = ""
    for each in block.fields:
        if each.key in fields:
            if fields[each.key]:
                mime.note("duplicate_header")
                continue
            fields[each.key] = each.text()
    if fields["content-type"]:
        content_type, part.parameters = parse_parameters(fields["content-type"])
        part.content_type = content_type if _TYPE.match(content_type) else "text/plain"
    part.charset = part.parameters.get("charset", "")
    part.disposition, disposition = parse_parameters(fields["content-disposition"])
    part.name = decode_words(disposition.get("filename") or part.parameters.get("name", ""))
    part.content_id = fields["content-id"].strip("<> \t")[:200]
    part.encoding = fields["content-transfer-encoding"].strip().lower()[:40]


def _uudecoded(data: bytes) -> bytes:
    pieces: list[bytes] = []
    for each in data.split(b"\n"):
        line = each.rstrip(b"\r")
        if not line or line.startswith((b"begin ", b"end")):
            continue
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(pieces)
