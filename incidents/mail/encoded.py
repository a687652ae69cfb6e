"""Bytes to text: character sets, encoded words (RFC 2047) and parameters (RFC 2231).

Nothing here raises, and everything is linear in its input.  The result holds neither NUL nor lone
surrogates, so that it can be stored and shipped.
"""

from __future__ import annotations

import binascii
import codecs
import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_PARAMETER = re.compile(r';\s*([^\s=;"]{1,100})\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_SECTION = re.compile(r"(.+?)(?:\*(\d{1,3}))?(\*)?\Z")
_PARAMETERS_CUT = 8_192
# Codecs of Python that are slow, raise what decoders should not, or are no character set.
_REFUSED = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
_ALIASES = {
    "iso-8859-1": "cp1252",  # as browsers and mail clients read it
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
    "unknown-8bit": "utf-8",
    "x-unknown": "utf-8",
    "iso-8859-8-i": "iso-8859-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "windows-874": "cp874",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
}


@lru_cache(maxsize=256)
def codec_for(charset: str) -> str:
    """The name of a safe text codec for a mail's charset label, "" if there is none."""
    label = charset.strip().strip("\"'").lower()
    label = _ALIASES.get(label, label)
    try:
        info = codecs.lookup(label)
    except (LookupError, ValueError):
        return ""
    is_text = getattr(info, "_is_text_encoding", False)
    return info.name if is_text and info.name not in _REFUSED else ""


def decode_text(data: bytes, charset: str = "") -> tuple[str, bool]:
    """The text and whether the label was understood; without one UTF-8, else Windows-1252."""
    codec = codec_for(charset) if charset else "utf-8"
    if codec in ("", "utf-8"):
        try:
            return _storable(data.decode("utf-8-sig")), bool(codec)
        except UnicodeDecodeError:
            return _storable(data.decode("cp1252", "replace")), bool(codec)
    try:
        text = data.decode(codec, "replace")
    except (UnicodeError, LookupError, ValueError):
        return _storable(data.decode("cp1252", "replace")), False
    if codec in ("utf-7", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _storable(text), True


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def decode_header_bytes(value: bytes) -> str:
    """A header value as text: UTF-8 where it is, else Windows-1252; encoded words undecoded."""
    try:
        return _storable(value.decode("ascii"))
    except UnicodeDecodeError:
        return decode_text(value)[0]


def decode_words(value: str) -> str:
    """Encoded words undone; blanks between two of them vanish, broken ones stay as written."""
    if "=?" not in value:
        return value
    pieces: list[str] = []
    pending, pending_charset, position = b"", "", 0
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        charset = match[1].split("*")[0]
        is_first = position == 0 and not pending_charset
        if pending_charset and (between.strip() or charset.lower() != pending_charset.lower()):
            pieces.append(decode_text(pending, pending_charset)[0])
            pending = b""
        if between.strip() or is_first:
            pieces.append(between)
        pending += _word_bytes(match[2], match[3])
        pending_charset, position = charset, match.end()
    if pending_charset:
        pieces.append(decode_text(pending, pending_charset)[0])
    pieces.append(value[position:])
    return "".join(pieces)


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_base64(data)[0]
    return binascii.a2b_qp(data.replace(b"_", b"=20"))


def decode_base64(data: bytes) -> tuple[bytes, bool]:
    """The bytes and whether the text was well formed; foreign characters are stepped over."""
    try:
        return binascii.a2b_base64(data), True
    except binascii.Error:
        pass
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    cut = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        return binascii.a2b_base64(cut + b"=" * (-len(cut) % 4)), False
    except binascii.Error:
        return b"", False


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """``text/plain; charset=x`` → ("text/plain", {"charset": "x"}); names and value lower-case.

    The first of repeated parameters wins; RFC 2231 sections are put together, encoded words (which
    do not belong there, but are everywhere) are undone.
    """
    value = value[:_PARAMETERS_CUT]
    main = value.partition(";")[0].strip().lower()
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _PARAMETER.finditer(value):
        text = match[2].strip()
        if text.startswith('"'):
            text = re.sub(r"\\(.)", r"\1", text[1:-1] if text.endswith('"') else text[1:])
        name = _SECTION.match(match[1].lower())
        if name and (name[2] or name[3]):
            sections.setdefault(name[1], []).append((int(name[2] or 0), bool(name[3]), text))
        else:
            plain.setdefault(match[1].lower(), decode_words(text))
    for key, found in sections.items():
        plain[key] = _joined_sections(sorted(found, key=lambda each: each[0]))
    return main, plain


def _joined_sections(found: list[tuple[int, bool, str]]) -> str:
    charset, data = "utf-8", b""
    for index, (_, is_encoded, section) in enumerate(found):
        text = section
        if is_encoded and index == 0 and section.count("'") >= 2:
            charset, _, text = section.split("'", 2)
        data += unquote_to_bytes(text) if is_encoded else text.encode("utf-8", "replace")
    return decode_text(data, charset)[0]
