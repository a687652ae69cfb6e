"""The gap counter of a mailbox: mails that were not found in the way in which they should have.

- ``unannounced``: a push order stood, and no hint came between the mail's receipt and its finding.
- ``missed``: a complete reading after its receipt had not shown it; a later one did.
- ``imported``: it was not in its mailbox when every folder was last read through, and its date is
  older than that: somebody put it there (api_bridge/nightly).  No reading has missed it.

Neither is lost: a gap is counted when its mail is found, and stands with the mail for as long as
that is remembered.  Where changes are told by a history instead of a list (Google), the history is
held against the list of ids now and then: what it left out is read, and counted as missed.
Where folders are not read through (Google, IMAP), such a mail looks like one that was missed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db.models import Value
from django.db.models.functions import Least
from django.utils import timezone

from api_bridge.connectors import Connector, Item, ListsIds, Page
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.models import Connection, MailboxSync, SeenItem
from incidents.words import Place
from tenants.doors import ClaimedWork
from tenants.work import work_scope

if TYPE_CHECKING:
    from api_bridge.store import Mine

log = logging.getLogger(__name__)

# Clocks differ, and mail becomes visible a little later than it was received.
GRACE = timedelta(minutes=2)
# The slowest hint of a mail comes three minutes after it (contract A.3 c).
LATEST_HINT = timedelta(minutes=5)
CHECK_OVERLAP = timedelta(hours=1)
FIRST_CHECK = timedelta(days=1)
CHECK_RETRY = timedelta(minutes=10)
AT_ONCE = 10
# The record is read once an hour, and ends some minutes before that.
RECORD_IS_FRESH = timedelta(hours=1, minutes=30)
_NOT_COUNTED = (Place.QUARANTINE, Place.SENT)


def gap_of(item: Item, mine: Mine, row: MailboxSync) -> str:
    """For an item that is new to us; ``row`` as it was before this page."""
    at = item.received_at
    if item.place in _NOT_COUNTED or at < mine.seat.judged_from:
        return ""
    if mine.is_night and mine.not_there_at and at < mine.not_there_at - GRACE:
        return SeenItem.Gap.IMPORTED
    is_part = mine.is_quick or mine.is_told or mine.by_history
    is_whole = mine.is_night or mine.is_check or not is_part
    if is_whole and row.caught_up_at and at < row.caught_up_at - GRACE:
        return SeenItem.Gap.MISSED
    if not _stood(row, at) or (row.heard_at and row.heard_at >= at - GRACE):
        return ""
    return SeenItem.Gap.UNANNOUNCED


def _stood(row: MailboxSync, at: datetime) -> bool:
    """A push order stood when it was received."""
    began, ends = row.push_began_at, row.push_expires_at
    return began is not None and ends is not None and began < at < ends


def rarer(row: MailboxSync, now: datetime) -> int:
    """Seconds after the next whole reading until the one after it: twice as many each time, as long
    as a push order stands.
    """
    if row.push_expires_at is None or row.push_expires_at <= now:
        return int(settings.SYNC_WHOLE_S)
    twice = 2 * row.whole_every_s
    if twice > settings.SYNC_LONGEST_WHOLE_S and not _is_recorded(row, now):
        return int(settings.SYNC_LONGEST_WHOLE_S)
    return int(min(twice, settings.SYNC_RECORDED_WHOLE_S))


def _is_recorded(row: MailboxSync, now: datetime) -> bool:
    """What its host delivered was held against what was seen, not long ago."""
    return Connection.objects.filter(
        id=row.connection_id, trace_error="", traced_until__gt=now - RECORD_IS_FRESH
    ).exists()


def read_no_later(connection_id: UUID) -> None:
    """The host's record cannot be had now: whole readings are as near as without it.  Must run in
    the client's scope.
    """
    longest_s = int(settings.SYNC_LONGEST_WHOLE_S)
    latest = Value(timezone.now() + timedelta(seconds=longest_s))
    MailboxSync.objects.filter(connection_id=connection_id, whole_every_s__gt=longest_s).update(
        whole_every_s=longest_s,
        whole_due_at=Least("whole_due_at", latest),
        due_at=Least("due_at", latest),
    )


def look_closer(row: MailboxSync) -> None:
    """Something was found late: what failed for one mailbox may fail for all of its connection, so
    they are read whole as often as can be again.  Must run in the client's scope.
    """
    row.whole_every_s = int(settings.SYNC_WHOLE_S)
    # Perhaps the host has lost the order: they are gone through with the next list of mailboxes.
    Connection.objects.filter(id=row.connection_id).update(sweep_due_at=timezone.now())
    soon = timezone.now() + timedelta(seconds=settings.SYNC_WHOLE_S)
    others = MailboxSync.objects.filter(
        connection_id=row.connection_id, whole_every_s__gt=row.whole_every_s
    ).exclude(id=row.id)
    # Whoever is being committed just now comes to the same by itself.
    ids = list(others.select_for_update(skip_locked=True).values_list("id", flat=True))
    MailboxSync.objects.filter(id__in=ids).update(
        whole_every_s=row.whole_every_s,
        whole_due_at=Least("whole_due_at", Value(soon)),
        due_at=Least("due_at", Value(soon)),
    )


def settle_late_hints(row: MailboxSync) -> None:
    """A mail may be found by chance before its hint comes.  Must run in the client's scope."""
    if row.heard_at is None or row.heard_at < timezone.now() - LATEST_HINT:
        return
    SeenItem.objects.filter(
        tenant_id=row.tenant_id,
        mailbox_id=row.mailbox_id,
        gap=SeenItem.Gap.UNANNOUNCED,
        received_at__gt=row.heard_at - LATEST_HINT,
        received_at__lte=row.heard_at + GRACE,
    ).update(gap="")


