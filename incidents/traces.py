"""The provider's keys for traces: one signs, retired ones still check older mail.

The gate signs with the active key (it gets them in its policy snapshot), the mailbox layer checks
with all of them.  Every function must run in a scope of the provider.
"""

from __future__ import annotations

import secrets

from ulid import ULID

from incidents.models import TraceKey
from tenants.secrets import seal, unseal

KEY_BYTES = 32


class NoTraceKey(LookupError):
    """The provider has no active key: no gate can sign a trace."""


def _place(key_id: str) -> str:
    return f"incidents_tracekey.sealed_key/{key_id}"


def _open(row: TraceKey) -> bytes:
    return unseal(bytes(row.sealed_key), place=_place(row.key_id))


def make_trace_key(*, provider_id: int) -> str:
    """A fresh key signs from now on; answers its key id.  Gates learn it with their next poll."""
    key_id = str(ULID())
    TraceKey.objects.filter(provider_id=provider_id, is_active=True).update(is_active=False)
    TraceKey.objects.create(
        provider_id=provider_id,
        key_id=key_id,
        sealed_key=seal(secrets.token_bytes(KEY_BYTES), place=_place(key_id)),
    )
    return key_id


def trace_keys(provider_id: int) -> dict[str, bytes]:
    """Every key that has ever signed, by key id."""
    rows = TraceKey.objects.filter(provider_id=provider_id).order_by("created_at")
    return {row.key_id: _open(row) for row in rows}


def active_trace_key(provider_id: int) -> tuple[str, bytes]:
    """Key id and key that sign now.  Raises ``NoTraceKey``."""
    active = TraceKey.objects.filter(provider_id=provider_id, is_active=True)
    row = active.order_by("created_at").last()
    if row is None:
        raise NoTraceKey(f"provider {provider_id} has no active trace key")
    return row.key_id, _open(row)
