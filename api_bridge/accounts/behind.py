"""Whose accounts a connection has: a client may have Microsoft 365 and Google side by side."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from api_bridge.models import Connection, MailboxSync
from tenants.models import Mailbox


def mailboxes_behind(tenant_id: int, connection_id: UUID) -> QuerySet[Mailbox]:
    """Those that a mail host knows by an id and that are read by no other connection: the id of one
    host means nothing at another, or another person.
    """
    others = MailboxSync.objects.filter(tenant=tenant_id).exclude(connection=connection_id)
    known = Mailbox.objects.filter(tenant=tenant_id).exclude(external_id="")
    return known.exclude(id__in=others.values("mailbox_id"))


# Hosts whose accounts can be acted on.
WITH_ACCOUNTS = (Connection.Kind.GRAPH, Connection.Kind.GOOGLE)


def connection_behind(mailbox: Mailbox) -> Connection | None:
    """By which the mailbox's account is reached; None: its host has no accounts that could be."""
    rows = Connection.objects.filter(tenant=mailbox.tenant_id, kind__in=WITH_ACCOUNTS)
    for row in rows.order_by("created_at", "id"):
        if mailboxes_behind(mailbox.tenant_id, row.id).filter(id=mailbox.id).exists():
            found: Connection = row
            return found
    return None
