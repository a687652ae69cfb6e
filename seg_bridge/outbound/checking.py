"""Is the public half of a signing key in the DNS, where receivers look for it?  (RFC 6376, 3.6.2.2)

``look_up`` asks outside any scope; what it found is written down afterwards.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from seg_bridge.engines.embedded.resolver import Lookup, Resolver, ResolverFailed
from seg_bridge.gate.policy import split_hop

_TAG = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9_]*)\s*=\s*([^;]*)")


@dataclass(frozen=True, slots=True)
class Found:
    """``is_there``: the record holds this key; ``words`` say what was found."""

    is_there: bool
    words: str


def look_up(name: str, public: str, lookup: Lookup | None = None) -> Found:
    """``public`` is the key in base64.  Never raises for the network's sake."""
    try:
        records = (lookup or _resolver())(name, "TXT")
    except ResolverFailed:
        return Found(False, "The DNS gave no answer. Try again later.")
    if not records:
        return Found(False, f"There is no TXT record at {name} yet.")
    keys = [_key_of(record) for record in records]
    if len(records) > 1:
        return Found(False, f"There are {len(records)} TXT records at {name}; there must be one.")
    if keys[0] is None:
        return Found(False, f"The TXT record at {name} is no DKIM record.")
    if keys[0] != public:
        return Found(False, f"The record at {name} holds another key.")
    return Found(True, f"The record at {name} holds this key.")


def _resolver() -> Resolver:
    """``BAILEY_DNS`` is host:port; empty: the system's."""
    server = os.environ.get("BAILEY_DNS", "")
    return Resolver(split_hop(server) if server else None)


def _key_of(record: str) -> str | None:
    """None: not a DKIM record."""
    tags = {
        match[1]: "".join(match[2].split())
        for part in record.split(";")
        if (match := _TAG.fullmatch(part))
    }
    if tags.get("v", "DKIM1") != "DKIM1" or tags.get("k", "rsa") != "rsa":
        return None
    return tags.get("p")
