"""Reads a client's mailboxes.  Serves the queue ``sync``.

For each connection (docs/architecture.md):
1. list its mailboxes, hourly;
2. take up the mailboxes that are due: those of which something was heard first (taking_up.py);
3. list what is new in them, several at a time, outside any scope;
4. look up what is known of it, fetch what the list answer does not hold, judge (api_bridge/round);
5. commit each mailbox's rows with its cursor; an error of one mailbox parks that mailbox alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min
from django.utils import timezone

from api_bridge.access.registrations import QUEUE as ACCESS
from api_bridge.circuit import OPEN_CODE
from api_bridge.connectors import ListsIds, Page
from api_bridge.errors import (
    AccessDenied,
    AuthExpired,
    BridgeError,
    NotFound,
    RateLimited,
    Temporary,
)
from api_bridge.gaps import due_for_check, note_checked, pages_to_check
from api_bridge.groups import follow_groups
from api_bridge.health import (
    NO_WAY_IN,
    is_blinding,
    is_denied_everywhere,
    note_blind,
    note_seeing,
)
from api_bridge.hearing import hear, next_pull
from api_bridge.idle import listen_to
from api_bridge.listing import store_mailboxes
from api_bridge.models import Connection, MailboxSync
from api_bridge.notices import Taken, next_notice, take_notices
from api_bridge.opening import Opened, open_all, resting
from api_bridge.push import ensure_pushes, sweep_pushes, wanting_push
from api_bridge.round import Round, list_changes
from api_bridge.store import Mine, forget_old_items, park_mailbox
from api_bridge.taking_up import AT_ONCE, mine_of, read_ones, take_up
from api_bridge.traces import read_traces
from api_bridge.watch import watch
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

# A turn is short, and its connections share it: one client with a flood does not keep the others
# waiting.  Who has more to do comes round again.
BUDGET_S = 5.0
PUSH_S = 5.0
# A round in which no mailbox had an answer, of at least so many, is the host's trouble.
MOST_UNANSWERED = 3
HOST_REST_S = 15.0
LIST_RETRY = timedelta(minutes=1)
ITEMS_KEPT = timedelta(days=45)
DAILY_S, BLIND_S = 86_400.0, 900.0


def serve_sync(claimed: ClaimedWork) -> datetime | None:
    all_opened = open_all(claimed)
    for opened in all_opened:
        try:
            _serve_connection(claimed, opened, time.monotonic() + BUDGET_S / len(all_opened))
        except AuthExpired as error:
            with work_scope(claimed):
                note_blind(opened.connection_id, error)
    return _next_due(claimed)


def _next_due(claimed: ClaimedWork) -> datetime | None:
    with work_scope(claimed):
        awake = Connection.objects.exclude(resting())
        rests = Connection.objects.filter(resting()).aggregate(due=Min("rests_until"))["due"]
        connections = awake.aggregate(due=Min("list_due_at"))["due"]
        seeing = awake.filter(state=Connection.State.ACTIVE)
        watches = seeing.aggregate(due=Min("watch_due_at"))["due"]
        mailboxes = read_ones().exclude(resting("connection__")).aggregate(due=Min("due_at"))["due"]
        orders = wanting_push().filter(connection__state=Connection.State.ACTIVE)
        pushes = orders.exclude(resting("connection__")).aggregate(due=Min("push_due_at"))["due"]
        pulls = next_pull(timezone.now()) if connections else None
        notices = next_notice(timezone.now()) if connections else None
    dues = (rests, connections, watches, mailboxes, pushes, pulls, notices)
    return min([due for due in dues if due], default=None)


def _serve_connection(claimed: ClaimedWork, opened: Opened, until: float) -> None:
    """Raises ``AuthExpired``."""
    if opened.list_due_at <= timezone.now():
        _list_mailboxes(claimed, opened)
    hear(claimed, opened.connection_id, opened.connector)
    while taken := take_notices(claimed, opened.connection_id, opened.connector):
        _read_told(claimed, opened, taken)
        if not taken.more:
            break
    while time.monotonic() < until:
        mine = take_up(claimed, opened)
        if not mine:
            break
        try:
            has_answered = _read(claimed, opened, mine)
        except _HostAway as away:
            _let_rest(claimed, opened.connection_id, away.seconds)
            return
        if has_answered:
            with work_scope(claimed):
                note_seeing(opened.connection_id)
    _check_lists(claimed, opened, until)
    watch(claimed, opened.connection_id, opened.connector)
    read_traces(claimed, opened.connection_id, opened.connector)
    # Orders have time of their own: a flood must not let them end.
    ensure_pushes(claimed, opened.connection_id, opened.connector, until=time.monotonic() + PUSH_S)
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
        if not is_denied_everywhere(opened.connection_id):
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


def _read_told(claimed: ClaimedWork, opened: Opened, taken: Taken) -> None:
    """Judges the mail that pushes brought.  Raises ``AuthExpired``.

    Until it is done its mailboxes are such of which something was heard: whatever comes between,
    they are looked at.
    """
    with work_scope(claimed):
        rows = MailboxSync.objects.filter(
            connection_id=opened.connection_id, mailbox__in=taken.told, failures=0
        ).select_related("mailbox")
        pages = []
        for row in rows:
            told = taken.told[row.mailbox_id]
            dirty_at = row.dirty_at if told.is_all else None
            mine = replace(mine_of(row, opened), is_told=True, dirty_at=dirty_at)
            # An older one was moved just now, or put there with an old date: the night tells which,
            # and must not find it known.
            items = tuple(item for item in told.items if item.received_at >= mine.seat.judged_from)
            if items:
                pages.append((mine, Page(items=items, cursor=row.cursor, more=False)))
    if pages:
        Round(opened.connector, claimed, pages, taken.came_at).run()


class _HostAway(Exception):
    """The mail host as a whole does not answer; worth another try after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer for {seconds:.0f} s")
        self.seconds = seconds


