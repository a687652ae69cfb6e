"""Commits what one page of a mailbox showed: rows and cursor together, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from api_bridge import history
from api_bridge.access.registrations import QUEUE as ACCESS
from api_bridge.again.due import QUEUE as AGAIN
from api_bridge.again.due import first_look
from api_bridge.connectors import Item, Page
from api_bridge.gaps import gap_of, look_closer, rarer, settle_late_hints
from api_bridge.models import MailboxSync, SeenItem
from api_bridge.scan.shapes import Scanned, Seat
from incidents.evidence import store_evidence
from incidents.intake import record
from incidents.observations import Observation
from incidents.userreports.taking import take_reports
from tenants.models import Mailbox
from tenants.scope import current_scope
from tenants.work import want_work

log = logging.getLogger(__name__)

BACKOFF_S = 5.0
LONGEST_BACKOFF_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """One mailbox to read now, as it stood when it was taken up.

    ``is_quick``: only what was received since ``since``; the cursor stays where it is.  Otherwise
    everything since the cursor, and ``since`` is for a mailbox that has none.  ``is_small``: it was
    read to its end not long ago.  ``by_history``: the host tells what changed, not what there is.
    ``is_told``: what a push brought, which is no list of the mailbox; ``dirty_at`` None then:
    something is still to be looked for in it.  ``is_check``: what the list of ids showed to be
    unknown; the cursor stays where it is.  ``is_back``: mail from before the watching, that only
    taught so far, is judged (api_bridge/scanback).  ``is_night``: what a folder's nightly reading
    showed to be unknown; ``not_there_at``: when all that lay in the mailbox was known, None: never
    yet (api_bridge/nightly).
    """

    sync_id: UUID
    seat: Seat
    external_id: str
    cursor: str
    since: datetime
    is_quick: bool
    synced_at: datetime | None
    dirty_at: datetime | None
    is_back: bool = False
    by_history: bool = False
    is_check: bool = False
    is_small: bool = False
    is_told: bool = False
    is_night: bool = False
    not_there_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``unchanged``: items that only need to be remembered.  ``failed``: item id → failures."""

    scanned: Sequence[Scanned]
    unchanged: Sequence[Item] = ()
    failed: Mapping[str, int] | None = None
    why: str = ""


def commit_page(mine: Mine, page: Page, outcome: Outcome) -> bool:
    """Must run in the client's scope.  False: another worker read this mailbox meanwhile, and
    nothing of ours counts.

    The cursor moves only if every item of the page is stored or known.
    """
    if mine.is_told:
        return _commit_told(mine, page, outcome)
    row = MailboxSync.objects.select_for_update().filter(id=mine.sync_id).first()
    if row is None or (row.cursor, row.synced_at) != (mine.cursor, mine.synced_at):
        return False
    store_scanned(*outcome.scanned)
    if remember(mine, page, outcome, row):
        look_closer(row)
    settle_late_hints(row)
    row.synced_at = timezone.now()
    if outcome.failed:
        _park(row, outcome.why)
    else:
        _move_on(row, mine, page)
    row.save()
    was_shut = Mailbox.objects.filter(
        id=mine.seat.mailbox_id, state__in=(Mailbox.State.BLIND, Mailbox.State.NO_MAILBOX)
    )
    if was_shut.update(state=Mailbox.State.ACTIVE):
        want_work(mine.seat.tenant_id, ACCESS)
    return True


def _commit_told(mine: Mine, page: Page, outcome: Outcome) -> bool:
    """How far the mailbox was read stays as it is."""
    row = MailboxSync.objects.select_for_update().filter(id=mine.sync_id).first()
    if row is None:
        return False
    store_found(mine, page, outcome, row)
    if mine.dirty_at is not None and row.dirty_at == mine.dirty_at and not outcome.failed:
        row.dirty_at = None
        row.due_at = _next_look(row, timezone.now())
        row.save(update_fields=["dirty_at", "due_at", "whole_every_s"])
    return True


def store_found(mine: Mine, page: Page, outcome: Outcome, row: MailboxSync) -> None:
    """Only what nobody has found meanwhile.  ``row`` is held by the caller."""
    seen = SeenItem.objects.filter(
        tenant_id=row.tenant_id,
        mailbox_id=row.mailbox_id,
        item_id__in=[item.ref.item_id for item in page.items],
    )
    found = set(seen.exclude(place="").values_list("item_id", flat=True))
    page, outcome = without(page, outcome, found)
    store_scanned(*outcome.scanned)
    if remember(mine, page, outcome, row):
        look_closer(row)
    settle_late_hints(row)


def without(page: Page, outcome: Outcome, found: Collection[str]) -> tuple[Page, Outcome]:
    """The same, but for items that somebody else has found meanwhile."""
    items = tuple(item for item in page.items if item.ref.item_id not in found)
    new = [each for each in outcome.scanned if each.item.ref.item_id not in found]
    return replace(page, items=items), replace(outcome, scanned=new)


def outdate_lists(row: MailboxSync) -> None:
    """The live sync may have listed the same mail just now: what it read before this does not count
    any more, and is read again.  ``row`` is held by the caller, who saves it.
    """
    if row.synced_at:
        row.synced_at += timedelta(microseconds=1)


def _next_look(row: MailboxSync, now: datetime) -> datetime:
    """The next whole reading, or a look before it where nobody would tell of new mail: now, or from
    when the order ends that stands.
    """
    if row.push_expires_at is None or row.push_expires_at <= now:
        return min(row.whole_due_at, now + timedelta(seconds=settings.SYNC_POLLED_S))
    return min(row.whole_due_at, row.push_expires_at)


