"""Reads a client's mailboxes.  Serves the queue ``sync``.

For each connection (docs/architecture.md):
1. list its mailboxes, hourly;
2. take up the mailboxes that are due: those of which something was heard first;
3. list what is new in them, several at a time, outside any scope;
4. look up what is known of it, fetch what the list answer does not hold, judge (api_bridge/round);
5. commit each mailbox's rows with its cursor; an error of one mailbox parks that mailbox alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Min
from django.utils import timezone

from api_bridge.connectors import Capability, Connector
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, NotFound, Temporary
from api_bridge.groups import follow_groups
from api_bridge.health import NO_WAY_IN, is_blinding, note_blind, note_seeing
from api_bridge.hearing import hear, next_pull
from api_bridge.idle import listen_to
from api_bridge.listing import store_mailboxes
from api_bridge.models import Connection, MailboxSync
from api_bridge.push import ensure_pushes, sweep_pushes, wanting_push
from api_bridge.round import Round, list_changes
from api_bridge.runtime import connector_of, wire_connection
from api_bridge.scan import Seat
from api_bridge.store import Mine, forget_old_items, park_mailbox
from api_bridge.watch import watch
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.work import work_scope

log = logging.getLogger(__name__)

BUDGET_S = 30.0
AT_ONCE = 16
LIST_RETRY = timedelta(minutes=1)
# A new connection learns from what already lies in the mailboxes, and judges what comes.
LOOK_BACK = timedelta(days=30)
LOST_CURSOR = timedelta(days=1)
CLOCKS_DIFFER = timedelta(minutes=2)
ITEMS_KEPT = timedelta(days=45)
DAILY_S, BLIND_S = 86_400.0, 900.0
_NOT_READ = (Mailbox.State.GONE,)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection's connector, ready to be used outside scopes."""

    connection_id: UUID
    created_at: datetime
    list_due_at: datetime
    kind: str
    internal_hosts: tuple[str, ...]
    connector: Connector


def serve_sync(claimed: ClaimedWork) -> datetime | None:
    until = time.monotonic() + BUDGET_S
    for opened in _open_all(claimed):
        try:
            _serve_connection(claimed, opened, until)
        except AuthExpired as error:
            with work_scope(claimed):
                note_blind(opened.connection_id, error)
    return _next_due(claimed)


def _open_all(claimed: ClaimedWork) -> list[Opened]:
    """The client's connections; a blind one only when it is time to try it again."""
    with work_scope(claimed):
        wired = []
        for row in Connection.objects.order_by("created_at"):
            if row.state == Connection.State.ACTIVE or row.list_due_at <= timezone.now():
                try:
                    wired.append((row, wire_connection(row)))
                except AuthExpired as error:
                    note_blind(row.id, error)
    opened = []
    for row, settings in wired:
        try:
            connector = connector_of(settings)
        except BridgeError as error:
            log.warning("connection %s cannot be opened: %s", row.id, error)
            with work_scope(claimed):
                note_blind(row.id, error)
            continue
        hosts = tuple(row.settings.get("internal_hosts", "").lower().split())
        opened.append(Opened(row.id, row.created_at, row.list_due_at, row.kind, hosts, connector))
    return opened


def _next_due(claimed: ClaimedWork) -> datetime | None:
    with work_scope(claimed):
        connections = Connection.objects.aggregate(due=Min("list_due_at"))["due"]
        seeing = Connection.objects.filter(state=Connection.State.ACTIVE)
        watches = seeing.aggregate(due=Min("watch_due_at"))["due"]
        mailboxes = _read_ones().aggregate(due=Min("due_at"))["due"]
        orders = wanting_push().filter(connection__state=Connection.State.ACTIVE)
        pushes = orders.aggregate(due=Min("push_due_at"))["due"]
        pulls = next_pull(timezone.now())
    dues = (connections, watches, mailboxes, pushes, pulls)
    return min([due for due in dues if due], default=None)


def _read_ones() -> Any:
    return MailboxSync.objects.exclude(mailbox__state__in=_NOT_READ)


def _serve_connection(claimed: ClaimedWork, opened: Opened, until: float) -> None:
    """Raises ``AuthExpired``."""
    if opened.list_due_at <= timezone.now():
        _list_mailboxes(claimed, opened)
    hear(claimed, opened.connection_id, opened.connector)
    while time.monotonic() < until:
        mine = _take_up(claimed, opened)
        if not mine:
            break
        if _read(claimed, opened, mine):
            with work_scope(claimed):
                note_seeing(opened.connection_id)
    watch(claimed, opened.connection_id, opened.connector)
    ensure_pushes(claimed, opened.connection_id, opened.connector, until=until)
    listen_to(claimed, opened.connection_id, opened.connector)


