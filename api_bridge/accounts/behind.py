"""Whose accounts a connection has: a client may have Microsoft 365 and Google side by side."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from api_bridge.models import MailboxSync
from tenants.models import Mailbox


def mailboxes_behind(tenant_id: int, connection_id: UUID) -> QuerySet[Mailbox]:
    """Those that a mail host knows by an id and that are read by no other connection: the id of one
    host means nothing at another, or another person.
    """
    others = MailboxSync.objects.filter(tenant=tenant_id).exclude(connection=connection_id)
    known = Mailbox.objects.filter(tenant=tenant_id).exclude(external_id="")
    return known.exclude(id__in=others.values("mailbox_id"))
