"""Hostile mail of our own making, from a seed.

Nothing here was taken from real mail, nothing runs, and no host in it can be reached (names end in
``.example``).  Each mail is a harmless letter with one or two ways of breaking its reader put in:
structure, headers, addresses, encodings, names, HTML, archives, smuggled ends; then, now and then,
random damage to its bytes.
"""

from __future__ import annotations

import base64
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.hostile.vectors import (
    AMBIGUOUS_FROM,
    FILE_NAMES,
    FORMULAS,
    SCRIPTS,
    SMUGGLED_ENDS,
    damaged,
)

_WORDS = str.split(
    "invoice meeting order please account project friday office report budget team contract number"
    " delivery payment question answer monday review update letter document client supplier"
)
_NAMES = ("Ana Example", "Bo Sample", "Mo Test", "Pia Probe", "Gus Muster")


@dataclass(frozen=True, slots=True)
class HostileMail:
    """``traits`` names what was done to it, in the order in which it was done."""

    traits: tuple[str, ...]
    raw: bytes


@dataclass(slots=True)
class _Draft:
    """A mail that is being put together."""

    random: random.Random
    scale: int
    headers: list[bytes]
    content_type: bytes = b"text/plain; charset=utf-8"
    encoding: bytes = b""
    body: bytes = b""

    def words(self, count: int) -> str:
        return " ".join(self.random.choice(_WORDS) for _ in range(count))

    def bytes(self) -> bytes:
        lines = [*self.headers, b"Content-Type: " + self.content_type]
        if self.encoding:
            lines.append(b"Content-Transfer-Encoding: " + self.encoding)
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def hostile_mails(seed: int, count: int, *, scale: int = 200) -> Iterator[HostileMail]:
    """``count`` mails, the same for the same arguments.

    ``scale`` is how often a repeated thing repeats (parts, levels, header lines): some 200 make
    mails of a few kilobytes, 100,000 make bombs.
    """
    chooser = random.Random(seed)
    for _ in range(count):
        draft = _letter(chooser, scale)
        names = chooser.sample(sorted(_TRAITS), chooser.choice((1, 1, 2)))
        for name in names:
            _TRAITS[name](draft)
        raw = draft.bytes()
        if chooser.random() < 0.3:
            raw = damaged(raw, chooser)
            names.append("damage")
        yield HostileMail(tuple(names), raw)


def hostile_mail(trait: str, seed: int = 0, *, scale: int = 200) -> bytes:
    """One mail with that trait.  Raises ``KeyError`` for a name that is not in ``TRAITS``."""
    draft = _letter(random.Random(seed), scale)
    _TRAITS[trait](draft)
    return draft.bytes()


def _letter(chooser: random.Random, scale: int) -> _Draft:
    number = chooser.randrange(10**9)
    draft = _Draft(chooser, scale, [])
    name = chooser.choice(_NAMES)
    address = name.lower().replace(" ", ".") + "@sender.example"
    draft.headers = [
        b"Received: from mail.sender.example (mail.sender.example [192.0.2.7]) by mx.acme.example"
        b" with ESMTPS; Mon, 02 Nov 2026 10:00:00 +0100",
        f"From: {name} <{address}>".encode(),
        b"To: info@acme.example",
        f"Subject: {draft.words(4)}".encode(),
        f"Message-ID: <{number}@sender.example>".encode(),
        b"Date: Mon, 02 Nov 2026 10:00:00 +0100",
        b"MIME-Version: 1.0",
    ]
    draft.body = (draft.words(40) + "\r\nhttps://www.sender.example/" + draft.words(1)).encode()
    return draft


def _replace_header(draft: _Draft, name: bytes, *lines: bytes) -> None:
    kept = [each for each in draft.headers if not each.startswith(name + b":")]
    draft.headers = [*kept, *lines]


def _multipart(draft: _Draft, *parts: bytes, boundary: bytes = b"=_b") -> None:
    first = b"Content-Type: " + draft.content_type + b"\r\n\r\n" + draft.body
    draft.content_type = b'multipart/mixed; boundary="' + boundary + b'"'
    draft.encoding = b""
    pieces = [b"--" + boundary + b"\r\n" + each + b"\r\n" for each in (first, *parts)]
    draft.body = b"".join(pieces) + b"--" + boundary + b"--\r\n"