def _list_mailboxes(claimed: ClaimedWork, opened: Opened) -> None:
    """Raises ``AuthExpired``; anything else is tried again in a minute."""
    try:
        listed = list(opened.connector.list_mailboxes())
    except AuthExpired:
        raise
    except BridgeError as error:
        log.warning("mailboxes of connection %s: %s", opened.connection_id, error)
        with work_scope(claimed):
            if is_blinding(error):
                note_blind(opened.connection_id, error)
            else:
                Connection.objects.filter(id=opened.connection_id).update(
                    list_due_at=timezone.now() + LIST_RETRY, last_error=str(error)
                )
        return
    with work_scope(claimed):
        store_mailboxes(opened.connection_id, listed)
        note_seeing(opened.connection_id)
        synced = MailboxSync.objects.filter(connection_id=opened.connection_id)
        ids = list(synced.values_list("mailbox_id", flat=True))
        forget_old_items(ids, before=timezone.now() - ITEMS_KEPT)
    follow_groups(claimed, opened.connection_id, opened.connector)
    try:
        sweep_pushes(claimed, opened.connection_id, opened.connector)
    except AuthExpired:
        raise
    except BridgeError as error:
        log.warning("push orders of connection %s: %s", opened.connection_id, error)


def _take_up(claimed: ClaimedWork, opened: Opened) -> list[Mine]:
    with work_scope(claimed):
        due = (
            _read_ones()
            .filter(connection_id=opened.connection_id, due_at__lte=timezone.now())
            .select_related("mailbox")
            .order_by(F("dirty_at").asc(nulls_last=True), "due_at")[:AT_ONCE]
        )
        return [_mine(row, opened) for row in due]


def _mine(row: MailboxSync, opened: Opened) -> Mine:
    judged_from = opened.created_at - CLOCKS_DIFFER
    is_cheap = Capability.CHEAP_CHANGES in opened.connector.capabilities
    is_quick = row.whole_due_at > timezone.now() and not is_cheap
    # A cursor that was lost begins again a day before the mailbox was last read.
    since = row.synced_at - LOST_CURSOR if row.synced_at else opened.created_at - LOOK_BACK
    if is_quick and row.synced_at:
        since = row.synced_at - CLOCKS_DIFFER
    return Mine(
        sync_id=row.id,
        seat=Seat(
            mailbox_id=row.mailbox_id,
            tenant_id=row.tenant_id,
            address=row.mailbox.address,
            aliases=tuple(row.mailbox.aliases),
            display_name=row.mailbox.display_name,
            judged_from=judged_from,
            kind=opened.kind,
            internal_hosts=opened.internal_hosts,
        ),
        external_id=row.mailbox.external_id,
        cursor=row.cursor,
        since=since,
        is_quick=is_quick,
        synced_at=row.synced_at,
        dirty_at=row.dirty_at,
    )


def _read(claimed: ClaimedWork, opened: Opened, mine: Sequence[Mine]) -> bool:
    """One page of each mailbox.  True: the mail host answered.  Raises ``AuthExpired``."""
    listed_at = timezone.now()
    pages = list_changes(opened.connector, mine)
    for each, page in zip(mine, pages, strict=True):
        if isinstance(page, AuthExpired):
            raise page
        if isinstance(page, BridgeError):
            _park(claimed, each, page)
    good = [
        (each, page)
        for each, page in zip(mine, pages, strict=True)
        if not isinstance(page, BridgeError)
    ]
    shut_out = [page for page in pages if isinstance(page, BridgeError) and page.code in NO_WAY_IN]
    if shut_out and not good:
        with work_scope(claimed):
            note_blind(opened.connection_id, shut_out[0])
    if good:
        Round(opened.connector, claimed, good, listed_at).run()
    return bool(good)


def _park(claimed: ClaimedWork, mine: Mine, error: BridgeError) -> None:
    """What kind of silence it is decides when we ask again."""
    wait_s, state = None, None
    if isinstance(error, Temporary):
        wait_s = error.retry_after_s
    elif isinstance(error, NotFound):
        wait_s, state = DAILY_S, Mailbox.State.NO_MAILBOX
    elif isinstance(error, AccessDenied):
        wait_s, state = BLIND_S, Mailbox.State.BLIND
    with work_scope(claimed):
        if error.code == "bad_cursor":
            MailboxSync.objects.filter(id=mine.sync_id).update(cursor="")
        park_mailbox(mine, str(error), wait_s=wait_s)
        if state is not None:
            changed = Mailbox.objects.filter(id=mine.seat.mailbox_id).exclude(state=state)
            changed.update(state=state)
