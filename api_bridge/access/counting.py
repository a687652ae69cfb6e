"""Who joined and who left, and how many there are: by the hourly list of mailboxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from django.db.models import Count, Max
from django.db.models.functions import TruncMonth

from api_bridge import connectors
from api_bridge.access.models import MailboxDay, MailboxMove
from api_bridge.connectors import MailboxState
from tenants.models import Mailbox


def note_moves(kind: str, boxes: Sequence[Mailbox], now: datetime) -> None:
    """Must run in the client's scope."""
    MailboxMove.objects.bulk_create(
        MailboxMove(
            tenant_id=box.tenant_id,
            kind=kind,
            address=box.address,
            display_name=box.display_name,
            seen_at=now,
        )
        for box in boxes
    )


def note_count(
    tenant_id: int, connection_id: UUID, listed: Sequence[connectors.Mailbox], now: datetime
) -> None:
    """Of this day; the most that each of the client's mail hosts showed stands, and they are added
    up.  Must run in the client's scope.
    """
    active = [each for each in listed if each.state is not MailboxState.NO_MAILBOX]
    told = [each.licences for each in listed if each.licences is not None]
    licensed = sum(n > 0 for n in told) if told else None
    made, _ = MailboxDay.objects.select_for_update().get_or_create(
        tenant_id=tenant_id, day=now.astimezone(UTC).date(), defaults={"mailboxes": 0}
    )
    host = str(connection_id)
    before, licensed_before = made.by_host.get(host, [0, None])
    made.by_host[host] = [max(before, len(active)), _most([licensed_before, licensed])]
    made.mailboxes = max(made.mailboxes, sum(most for most, _ in made.by_host.values()))
    with_licence = [n for _, n in made.by_host.values() if n is not None]
    made.licensed = _most([made.licensed, sum(with_licence) if with_licence else None])
    made.save(update_fields=["by_host", "mailboxes", "licensed"])


def _most(numbers: Sequence[int | None]) -> int | None:
    """None: nobody has told any."""
    return max((each for each in numbers if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class MonthCount:
    """The most on any day of the month; ``licensed`` None: not told."""

    client: str
    slug: str
    month: date
    mailboxes: int
    licensed: int | None
    days: int


def month_counts(first: date, last: date, *, slug: str = "") -> list[MonthCount]:
    """Of the clients in scope (or one), month by month, both ends included; without a day, no row.

    The last of a month's days is not what is billed: whoever was there on any day, was there.
    """
    rows = MailboxDay.objects.filter(day__gte=first, day__lte=last)
    rows = rows.filter(tenant__slug=slug) if slug else rows
    found = (
        rows.annotate(month=TruncMonth("day"))
        .order_by("tenant__name", "month")
        .values_list("tenant__name", "tenant__slug", "month")
        .annotate(most=Max("mailboxes"), licensed=Max("licensed"), days=Count("day"))
    )
    return [MonthCount(*row) for row in found]
