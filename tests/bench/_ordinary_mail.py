"""Mail as offices get it, for measures that need no labels: letters with their history quoted
below, newsletters, notices of machines, and letters with files.

Made up from a seed, so every run measures the same bytes; 16 kB on average.  Words are chosen with
a long tail, so that texts neither repeat themselves nor look like noise.
"""

from __future__ import annotations

import base64
import quopri
import random
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

_SYLLABLES = (
    *("ba", "co", "de", "fi", "ga", "lo", "mu", "ne", "po", "ra", "si", "ta", "ve", "wi", "zo"),
    *("an", "el", "in", "or", "un", "st", "tr", "ch", "sh"),
)
_STARTED = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
_STYLE = "font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.5;color:#333333"
_QUOTED = "Content-Transfer-Encoding: quoted-printable"


class _Writer:
    """Words, sentences and paragraphs of one mail."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        shared = random.Random(1)
        self._words = [
            "".join(shared.choices(_SYLLABLES, k=shared.randint(1, 4))) for _ in range(4_000)
        ]

    def word(self) -> str:
        return self._words[min(3_999, int(self.random.paretovariate(0.6)))]

    def sentence(self) -> str:
        words = " ".join(self.word() for _ in range(self.random.randint(6, 18)))
        return words.capitalize() + "."

    def paragraph(self) -> str:
        return " ".join(self.sentence() for _ in range(self.random.randint(2, 6)))

    def paragraphs(self, least: int, most: int) -> list[str]:
        return [self.paragraph() for _ in range(self.random.randint(least, most))]

    def url(self, host: str) -> str:
        token = "".join(self.random.choices("abcdefghijkmnpqrstuvwxyz23456789", k=40))
        count = self.random.randint(1, 999)
        return f"https://{host}/{self.word()}/{self.word()}?u={token}&c={count}"


def ordinary_mails(seed: int, count: int) -> Iterator[bytes]:
    """``count`` mails with CRLF line ends, the same for the same arguments."""
    chooser = random.Random(seed)
    for number in range(count):
        writer = _Writer(seed * 1_000_003 + number)
        (kind,) = chooser.choices(_KINDS, weights=_WEIGHTS)
        yield _whole(writer, number, *kind(writer))


def _whole(writer: _Writer, number: int, host: str, head: list[str], body: bytes) -> bytes:
    at = _STARTED + timedelta(minutes=number)
    name = f"{writer.word()}.{writer.word()}".lower()
    signature = base64.b64encode(writer.random.randbytes(256)).decode()
    parts = [signature[at_ : at_ + 70] for at_ in range(0, len(signature), 70)]
    lines = [
        f"Received: from relay.{host} (relay.{host} [198.51.100.{number % 250}])",
        f"\tby out.{host} (Postfix) with ESMTPS id {number:010X}",
        f"\tfor <info@acme.example>; {format_datetime(at)}",
        f"Received: from app7.{host} ([10.1.2.{number % 250}]) by relay.{host} with ESMTP;",
        f"\t{format_datetime(at - timedelta(seconds=2))}",
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={host}; s=s1;",
        "\th=from:to:subject:date:message-id:mime-version:content-type;",
        f"\tbh={signature[:44]};",
        "\tb=" + "\r\n\t ".join(parts),
        f"From: {writer.word().title()} {writer.word().title()} <{name}@{host}>",
        "To: Ina Fo <info@acme.example>",
        f"Subject: {' '.join(writer.word() for _ in range(5)).capitalize()}",
        f"Date: {format_datetime(at)}",
        f"Message-ID: <{number}.{writer.random.getrandbits(64):x}@{host}>",
        "MIME-Version: 1.0",
        *head,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


Made = tuple[str, list[str], bytes]
"""The sender's host, the fields of the content, and the body."""


def _letter(writer: _Writer) -> Made:
    """An answer, in text and HTML, with one to four earlier letters below."""
    said = writer.paragraphs(1, 4)
    earlier = [writer.paragraphs(1, 5) for _ in range(writer.random.randint(1, 4))]
    text, html = list(said), [_p(each) for each in said]
    for depth, letter in enumerate(earlier, start=1):
        text += [f"{'> ' * depth}{each}" for each in letter]
        quoted = "".join(_p(each) for each in letter)
        html.append(f'<blockquote style="border-left:1px solid #ccc;margin:0">{quoted}')
    html.append("</blockquote>" * len(earlier))
    host = f"{writer.word()}-works.example"
    head = [
        f"In-Reply-To: <{writer.random.getrandbits(64):x}@acme.example>",
        f"References: <{writer.random.getrandbits(64):x}@acme.example>",
    ]
    return (host, *_alternative("\n\n".join(text), "".join(html), head))


