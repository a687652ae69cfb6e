"""Addresses and parameters of MAIL and RCPT, read strictly.

``read_mail`` and ``read_rcpt`` raise ``BadCommand`` with our whole reply.  What two servers could
read differently (quotes, ``%`` and ``!`` routes, literals, control characters) is no address here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LOCAL_CHARS = 128
MAX_ADDRESS_CHARS = 320

_PATH = re.compile(r"\s*(?:<(?P<inner>[^<>]*)>|(?P<bare>[^\s<>]+))(?:\s+(?P<params>.*))?\Z", re.S)
_ATOM = r"[^\x00-\x20\x7f()<>\[\]:;@\\,\".]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"\Z')
_LETTER = r"A-Za-z0-9_\u0080-\U0010ffff"
_LABEL = rf"[{_LETTER}](?:[{_LETTER}-]*[{_LETTER}])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?\Z")
_LITERAL = re.compile(r"\[[A-Za-z0-9:.]+\]\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class BadCommand(Exception):
    """The text is our reply."""


@dataclass(frozen=True, slots=True)
class MailCommand:
    """``sender`` is "" for the null sender."""

    sender: str
    size_bytes: int = 0
    is_smtputf8: bool = False
    is_8bit: bool = False


def read_mail(argument: str) -> MailCommand:
    path, params = _split(argument, "FROM:")
    size_bytes, is_smtputf8, is_8bit = 0, False, False
    for name, value in params:
        if name == "SIZE" and value.isascii() and value.isdigit() and len(value) <= 15:
            size_bytes = int(value)
        elif name == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            is_8bit = value.upper() == "8BITMIME"
        elif name == "SMTPUTF8" and not value:
            is_smtputf8 = True
        elif name in ("SIZE", "BODY", "SMTPUTF8"):
            raise BadCommand(f"501 5.5.4 The parameter {name} has no such value")
        else:
            raise BadCommand("555 5.5.4 Parameter not recognised")
    if path:
        check_sender(path)
        check_ascii(path, is_smtputf8=is_smtputf8)
    return MailCommand(path, size_bytes, is_smtputf8, is_8bit)


def read_rcpt(argument: str, *, is_smtputf8: bool) -> str:
    """The recipient's address as it was written."""
    path, params = _split(argument, "TO:")
    if params:
        raise BadCommand("555 5.5.4 Parameter not recognised")
    check_recipient(path, is_smtputf8=is_smtputf8)
    return path


def check_recipient(path: str, *, is_smtputf8: bool) -> None:
    local, at, domain = path.rpartition("@")
    if not at or not _DOMAIN.match(domain):
        raise BadCommand("550 5.1.1 No such address here")
    if "%" in local or "!" in local or not _DOT_ATOM.match(local):
        raise BadCommand("550 5.1.3 Addresses with routes or quotes are not taken")
    if len(local) > MAX_LOCAL_CHARS or len(path) > MAX_ADDRESS_CHARS:
        raise BadCommand("550 5.1.3 The address is too long")
    check_ascii(path, is_smtputf8=is_smtputf8)


def check_sender(path: str) -> None:
    local, at, domain = path.rpartition("@")
    is_local = bool(_DOT_ATOM.match(local) or _QUOTED.match(local))
    is_domain = bool(_DOMAIN.match(domain) or _LITERAL.match(domain))
    if not at or not is_local or not is_domain:
        raise BadCommand("501 5.1.7 The sender's address can't be read")
    if len(local) > MAX_LOCAL_CHARS or len(path) > MAX_ADDRESS_CHARS:
        raise BadCommand("501 5.1.7 The sender's address is too long")


def check_ascii(path: str, *, is_smtputf8: bool) -> None:
    if not is_smtputf8 and not path.isascii():
        raise BadCommand("553 5.6.7 An address with other than ASCII needs SMTPUTF8")


def _split(argument: str, keyword: str) -> tuple[str, list[tuple[str, str]]]:
    """The path without brackets, and the parameters as upper-case name and value."""
    if _CONTROL.search(argument):
        raise BadCommand("501 5.5.2 Control characters are not taken")
    if argument[: len(keyword)].upper() != keyword:
        raise BadCommand(f"501 5.5.4 Syntax: {keyword}<address>")
    match = _PATH.match(argument[len(keyword) :])
    if match is None or (match["inner"] is None and not match["bare"]):
        raise BadCommand(f"501 5.5.4 Syntax: {keyword}<address>")
    path = match["inner"] if match["inner"] is not None else match["bare"]
    params = []
    for word in (match["params"] or "").split():
        name, _, value = word.partition("=")
        params.append((name.upper(), value))
    return path, params
