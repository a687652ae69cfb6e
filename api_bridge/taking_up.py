"""Which mailboxes are read now, and from where on: what was heard of first, then the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F, Q, Value
from django.utils import timezone

from api_bridge.connectors import Capability, ReadsMany
from api_bridge.models import MailboxSync
from api_bridge.opening import Opened
from api_bridge.scan.shapes import Seat
from api_bridge.store import Mine
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.work import work_scope

AT_ONCE = 20
# So many of them for mailboxes of which nothing was heard: hints may be lost, and never stop.
KEPT_FOR_UNHEARD = 4
# A whole reading is near when an eighth of the time between two of them is left.
NEAR_PART = 8
# A new connection learns from what already lies in the mailboxes, and judges what comes.
LOOK_BACK = timedelta(days=30)
# Mail becomes visible late, and so a whole reading repeats the last minutes.  Before they have
# passed a quick look is cheaper, afterwards a whole reading costs no more.
LATELY = timedelta(minutes=15)
LOST_CURSOR = timedelta(days=1)
CLOCKS_DIFFER = timedelta(minutes=2)
_NOT_READ = (Mailbox.State.GONE,)


def read_ones() -> Any:
    return MailboxSync.objects.exclude(mailbox__state__in=_NOT_READ)


def take_up(claimed: ClaimedWork, opened: Opened) -> list[Mine]:
    """Those of which something was heard first, and always some of the others.  Where one is read,
    all are of which something was heard, and those whose whole reading is near: they share a call.
    """
    now = timezone.now()
    with work_scope(claimed):
        mine = read_ones().filter(connection_id=opened.connection_id)
        if not mine.filter(due_at__lte=now).exists():
            return []
        heard = Q(dirty_at__isnull=False, failures=0)
        due = mine.filter(Q(due_at__lte=now) | heard).select_related("mailbox")
        rows = list(due.order_by(F("dirty_at").asc(nulls_last=True), "due_at")[:AT_ONCE])
        if len(rows) == AT_ONCE and rows[-KEPT_FOR_UNHEARD].dirty_at is not None:
            unheard = list(due.filter(dirty_at=None).order_by("due_at")[:KEPT_FOR_UNHEARD])
            rows = rows[: AT_ONCE - len(unheard)] + unheard
        if any(row.whole_due_at <= now for row in rows):
            rows += _near_ones(mine, rows, now)
        return [mine_of(row, opened) for row in rows]


def _near_ones(mine: Any, rows: Sequence[MailboxSync], now: datetime) -> list[MailboxSync]:
    """Mailboxes that would be read whole soon after these are read whole now, with them."""
    soon = ExpressionWrapper(
        F("whole_every_s") * Value(timedelta(seconds=1 / NEAR_PART)), DurationField()
    )
    near = list(
        mine.filter(failures=0, whole_due_at__lte=now + soon)
        .exclude(id__in=[row.id for row in rows])
        .select_related("mailbox")
        .order_by("whole_due_at")[: max(0, AT_ONCE - len(rows))]
    )
    for row in [*rows, *near]:
        if row.whole_due_at <= now + timedelta(seconds=row.whole_every_s / NEAR_PART):
            row.whole_due_at = now
    return near


def _is_quick(row: MailboxSync, opened: Opened, now: datetime) -> bool:
    """It was read whole not long ago."""
    if Capability.CHEAP_CHANGES in opened.connector.capabilities or row.whole_due_at <= now:
        return False
    if not isinstance(opened.connector, ReadsMany) or not row.cursor:
        return True
    # The time until the next one was doubled with the last one, if it was not the longest yet.
    is_longest = row.whole_every_s >= settings.SYNC_RECORDED_WHOLE_S
    waited_s = row.whole_every_s if is_longest else row.whole_every_s / 2
    return row.whole_due_at > now + timedelta(seconds=waited_s) - LATELY


def mine_of(row: MailboxSync, opened: Opened) -> Mine:
    now = timezone.now()
    judged_from = opened.created_at - CLOCKS_DIFFER
    is_quick = _is_quick(row, opened, now)
    # A cursor that was lost begins again a day before the mailbox was last read.
    since = row.synced_at - LOST_CURSOR if row.synced_at else opened.created_at - LOOK_BACK
    if is_quick and row.synced_at:
        since = row.synced_at - CLOCKS_DIFFER
    longest = timedelta(seconds=settings.SYNC_RECORDED_WHOLE_S)
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
        by_history=Capability.CHEAP_CHANGES in opened.connector.capabilities,
        is_small=bool(row.cursor and row.caught_up_at and row.caught_up_at > now - 2 * longest),
    )
