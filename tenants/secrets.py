"""Secrets at rest: AES-256-GCM, bound to the place they belong to.

The associated data names table, column, client and row, so that a ciphertext moved to another row
does not open.  Stored form: one version byte, 12 bytes of nonce, ciphertext with tag.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION = b"\x01"


class SecretDoesNotOpen(Exception):
    """Wrong key, a changed ciphertext, or one that belongs elsewhere."""


def seal(plain: bytes, *, place: str, key: bytes | None = None) -> bytes:
    """``place`` is the identity of the value, ``api_bridge_connection.secret/<tenant>/<row>``."""
    nonce = os.urandom(12)
    box = AESGCM(key or settings.MASTER_KEY[:32]).encrypt(nonce, plain, place.encode())
    return _VERSION + nonce + box


def unseal(sealed: bytes, *, place: str, key: bytes | None = None) -> bytes:
    """Raises ``SecretDoesNotOpen``."""
    sealed = bytes(sealed)
    if sealed[:1] != _VERSION:
        raise SecretDoesNotOpen(f"{place}: unknown version")
    try:
        return AESGCM(key or settings.MASTER_KEY[:32]).decrypt(
            sealed[1:13], sealed[13:], place.encode()
        )
    except InvalidTag as error:
        raise SecretDoesNotOpen(place) from error


def new_data_key(tenant_slug: str) -> bytes:
    """A fresh key for a client's stored bytes, wrapped by the master key."""
    return seal(os.urandom(32), place=f"tenants_tenant.data_key/{tenant_slug}")


def open_data_key(wrapped: bytes, tenant_slug: str) -> bytes:
    return unseal(wrapped, place=f"tenants_tenant.data_key/{tenant_slug}")
