"""Looks back over a client's mailboxes, a little at a time.  Serves the queue ``lookback``.

Newest mail first, over all mailboxes: each turn takes the one that is least far back.  It gives way
to the live sync in four things: one worker of the whole installation looks back at a time; a slice
is a few seconds; while a mailbox of the client is due for the sync, nothing is read; and requests
are made only with what the shared limits have left (``limits.py``).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.utils import timezone

from api_bridge.errors import AuthExpired, BridgeError, RateLimited, Temporary
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import wire_connection
from api_bridge.scan.shapes import Seat
from api_bridge.scanback.behind import AGAIN_SOON, BehindSync, Slice, by_one_worker, is_sync_behind
from api_bridge.scanback.models import ScanBack, ScanBackMailbox
from api_bridge.scanback.reading import PAGE_LASTS, BackRound, Turn, park, settle
from api_bridge.store import Mine
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

SLICE_S = 5.0
HOUR = timedelta(hours=1)
BLIND_AGAIN = timedelta(minutes=5)
# A page of a mailbox; at Google one that half a bucket of units pays for.
PAGE, PAGE_OF = 50, {Connection.Kind.GOOGLE: 12}
# What one page may take: the list, each of its mails, folders, and a call that is repeated.
SPARE_REQUESTS = 10
ALONE = "api_bridge.scan_back"
WAITS_SYNC = "New mail is being read first."
WAITS_LIMIT = "The mail host's limits are in use."
WAITS_BLIND = "The mailbox layer is blind: it goes on when access is back."


def serve_lookback(claimed: ClaimedWork) -> datetime | None:
    """One slice of the client's open run; answers when it goes on, None: nothing is open."""
    return by_one_worker(ALONE, lambda: _slice(claimed))


def _slice(claimed: ClaimedWork) -> datetime | None:
    with Slice(SLICE_S) as part:
        while not part.is_over:
            with work_scope(claimed):
                run = _running(claimed.tenant_id)
                if run is None:
                    return None
                turn = _next_turn(run)
                if turn is None:
                    return _resting(run)
            _read(claimed, run, turn, part)
    return timezone.now()


def _running(tenant_id: int) -> ScanBack | None:
    """Held, so that nobody stops it unseen while its next turn is decided."""
    open_run = ScanBack.objects.filter(tenant=tenant_id, state=ScanBack.State.RUNNING)
    run: ScanBack | None = open_run.select_for_update(of=("self",)).first()
    return run


def _resting(run: ScanBack) -> datetime | None:
    """When it goes on; None: it is over."""
    return None if run.state == ScanBack.State.DONE else run.due_at


def _next_turn(run: ScanBack) -> Turn | None:
    """None: it waits (``due_at``), or is over.  Must run in the client's scope."""
    now = timezone.now()
    if run.due_at > now:
        return None
    rows = list(ScanBackMailbox.objects.filter(run=run))
    run.mails = sum(row.mails for row in rows)
    settle(run, rows)
    left = _left_in_hour(run, now) if run.state == ScanBack.State.RUNNING else 0
    row, why, due_at = None, "", now
    if run.state == ScanBack.State.RUNNING:
        row, why, due_at = _chosen(run, rows, left, now)
    run.waits_for, run.due_at = why, due_at
    run.save()
    return _turn(run, row, left, now) if row is not None else None


def _left_in_hour(run: ScanBack, now: datetime) -> int:
    """How many mails may still be read in this hour; 0 where its requests are used up."""
    if run.hour_began_at is None or run.hour_began_at + HOUR <= now:
        run.hour_began_at, run.hour_mails, run.hour_requests = now, 0, 0
    mails = run.mails_per_hour - run.hour_mails
    requests = run.requests_per_hour - run.hour_requests - SPARE_REQUESTS
    return max(0, min(mails, requests, run.most_mails - run.mails))


