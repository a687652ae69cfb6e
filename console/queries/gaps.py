"""What the mailbox layer found late: mails that no push announced, that a reading missed, or that
somebody put there with an old date; and the nights in which folders are read through.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Max, Q, QuerySet
from django.utils.dateparse import parse_datetime

from api_bridge.models import MailboxSync, NightReading, SeenItem
from console.lib.cursor import newest_first
from console.queries.blindness import Blind, Blindness
from incidents.models import Delivery
from tenants.errors import NotThere, WrongInput
from tenants.models import Mailbox, Tenant

WORDS = {
    SeenItem.Gap.UNANNOUNCED: "that no push announced",
    SeenItem.Gap.MISSED: "that a reading missed",
    SeenItem.Gap.IMPORTED: "that somebody put there with an old date",
}
MOST_NIGHTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxGaps:
    """``pushed_since`` None: no push order stands, so nothing can be unannounced."""

    address: str
    unannounced: int
    missed: int
    imported: int
    pushed_since: datetime | None
    caught_up_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nights:
    """The nightly reading of folders.  ``mailboxes``: that have one; ``read``: of them those that
    were read to the end at least once, ``last_at`` the last of these times (None: not yet).
    ``found``: of each mailbox's last night.  ``rows``: mailboxes with something to say, those with
    trouble first, then those that found most; at most 50.
    """

    mailboxes: int
    read: int
    under_way: int
    last_at: datetime | None
    found: int
    rows: list[NightReading]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``rows``: mailboxes with a gap, the largest first.  ``mailboxes``: how many are read."""

    client: Tenant
    blind: Blind
    mailboxes: int
    pushed: int
    unannounced: int
    missed: int
    imported: int
    nights: Nights
    rows: list[MailboxGaps]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLate:
    """``copy`` None: nothing tells of this mail yet, or it is no longer kept."""

    item: SeenItem
    copy: Delivery | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    client: Tenant
    blind: Blind
    words: str
    address: str
    found: list[FoundLate]
    older: str


def gaps_page(client: Tenant) -> Page:
    counted = (
        SeenItem.objects.filter(tenant=client)
        .exclude(gap="")
        .values("mailbox_id")
        .annotate(
            unannounced=Count("id", filter=Q(gap=SeenItem.Gap.UNANNOUNCED)),
            missed=Count("id", filter=Q(gap=SeenItem.Gap.MISSED)),
            imported=Count("id", filter=Q(gap=SeenItem.Gap.IMPORTED)),
        )
    )
    by_mailbox = {row["mailbox_id"]: row for row in counted}
    syncs = MailboxSync.objects.filter(tenant=client).exclude(mailbox__state=Mailbox.State.GONE)
    having = syncs.filter(mailbox_id__in=list(by_mailbox)).select_related("mailbox")
    rows = [
        MailboxGaps(
            address=sync.mailbox.address,
            unannounced=by_mailbox[sync.mailbox_id]["unannounced"],
            missed=by_mailbox[sync.mailbox_id]["missed"],
            imported=by_mailbox[sync.mailbox_id]["imported"],
            pushed_since=sync.push_began_at if sync.push_expires_at else None,
            caught_up_at=sync.caught_up_at,
        )
        for sync in having
    ]
    return Page(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        mailboxes=syncs.count(),
        pushed=syncs.filter(push_expires_at__isnull=False).count(),
        unannounced=sum(row["unannounced"] for row in by_mailbox.values()),
        missed=sum(row["missed"] for row in by_mailbox.values()),
        imported=sum(row["imported"] for row in by_mailbox.values()),
        nights=_nights(client),
        rows=sorted(
            rows, key=lambda row: (-row.unannounced - row.missed - row.imported, row.address)
        ),
    )


def _nights(client: Tenant) -> Nights:
    mine = NightReading.objects.filter(tenant=client).exclude(mailbox__state=Mailbox.State.GONE)
    figures = mine.aggregate(
        mailboxes=Count("id"),
        read=Count("id", filter=Q(read_at__isnull=False)),
        under_way=Count("id", filter=Q(began_at__isnull=False)),
        last_at=Max("read_at"),
    )
    found = list(mine.values_list("imported", "missed"))
    worth = Q(imported__gt=0) | Q(missed__gt=0) | Q(whole_at=None) | ~Q(last_error="")
    rows = mine.filter(worth).select_related("mailbox")
    by_weight = rows.order_by(
        F("last_error").desc(), -(F("imported") + F("missed")), "mailbox__address"
    )
    return Nights(
        **figures,
        found=sum(imported + missed for imported, missed in found),
        rows=list(by_weight[:MOST_NIGHTS]),
    )


def gap_items(client: Tenant, kind: str, address: str, since: str = "") -> QuerySet[SeenItem]:
    """The mails behind a number; ``address`` "": of all mailboxes; ``since``: found from then on.

    Raises ``NotThere``, and ``WrongInput`` for a time that is none.
    """
    if kind not in WORDS:
        raise NotThere(f"There is no figure of this name. Known are: {', '.join(WORDS)}.")
    found = SeenItem.objects.filter(tenant=client, gap=kind).select_related("mailbox")
    if since:
        found = found.filter(found_at__gte=_time(since))
    return found.filter(mailbox__address=address) if address else found


def _time(said: str) -> datetime:
    try:
        at = parse_datetime(said)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise WrongInput("“since” is a time with its zone, as 2026-11-30T23:05:00+00:00.")
    return at


def gaps_list(client: Tenant, kind: str, address: str, cursor: str, since: str = "") -> ListPage:
    """Raises ``NotThere`` for a kind that there is not, ``WrongInput`` for a wrong cursor."""
    items, older = newest_first(gap_items(client, kind, address, since), cursor, at="found_at")
    return ListPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        words=WORDS[SeenItem.Gap(kind)],
        address=address,
        found=with_copies(client, items),
        older=older,
    )


def with_copies(client: Tenant, items: list[SeenItem]) -> list[FoundLate]:
    ids = [item.item_id for item in items]
    copies = Delivery.objects.filter(tenant=client, mailbox_item_id__in=ids)
    by_id = {copy.mailbox_item_id: copy for copy in copies.select_related("message", "tenant")}
    return [FoundLate(item=item, copy=by_id.get(item.item_id)) for item in items]
