"""Mail that goes out in bursts, by what both layers have seen of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Count
from django.db.models.functions import TruncHour

from incidents.accounts import Sign
from incidents.models import Delivery
from incidents.models.mail import Direction

HOUR, USUAL = timedelta(hours=1), timedelta(days=14)
# Copies in an hour; fewer are no burst, whatever is usual.
LEAST, TIMES = 50, 5


def bursts(tenant_id: int, addresses: Collection[str], now: datetime) -> dict[str, Sign]:
    """By mailbox: it sent more than ``LEAST`` copies in the last hour, and ``TIMES`` its busiest
    hour of the two weeks before.  Needs the client's scope.
    """
    sent = Delivery.objects.filter(
        tenant_id=tenant_id,
        direction__in=(Direction.OUTBOUND, Direction.INTERNAL),
        message__sender_address__in=addresses,
    )
    last = sent.filter(received_at__gt=now - HOUR, received_at__lte=now)
    counts = dict(
        last.order_by()
        .values_list("message__sender_address")
        .annotate(n=Count("id"))
        .filter(n__gt=LEAST)
    )
    if not counts:
        return {}
    before = sent.filter(
        message__sender_address__in=counts,
        received_at__gt=now - USUAL,
        received_at__lte=now - HOUR,
    )
    busiest: dict[str, int] = {}
    for address, _, n in (
        before.order_by()
        .annotate(hour=TruncHour("received_at"))
        .values_list("message__sender_address", "hour")
        .annotate(n=Count("id"))
    ):
        busiest[address] = max(n, busiest.get(address, 0))
    return {
        address: Sign(
            code="burst",
            key=f"burst:{now:%Y-%m-%d}",
            words=f"It sent {n} copies within an hour; its busiest hour of two weeks had"
            f" {busiest.get(address, 0)}.",
            source="What both layers saw",
            at=now,
            raw={"copies": n, "busiest_hour": busiest.get(address, 0)},
        )
        for address, n in counts.items()
        if n >= TIMES * busiest.get(address, 0)
    }
