"""What the mail host tells us of changes where it is fetched instead of sent: Pub/Sub by pull.

A hint like every push.  It is settled after the mailboxes that it names are marked: what is lost in
between comes again.  Where it cannot be had the mailboxes are polled, and ``push_error`` says why.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from api_bridge.connectors import Capability, Connector, PullsPushes
from api_bridge.errors import BridgeError
from api_bridge.models import Connection, MailboxSync
from api_bridge.push import note_heard
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

PULLED_EVERY = timedelta(seconds=10)
PUSH_PATH = "/google"
_MAC_DIGITS = 40


def hear(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """Fetches what waits.  Never raises a ``BridgeError``: without hints everything is polled."""
    if Capability.PUSHES_PULLED not in connector.capabilities:
        return
    if not isinstance(connector, PullsPushes):
        raise TypeError("the connector promises pushes and cannot pull them")
    try:
        pulled = connector.pull_pushes()
        with work_scope(claimed):
            mark_heard(connection_id, pulled.addresses)
        connector.settle_pushes(pulled.receipts)
        problem = ""
    except BridgeError as error:
        log.warning("what waits for connection %s cannot be fetched: %s", connection_id, error)
        problem = f"What the mail host tells of changes cannot be fetched: {error}"[:500]
    with work_scope(claimed):
        _note_problem(connection_id, problem)


def mark_heard(connection_id: UUID, addresses: Collection[str]) -> None:
    """Mailboxes of this connection alone; other addresses are passed over.  Needs a scope."""
    if addresses:
        named = Q(mailbox__address__in=addresses)
        named |= Q(mailbox__aliases__overlap=list(addresses))
        note_heard(MailboxSync.objects.filter(named, connection_id=connection_id))


def next_pull(now: datetime) -> datetime | None:
    """None where nothing is pulled.  Needs a scope."""
    pulled = Connection.objects.filter(
        state=Connection.State.ACTIVE, settings__subscription__isnull=False
    ).exclude(settings__subscription="")
    return now + PULLED_EVERY if pulled.exists() else None


def _note_problem(connection_id: UUID, problem: str) -> None:
    """A watch that nobody hears is none: the mailboxes are polled until it is heard again."""
    watched = MailboxSync.objects.filter(connection_id=connection_id).exclude(push_id="")
    if problem:
        watched.exclude(push_error=problem).update(push_error=problem, push_expires_at=None)
    else:
        watched.filter(push_expires_at__isnull=True).exclude(push_error="").update(
            push_error="", push_due_at=timezone.now()
        )


def is_pushed(connection: Connection) -> bool:
    """Its mailboxes publish, and what they publish is not pulled: it must be pushed to us."""
    given = connection.settings
    return bool(given.get("topic")) and not given.get("subscription")


def push_url(connection: Connection) -> str:
    """Where a Pub/Sub subscription that pushes must send what it has for this connection.

    The address is the secret: who knows it can make us look into that client's mailboxes sooner,
    and nothing else.
    """
    token = _token(connection.tenant_id, connection.id)
    return f"{settings.INGEST_URL}{PUSH_PATH}/{token}"


def connection_in(token: str) -> tuple[int, UUID] | None:
    """Client and connection for which this address was given out; None for any other."""
    tenant, _, rest = token.partition(".")
    named, _, _ = rest.partition(".")
    if not tenant.isascii() or not tenant.isdigit() or len(tenant) > 18:
        return None
    try:
        connection_id = UUID(named)
    except ValueError:
        return None
    good = _token(int(tenant), connection_id)
    is_ours = hmac.compare_digest(token.encode("utf-8", "replace"), good.encode())
    return (int(tenant), connection_id) if is_ours else None


def _token(tenant_id: int, connection_id: UUID) -> str:
    said = f"{tenant_id}.{connection_id.hex}"
    key = hmac.digest(settings.MASTER_KEY, b"api_bridge.google_push", "sha256")
    return f"{said}.{hmac.new(key, said.encode(), 'sha256').hexdigest()[:_MAC_DIGITS]}"
