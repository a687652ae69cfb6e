"""Mails that break parsers, at full size (security.md, B5, and what was found since)."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Callable

_M = 1024 * 1024
_HEAD = b"From: a@b.example\r\nTo: c@d.example\r\nMIME-Version: 1.0\r\n"
_MIXED = _HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def _html(html: str) -> bytes:
    return _HEAD + b"Content-Type: text/html\r\n\r\n" + html.encode()


def _attached(content: bytes, name: bytes) -> bytes:
    part = b"Content-Type: application/octet-stream; name=" + name
    encoding = b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return _MIXED + b"--b\r\n" + part + encoding + base64.encodebytes(content) + b"--b--\r\n"


def _nested(levels: int) -> bytes:
    return _HEAD + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(levels)
    )


def _zip(files: int, size: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(files):
            archive.writestr(f"{number}.txt", b"\0" * size)
    return content.getvalue()


def _gzip(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"\0" * _M) for _ in range(megabytes)) + packer.flush()


def _overlapping_zip() -> bytes:
    """Ten thousand entries in the directory, all with the bytes of one."""
    one = _zip(1, 20 * _M)
    end_at = one.rfind(b"PK\x05\x06")
    at = one.find(b"PK\x01\x02")
    entry = one[at:end_at]
    end = bytearray(one[end_at:])
    end[8:12] = (10_000).to_bytes(2, "little") * 2
    end[12:16] = (len(entry) * 10_000).to_bytes(4, "little")
    return one[:at] + entry * 10_000 + bytes(end)


# Made when asked for: some are fifty megabytes.
BOMBS: dict[str, Callable[[], bytes]] = {
    "50,000 empty parts": lambda: _MIXED + b"--b\r\n\r\n" * 50_000,
    "200,000 empty parts": lambda: _MIXED + b"--b\n\n" * 200_000,
    "millions of lines of dashes": lambda: _MIXED + b"--\n" * (15 * _M),
    "a subject of encoded words": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 17_000 + b"\n" + _HEAD,
    "the beginnings of encoded words": lambda: b"Subject: " + b"=?" * 30_000 + b"\n" + _HEAD,
    "2 KB of parentheses": lambda: b"To: " + b"(" * 2_048 + b"\n" + _HEAD,
    "60 KB of parentheses": lambda: b"To: " + b"(" * 60_000 + b"\n" + _HEAD,
    "100,000 addresses": lambda: b"To: " + b"a@b.c," * 100_000 + b"\n" + _HEAD,
    "a thousand From lines": lambda: (b"From: " + b"x" * 500 + b"\n") * 1_000 + _HEAD,
    "multipart depth 400": lambda: _nested(400),
    "multipart depth 1,500": lambda: _nested(1_500),
    "message depth 990": lambda: _HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 990,
    "a large message 49 times in itself": lambda: (
        _HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 49 + b"\r\n" + b"x" * (40 * _M)
    ),
    "50 MB of headers": lambda: _HEAD + b"X: y\r\n" * (8 * _M) + b"\r\nx",
    "50 MB of lines that are no header": lambda: _HEAD + b"a\n" * (24 * _M),
    "40 MB in one header": lambda: _HEAD + b"X: " + b"y" * (40 * _M) + b"\r\n\r\nx",
    "millions of folded lines": lambda: _HEAD + b"X: " + b"\r\n y" * (10 * _M) + b"\r\n\r\nx",
    "headers in every part": lambda: _MIXED + (b"--b\r\n" + b"a\n" * 100_000) * 200,
    "parameters without end": lambda: _HEAD + b"Content-Type: a/b" + b';a="' * 20_000 + b"\r\n\r\n",
    "parameter sections": lambda: (
        _HEAD
        + b"Content-Type: a/b"
        + b"".join(b";a*%d*=%%41" % n for n in range(900))
        + b"\r\n\r\n"
    ),
    "a date of parentheses": lambda: b"Date: " + b"(" * 60_000 + b"\n" + _HEAD,
    "hops of brackets": lambda: (b"Received: from " + b"([" * 900 + b"\n") * 250 + _HEAD,
    "results without end": lambda: (
        b"Authentication-Results: m; " + b"spf=pass " * 7_000 + b"\n" + _HEAD
    ),
    "deep HTML": lambda: _html("<div>" * 50_000),
    "deep formatting": lambda: _html("<a><b><i><u><font>" * 10_000),
    "a tag with 200,000 attributes": lambda: _html("<a" + " x=1" * 200_000 + ">"),
    "a list with 50,000 options": lambda: _html("<select>" + "<option></option>" * 50_000),
    "links in links": lambda: _html("<a href=http://x.example/><object>" * 1_900 + "y" * 900_000),
    "a million angle brackets": lambda: _html("<" * _M),
    "50,000 links": lambda: _html('<a href="http://a.example/x">x</a>' * 50_000),
    "attached HTML, 200 times": lambda: (
        _MIXED
        + (b"--b\nContent-Type: text/html; name=a.html\n\n<select>" + b"<option>" * 2_900) * 200
    ),
    "millions of URLs": lambda: _HEAD + b"\r\n" + b"http://a.bc/ " * 3_000_000,
    "URLs of parentheses": lambda: (
        _HEAD + b"\r\n" + (b"http://a.bc/" + b")" * 4_000 + b" ") * 9_000
    ),
    "millions of words": lambda: _HEAD + b"\r\n" + b"ab " * 10_000_000,
    "millions of banners": lambda: _HEAD + b"\r\n" + b"external email " * 3_000_000,
    "millions of tags": lambda: _HEAD + b"\r\n" + b"[[[EXTERNAL" * 3_000_000,
    "invisible characters": lambda: _HEAD + b"\r\n" + "\u200b".encode() * 4_000_000,
    "international hosts": lambda: _html(
        "".join(f'<a href="http://{"ß" * 60}.{n}.example/">x</a>' for n in range(1_000))
    ),
    "a zip of 90 MB of zeros": lambda: _attached(_zip(3, 30 * _M), b"x.zip"),
    "a zip of 60,000 files": lambda: _attached(_zip(60_000, 0), b"x.zip"),
    "a zip of files that share their bytes": lambda: _attached(_overlapping_zip(), b"x.zip"),
    "a gzip of 90 MB of zeros": lambda: _attached(_gzip(90), b"x.gz"),
    "a PDF of beginnings of links": lambda: _attached(
        b"%PDF-1.4" + b"x/URI(" * 5_000_000, b"a.pdf"
    ),
    "a PDF of packed zeros": lambda: _attached(
        b"%PDF-1.4" + (b"/FlateDecode>>stream\n" + zlib.compress(b"\0" * _M)) * 20_000, b"a.pdf"
    ),
    "uuencoded single characters": lambda: (
        _MIXED + b"--b\nContent-Transfer-Encoding: uuencode\n\n" + b"!\n" * (20 * _M)
    ),
    "base64 of padding": lambda: (
        _MIXED + b"--b\nContent-Transfer-Encoding: base64\n\n" + b"A===\n" * (8 * _M)
    ),
    "45 MB of base64": lambda: (
        _MIXED + b"--b\nContent-Transfer-Encoding: base64\n\n" + b"QUJD" * 19 * 590_000
    ),
    "zeros": lambda: b"\0" * (50 * _M),
    "carriage returns": lambda: b"\r" * (50 * _M),
    "line feeds": lambda: b"\n" * (50 * _M),
    "colons": lambda: b":" * (50 * _M),
}
