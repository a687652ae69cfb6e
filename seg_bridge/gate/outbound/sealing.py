"""A private key on its way to one gate: AES-SIV (RFC 5297) under a key made of the gate's secret.

The same key sealed twice gives the same bytes, since the version of a policy snapshot is the hash
of its content.  What it is for is bound to it, so that one key cannot stand in another's place.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_PURPOSE = b"bailey outbound signing keys v1"


class KeyDoesNotOpen(Exception):
    """Another gate's, another domain's, or changed."""


def seal_for_gate(plain: bytes, *, place: str, secret: bytes) -> str:
    """Hex.  ``secret`` is the gate's."""
    return AESSIV(_key(secret)).encrypt(plain, [place.encode()]).hex()


def open_at_gate(sealed: str, *, place: str, secret: bytes) -> bytes:
    """Raises ``KeyDoesNotOpen``."""
    try:
        return AESSIV(_key(secret)).decrypt(bytes.fromhex(sealed), [place.encode()])
    except (InvalidTag, ValueError) as error:
        raise KeyDoesNotOpen(place) from error


def _key(secret: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE, hashlib.sha512).digest()
