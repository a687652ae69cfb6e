"""Reads every folder of a client's mailboxes once a night.  Serves the queue ``nightly``.

1. the mailboxes that are due are taken some at a time, so that they share their calls;
2. their folders are listed: those that have changed since they were last read wait to be read;
3. each is read page by page (``reading.py``), what is new is judged, and the link is kept with it;
4. copies that left a folder and came into no other are asked for, and the mailbox's night is over.

It gives way to the live sync as a look back does (api_bridge/scanback): one worker of the whole
installation, some seconds at a stretch, nothing while a mailbox of the client is due for the sync,
and only what the shared limits have left.  Where it stands is in its rows, so that a worker that
is killed loses one page.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min
from django.utils import timezone

from api_bridge.connectors import FolderAsk, FolderPage, ReadsFolders
from api_bridge.errors import (
    AccessDenied,
    AuthExpired,
    BridgeError,
    NotFound,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from api_bridge.known import REMEMBERED
from api_bridge.models import Connection, MailboxSync, NightFolder, NightReading
from api_bridge.nightly.folders import begin
from api_bridge.nightly.reading import Step, park, read_page, settle_removed
from api_bridge.nightly.times import APART, next_night
from api_bridge.runtime import wire_connection
from api_bridge.scan.shapes import Seat
from api_bridge.scanback.behind import AGAIN_SOON, BehindSync, Slice, by_one_worker, is_sync_behind
from api_bridge.store import Mine
from incidents.words import Place
from tenants.doors import ClaimedWork
from tenants.models import Mailbox, Tenant
from tenants.work import work_scope

log = logging.getLogger(__name__)

KINDS = (Connection.Kind.GRAPH,)
ALONE = "api_bridge.nightly"
SLICE_S = 5.0
BLIND_AGAIN = timedelta(minutes=15)
MAILBOXES_AT_ONCE = 10
FOLDERS_AT_ONCE = 10
# What a mailbox may ask of its host in one night: a first reading goes on the next one.
MOST_REQUESTS = 100
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One mailbox's, as its row stood.  ``steps`` empty: every folder of it is read."""

    id: UUID
    has_begun: bool
    mine: Mine
    steps: list[Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Mailboxes of one connection."""

    connection_id: UUID
    nights: list[Night]


def serve_nightly(claimed: ClaimedWork) -> datetime | None:
    """One slice; answers when it goes on."""
    return by_one_worker(ALONE, lambda: _slice(claimed))


def _slice(claimed: ClaimedWork) -> datetime | None:
    with Slice(SLICE_S) as part:
        while not part.is_over:
            with work_scope(claimed):
                turn = _next_turn(claimed.tenant_id)
            if not isinstance(turn, Turn):
                return turn
            _take(claimed, turn, part)
    return timezone.now()


def _next_turn(tenant_id: int) -> Turn | datetime | None:
    """Or when to look again, None: there is nothing to read.  Must run in the client's scope."""
    now = timezone.now()
    _begin_rows(tenant_id, now)
    mine = NightReading.objects.filter(tenant_id=tenant_id)
    mine = mine.exclude(mailbox__state=Mailbox.State.GONE)
    seeing = mine.filter(connection__state=Connection.State.ACTIVE).exclude(
        connection__rests_until__gt=now
    )
    due = list(seeing.filter(due_at__lte=now).order_by("due_at", "id")[: 3 * MAILBOXES_AT_ONCE])
    if due and is_sync_behind(tenant_id, now):
        return now + AGAIN_SOON
    if due:
        return _turn(due, now)
    is_blind = mine.filter(due_at__lte=now).exists()
    later: datetime | None = seeing.aggregate(at=Min("due_at"))["at"]
    return min([at for at in (later, now + BLIND_AGAIN if is_blind else None) if at], default=None)


def _begin_rows(tenant_id: int, now: datetime) -> None:
    """For mailboxes that have none yet."""
    having = NightReading.objects.filter(tenant_id=tenant_id).values("mailbox_id")
    lacking = (
        MailboxSync.objects.filter(tenant_id=tenant_id, connection__kind__in=KINDS)
        .exclude(mailbox_id__in=having)
        .exclude(mailbox__state=Mailbox.State.GONE)
    )
    rows = list(lacking.values_list("mailbox_id", "connection_id"))
    if rows:
        zone = Tenant.objects.values_list("time_zone", flat=True).get(id=tenant_id)
        NightReading.objects.bulk_create(
            [
                NightReading(
                    tenant_id=tenant_id,
                    mailbox_id=mailbox_id,
                    connection_id=connection_id,
                    due_at=next_night(tenant_id, mailbox_id, zone, now),
                )
                for mailbox_id, connection_id in rows
            ],
            ignore_conflicts=True,
        )


def _turn(due: Sequence[NightReading], now: datetime) -> Turn:
    first = due[0].connection_id
    rows = [row for row in due if row.connection_id == first][:MAILBOXES_AT_ONCE]
    synced = MailboxSync.objects.filter(
        tenant_id=due[0].tenant_id, mailbox_id__in=[row.mailbox_id for row in rows]
    ).select_related("mailbox", "connection")
    sync_of = {row.mailbox_id: row for row in synced}
    left = FOLDERS_AT_ONCE
    nights = []
    for row in rows:
        sync = sync_of[row.mailbox_id]
        is_reading = row.began_at is not None and row.requests < MOST_REQUESTS
        steps = _steps(row, sync, left, now) if is_reading else []
        # What is left over for it is taken with the next turn.
        if is_reading and not steps and _waiting(row).exists():
            continue
        left -= len(steps)
        nights.append(
            Night(
                id=row.id,
                has_begun=row.began_at is not None,
                mine=_mine(row, sync),
                steps=steps,
            )
        )
    return Turn(connection_id=first, nights=nights)


def _waiting(row: NightReading) -> Any:
    return NightFolder.objects.filter(
        tenant_id=row.tenant_id, mailbox_id=row.mailbox_id, is_waiting=True, is_listed=True
    )


def _steps(row: NightReading, sync: MailboxSync, most: int, now: datetime) -> list[Step]:
    judged_from = sync.connection.created_at - CLOCKS_DIFFER
    mine = _mine(row, sync)
    return [
        Step(
            night_id=row.id,
            folder_row_id=folder.id,
            folder_id=folder.folder_id,
            place=Place(folder.place),
            link=folder.link,
            learnt_before=max(judged_from, now - REMEMBERED) if folder.is_first else None,
            mine=mine,
        )
        for folder in _waiting(row).defer("known").order_by("id")[: max(0, most)]
    ]


def _mine(row: NightReading, sync: MailboxSync) -> Mine:
    hosts = tuple(sync.connection.settings.get("internal_hosts", "").lower().split())
    return Mine(
        sync_id=sync.id,
        seat=Seat(
            mailbox_id=row.mailbox_id,
            tenant_id=row.tenant_id,
            address=sync.mailbox.address,
            aliases=tuple(sync.mailbox.aliases),
            display_name=sync.mailbox.display_name,
            judged_from=LONG_AGO,
            kind=sync.connection.kind,
            internal_hosts=hosts,
        ),
        external_id=sync.mailbox.external_id,
        cursor=sync.cursor,
        since=LONG_AGO,
        is_quick=False,
        synced_at=sync.synced_at,
        dirty_at=None,
        is_night=True,
        not_there_at=row.read_at if row.whole_at else None,
    )


def _take(claimed: ClaimedWork, turn: Turn, part: Slice) -> None:
    """The next step of each; outside any scope but for what it writes."""
    try:
        lower = part.open(turn.connection_id, lambda: _open(claimed, turn.connection_id))
    except BridgeError as error:
        # The live sync finds it out as well, and says so everywhere.
        for night in turn.nights:
            park(claimed, night.id, error, wait_s=BLIND_AGAIN.total_seconds())
        return
    try:
        _list_folders(claimed, lower, [each for each in turn.nights if not each.has_begun])
        _read_folders(claimed, lower, [each for each in turn.nights if each.steps])
        for night in turn.nights:
            if night.has_begun and not night.steps:
                _end(claimed, lower, night)
    except BridgeError as error:
        for night in turn.nights:
            _after(claimed, night.id, error)
    finally:
        _count(claimed, lower, turn)


def _open(claimed: ClaimedWork, connection_id: UUID) -> BehindSync:
    """Raises ``BridgeError``."""
    with work_scope(claimed):
        wired = wire_connection(Connection.objects.get(id=connection_id))
    return BehindSync(wired)


def _after(claimed: ClaimedWork, night_id: UUID, error: BridgeError) -> None:
    """What kind of error it is decides when it goes on; a limit is no failure."""
    if isinstance(error, RateLimited):
        at = timezone.now() + timedelta(seconds=max(5.0, error.retry_after_s))
        with work_scope(claimed):
            NightReading.objects.filter(id=night_id).update(due_at=at)
        return
    wait_s = error.retry_after_s if isinstance(error, Temporary) else 0.0
    if isinstance(error, AuthExpired):
        wait_s = BLIND_AGAIN.total_seconds()
    park(claimed, night_id, error, wait_s=wait_s)


def _list_folders(claimed: ClaimedWork, lower: BehindSync, nights: Sequence[Night]) -> None:
    """Raises ``BridgeError`` where the call as such failed."""
    connector = lower.connector
    if not nights or not isinstance(connector, ReadsFolders):
        return
    answers = connector.folders_many([each.mine.external_id for each in nights])
    for night, answer in zip(nights, answers, strict=True):
        if isinstance(answer, BridgeError):
            _after(claimed, night.id, answer)
            continue
        with work_scope(claimed):
            begin(night.id, answer)


def _read_folders(claimed: ClaimedWork, lower: BehindSync, nights: Sequence[Night]) -> None:
    """One page of each.  Raises ``BridgeError`` where the call as such failed."""
    connector = lower.connector
    steps = [step for night in nights for step in night.steps]
    if not steps or not isinstance(connector, ReadsFolders):
        return
    pages = connector.folder_changes(
        [
            FolderAsk(
                mailbox_id=step.mine.external_id,
                folder_id=step.folder_id,
                place=step.place,
                link=step.link,
            )
            for step in steps
        ]
    )
    failed: set[UUID] = set()
    for step, page in zip(steps, pages, strict=True):
        if step.night_id in failed:
            continue
        error = _read_one(claimed, lower, step, page)
        if error is not None:
            failed.add(step.night_id)
            _after(claimed, step.night_id, error)


def _read_one(
    claimed: ClaimedWork, lower: BehindSync, step: Step, page: FolderPage | BridgeError
) -> BridgeError | None:
    """Why its mailbox waits; None: it was read, or its folder is gone."""
    if isinstance(page, NotFound) and not page.is_of_mailbox:
        # It went since it was listed; what lay in it is listed where it lies now.
        with work_scope(claimed):
            NightFolder.objects.filter(id=step.folder_row_id).update(
                is_listed=False, is_waiting=False
            )
        return None
    if isinstance(page, Rejected | Unexpected) and not isinstance(page, AccessDenied):
        _leave_out(claimed, step, page)
        return None
    if isinstance(page, BridgeError):
        return page
    try:
        read_page(claimed, lower.connector, step, page)
    except BridgeError as error:
        return error
    return None


def _leave_out(claimed: ClaimedWork, step: Step, error: BridgeError) -> None:
    """One folder that cannot be read does not keep the others of its mailbox waiting."""
    log.warning("a folder of mailbox %s: %s", step.mine.seat.mailbox_id, error)
    with work_scope(claimed):
        NightFolder.objects.filter(id=step.folder_row_id).update(is_waiting=False, link="")
        NightReading.objects.filter(id=step.night_id).update(
            last_error=f"A folder could not be read: {error}"[:500]
        )


def _end(claimed: ClaimedWork, lower: BehindSync, night: Night) -> None:
    """Raises ``BridgeError``."""
    settle_removed(claimed, lower.connector, night.id, night.mine)
    with work_scope(claimed):
        row = (
            NightReading.objects.select_for_update(of=("self",))
            .select_related("tenant")
            .get(id=night.id)
        )
        if row.began_at is None:
            return
        now = timezone.now()
        folders = NightFolder.objects.filter(tenant_id=row.tenant_id, mailbox_id=row.mailbox_id)
        if _waiting(row).exists():
            row.last_error = "What may be asked in a night was asked; the next one goes on."
        else:
            # Only now: what was moved out of a folder that is gone was listed elsewhere since.
            folders.filter(is_listed=False).delete()
            row.read_at = row.began_at
            row.whole_at = row.whole_at or now
        row.began_at, row.failures = None, 0
        row.due_at = next_night(row.tenant_id, row.mailbox_id, row.tenant.time_zone, now + APART)
        row.save()


def _count(claimed: ClaimedWork, lower: BehindSync, turn: Turn) -> None:
    """What each mailbox has asked of its host."""
    counts = lower.limits.take_counts()
    with work_scope(claimed):
        for night in turn.nights:
            asked = sum(
                n for name, n in counts.items() if name.endswith(f".{night.mine.external_id}")
            )
            row = NightReading.objects.select_for_update().get(id=night.id)
            row.requests += asked
            row.save(update_fields=["requests"])