def _newsletter(writer: _Writer) -> Made:
    host = f"news.{writer.word()}-shop.example"
    text, rows = [], []
    for part in writer.paragraphs(6, 16):
        url, title = writer.url(host), writer.sentence()
        text += [title, part, url]
        rows.append(
            f'<tr><td style="padding:12px 24px" valign="top"><img src="https://img.{host}/'
            f'{writer.word()}.jpg" width="560" height="200" alt="{title}" style="display:block">'
            f'<h2 style="{_STYLE};font-size:20px"><a href="{url}">{title}</a></h2>'
            f'<p style="{_STYLE}">{part}</p><a href="{url}" style="{_STYLE};color:#0a66c2">'
            f"{writer.word()}</a></td></tr>"
        )
    out = writer.url(host)
    html = (
        f'<table width="100%" cellpadding="0" cellspacing="0" role="presentation">{"".join(rows)}'
        f'<tr><td><a href="{out}">Unsubscribe</a></td></tr></table>'
    )
    head = [f"List-Unsubscribe: <{out}>", f"List-Id: <{host}>", "Precedence: bulk"]
    return (host, *_alternative("\n\n".join(text), html, head))


def _notice(writer: _Writer) -> Made:
    host = f"app.{writer.word()}-soft.example"
    rows = "".join(
        f"<tr><th>{writer.word()}</th><td>{writer.sentence()}</td></tr>" for _ in range(8)
    )
    url = writer.url(host)
    text = "\n".join([*writer.paragraphs(1, 2), url])
    return (host, *_alternative(text, f'<table>{rows}</table><a href="{url}">Open</a>', []))


def _with_file(writer: _Writer) -> Made:
    """A letter with a PDF or a picture, whose bytes do not compress."""
    host, (content_type, *_), letter = _letter(writer)
    data = writer.random.randbytes(writer.random.randint(8_000, 60_000))
    if writer.random.random() < 0.7:
        kind, name = "application/pdf", f"{writer.word()}.pdf"
        packed = zlib.compress(data)
        begin = f"%PDF-1.5\n1 0 obj\n<</Length {len(packed)}>>stream\n".encode()
        data = begin + packed + b"\nendstream\n%%EOF\n"
    else:
        kind, name = "image/jpeg", f"{writer.word()}.jpg"
        data = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + data + b"\xff\xd9"
    file_head = [
        f'Content-Type: {kind}; name="{name}"',
        f'Content-Disposition: attachment; filename="{name}"',
        "Content-Transfer-Encoding: base64",
    ]
    encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
    body = _multipart("=_mixed", ([content_type], letter), (file_head, encoded))
    return host, ['Content-Type: multipart/mixed; boundary="=_mixed"'], body


def _plain(writer: _Writer) -> Made:
    head = ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    text = "\r\n\r\n".join(writer.paragraphs(1, 8))
    return f"{writer.word()}-post.example", head, text.encode() + b"\r\n"


def _p(text: str) -> str:
    return f'<p style="{_STYLE}">{text}</p>'


def _alternative(text: str, html: str, head: list[str]) -> tuple[list[str], bytes]:
    whole = f"<html><head><meta charset=utf-8><title></title></head><body>{html}</body></html>"
    body = _multipart(
        "=_alternative",
        (["Content-Type: text/plain; charset=utf-8", _QUOTED], _quoted(text)),
        (["Content-Type: text/html; charset=utf-8", _QUOTED], _quoted(whole)),
    )
    return ['Content-Type: multipart/alternative; boundary="=_alternative"', *head], body


def _quoted(text: str) -> bytes:
    return quopri.encodestring(text.encode()).replace(b"\n", b"\r\n") + b"\r\n"


def _multipart(boundary: str, *parts: tuple[list[str], bytes]) -> bytes:
    line = f"--{boundary}".encode()
    pieces = [line + b"\r\n" + "\r\n".join([*head, "", ""]).encode() + body for head, body in parts]
    return b"".join((*pieces, line, b"--\r\n"))


_KINDS: tuple[Callable[[_Writer], Made], ...]
_KINDS = (_letter, _newsletter, _notice, _with_file, _plain)
_WEIGHTS = (30, 30, 20, 12, 8)
