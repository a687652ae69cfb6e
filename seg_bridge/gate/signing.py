"""How gate and ingest prove to each other who speaks: HMAC-SHA256 with one secret per gate.

Used by both sides.  A request is signed over method, target (path with query), timestamp, nonce
and the hash of its body; a snapshot over its canonical JSON.

``sign_request``   headers for one request
``check_request``  who sent it, or ``BadSignature``
``sign_json``      signature of a JSON value; ``check_json`` raises ``BadSignature``
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ulid import ULID

HEADER_GATE = "X-Bailey-Gate"
HEADER_TIMESTAMP = "X-Bailey-Timestamp"
HEADER_NONCE = "X-Bailey-Nonce"
HEADER_SIGNATURE = "X-Bailey-Signature"

ALLOWED_SKEW_S = 300
MIN_SECRET_BYTES = 32
MAX_NONCE_CHARS = 64


class BadSignature(Exception):
    """The request or document is not from whom it says, or too old."""


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A checked request.  The caller keeps ``nonce`` for twice ``ALLOWED_SKEW_S`` where a repeat
    would do harm.
    """

    gate: str
    timestamp: int
    nonce: str


def request_mac(
    *, method: str, target: str, timestamp: str, nonce: str, body: bytes, secret: bytes
) -> str:
    """Hex HMAC-SHA256 over ``method\\ntarget\\ntimestamp\\nnonce\\nsha256hex(body)``."""
    body_hash = hashlib.sha256(body).hexdigest()
    text = "\n".join((method.upper(), target, timestamp, nonce, body_hash))
    return hmac.new(secret, text.encode("utf-8"), hashlib.sha256).hexdigest()


def sign_request(
    *, gate: str, method: str, target: str, body: bytes, secret: bytes, now: float | None = None
) -> dict[str, str]:
    """The four headers of a request.  ``target`` is the path with its query as it is sent."""
    timestamp = str(int(time.time() if now is None else now))
    nonce = str(ULID())
    mac = request_mac(
        method=method, target=target, timestamp=timestamp, nonce=nonce, body=body, secret=secret
    )
    return {
        HEADER_GATE: gate,
        HEADER_TIMESTAMP: timestamp,
        HEADER_NONCE: nonce,
        HEADER_SIGNATURE: mac,
    }


def check_request(
    *,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    secret_of: Callable[[str], bytes | None],
    now: float | None = None,
) -> SignedBy:
    """Raises ``BadSignature`` for an unknown gate, a wrong MAC or a clock off by over 300 s.

    ``headers`` is looked up by the exact names above (Django's ``request.headers`` and httpx's are
    case-insensitive); ``secret_of`` gives the gate's secret, or None for an unknown gate.
    """
    gate = headers.get(HEADER_GATE, "")
    timestamp = headers.get(HEADER_TIMESTAMP, "")
    nonce = headers.get(HEADER_NONCE, "")
    given = headers.get(HEADER_SIGNATURE, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature("timestamp is missing or not a number")
    if not nonce or len(nonce) > MAX_NONCE_CHARS:
        raise BadSignature("nonce is missing or too long")
    secret = secret_of(gate)
    # An unknown gate costs the same work as a known one, so that names cannot be probed by time.
    mac = request_mac(
        method=method,
        target=target,
        timestamp=timestamp,
        nonce=nonce,
        body=body,
        secret=secret or b"\0" * MIN_SECRET_BYTES,
    )
    is_equal = hmac.compare_digest(mac.encode(), given.encode("utf-8", "replace"))
    if secret is None or not is_equal:
        raise BadSignature("unknown gate or wrong signature")
    if abs((time.time() if now is None else now) - int(timestamp)) > ALLOWED_SKEW_S:
        raise BadSignature(f"timestamp is off by more than {ALLOWED_SKEW_S} s")
    return SignedBy(gate=gate, timestamp=int(timestamp), nonce=nonce)


def canonical_json(value: Any) -> bytes:
    """One byte string for one JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def sign_json(value: Any, secret: bytes) -> str:
    return hmac.new(secret, canonical_json(value), hashlib.sha256).hexdigest()


def check_json(value: Any, signature: object, secret: bytes) -> None:
    """Raises ``BadSignature``."""
    given = signature.encode("utf-8", "replace") if isinstance(signature, str) else b""
    if not hmac.compare_digest(sign_json(value, secret).encode(), given):
        raise BadSignature("wrong signature")