def _let_rest(claimed: ClaimedWork, connection_id: UUID, seconds: float) -> None:
    """All workers leave this host alone; the other clients lose no time by it."""
    log.warning("connection %s rests for %.0f s: its host does not answer", connection_id, seconds)
    with work_scope(claimed):
        Connection.objects.filter(id=connection_id).update(
            rests_until=timezone.now() + timedelta(seconds=seconds),
            last_error="The mail host does not answer; it is asked again in a while.",
        )


def _check_lists(claimed: ClaimedWork, opened: Opened, until: float) -> None:
    """Holds histories against lists of ids.  Raises ``AuthExpired``."""
    if not isinstance(opened.connector, ListsIds):
        return
    with work_scope(claimed):
        rows = due_for_check(opened.connection_id).select_related("mailbox")
        due = [
            (replace(mine_of(row, opened), is_check=True), row.checked_at)
            for row in rows.order_by("check_due_at")[:AT_ONCE]
        ]
    pages = pages_to_check(claimed, opened.connector, due, until=until)
    if pages:
        Round(opened.connector, claimed, pages, timezone.now()).run()
        with work_scope(claimed):
            note_checked([mine.sync_id for mine, _ in pages], has_failed=False)


def _read(claimed: ClaimedWork, opened: Opened, mine: Sequence[Mine]) -> bool:
    """One page of each mailbox.  True: the mail host answered.  Raises ``AuthExpired`` and, where
    the host as a whole is away, ``_HostAway``.
    """
    listed_at = timezone.now()
    pages = list_changes(opened.connector, mine)
    resting = [page for page in pages if isinstance(page, Temporary) and page.code == OPEN_CODE]
    for each, page in zip(mine, pages, strict=True):
        if isinstance(page, AuthExpired):
            raise page
        if isinstance(page, BridgeError) and page not in resting:
            _park(claimed, each, page)
    good = [
        (each, page)
        for each, page in zip(mine, pages, strict=True)
        if not isinstance(page, BridgeError)
    ]
    shut_out = [page for page in pages if isinstance(page, BridgeError) and page.code in NO_WAY_IN]
    denied = [page for page in pages if isinstance(page, AccessDenied)]
    if (shut_out or denied) and not good:
        with work_scope(claimed):
            if shut_out or is_denied_everywhere(opened.connection_id):
                note_blind(opened.connection_id, (shut_out or denied)[0])
    if good:
        Round(opened.connector, claimed, good, listed_at).run()
    if resting:
        raise _HostAway(max(page.retry_after_s for page in resting))
    if len(pages) >= MOST_UNANSWERED and all(_is_no_answer(page) for page in pages):
        raise _HostAway(HOST_REST_S)
    return bool(good)


def _is_no_answer(page: object) -> bool:
    if not isinstance(page, Temporary) or page.code in NO_WAY_IN:
        return False
    return not isinstance(page, RateLimited) and page.status != 500


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
            if changed.update(state=state):
                want_work(claimed.tenant_id, ACCESS)
