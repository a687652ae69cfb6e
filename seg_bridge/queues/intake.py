"""What a gate tells of its queue.  Each telling replaces the last; nothing of it is history.

A gate speaks for its clients only, and every text is cut to what a row takes: an item that is none
is refused, with the whole telling, so that no page shows half a queue as all of it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from seg_bridge.gate.queues import MOST_ITEMS
from seg_bridge.models import Gate, QueueItem
from seg_bridge.queues.reasons import kind_of
from seg_bridge.snapshot import KnownGate
from tenants.scope import Role, tenant_scope

FIELDS = (
    *("queue_id", "where", "recipient", "sender", "next_hop", "reason", "reason_kind"),
    *("size_bytes", "arrived_at", "trace_ulid", "may_return"),
)
_LONGEST = {
    "queue_id": 64,
    "recipient": 400,
    "sender": 400,
    "next_hop": 600,
    "reason": 1000,
    "trace_ulid": 26,
}


class BadTelling(ValueError):
    """This is not what a gate tells; the words say why."""


def take_queue(gate: KnownGate, body: bytes) -> int:
    """Keep what the gate told; answers how many copies wait there.  Raises ``BadTelling``."""
    try:
        data = json.loads(body)
        at = datetime.fromisoformat(data["at"])
        told = [_item(gate, each) for each in data["items"]]
        left_out, others = int(data["left_out"]), int(data["others"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadTelling(f"not a queue: {error!r}"[:300]) from error
    if at.tzinfo is None or len(told) > MOST_ITEMS or min(left_out, others) < 0:
        raise BadTelling(f"a queue has a time with zone and at most {MOST_ITEMS} items")
    by_client: dict[int, dict[UUID, QueueItem]] = defaultdict(dict)
    for item in told:
        by_client[item.tenant_id][item.id] = item
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        had = set(
            QueueItem.objects.filter(tenant_id__in=gate.tenant_ids, gate_id=gate.gate_id)
            .order_by()
            .values_list("tenant_id", flat=True)
            .distinct()
        )
    for tenant_id in sorted(had | set(by_client)):
        _replace(gate, tenant_id, by_client.get(tenant_id, {}))
    # Last: whoever dies before it leaves no old queue that claims to be of this moment.
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        Gate.objects.filter(id=gate.gate_id).update(
            queue_at=at, queue_left_out=left_out, queue_others=others
        )
    return len(told)


def _replace(gate: KnownGate, tenant_id: int, items: Mapping[UUID, QueueItem]) -> None:
    with tenant_scope(Role.WORKER, [tenant_id], provider_id=gate.provider_id):
        rows = QueueItem.objects.filter(tenant_id=tenant_id, gate_id=gate.gate_id)
        rows.exclude(id__in=items).delete()
        QueueItem.objects.bulk_create(
            list(items.values()),
            batch_size=500,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=[name for name in FIELDS if name not in ("queue_id", "recipient")],
        )


def _item(gate: KnownGate, data: Mapping[str, Any]) -> QueueItem:
    tenant_id = data["tenant_id"]
    if type(tenant_id) is not int or tenant_id not in gate.tenant_ids:
        raise BadTelling("this gate does not speak for that client")
    if data["where"] not in QueueItem.Where.values:
        raise BadTelling(f"a copy waits in {', '.join(QueueItem.Where.values)}")
    arrived_at = datetime.fromisoformat(data["arrived_at"])
    if arrived_at.tzinfo is None:
        raise BadTelling("arrived_at needs a zone")
    texts = {name: _text(data[name], longest) for name, longest in _LONGEST.items()}
    return QueueItem(
        id=uuid5(gate.gate_id, f"{tenant_id}/{texts['queue_id']}/{texts['recipient']}"),
        tenant_id=tenant_id,
        gate_id=gate.gate_id,
        where=data["where"],
        size_bytes=max(0, int(data["size_bytes"])),
        arrived_at=arrived_at,
        may_return=data["may_return"] is True,
        reason_kind=kind_of(texts["reason"]),
        **texts,
    )


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise BadTelling("texts are texts")
    return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")[:longest]
