"""A mail as bytes from what Graph keeps of it, where the MIME form is not worth a call or cannot be
had.

The mail's own headers stand as they came and in their order; only those that describe the outer
MIME form are replaced, because the form is ours.  Nothing in a value can start a new header.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import format_datetime

from api_bridge.connectors import Item
from incidents.mail.facts import Address

OUR_FORM = frozenset({"mime-version", "content-type", "content-transfer-encoding"})
HEADER_NAME = re.compile(r"[!-9;-~]+\Z")
LINE_BREAKS = re.compile(r"[\r\n\x00]+[ \t]*")
SAFE_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+\Z")
LINE_LIMIT = 900
DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFile:
    """One attachment as Graph gives it.  ``is_mail``: ``content`` is a whole mail."""

    name: str
    content: bytes
    content_type: str = DEFAULT_TYPE
    content_id: str = ""
    is_inline: bool = False
    is_mail: bool = False


def rebuild_mail(item: Item, files: Sequence[AttachedFile] = ()) -> bytes:
    """The same item and files give the same bytes."""
    headers = [(name, value) for name, value in item.headers if name.lower() not in OUR_FORM]
    lines = [_header_line(name, value) for name, value in headers or _headers_from_fields(item)]
    lines.append(b"MIME-Version: 1.0\r\n")
    body = _body_part(item)
    if files:
        boundary = _boundary(body, files)
        parts = [body, *(_file_part(file) for file in files)]
        lines.append(b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n' % boundary)
        lines.extend(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
        lines.append(b"--%s--\r\n" % boundary)
    else:
        lines.append(body)
    return b"".join(lines)


def _headers_from_fields(item: Item) -> list[tuple[str, str]]:
    """For mail that never travelled (Graph keeps no headers of it): what its fields say."""
    found = [
        ("Date", format_datetime(item.sent_at) if item.sent_at else ""),
        ("From", _written([item.sender] if item.sender else [])),
        ("To", _written(item.to)),
        ("Cc", _written(item.cc)),
        ("Reply-To", _written(item.reply_to)),
        ("Subject", item.subject),
        ("Message-ID", item.internet_message_id),
    ]
    return [(name, value) for name, value in found if value]


def _written(addresses: Sequence[Address]) -> str:
    return ", ".join(
        f'"{_quoted(entry.name)}" <{entry.address or entry.raw}>'
        if entry.name
        else f"<{entry.address or entry.raw}>"
        for entry in addresses
    )


def _quoted(text: str) -> str:
    return LINE_BREAKS.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')


def _header_line(name: str, value: str) -> bytes:
    """b"" for a name that is none.  Text outside ASCII stands as UTF-8 (RFC 6532)."""
    if not HEADER_NAME.match(name):
        return b""
    line = f"{name}: {LINE_BREAKS.sub(' ', value)}"
    folded: list[str] = []
    while len(line) > LINE_LIMIT and (cut := line.rfind(" ", len(name) + 2, LINE_LIMIT)) > 0:
        folded.append(line[:cut])
        line = line[cut:]
    folded.append(line)
    return "\r\n".join(folded).encode("utf-8", "replace") + b"\r\n"


def _body_part(item: Item) -> bytes:
    kind, content = ("html", item.html) if item.html else ("plain", item.text)
    return (
        f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + _base64(content.encode("utf-8", "replace"))


def _file_part(file: AttachedFile) -> bytes:
    if file.is_mail:
        return b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n%s\r\n" % (
            file.content
        )
    kind = file.content_type if SAFE_TYPE.match(file.content_type) else DEFAULT_TYPE
    disposition = "inline" if file.is_inline else "attachment"
    head = [
        f"Content-Type: {kind}",
        f'Content-Disposition: {disposition}; filename="{_quoted(file.name)}"',
        "Content-Transfer-Encoding: base64",
    ]
    if file.content_id:
        head.append(f"Content-ID: <{LINE_BREAKS.sub('', file.content_id).strip('<>')}>")
    return "\r\n".join(head).encode("utf-8", "replace") + b"\r\n\r\n" + _base64(file.content)


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def _boundary(body: bytes, files: Sequence[AttachedFile]) -> bytes:
    """Never inside a part: base64 has no "=_", and a whole mail cannot hold its own hash."""
    digest = hashlib.sha256(body)
    for file in files:
        digest.update(hashlib.sha256(file.content).digest())
    return b"=_bailey_" + digest.hexdigest()[:32].encode()
