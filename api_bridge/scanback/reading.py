"""One page of one mailbox, back in time: judged, and stored with the mark up to which it goes.

It goes through the same reading as new mail (api_bridge/round.py), with three differences: what
only taught before is judged now and teaches nothing twice; each observation says that it was found
by looking back; and it is this run's own mark that moves, never the cursor of the sync.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min
from django.utils import timezone
from typing_extensions import override

from api_bridge.connectors import Connector, Item, Page
from api_bridge.errors import BridgeError
from api_bridge.known import HISTORY_COUNTS_AFTER, Known
from api_bridge.models import Correspondent, MailboxSync, SeenItem
from api_bridge.round import Round
from api_bridge.scanback.models import ScanBack, ScanBackFinding, ScanBackMailbox
from api_bridge.store import Mine, Outcome, outdate_lists, remember, store_scanned, without
from incidents.observations import LOOKED_BACK
from incidents.words import Place, Verdict
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

# A mailbox that cannot be read waits longer each time, and after so many tries counts as failed.
TRIES = 6
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
# A page that was begun long ago is another sight of the mailbox.
PAGE_LASTS = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The mailbox to go on with, as it stood when it was taken up."""

    run_id: UUID
    row_id: UUID
    connection_id: UUID
    cursor: str
    since: datetime
    until: datetime
    page_at: datetime
    most: int
    mine: Mine


class BackRound(Round):
    def __init__(self, connector: Connector, claimed: ClaimedWork, turn: Turn, page: Page) -> None:
        super().__init__(connector, claimed, [(turn.mine, page)], turn.page_at)
        self._turn = turn

    @override
    def _know(self) -> Known:
        (_, page) = self._pages[0]
        return with_old_memory(super()._know(), self._claimed.tenant_id, page.items)

    @override
    def _commit(self, mine: Mine, page: Page, outcome: Outcome) -> None:
        with work_scope(self._claimed):
            # Held, so that nobody else finds the same mail just now.
            row = MailboxSync.objects.select_for_update().get(id=mine.sync_id)
            known = self._known_by_now(page)
            late = {item_id for item_id, is_judged in known.items() if is_judged}
            new, outcome = without(page, outcome, late - self._judged_before())
            if outcome.scanned:
                outdate_lists(row)
                row.save(update_fields=["synced_at"])
            _commit(self._turn, page, new, self._marked(outcome, known))

    @override
    def _park(self, mine: Mine, why: str) -> None:
        park(self._claimed, self._turn, BridgeError(why))

    def _known_by_now(self, page: Page) -> dict[str, bool]:
        """Item id → whether it was judged, of those that were listed before."""
        seat = self._turn.mine.seat
        rows = SeenItem.objects.filter(
            tenant_id=seat.tenant_id,
            mailbox_id=seat.mailbox_id,
            item_id__in=[item.ref.item_id for item in page.items],
        )
        return dict(rows.exclude(place="").values_list("item_id", "is_judged"))

    def _judged_before(self) -> set[str]:
        """Before this round began: of them it tells at most where they lie now."""
        return {item_id for (_, item_id), row in self._seen.items() if row.place and row.is_judged}

    def _marked(self, outcome: Outcome, known: Collection[str]) -> Outcome:
        """What the sync has learnt from is not learnt again."""
        run_id = str(self._turn.run_id)
        scanned = []
        for each in outcome.scanned:
            observation = each.observation
            if observation is not None:
                detail = {**observation.detail, LOOKED_BACK: run_id}
                observation = replace(observation, detail=detail)
            lessons = () if each.item.ref.item_id in known else each.lessons
            scanned.append(replace(each, observation=observation, lessons=lessons))
        return replace(outcome, scanned=scanned)


def with_old_memory(known: Known, tenant_id: int, items: Sequence[Item]) -> Known:
    """Before the oldest thing that it has learnt of, nobody is a stranger to Bailey.  Must run in
    the client's scope.
    """
    oldest = Correspondent.objects.filter(tenant=tenant_id, recipient="").aggregate(
        at=Min("first_seen_at")
    )["at"]
    first = min((item.received_at for item in items), default=None)
    if first is None or oldest is None or oldest > first - HISTORY_COUNTS_AFTER:
        known = replace(known, profile=replace(known.profile, history_known=False))
    return known


