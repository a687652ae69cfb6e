"""XCLIENT: a local program tells the gate which host really sent the mail.

For replay, demo and tests.  Taken from loopback only, and only where switched on.
Attributes and their coding: https://www.postfix.org/XCLIENT_README.html (read 2026-11-22).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from seg_bridge.gate.paths import BadCommand

_HEX = re.compile(r"\+([0-9A-Fa-f]{2})")
_KNOWN = frozenset({"ADDR", "NAME", "HELO", "PROTO", "PORT", "REVERSE_NAME", "LOGIN"})
_MISSING = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")


@dataclass(frozen=True, slots=True)
class ClaimedClient:
    """ "" : the attribute was not given."""

    address: str = ""
    helo: str = ""


def read_xclient(argument: str) -> ClaimedClient:
    """Raises ``BadCommand``."""
    given: dict[str, str] = {}
    for word in argument.split():
        name, _, value = word.partition("=")
        if name.upper() not in _KNOWN or not value:
            raise BadCommand("501 5.5.4 XCLIENT has an attribute that is not known")
        decoded = _HEX.sub(lambda match: chr(int(match[1], 16)), value)
        if not decoded.isprintable():
            raise BadCommand("501 5.5.4 XCLIENT has control characters")
        given[name.upper()] = "" if value.upper() in _MISSING else decoded
    address = given.get("ADDR", "").removeprefix("IPV6:").removeprefix("IPv6:")
    if address and not _is_address(address):
        raise BadCommand("501 5.5.4 XCLIENT ADDR is no address")
    return ClaimedClient(address=address, helo=given.get("HELO", "") or given.get("NAME", ""))


def is_loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