def _attach(
    draft: _Draft, name: str, content: bytes, kind: str = "application/octet-stream"
) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    head = (
        f'Content-Type: {kind}\r\nContent-Disposition: attachment; filename="{quoted}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    _multipart(draft, head.encode("utf-8", "surrogatepass") + encoded)


def _many_parts(draft: _Draft) -> None:
    _multipart(draft, *[b"\r\n"] * draft.scale)


def _deep_parts(draft: _Draft) -> None:
    levels = [
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (level, level)
        for level in range(draft.scale)
    ]
    _multipart(draft, b"".join(levels) + b"\r\ndeep")


def _deep_messages(draft: _Draft) -> None:
    _multipart(draft, b"Content-Type: message/rfc822\r\n\r\n" * draft.scale + b"\r\ninner")


def _boundary_games(draft: _Draft) -> None:
    inner = draft.random.choice((b"=_b", b"=_b--", b"=_b ", b"=_", b""))
    part = b'Content-Type: multipart/alternative; boundary="' + inner + b'"\r\n\r\n--' + inner
    _multipart(draft, part + b"\r\nContent-Type: text/html\r\n\r\n<p>inner</p>")
    if draft.random.random() < 0.5:
        draft.body += (
            b"--=_b\r\nContent-Type: text/html\r\n\r\n<a href=https://evil.example/>late</a>"
        )
    if draft.random.random() < 0.3:
        draft.body = draft.body.replace(b"--=_b--", b"")


def _no_boundary(draft: _Draft) -> None:
    _multipart(draft, b"\r\nx")
    draft.content_type = draft.random.choice((b"multipart/mixed", b"multipart/mixed; boundary="))


def _many_headers(draft: _Draft) -> None:
    draft.headers += [b"X-%d: y" % number for number in range(draft.scale * 10)]


def _long_header(draft: _Draft) -> None:
    draft.headers.append(b"X-Long: " + b"y" * (draft.scale * 500))


def _long_fold(draft: _Draft) -> None:
    draft.headers.append(b"X-Fold: a" + b"\r\n b" * draft.scale)


def _encoded_subject(draft: _Draft) -> None:
    words = b" ".join([b"=?utf-8?q?a=C3=A4?="] * draft.scale)
    _replace_header(draft, b"Subject", b"Subject: " + words)


def _broken_words(draft: _Draft) -> None:
    word = draft.random.choice(
        (
            b"=?utf-8?b?!!!?=",
            b"=?x-none?q?a?=",
            b"=?utf-8?q?a",
            b"=?idna?q?xn--?=",
            b"=?zip?b?eJw=?=",
        )
    )
    _replace_header(draft, b"Subject", b"Subject: " + word * 5)


def _parentheses(draft: _Draft) -> None:
    _replace_header(draft, b"To", b"To: " + b"(" * (draft.scale * 10) + b"a@b.example")


def _many_recipients(draft: _Draft) -> None:
    many = b", ".join(b"u%d@acme.example" % number for number in range(draft.scale * 10))
    _replace_header(draft, b"To", b"To: " + many)


def _ambiguous_from(draft: _Draft) -> None:
    _replace_header(draft, b"From", *draft.random.choice(AMBIGUOUS_FROM))


def _formula_subject(draft: _Draft) -> None:
    _replace_header(draft, b"Subject", f"Subject: {draft.random.choice(FORMULAS)}".encode())


def _markup_everywhere(draft: _Draft) -> None:
    markup = draft.random.choice(SCRIPTS).encode()
    _replace_header(draft, b"Subject", b"Subject: " + markup)
    _replace_header(
        draft, b"From", b'From: "' + markup.replace(b'"', b"") + b'" <a@sender.example>'
    )


def _hostile_html(draft: _Draft) -> None:
    pieces = [draft.random.choice(SCRIPTS) for _ in range(3)]
    draft.content_type = b"text/html; charset=utf-8"
    draft.body = f"<html><body><p>{draft.words(20)}</p>{''.join(pieces)}<p>end</p>".encode()


def _deep_html(draft: _Draft) -> None:
    tag = draft.random.choice((b"<div>", b"<b>", b"<table><tr><td>", b"<a><b><i><u>", b"<font>"))
    draft.content_type = b"text/html"
    draft.body = tag * (draft.scale * 10) + draft.body


def _wide_tag(draft: _Draft) -> None:
    attributes = " ".join(f"a{number}=1" for number in range(draft.scale * 10))
    draft.content_type = b"text/html"
    draft.body = f"<a {attributes} href='https://evil.example/'>x</a>".encode()


def _invisible_text(draft: _Draft) -> None:
    spread = "\u200b".join(draft.words(20))
    draft.body = f"{spread} \u202egnp.exe\u202c \U000e0041 {'͏ ' * draft.scale}".encode()


def _broken_base64(draft: _Draft) -> None:
    draft.encoding = b"base64"
    draft.body = base64.b64encode(draft.body)[: draft.random.randrange(1, 60)] + b"=A=\x00\xff"


def _odd_charset(draft: _Draft) -> None:
    charset = draft.random.choice(
        (
            b"utf-7",
            b"utf-16",
            b"unicode_escape",
            b"idna",
            b"hex",
            b"x-none",
            b"'",
            b"utf-8\x00",
            b"",
        )
    )
    draft.content_type = b"text/plain; charset=" + charset
    draft.body = draft.random.randbytes(300)


def _zero_bytes(draft: _Draft) -> None:
    draft.headers.append(b"X-Zero: a\x00b")
    draft.body = draft.body.replace(b" ", b"\x00 ")


def _bare_ends(draft: _Draft) -> None:
    end = draft.random.choice((b"\r", b"\n", b"\n\r", b"\r\r\n", b"\x0b", b"\xc2\x85"))
    draft.headers.append(b"X-Bare: a" + end + b"From: other@evil.example")
    draft.body = draft.body.replace(b"\r\n", end)


def _smuggled_end(draft: _Draft) -> None:
    draft.body += (
        draft.random.choice(SMUGGLED_ENDS)
        + b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<y@acme.example>"
    )


def _forged_marks(draft: _Draft) -> None:
    draft.headers[:0] = [
        b"X-Bailey-Trace: v1; k=k1; t=1; u=01JD4Z7Y8M2Q3R4S5T6V7W8X9Y; d=20261102T100000Z;"
        b" m=; f=; s=" + b"0" * 64,
        b"Authentication-Results: mx.acme.example; spf=pass smtp.mailfrom=acme.example;"
        b" dmarc=pass header.from=acme.example(.evil.example",
    ]


def _odd_name(draft: _Draft) -> None:
    _attach(draft, draft.random.choice(FILE_NAMES), b"%PDF-1.4\n" + draft.random.randbytes(100))


def _zip(draft: _Draft) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draft.random.sample(FILE_NAMES[2:7], 3):
            archive.writestr(name.replace("\x00", "_"), draft.words(50))
    data = bytearray(content.getvalue())
    if draft.random.random() < 0.5:  # a directory that lies
        data[draft.random.randrange(len(data))] ^= 0xFF
    _attach(draft, "papers.zip", bytes(data), "application/zip")


def _zip_bomb(draft: _Draft) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zero.txt", b"\0" * (draft.scale * 20_000))
    _attach(draft, "zero.zip", content.getvalue(), "application/zip")


def _zip_in_zip(draft: _Draft) -> None:
    data = b"at the bottom"
    for level in range(8):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr(f"{level}.zip" if level else "bottom.txt", data)
        data = content.getvalue()
    _attach(draft, "russian-doll.zip", data, "application/zip")


def _gzip_bomb(draft: _Draft) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    _attach(draft, "x.gz", packer.compress(b"\0" * (draft.scale * 20_000)) + packer.flush())


def _pdf(draft: _Draft) -> None:
    inner = zlib.compress(b"<< /URI (https://evil.example/in-a-stream) >>")
    content = (
        b"%PDF-1.7\n1 0 obj << /S /URI /URI (https://evil.example/plain\\)x) >>\n"
        b"<< /Filter /FlateDecode >>\nstream\n" + inner + b"\nendstream\n/JavaScript (x) /Launch\n"
    )
    _attach(draft, "invoice.pdf", content, "application/pdf")


def _ole(draft: _Draft) -> None:
    names = "".join(("_VBA_PROJECT", "EncryptedPackage")).encode("utf-16-le")
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + draft.random.randbytes(500) + names
    _attach(draft, "figures.xls", content, "application/vnd.ms-excel")


def _tnef(draft: _Draft) -> None:
    loop = struct.pack("<LHBLL", 0x223E9F78, 1, 1, 0x00069002, 0)
    _attach(draft, "winmail.dat", loop * 20, "application/ms-tnef")


def _calendar(draft: _Draft) -> None:
    content = (
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:<svg onload=alert(1)>\r\n"
        "DESCRIPTION:Join at https://evil.example/mee\r\n ting\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    _attach(draft, "invite.ics", content.encode(), "text/calendar")


def _wrapped_links(draft: _Draft) -> None:
    link = "https://evil.example/x?y=1"
    for _ in range(8):
        coded = link.replace("%", "%25").replace(":", "%3A").replace("/", "%2F").replace("&", "%26")
        link = f"https://eu.safelinks.protection.outlook.com/?url={coded}&data=1"
    odd = ("https://0x7f.1/", "https://[::1/", "http://a@b@c.example", "https://xn--a.example\\@x/")
    draft.content_type = b"text/html; charset=utf-8"
    anchors = "".join(f'<a href="{each}">https://bank.example</a>' for each in (link, *odd))
    draft.body = anchors.encode()


_TRAITS: dict[str, Callable[[_Draft], None]] = {
    function.__name__.lstrip("_"): function
    for function in (
        _many_parts, _deep_parts, _deep_messages, _boundary_games, _no_boundary, _many_headers,
        _long_header, _long_fold, _encoded_subject, _broken_words, _parentheses, _many_recipients,
        _ambiguous_from, _formula_subject, _markup_everywhere, _hostile_html, _deep_html, _wide_tag,
        _invisible_text, _broken_base64, _odd_charset, _zero_bytes, _bare_ends, _smuggled_end,
        _forged_marks, _odd_name, _zip, _zip_bomb, _zip_in_zip, _gzip_bomb, _pdf, _ole, _tnef,
        _calendar, _wrapped_links,
    )
}  # fmt: skip
TRAITS = frozenset(_TRAITS)