def _chosen(
    run: ScanBack, rows: list[ScanBackMailbox], left: int, now: datetime
) -> tuple[ScanBackMailbox | None, str, datetime]:
    """The mailbox whose turn it is, or why none is and when to look again."""
    waiting = [row for row in rows if row.state == ScanBackMailbox.State.WAITING]
    due = [row for row in waiting if row.due_at <= now]
    if not due:
        return (
            None,
            "Mailboxes that could not be read are tried again.",
            min(row.due_at for row in waiting),
        )
    if not left:
        assert run.hour_began_at is not None
        return None, "What may be read in this hour is read.", run.hour_began_at + HOUR
    if is_sync_behind(run.tenant_id, now):
        return None, WAITS_SYNC, now + AGAIN_SOON
    seeing = set(
        MailboxSync.objects.filter(
            tenant=run.tenant_id, connection__state=Connection.State.ACTIVE
        ).values_list("mailbox_id", flat=True)
    )
    sighted = [row for row in due if row.mailbox_id in seeing]
    if not sighted:
        return None, WAITS_BLIND, now + BLIND_AGAIN
    # The id, so that mailboxes that are equally far back come in one order.
    return max(sighted, key=lambda row: (row.reached_at, row.id)), "", now


def _turn(run: ScanBack, row: ScanBackMailbox, left: int, now: datetime) -> Turn:
    synced = MailboxSync.objects.select_related("mailbox", "connection").get(
        tenant=run.tenant_id, mailbox=row.mailbox_id
    )
    if row.page_at is None or row.page_at < now - PAGE_LASTS:
        row.page_at = now
        row.save(update_fields=["page_at"])
    kind = synced.connection.kind
    hosts = tuple(synced.connection.settings.get("internal_hosts", "").lower().split())
    seat = Seat(
        mailbox_id=row.mailbox_id,
        tenant_id=run.tenant_id,
        address=synced.mailbox.address,
        aliases=tuple(synced.mailbox.aliases),
        display_name=synced.mailbox.display_name,
        judged_from=run.since,
        kind=kind,
        internal_hosts=hosts,
    )
    mine = Mine(
        sync_id=synced.id,
        seat=seat,
        external_id=synced.mailbox.external_id,
        cursor=row.cursor,
        since=run.since,
        is_quick=False,
        synced_at=synced.synced_at,
        dirty_at=None,
        is_back=True,
    )
    return Turn(
        run_id=run.id,
        row_id=row.id,
        connection_id=synced.connection_id,
        cursor=row.cursor,
        since=run.since,
        until=row.until,
        page_at=row.page_at,
        most=min(left, PAGE_OF.get(kind, PAGE)),
        mine=mine,
    )


def _read(claimed: ClaimedWork, run: ScanBack, turn: Turn, part: Slice) -> None:
    """One page, outside any scope but for what it writes."""
    pause = None
    try:
        mine = part.open(turn.connection_id, lambda: _open(claimed, turn))
        page = mine.connector.older(
            turn.mine.external_id, turn.cursor, since=turn.since, until=turn.until, most=turn.most
        )
        BackRound(mine.connector, claimed, turn, page).run()
    except AuthExpired:
        # The live sync finds it out as well, and says so everywhere.
        pause = (WAITS_BLIND, BLIND_AGAIN)
    except RateLimited as error:
        pause = (WAITS_LIMIT, timedelta(seconds=max(5.0, error.retry_after_s)))
    except BridgeError as error:
        wait_s = error.retry_after_s if isinstance(error, Temporary) else 0.0
        park(claimed, turn, error, wait_s=wait_s)
    _count(claimed, run, part.opened(turn.connection_id), pause)


def _open(claimed: ClaimedWork, turn: Turn) -> BehindSync:
    """Raises ``BridgeError``."""
    with work_scope(claimed):
        wired = wire_connection(Connection.objects.get(id=turn.connection_id))
    return BehindSync(wired)


def _count(
    claimed: ClaimedWork,
    run: ScanBack,
    opened: BehindSync | None,
    pause: tuple[str, timedelta] | None,
) -> None:
    requests = opened.limits.take_count() if opened else 0
    with work_scope(claimed):
        held = ScanBack.objects.select_for_update(of=("self",)).get(id=run.id)
        held.requests += requests
        held.hour_requests += requests
        held.mails = _mails_of(run.id)
        if pause is not None:
            held.waits_for, held.due_at = pause[0], timezone.now() + pause[1]
        held.save()


def _mails_of(run_id: UUID) -> int:
    rows: dict[str, Any] = ScanBackMailbox.objects.filter(run=run_id).aggregate(n=Sum("mails"))
    return int(rows["n"] or 0)
