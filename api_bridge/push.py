"""Push orders: the mail host tells our webhook that something changed in a mailbox.

A push is a hint.  Where none can be had, the mailbox is polled, and ``push_error`` says why.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Value
from django.db.models.functions import Least
from django.utils import timezone

from api_bridge.connectors import Capability, Connector, Subscription
from api_bridge.connectors.notices import PushKey, SealsPushes
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, NotFound
from api_bridge.models import Connection, MailboxSync
from api_bridge.push_keys import forget_old_keys, push_key_for
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.secrets import seal
from tenants.work import work_scope

log = logging.getLogger(__name__)

WEBHOOK_PATH = "/graph"
AT_ONCE = 10
# The connector renews what has less than two days left; by then it must be asked.
RENEW_BEFORE = timedelta(days=2) - timedelta(minutes=10)
RETRY = timedelta(minutes=1)
# Hourly where a mail was found late.
SWEPT_EVERY = timedelta(hours=6)
MAILBOX_RETRY = timedelta(days=1)
CLIENT_STATE_BYTES = 32
NO_PUSH = "This mail host calls nobody; its mailboxes are polled."


def notification_url() -> str:
    return f"{settings.INGEST_URL}{WEBHOOK_PATH}"


def client_state_place(tenant_id: int, sync_id: UUID) -> str:
    return f"api_bridge_mailboxsync.sealed_client_state/{tenant_id}/{sync_id}"


def wanting_push() -> Any:
    """Rows whose push order has to be made or renewed; needs a scope to be evaluated."""
    return MailboxSync.objects.filter(mailbox__state=Mailbox.State.ACTIVE)


def ensure_pushes(
    claimed: ClaimedWork, connection_id: UUID, connector: Connector, *, until: float
) -> None:
    """Those that are due, not many at once, and none begun after ``until`` (monotonic seconds):
    an order waits for two handshakes.  Raises ``AuthExpired``.
    """
    if Capability.PUSH not in connector.capabilities:
        with work_scope(claimed):
            none = wanting_push().filter(connection_id=connection_id)
            none.filter(push_due_at__lte=timezone.now()).update(
                push_error=NO_PUSH, push_due_at=timezone.now() + MAILBOX_RETRY
            )
        return
    with work_scope(claimed):
        due = wanting_push().filter(connection_id=connection_id, push_due_at__lte=timezone.now())
        rows = list(due.select_related("mailbox").order_by("push_due_at")[:AT_ONCE])
    key = _key_for(claimed, connection_id, connector) if rows else None
    for row in rows:
        if time.monotonic() > until:
            return
        try:
            _ensure(claimed, connector, row, key)
        except AuthExpired:
            raise
        except (NotFound, AccessDenied) as error:
            with work_scope(claimed):
                _note_failure([row.id], error, MAILBOX_RETRY)
        except BridgeError as error:
            # Our address or the mail host: the other mailboxes would hear the same.
            log.warning("no push for connection %s: %s", connection_id, error)
            with work_scope(claimed):
                waiting = wanting_push().filter(
                    connection_id=connection_id, push_due_at__lte=timezone.now()
                )
                _note_failure(waiting.values_list("id", flat=True), error, RETRY)
            return


def _note_failure(sync_ids: Sequence[UUID], error: BridgeError, wait: timedelta) -> None:
    MailboxSync.objects.filter(id__in=list(sync_ids)).update(
        push_error=str(error)[:500], push_due_at=timezone.now() + wait
    )


def _key_for(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> PushKey | None:
    """None: what is told of these mailboxes does not bring what changed."""
    with work_scope(claimed):
        is_wanted = Connection.objects.filter(id=connection_id, seals_pushes=True).exists()
    if not is_wanted or not isinstance(connector, SealsPushes):
        return None
    forget_old_keys(claimed, connection_id)
    return push_key_for(claimed, connection_id)


def _ensure(
    claimed: ClaimedWork, connector: Connector, row: MailboxSync, key: PushKey | None
) -> None:
    """Raises ``BridgeError``."""
    current = None
    if row.push_id and row.push_expires_at:
        current = Subscription(
            id=row.push_id,
            resource="",
            notification_url=notification_url(),
            expires_at=row.push_expires_at,
            key_id=row.push_key,
        )
    client_state = secrets.token_urlsafe(CLIENT_STATE_BYTES)
    ordered = _order(connector, row.mailbox.external_id, client_state, current, key)
    with work_scope(claimed):
        kept = MailboxSync.objects.select_for_update().get(id=row.id)
        if ordered.id != row.push_id:
            place = client_state_place(kept.tenant_id, kept.id)
            kept.push_id = ordered.id
            kept.sealed_client_state = seal(client_state.encode(), place=place)
            # What came before our row knew the order was not listened to.
            kept.due_at = kept.whole_due_at = kept.push_began_at = timezone.now()
        kept.push_expires_at, kept.push_error = ordered.expires_at, ""
        kept.push_key = ordered.key_id
        kept.push_due_at = ordered.renew_at or ordered.expires_at - RENEW_BEFORE
        kept.save(
            update_fields=[
                *("push_id", "sealed_client_state", "due_at", "whole_due_at", "push_began_at"),
                *("push_expires_at", "push_error", "push_due_at", "push_key"),
            ]
        )


def _order(
    connector: Connector,
    mailbox_id: str,
    client_state: str,
    current: Subscription | None,
    key: PushKey | None,
) -> Subscription:
    """Raises ``BridgeError``."""
    if key is not None and isinstance(connector, SealsPushes):
        return connector.ensure_sealed_push(
            mailbox_id,
            notification_url=notification_url(),
            client_state=client_state,
            key=key,
            current=current,
        )
    return connector.ensure_push(
        mailbox_id,
        notification_url=notification_url(),
        client_state=client_state,
        current=current,
    )


def sweep_pushes(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """If it is time: ends orders to our address that no row knows, and makes anew what the mail
    host has lost or sends elsewhere.  Raises ``BridgeError``.

    It is done once all of that is: whoever fails amid it begins again with the next list.
    """
    if Capability.PUSH_LISTED not in connector.capabilities:
        return
    now = timezone.now()
    with work_scope(claimed):
        if not Connection.objects.filter(id=connection_id, sweep_due_at__lte=now).exists():
            return
    standing = {push.id: push for push in connector.pushes()}
    ours = notification_url()
    with work_scope(claimed):
        known = set(_orders_of(connection_id).values_list("push_id", flat=True))
    # Ended before its row forgets it: nobody else knows that one which sends elsewhere is ours.
    for push_id, push in standing.items():
        if (push_id in known) != (push.notification_url == ours):
            connector.end_push(push_id)
    good = {id for id, push in standing.items() if push.notification_url == ours}
    with work_scope(claimed):
        lost = _orders_of(connection_id).filter(push_id__in=known - good)
        forget_pushes(list(lost.values_list("id", flat=True)))
        Connection.objects.filter(id=connection_id).update(sweep_due_at=now + SWEPT_EVERY)


def _orders_of(connection_id: UUID) -> QuerySet[MailboxSync]:
    """Rows whose order stands, as far as they know."""
    return MailboxSync.objects.filter(connection_id=connection_id).exclude(push_id="")


def note_heard(rows: QuerySet[MailboxSync]) -> None:
    """Something changed in these mailboxes, somebody says.  Needs a scope.

    They are looked at when the hints of some seconds are gathered; later hints do not put that off.
    A mailbox that has to wait (told to slow down, not readable) goes on waiting.
    """
    now = timezone.now()
    rows.update(dirty_at=now, heard_at=now)
    rows.filter(failures=0).update(due_at=Least("due_at", Value(gathered_by(now))))


def gathered_by(now: datetime) -> datetime:
    """When what is heard now is looked at."""
    return now + timedelta(seconds=settings.SYNC_GATHER_S)


def forget_pushes(sync_ids: Sequence[UUID]) -> None:
    """These orders stand no more: they are made anew, and the mailboxes read at once."""
    now = timezone.now()
    MailboxSync.objects.filter(id__in=list(sync_ids)).update(
        push_id="",
        push_key="",
        push_expires_at=None,
        push_began_at=None,
        push_due_at=now,
        due_at=now,
        whole_due_at=now,
    )
