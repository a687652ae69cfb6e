"""What the mailbox layer found late: mails that no push announced or that a reading missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from api_bridge.models import MailboxSync, SeenItem
from console.lib.cursor import newest_first
from console.queries.blindness import Blind, Blindness
from incidents.models import Delivery
from tenants.errors import NotThere
from tenants.models import Mailbox, Tenant

WORDS = {
    SeenItem.Gap.UNANNOUNCED: "that no push announced",
    SeenItem.Gap.MISSED: "that a reading missed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxGaps:
    """``pushed_since`` None: no push order stands, so nothing can be unannounced."""

    address: str
    unannounced: int
    missed: int
    pushed_since: datetime | None
    caught_up_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``rows``: mailboxes with a gap, the largest first.  ``mailboxes``: how many are read."""

    client: Tenant
    blind: Blind
    mailboxes: int
    pushed: int
    unannounced: int
    missed: int
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
        rows=sorted(rows, key=lambda row: (-row.unannounced - row.missed, row.address)),
    )


def gap_items(client: Tenant, kind: str, address: str) -> QuerySet[SeenItem]:
    """The mails behind a number; ``address`` "": of all mailboxes.  Raises ``NotThere``."""
    if kind not in WORDS:
        raise NotThere(f"There is no figure of this name. Known are: {', '.join(WORDS)}.")
    found = SeenItem.objects.filter(tenant=client, gap=kind).select_related("mailbox")
    return found.filter(mailbox__address=address) if address else found


def gaps_list(client: Tenant, kind: str, address: str, cursor: str) -> ListPage:
    """Raises ``NotThere`` for a kind that there is not, ``WrongInput`` for a wrong cursor."""
    items, older = newest_first(gap_items(client, kind, address), cursor, at="found_at")
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