def unknown_to_us(
    claimed: ClaimedWork, connector: Connector, mine: Mine, checked_at: datetime | None
) -> Page | None:
    """What the mailbox lists and we have never seen; None: nothing.  Raises ``BridgeError``."""
    if not isinstance(connector, ListsIds):
        return None
    since = (checked_at or timezone.now() - FIRST_CHECK) - CHECK_OVERLAP
    listed = connector.ids_since(mine.external_id, since)
    with work_scope(claimed):
        seen = SeenItem.objects.filter(
            tenant_id=mine.seat.tenant_id, mailbox_id=mine.seat.mailbox_id, item_id__in=listed
        )
        known = set(seen.values_list("item_id", flat=True))
    unknown = [each for each in listed if each not in known]
    if not unknown:
        return None
    found = connector.items_of(mine.external_id, unknown)
    return replace(found, cursor=mine.cursor)


def due_for_check(connection_id: UUID) -> Any:
    """Rows that have been read whole, and whose list of ids is due; needs a scope."""
    return MailboxSync.objects.filter(
        connection_id=connection_id, check_due_at__lte=timezone.now(), failures=0
    ).exclude(cursor="")


def note_checked(sync_ids: Sequence[UUID], *, has_failed: bool) -> None:
    """Must run in the client's scope."""
    now = timezone.now()
    rows = MailboxSync.objects.filter(id__in=list(sync_ids))
    if has_failed:
        rows.update(check_due_at=now + CHECK_RETRY)
    else:
        rows.update(checked_at=now, check_due_at=now + timedelta(seconds=settings.SYNC_CHECKED_S))


def pages_to_check(
    claimed: ClaimedWork,
    connector: Connector,
    due: Sequence[tuple[Mine, datetime | None]],
    *,
    until: float,
) -> list[tuple[Mine, Page]]:
    """Asks for the lists, and notes that it did; none begun after ``until`` (monotonic seconds).

    Raises ``AuthExpired``.
    """
    found = []
    for mine, checked_at in due:
        if time.monotonic() > until:
            break
        try:
            page = unknown_to_us(claimed, connector, mine, checked_at)
        except AuthExpired:
            raise
        except BridgeError as error:
            log.warning("the ids of mailbox %s: %s", mine.seat.mailbox_id, error)
            with work_scope(claimed):
                note_checked([mine.sync_id], has_failed=True)
            continue
        if page is None:
            with work_scope(claimed):
                note_checked([mine.sync_id], has_failed=False)
        else:
            found.append((mine, page))
    return found