def _commit(turn: Turn, page: Page, new: Page, outcome: Outcome) -> None:
    """``new``: without what somebody else has judged meanwhile.  Must run in the client's scope.

    All of it or nothing: a process that is killed has read a page that nobody knows of, and it is
    read again.
    """
    run = ScanBack.objects.select_for_update(of=("self",)).get(id=turn.run_id)
    row = ScanBackMailbox.objects.select_for_update(of=("self",)).get(id=turn.row_id)
    if row.cursor != turn.cursor or row.state != ScanBackMailbox.State.WAITING:
        log.info("mailbox %s was read by another worker", row.mailbox_id)
        return
    store_scanned(*outcome.scanned)
    remember(turn.mine, new, outcome)
    _note_findings(turn, outcome)
    if outcome.failed:
        _wait(row, outcome.why)
        row.save()
        return
    looked_at = {item.ref.item_id for item in page.items if item.place is not Place.SENT}
    row.mails += len(looked_at)
    run.hour_mails += len(looked_at)
    row.unread = ScanBackFinding.objects.filter(
        run=turn.run_id, mailbox=row.mailbox_id, verdict=Verdict.UNSCANNABLE
    ).count()
    row.skipped += page.skipped
    row.cursor, row.page_at, row.failures, row.last_error = page.cursor, None, 0, ""
    row.reached_at = _reached(turn, page)
    if not page.more:
        row.state, row.reached_at = ScanBackMailbox.State.DONE, turn.since
    row.save()
    run.save(update_fields=["hour_mails"])


def _reached(turn: Turn, page: Page) -> datetime:
    """The time of the last mail listed; of a page without one it stays where it was."""
    row_at = ScanBackMailbox.objects.values_list("reached_at", flat=True).get(id=turn.row_id)
    times = [item.received_at for item in page.items if item.place is not Place.UNKNOWN]
    return max(turn.since, min([row_at, *times]))


def _note_findings(turn: Turn, outcome: Outcome) -> None:
    seat, now = turn.mine.seat, timezone.now()
    rows = [
        ScanBackFinding(
            tenant_id=seat.tenant_id,
            run_id=turn.run_id,
            mailbox_id=seat.mailbox_id,
            item_id=each.item.ref.item_id,
            verdict=each.observation.verdict,
            received_at=each.item.received_at,
            found_at=now,
        )
        for each in outcome.scanned
        if each.observation and each.observation.verdict and each.observation.verdict.is_threat
    ]
    ScanBackFinding.objects.bulk_create(rows, ignore_conflicts=True)


def _wait(row: ScanBackMailbox, why: str, *, wait_s: float = 0.0) -> None:
    row.failures += 1
    row.last_error = why[:500]
    pause = min(FIRST_PAUSE * 2 ** min(row.failures - 1, 10), LONGEST_PAUSE)
    row.due_at = timezone.now() + max(pause, timedelta(seconds=wait_s))
    if row.failures >= TRIES:
        row.state = ScanBackMailbox.State.FAILED


def park(claimed: ClaimedWork, turn: Turn, error: BridgeError, *, wait_s: float = 0.0) -> None:
    """This mailbox alone waits; the run goes on with the others."""
    with work_scope(claimed):
        row = ScanBackMailbox.objects.select_for_update(of=("self",)).get(id=turn.row_id)
        if row.cursor == turn.cursor and row.state == ScanBackMailbox.State.WAITING:
            if error.code == "bad_cursor":
                # It begins again; what was judged is known, and nothing is told twice.
                row.cursor, row.mails = "", 0
            _wait(row, str(error), wait_s=wait_s)
            row.save()


def settle(run: ScanBack, rows: Sequence[ScanBackMailbox]) -> None:
    """Whether the run is over, by its mailboxes.  The caller saves it."""
    if run.mails >= run.most_mails and any(row.state == "waiting" for row in rows):
        run.ended_by = ScanBack.EndedBy.MOST
    elif any(row.state == ScanBackMailbox.State.WAITING for row in rows):
        return
    elif any(row.state == ScanBackMailbox.State.FAILED for row in rows):
        run.ended_by = ScanBack.EndedBy.FAILED
    else:
        run.ended_by = ScanBack.EndedBy.ALL
    run.state, run.ended_at, run.waits_for = ScanBack.State.DONE, timezone.now(), ""
