"""Signing a mail in its client's name (DKIM, RFC 6376): relaxed/relaxed, RSA with SHA-256."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache

import dkim

from seg_bridge.gate.outbound.sealing import open_at_gate
from seg_bridge.gate.outbound.terms import SigningKey


@dataclass(frozen=True, slots=True)
class Signer:
    """``secret`` is the gate's, with which the keys of its policy are sealed."""

    secret: bytes

    async def sign(self, data: bytes, key: SigningKey) -> bytes:
        """``data`` with the signature on top.  Raises ``KeyDoesNotOpen`` or ``DKIMException``: a
        mail that should be signed is not sent without.
        """
        # Some 10 ms of arithmetic in Python: not in the event loop.
        return await asyncio.to_thread(self._sign, data, key)

    def _sign(self, data: bytes, key: SigningKey) -> bytes:
        field: bytes = dkim.sign(
            data,
            key.selector.encode("ascii"),
            key.domain.encode("ascii"),
            _opened(key, self.secret),
            canonicalize=(b"relaxed", b"relaxed"),
        )
        return field + data


@lru_cache(maxsize=1024)
def _opened(key: SigningKey, secret: bytes) -> bytes:
    return open_at_gate(key.sealed, place=key.place, secret=secret)
