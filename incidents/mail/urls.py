"""URLs as a browser would read them: host, path, registered domain.

Mail clients hand a link to a browser, so the reading here follows the WHATWG URL standard where
it differs from RFC 3986: blanks inside are dropped, a backslash is a slash, numbers in any base
are an IPv4 address, dots of other scripts are dots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import unquote

import idna
from publicsuffixlist import PublicSuffixList

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30}):")
_IPV4_PART = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\Z")
_DOTS = str.maketrans({"。": ".", "．": ".", "｡": "."})
_DROPPED = {ord(c): None for c in "\t\r\n\u200b\u200c\u200d\u2060\ufeff\u00ad"}
_IPV4_MAX = 0xFFFFFFFF
WEB_SCHEMES = frozenset({"http", "https", "ftp", "ws", "wss"})


@dataclass(frozen=True, slots=True)
class Url:
    """``host`` is lower-case A-labels, "" where there is none; ``has_login`` is ``user@host``."""

    scheme: str
    host: str
    port: str
    path: str
    query: str
    has_login: bool = False


# One link of a mail is taken apart for several questions in a row.
@lru_cache(maxsize=256)
def split_url(url: str) -> Url:
    """Never raises.  A URL without a scheme is read as https, as clients do for ``www.…``."""
    text = url.translate(_DROPPED).strip()
    match = _SCHEME.match(text)
    if match is None or (
        text[match.end() :].lstrip("0123456789")[:1] in ("", "/") and "." in match[1]
    ):
        scheme, rest = "https", text
    else:
        scheme, rest = match[1].lower(), text[match.end() :]
    if scheme not in WEB_SCHEMES:
        return Url(scheme, "", "", rest, "")
    rest = rest.replace("\\", "/").lstrip("/")
    rest = rest.partition("#")[0]
    at = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    authority, tail = rest[:at], rest[at:]
    login, _, host_port = authority.rpartition("@")
    path, _, query = tail.partition("?")
    if host_port.startswith("["):
        host, _, port = host_port[1:].partition("]")
        return Url(scheme, host.lower()[:64], port.lstrip(":"), path, query, bool(login))
    host, _, port = host_port.partition(":")
    return Url(scheme, ascii_host(host), port, path, query, bool(login))


@lru_cache(maxsize=4096)
def ascii_host(host: str) -> str:
    """The host in lower case as A-labels, an IPv4 in dotted decimals; "" if it can be none."""
    host = unquote(host) if "%" in host else host
    host = host.translate(_DOTS).strip(" .").lower()
    if not host or len(host) > 253 or any(c in host for c in " <>\"'`{}|^/\\?#,;()"):
        return ""
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return _punycode(host)
    return _as_ipv4(host) or host


def _punycode(host: str) -> str:
    """A-labels for names that IDNA refuses but a client may still show."""
    labels = []
    for label in host.split("."):
        if len(label) > 63:
            return ""
        labels.append(label if label.isascii() else "xn--" + label.encode("punycode").decode())
    return ".".join(labels)


def _as_ipv4(host: str) -> str:
    """``0x7f.1`` → ``127.0.0.1``; "" if the host is a name."""
    parts = host.split(".")
    if len(parts) > 4 or not all(len(part) < 20 and _IPV4_PART.match(part) for part in parts):
        return ""
    numbers = []
    for part in parts:
        try:
            base = 16 if part[:2] == "0x" else 8 if len(part) > 1 and part[0] == "0" else 10
            numbers.append(int(part[2:] or "0", 16) if base == 16 else int(part, base))
        except ValueError:
            return ""
    value = numbers[-1]
    if value >= 256 ** (5 - len(parts)) or any(number > 255 for number in numbers[:-1]):
        return ""
    for index, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - index))
    return (
        ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
        if value <= _IPV4_MAX
        else ""
    )


def is_ip(host: str) -> bool:
    return ":" in host or (host.count(".") == 3 and host.replace(".", "").isdigit())


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=True)


@lru_cache(maxsize=4096)
def registered_domain(host: str) -> str:
    """``a.b.example.co.uk`` → ``example.co.uk``; "" for an IP; a bare suffix is its own domain."""
    if not host or is_ip(host):
        return ""
    return _suffixes().privatesuffix(host) or host