def store_scanned(*scanned: Scanned) -> None:
    """Observations, what they teach, and what people report.  Must run in the client's scope."""
    told = [_with_evidence(each) for each in scanned if each.observation]
    record([*told, *(word for each in scanned for word in each.beside)])
    tenant_id = current_scope().tenant_ids[0]
    take_reports(tenant_id, [report for each in scanned for report in each.reports])
    history.learn(tenant_id, [lesson for each in scanned for lesson in each.lessons])


def _move_on(row: MailboxSync, mine: Mine, page: Page) -> None:
    """When to look next, and from where."""
    assert row.synced_at is not None
    now = row.synced_at
    row.failures, row.last_error = 0, ""
    if not page.more:
        row.caught_up_at = now
    if mine.is_check:
        return
    if mine.is_quick:
        row.whole_due_at = now if page.more else row.whole_due_at
    else:
        row.cursor = page.cursor
        if page.more:
            row.whole_due_at = now
        else:
            row.whole_due_at = now + timedelta(seconds=row.whole_every_s)
            row.whole_every_s = rarer(row, now)
    row.due_at = _next_look(row, now)
    if row.dirty_at == mine.dirty_at:
        row.dirty_at = None
    else:
        # Something was heard while we looked.
        row.due_at = now


def _with_evidence(scanned: Scanned) -> Observation:
    """The bytes are in the store before the observation that names them is recorded."""
    observation = scanned.observation
    assert observation is not None
    if not scanned.wants_evidence:
        return observation
    return keep_original(observation, scanned.raw, method=scanned.method)


def keep_original(observation: Observation, raw: bytes, *, method: str) -> Observation:
    """The observation with the name of its mail's bytes, which are in the store now."""
    digest = store_evidence(
        tenant_id=observation.tenant_id,
        raw=raw,
        source=f"mailbox {observation.recipient}",
        method=method,
    )
    return replace(observation, evidence=digest)


def remember(mine: Mine, page: Page, outcome: Outcome, row: MailboxSync | None = None) -> bool:
    """What was listed, so that only changes count next time.  ``row`` None: nothing can be late.
    True: something was found late.
    """
    failed = outcome.failed or {}
    judged = {each.item.ref.item_id: each.is_judged for each in outcome.scanned}
    again = _looked_at_again(outcome)
    known = {item.ref.item_id for item in outcome.unchanged}
    now = timezone.now()
    rows = [
        SeenItem(
            tenant_id=mine.seat.tenant_id,
            mailbox_id=mine.seat.mailbox_id,
            item_id=item_id,
            place="" if item_id in failed else item.place,
            is_read=item.is_read,
            received_at=item.received_at,
            failures=failed.get(item_id, 0),
            is_judged=judged.get(item_id, False),
            again_at=again.get(item_id),
            gap=gap_of(item, mine, row) if row else "",
            found_at=now,
        )
        for item_id, item in {item.ref.item_id: item for item in page.items}.items()
        if item_id not in known
    ]
    is_late = _has_new_gap(mine, rows)
    names = ["place", "is_read", "failures", "is_judged"]
    # Of a mail that only moved it stays as it was.
    for some, fields in (
        ([each for each in rows if each.item_id in again], [*names, "again_at"]),
        ([each for each in rows if each.item_id not in again], names),
    ):
        SeenItem.objects.bulk_create(
            some,
            update_conflicts=True,
            unique_fields=["tenant", "mailbox", "item_id"],
            update_fields=fields,
        )
    if times := [at for at in again.values() if at is not None]:
        want_work(mine.seat.tenant_id, AGAIN, at=min(times))
    return is_late


def _has_new_gap(mine: Mine, rows: Sequence[SeenItem]) -> bool:
    """Whether one of them should have been found before, and was not known yet."""
    late = [each.item_id for each in rows if each.gap and each.gap != SeenItem.Gap.IMPORTED]
    of_mailbox = SeenItem.objects.filter(
        tenant_id=mine.seat.tenant_id, mailbox_id=mine.seat.mailbox_id
    )
    return bool(late) and len(late) > of_mailbox.filter(item_id__in=late).count()


def _looked_at_again(outcome: Outcome) -> dict[str, datetime | None]:
    """Item id → when a mail that was judged just now is looked at again."""
    now = timezone.now()
    return {
        each.item.ref.item_id: first_look(each.observation.verdict, each.item.received_at, now)
        for each in outcome.scanned
        if each.observation and each.observation.verdict
    }


def park_mailbox(mine: Mine, why: str, *, wait_s: float | None = None) -> None:
    """This mailbox alone waits, longer each time.  Must run in the client's scope."""
    row = MailboxSync.objects.select_for_update().get(id=mine.sync_id)
    _park(row, why, wait_s=wait_s)
    row.save(update_fields=["failures", "last_error", "due_at", "whole_due_at"])


def _park(row: MailboxSync, why: str, *, wait_s: float | None = None) -> None:
    """The next look is a whole one: what was missed lies behind the quick one's window."""
    row.failures += 1
    row.last_error = why[:500]
    pause_s = min(BACKOFF_S * 2.0 ** min(row.failures - 1, 10), LONGEST_BACKOFF_S)
    row.due_at = timezone.now() + timedelta(seconds=max(pause_s, wait_s or 0.0))
    row.whole_due_at = timezone.now()
    log.info("mailbox %s waits %.0f s: %s", row.mailbox_id, pause_s, why[:200])


def forget_old_items(mailbox_ids: Sequence[UUID], *, before: datetime) -> None:
    """Items that no listing comes back to; those that were found late stand as long from then on.
    Must run in the client's scope.
    """
    old = SeenItem.objects.filter(mailbox_id__in=mailbox_ids, received_at__lt=before)
    old.exclude(~Q(gap=""), found_at__gte=before).delete()
