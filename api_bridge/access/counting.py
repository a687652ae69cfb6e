"""Who joined and who left, and how many there are: by the hourly list of mailboxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from django.db.models import Count, Max
from django.db.models.functions import TruncMonth

from api_bridge import connectors
from api_bridge.access.models import MailboxDay, MailboxMove
from api_bridge.connectors import MailboxState
from tenants.models import Mailbox

if TYPE_CHECKING:
    from api_bridge.models import Connection


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
    connection: Connection,
    ours: Sequence[connectors.Mailbox],
    outside: Sequence[connectors.Mailbox],
    now: datetime,
) -> None:
    """Of this day; the most that each of the client's mail hosts showed stands, and they are added
    up.  ``outside``: listed in none of the client's domains; nobody reads them.  Must run in the
    client's scope.
    """
    told = [each.licences for each in ours if each.licences is not None]
    licensed = sum(n > 0 for n in told) if told else None
    made, _ = MailboxDay.objects.select_for_update().get_or_create(
        tenant_id=connection.tenant_id,
        day=now.astimezone(UTC).date(),
        defaults={"mailboxes": 0},
    )
    host, numbers = str(connection.id), (_boxes(ours), licensed, _boxes(outside))
    before = [*made.by_host.get(host, []), None, None, None]
    made.by_host[host] = [_most(pair) for pair in zip(before, numbers, strict=False)]
    # Rows of the time before outsiders were told apart have two numbers.
    hosts = [[*each, 0][:3] for each in made.by_host.values()]
    made.mailboxes = max(made.mailboxes, sum(most for most, _, _ in hosts))
    made.outside = max(made.outside, sum(most for _, _, most in hosts))
    with_licence = [n for _, n, _ in hosts if n is not None]
    made.licensed = _most([made.licensed, sum(with_licence) if with_licence else None])
    made.save(update_fields=["by_host", "mailboxes", "licensed", "outside"])


def _boxes(listed: Sequence[connectors.Mailbox]) -> int:
    return sum(each.state is not MailboxState.NO_MAILBOX for each in listed)


def _most(numbers: Sequence[int | None]) -> int | None:
    """None: nobody has told any."""
    return max((each for each in numbers if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class MonthCount:
    """The most on any day of the month; ``licensed`` None: not told.  ``mailboxes`` are those that
    Bailey reads; ``outside`` more has the mail host in domains that are none of the client's.
    """

    client: str
    slug: str
    month: date
    mailboxes: int
    licensed: int | None
    outside: int
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
        .annotate(
            *(Max("mailboxes"), Max("licensed"), Max("outside")),
            days=Count("day"),
        )
    )
    return [MonthCount(*row) for row in found]
