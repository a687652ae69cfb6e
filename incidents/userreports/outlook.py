"""An Outlook item (``.msg``) put back into the form of the mail that it was made of.

The item keeps the header as it came and the texts, each as a stream of a compound file.  What it
does not keep is how the parts were nested: the mail is made anew of header and texts, without its
attachments, and no signature over the body (DKIM) holds any more.

Source: [MS-OXMSG] 2.4 (property streams), [MS-OXPROPS] (tags), Microsoft Open Specifications,
2026-11; the compound file is read by olefile.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from typing import Final

import olefile

MOST_TEXT_BYTES: Final = 8 * 1024 * 1024
LONGEST_FIELD: Final = 900
_UNICODE, _NARROW, _BINARY = "001F", "001E", "0102"
_HEADER, _SUBJECT, _MESSAGE_ID = "007D", "0037", "1035"
_SENDER, _SENDER_NAME, _SENDER_SMTP, _SENT_SMTP = "0C1F", "0C1A", "5D01", "5D02"
_TO, _TEXT, _HTML = "0E04", "1000", "1013"
_DELIVERED = 0x0E060040
_FIELD = re.compile(r"[!-9;-~]{1,200}[ \t]*:")
# Those that say how the body was written: it is written anew.
_OF_BODY = ("content-", "mime-version")
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
# The header of the property stream of a top-level item, and one fixed entry.
_PROPERTIES_HEAD, _ENTRY = 32, 16


class NoItem(ValueError):
    """The bytes are no Outlook item of a mail."""


def mail_of_item(raw: bytes) -> bytes:
    """The mail as RFC 5322 has it.  Raises ``NoItem``."""
    try:
        with olefile.OleFileIO(io.BytesIO(raw)) as item:
            return _mail(_Item(item))
    except NoItem:
        raise
    except Exception as error:  # olefile raises what it likes on a broken file
        raise NoItem(f"not readable as an Outlook item: {error}") from error


class _Item:
    def __init__(self, item: olefile.OleFileIO) -> None:
        self._item = item

    def bytes_of(self, tag: str, kind: str) -> bytes:
        """b"" where the item has no such property."""
        name = f"__substg1.0_{tag}{kind}"
        if not self._item.exists(name):
            return b""
        if self._item.get_size(name) > MOST_TEXT_BYTES:
            raise NoItem(f"the property {tag} is too big")
        return bytes(self._item.openstream(name).read())

    def text_of(self, tag: str) -> str:
        if wide := self.bytes_of(tag, _UNICODE):
            return wide.decode("utf-16-le", "replace").rstrip("\x00")
        return self.bytes_of(tag, _NARROW).decode("cp1252", "replace").rstrip("\x00")

    def time_of(self, tag: int) -> datetime | None:
        """Of a PtypTime, 100 ns since 1601; None where there is none."""
        name = "__properties_version1.0"
        if not self._item.exists(name) or self._item.get_size(name) > MOST_TEXT_BYTES:
            return None
        stream = self._item.openstream(name).read()
        for at in range(_PROPERTIES_HEAD, len(stream) - _ENTRY + 1, _ENTRY):
            if int.from_bytes(stream[at : at + 4], "little") == tag:
                ticks = int.from_bytes(stream[at + 8 : at + 16], "little")
                try:
                    return _EPOCH + timedelta(microseconds=ticks // 10)
                except OverflowError:
                    return None
        return None


def _mail(item: _Item) -> bytes:
    text, html = item.text_of(_TEXT), _html(item)
    lines = _header(item)
    if not lines and not text and not html:
        raise NoItem("the item holds no mail")
    body = EmailMessage(policy=policy.SMTP)
    body.set_content(text or "", cte="base64")
    if html:
        body.add_alternative(html, subtype="html", cte="base64")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace") + body.as_bytes()


def _html(item: _Item) -> str:
    if wide := item.text_of(_HTML):
        return wide
    return item.bytes_of(_HTML, _BINARY).decode("utf-8", "replace").rstrip("\x00")


def _header(item: _Item) -> list[str]:
    """The fields as the mail came; for one that never travelled, made of the item's properties."""
    fields: list[str] = []
    for line in item.text_of(_HEADER).replace("\x00", "").splitlines():
        if line[:1] in (" ", "\t") and fields:
            fields[-1] += f"\r\n{line}"
        elif _FIELD.match(line):
            fields.append(line)
    return [each for each in fields if not each.lower().startswith(_OF_BODY)] or _made(item)


def _made(item: _Item) -> list[str]:
    addresses = map(item.text_of, (_SENDER_SMTP, _SENT_SMTP, _SENDER))
    sender = next((each for each in addresses if "@" in each), "")
    sent_at = item.time_of(_DELIVERED)
    named = {
        "From": formataddr((item.text_of(_SENDER_NAME), sender)) if sender else "",
        "To": item.text_of(_TO),
        "Subject": item.text_of(_SUBJECT),
        "Message-ID": item.text_of(_MESSAGE_ID),
        "Date": format_datetime(sent_at) if sent_at else "",
    }
    one_line = {name: " ".join(value.split())[:LONGEST_FIELD] for name, value in named.items()}
    return [f"{name}: {value}" for name, value in one_line.items() if value]
