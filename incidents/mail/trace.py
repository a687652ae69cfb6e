"""The trace: the gate's signed mark on every mail it passes.

``v1; k=<key id>; t=<tenant>; u=<ulid>; d=<time>; m=<hash>; f=<fingerprint>; s=<MAC>``

The MAC covers the printed fields and nothing else: a body changes on its way, and a differing
content must weaken the match, never the proof that the mail came through our gate.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

TRACE_HEADER = "X-Bailey-Trace"
_LONGEST = 600
_FIELDS = re.compile(
    r"v1; k=(?P<key>[A-Za-z0-9_-]{1,32}); t=(?P<tenant>[0-9]{1,18});"
    r" u=(?P<ulid>[0-9A-HJKMNP-TV-Z]{26});"
    r" d=(?P<at>[0-9]{8}T[0-9]{6}Z); m=(?P<message>[0-9a-f]{32}|);"
    r" f=(?P<fingerprint>[0-9a-f]{1,64}|); s=(?P<mac>[0-9a-f]{64})"
)
_AT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Trace:
    """``at`` is aware, whole seconds; ``message_id_hash`` is ``hash_message_id`` of the mail's."""

    key_id: str
    tenant_id: int
    ulid: str
    at: datetime
    message_id_hash: str = ""
    fingerprint: str = ""


def hash_message_id(internet_message_id: str) -> str:
    """32 hex characters, "" for a mail without Message-ID."""
    if not internet_message_id:
        return ""
    return hashlib.sha256(internet_message_id.strip().encode("utf-8", "replace")).hexdigest()[:32]


def sign_trace(trace: Trace, key: bytes) -> str:
    """The header's value.  Raises ``ValueError`` for a key under 32 bytes or unprintable fields."""
    if len(key) < 32:
        raise ValueError("a trace key has at least 32 bytes")
    printed = _printed(trace)
    value = f"{printed}; s={_mac(printed, key)}"
    if _FIELDS.fullmatch(value) is None:
        raise ValueError(f"a trace cannot carry these fields: {printed}")
    return value


def check_trace(value: str, keys: Mapping[str, bytes]) -> Trace | None:
    """What a header value says, None without a valid MAC by one of our keys.

    Blanks may have been folded on the way; nothing else may differ.
    """
    match = _FIELDS.fullmatch(" ".join(value[:_LONGEST].split()))
    key = keys.get(match["key"]) if match else None
    if match is None or key is None:
        return None
    printed = match[0].rpartition("; s=")[0]
    if not hmac.compare_digest(_mac(printed, key), match["mac"]):
        return None
    try:
        at = datetime.strptime(match["at"], _AT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Trace(
        key_id=match["key"],
        tenant_id=int(match["tenant"]),
        ulid=match["ulid"],
        at=at,
        message_id_hash=match["message"],
        fingerprint=match["fingerprint"],
    )


def _printed(trace: Trace) -> str:
    at = trace.at.astimezone(UTC).strftime(_AT)
    return (
        f"v1; k={trace.key_id}; t={trace.tenant_id}; u={trace.ulid}; d={at};"
        f" m={trace.message_id_hash}; f={trace.fingerprint}"
    )


def _mac(printed: str, key: bytes) -> str:
    return hmac.new(key, printed.encode("ascii", "replace"), hashlib.sha256).hexdigest()
