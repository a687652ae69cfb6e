"""The keys with which a mail host seals what it tells us: one pair for each connection, changed
quarterly, the old one kept while anything may still be sealed with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge.connectors.graph.sealed import new_push_key
from api_bridge.connectors.notices import PushKey
from api_bridge.models import Connection, MailboxSync
from tenants.doors import ClaimedWork
from tenants.secrets import seal, unseal
from tenants.work import work_scope

CHANGED_EVERY = timedelta(days=90)
# An order with an old key is renewed within a day; what it sealed may come for four hours more.
OVERLAP = timedelta(days=3)


def push_key_for(claimed: ClaimedWork, connection_id: UUID) -> PushKey:
    """The newest; made where there is none that is young enough.  Never inside a scope: making one
    takes a quarter of a second.  Raises ``SecretDoesNotOpen``.
    """
    now = timezone.now()
    with work_scope(claimed):
        keys = push_keys(Connection.objects.get(id=connection_id))
    if keys and keys[0].made_at > now - CHANGED_EVERY:
        return keys[0]
    made = new_push_key(now)
    with work_scope(claimed):
        row = Connection.objects.select_for_update().get(id=connection_id)
        keys = push_keys(row)
        if keys and keys[0].made_at > now - CHANGED_EVERY:
            return keys[0]  # another worker was quicker
        _keep(row, [made, *_still_needed(row, keys, now)])
    return made


def push_keys(row: Connection) -> list[PushKey]:
    """Newest first; never logged or shown.  Raises ``SecretDoesNotOpen``."""
    if not row.sealed_push_keys:
        return []
    kept = json.loads(unseal(bytes(row.sealed_push_keys), place=keys_place(row)))
    return [
        PushKey(**{**each, "made_at": datetime.fromisoformat(each["made_at"])}) for each in kept
    ]


def keys_place(row: Connection) -> str:
    return f"api_bridge_connection.sealed_push_keys/{row.tenant_id}/{row.id}"


def _still_needed(row: Connection, keys: Sequence[PushKey], now: datetime) -> list[PushKey]:
    """The one before, until its notices are over; an older one only while an order names it."""
    orders = MailboxSync.objects.filter(tenant_id=row.tenant_id, connection_id=row.id)
    named = set(orders.values_list("push_key", flat=True))
    return [key for place, key in enumerate(keys) if place == 0 or key.id in named]


def forget_old_keys(claimed: ClaimedWork, connection_id: UUID) -> None:
    """Those whose successor is older than ``OVERLAP`` and that no order names."""
    now = timezone.now()
    with work_scope(claimed):
        row = Connection.objects.select_for_update().get(id=connection_id)
        keys = push_keys(row)
        if len(keys) < 2 or keys[0].made_at > now - OVERLAP:
            return
        orders = MailboxSync.objects.filter(tenant_id=row.tenant_id, connection_id=row.id)
        named = set(orders.values_list("push_key", flat=True))
        kept = [keys[0], *(key for key in keys[1:] if key.id in named)]
        if len(kept) < len(keys):
            _keep(row, kept)


def _keep(row: Connection, keys: Sequence[PushKey]) -> None:
    told = [
        {
            "id": key.id,
            "private_key_pem": key.private_key_pem,
            "certificate_pem": key.certificate_pem,
            "made_at": key.made_at.isoformat(),
        }
        for key in keys
    ]
    row.sealed_push_keys = seal(json.dumps(told).encode(), place=keys_place(row))
    row.save(update_fields=["sealed_push_keys"])
