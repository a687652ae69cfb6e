"""Which mailboxes of a client are a mail server's that cannot list them itself.

A client may have several mail hosts.  A password that opens every mailbox of one of them (a master
user's, OAuth's) is never tried on mailboxes of another: it is not theirs, and their host would
count a break-in.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from api_bridge.models import Connection, MailboxSync
from tenants.models import Mailbox


def mailboxes_of(tenant_id: int, connection_id: UUID | None) -> QuerySet[Mailbox]:
    """Those that this connection reads, and those that no mail host has listed so far; None: of a
    server that is not connected.  Needs the client's scope.
    """
    read = MailboxSync.objects.filter(tenant=tenant_id)
    mine = read.filter(connection=connection_id)
    # What a host knows by an id of its own is that host's, read or not.
    unclaimed = Q(external_id="") & ~Q(id__in=read.values("mailbox_id"))
    known = Mailbox.objects.filter(tenant=tenant_id)
    return known.filter(unclaimed | Q(id__in=mine.values("mailbox_id")))


def others_of(tenant_id: int, connection_id: UUID | None) -> frozenset[str]:
    """Addresses and aliases of the mailboxes that are of the client's other hosts."""
    mine = mailboxes_of(tenant_id, connection_id)
    rows = Mailbox.objects.filter(tenant=tenant_id).exclude(id__in=mine.values("id"))
    pairs = rows.values_list("address", "aliases")
    return frozenset(name.lower() for address, names in pairs for name in (address, *names))


def not_listed(tenant_id: int) -> list[str]:
    """Names of the client's mail hosts that list mailboxes and have not done so yet: any that no
    host has listed may be one of theirs.
    """
    rows = Connection.objects.filter(tenant=tenant_id, mailboxes_listed_at=None)
    rows = rows.exclude(kind=Connection.Kind.IMAP).order_by("created_at")
    return [str(row.get_kind_display()) for row in rows]


def server_of(tenant_id: int, host: str) -> UUID | None:
    """The client's connection to this IMAP server."""
    rows = Connection.objects.filter(
        tenant=tenant_id, kind=Connection.Kind.IMAP, settings__host=host.strip().lower()
    )
    return rows.order_by("created_at").values_list("id", flat=True).first()
