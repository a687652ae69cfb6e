"""Mail that waits at the gates, over all clients in sight: why, how long, and what was ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from console.lib.cursor import newest_first
from incidents.access import access_one
from incidents.models import Delivery
from seg_bridge.models import Gate, GateCommand, QueueItem
from seg_bridge.queues.orders import KINDS as ORDER_KINDS
from seg_bridge.queues.orders import allowed
from seg_bridge.queues.reasons import KINDS
from tenants.groups import clients_among

MOST_EXPORTED = 10_000
MOST_HOPS = 100
# A gate tells every minute; two missed and a margin.
SILENT_AFTER = timedelta(seconds=150)
ORDERS_SHOWN_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Filters:
    """ "" means any; ``q``: part of an address, or a queue id; ``older``: hours that it waits."""

    q: str = ""
    client: str = ""
    hop: str = ""
    why: str = ""
    where: str = ""
    older: str = ""


@dataclass(frozen=True, slots=True)
class HopRow:
    """One next hop: how many wait for it, since when, and why, the most common reason first."""

    next_hop: str
    count: int
    on_hold: int
    oldest_at: datetime
    reasons: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """``order``: what was ordered last, within the last hour."""

    item: QueueItem
    why: str
    order: GateCommand | None
    copy_id: UUID | None
    actions: list[str]


@dataclass(frozen=True, slots=True)
class GateNote:
    """What is to be said of a gate beside its rows."""

    gate: Gate
    is_silent: bool


@dataclass(frozen=True, slots=True)
class QueuesPage:
    hops: list[HopRow]
    rows: list[Row]
    older: str
    total: int
    gates: list[GateNote]


def queues_page(filters: Filters, cursor: str) -> QueuesPage:
    """Newest first; the summary counts what fits, whatever page is shown."""
    found = waiting(filters)
    items, older = newest_first(found.select_related("tenant", "gate"), cursor, at="arrived_at")
    return QueuesPage(
        hops=hops_of(found),
        rows=_rows(items),
        older=older,
        total=found.count(),
        gates=_gates(),
    )


def items_to_export(filters: Filters) -> list[QueueItem]:
    found = waiting(filters).select_related("tenant", "gate")
    return list(found.order_by("-arrived_at", "-id")[:MOST_EXPORTED])


def access_item(item_id: UUID | str) -> Row:
    """Raises ``NotThere``, also for what has left the queue."""
    item = access_one(QueueItem.objects.select_related("tenant", "gate"), item_id)
    (row,) = _rows([item])
    return row


def same_mail(item: QueueItem) -> list[str]:
    """The other recipients that an order for this one holds for."""
    others = QueueItem.objects.filter(
        tenant_id=item.tenant_id, gate_id=item.gate_id, queue_id=item.queue_id
    ).exclude(id=item.id)
    return list(others.order_by("recipient").values_list("recipient", flat=True)[:100])


def waiting(filters: Filters) -> QuerySet[QueueItem]:
    """What fits, in no order."""
    found = QueueItem.objects.filter(tenant__in=clients_among(filters.client))
    if filters.hop:
        found = found.filter(next_hop=filters.hop)
    if filters.why in KINDS:
        found = found.filter(reason_kind=filters.why)
    if filters.where in QueueItem.Where.values:
        found = found.filter(where=filters.where)
    if filters.older.isascii() and filters.older.isdigit() and len(filters.older) < 5:
        found = found.filter(arrived_at__lte=timezone.now() - timedelta(hours=int(filters.older)))
    if q := filters.q.strip():
        named = Q(recipient__icontains=q) | Q(sender__icontains=q) | Q(queue_id=q)
        found = found.filter(named)
    return found


def hops_of(found: QuerySet[QueueItem]) -> list[HopRow]:
    reasons: dict[str, list[tuple[str, str, int]]] = {}
    for hop, kind, n in (
        found.order_by().values_list("next_hop", "reason_kind").annotate(n=Count("id"))
    ):
        reasons.setdefault(hop, []).append((kind, KINDS.get(kind, KINDS["other"]), n))
    held = Count("id", filter=Q(where=QueueItem.Where.HOLD))
    rows = (
        found.order_by()
        .values("next_hop")
        .annotate(n=Count("id"), on_hold=held, oldest=Min("arrived_at"))
        .order_by("-n", "next_hop")[:MOST_HOPS]
    )
    return [
        HopRow(
            next_hop=row["next_hop"],
            count=row["n"],
            on_hold=row["on_hold"],
            oldest_at=row["oldest"],
            reasons=sorted(reasons[row["next_hop"]], key=lambda each: -each[2]),
        )
        for row in rows
    ]


def _rows(items: Sequence[QueueItem]) -> list[Row]:
    orders = _orders(items)
    copies = _copies(items)
    return [
        Row(
            item=item,
            why=KINDS.get(item.reason_kind, KINDS["other"]),
            order=orders.get((item.gate_id, item.queue_id)),
            copy_id=copies.get((item.trace_ulid, item.recipient)),
            actions=allowed(item),
        )
        for item in items
    ]


def _orders(items: Sequence[QueueItem]) -> dict[tuple[UUID, str], GateCommand]:
    since = timezone.now() - ORDERS_SHOWN_FOR
    commands = GateCommand.objects.filter(
        tenant__in={item.tenant_id for item in items},
        queue_id__in={item.queue_id for item in items},
        kind__in=ORDER_KINDS,
        created_at__gte=since,
    )
    return {(each.gate_id, each.queue_id): each for each in commands.order_by("seq")}


def _copies(items: Sequence[QueueItem]) -> dict[tuple[str, str], UUID]:
    """The copy of each item, where the gate could name its mail."""
    ulids = {item.trace_ulid for item in items if item.trace_ulid}
    found = Delivery.objects.filter(
        tenant__in={item.tenant_id for item in items},
        recipient__in={item.recipient for item in items},
        message__trace_ulid__in=ulids,
    )
    rows = found.values_list("message__trace_ulid", "recipient", "id") if ulids else ()
    return {(ulid, recipient): copy_id for ulid, recipient, copy_id in rows}


def _gates() -> list[GateNote]:
    """Those whose queue is not all on the page, or not of today."""
    silent_before = timezone.now() - SILENT_AFTER
    notes = [
        GateNote(gate, gate.queue_at is None or gate.queue_at < silent_before)
        for gate in Gate.objects.order_by("name")
    ]
    return [
        note
        for note in notes
        if note.is_silent or note.gate.queue_left_out or note.gate.queue_others
    ]
