"""One page of several mailboxes: from list answers to committed rows.

Vendor calls and judging happen outside scopes; one scope before them reads what is known, one for
each mailbox after them writes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import DataError, IntegrityError, transaction

from api_bridge.connectors import (
    ORIGINAL,
    Capability,
    Connector,
    Fetched,
    Item,
    Page,
    ReadsMany,
    Ref,
)
from api_bridge.errors import AuthExpired, BridgeError, NotFound, RateLimited
from api_bridge.known import Known, know
from api_bridge.models import SeenItem
from api_bridge.scan.judging import give_up, scan
from api_bridge.scan.saying import moved
from api_bridge.scan.shapes import Scanned, Seat
from api_bridge.store import Mine, Outcome, commit_page, park_mailbox, store_scanned
from incidents.mail.reader import ReaderUnavailable
from incidents.words import Place
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

# The database, or writing for it, refuses a value; one that is away is none of these.
UNSTORABLE = (DataError, IntegrityError, ValueError, TypeError)
TRIES = 3
LISTS_AT_ONCE = 4
FETCHED_AT_ONCE = 20


def list_changes(connector: Connector, mine: Sequence[Mine]) -> list[Page | BridgeError]:
    """One page of each, in order; what failed is its error."""
    found = _in_one_call(connector, mine)
    left = [each for each in mine if each.sync_id not in found]

    def one(each: Mine) -> Page | BridgeError:
        try:
            cursor = "" if each.is_quick else each.cursor
            return connector.changes(each.external_id, cursor, since=each.since)
        except BridgeError as error:
            return error

    if len(left) > 1:
        with ThreadPoolExecutor(min(LISTS_AT_ONCE, len(left))) as pool:
            pages = list(pool.map(one, left))
    else:
        pages = [one(each) for each in left]
    found |= {each.sync_id: page for each, page in zip(left, pages, strict=True)}
    return [found[each.sync_id] for each in mine]


def _in_one_call(connector: Connector, mine: Sequence[Mine]) -> dict[UUID, Page | BridgeError]:
    """Small lists: the newest mail, and what came since a mailbox was read lately.  {} where there
    are none, or where they were too big for one call.
    """
    many = connector if isinstance(connector, ReadsMany) else None
    small = [each for each in mine if each.is_quick or (many is not None and each.is_small)]
    if not small or (len(small) == 1 and Capability.BATCH in connector.capabilities):
        return {}
    try:
        if many is not None:
            pages = many.changes_many(
                [
                    (each.external_id, "" if each.is_quick else each.cursor, each.since)
                    for each in small
                ]
            )
        else:
            pages = connector.newest_many([(each.external_id, each.since) for each in small])
    except BridgeError as error:
        if error.code == "too_big":
            return {}
        return {each.sync_id: error for each in small}
    return {each.sync_id: page for each, page in zip(small, pages, strict=True)}


class Round:
    """``listed_at``: just before the lists were asked for, so that whatever is done to a mail
    after it is newer than what the list says.
    """

    def __init__(
        self,
        connector: Connector,
        claimed: ClaimedWork,
        pages: Sequence[tuple[Mine, Page]],
        listed_at: datetime,
    ) -> None:
        self._connector = connector
        self._claimed = claimed
        self._pages = pages
        self._at = listed_at
        self._seen: Mapping[tuple[UUID, str], SeenItem] = {}

    def run(self) -> None:
        """Raises ``AuthExpired``."""
        with work_scope(self._claimed):
            known = self._know()
        self._seen = known.seen
        fetched = _Fetching(self._connector, self._partial_ones(known))
        read: list[tuple[Mine, Page, Outcome]] = []
        for mine, page in self._pages:
            try:
                read.append((mine, page, _Reading(mine, known, fetched, self._at).of(page)))
            except ReaderUnavailable as error:
                # A fault of this host: nothing is counted against the mail.
                self._park(mine, str(error))
        originals = self._originals(read)
        for mine, page, outcome in read:
            whole = _with_originals(outcome, originals)
            try:
                self._commit(mine, page, whole)
            except UNSTORABLE as error:
                log.warning("a page of mailbox %s: %s", mine.seat.mailbox_id, type(error).__name__)
                self._commit(mine, page, self._without_unstorable(mine, whole, known))

    def _know(self) -> Known:
        """What is known around these pages; read in one scope."""
        return know(
            self._claimed.tenant_id,
            self._claimed.provider_id,
            [(mine.seat.mailbox_id, mine.seat.address, page.items) for mine, page in self._pages],
        )

    def _park(self, mine: Mine, why: str) -> None:
        with work_scope(self._claimed):
            park_mailbox(mine, why)

    def _commit(self, mine: Mine, page: Page, outcome: Outcome) -> None:
        with work_scope(self._claimed):
            if not commit_page(mine, page, outcome):
                log.info("mailbox %s was read by another worker", mine.seat.mailbox_id)

    def _without_unstorable(self, mine: Mine, outcome: Outcome, known: Known) -> Outcome:
        """What the database refuses is counted like a mail that cannot be scanned, and after
        three tries kept without its own words, so that it cannot be refused again.
        """
        kept, failed, why = [], dict(outcome.failed or {}), outcome.why
        for each in outcome.scanned:
            try:
                with work_scope(self._claimed):
                    store_scanned(each)
                    transaction.set_rollback(True)
                kept.append(each)
            except UNSTORABLE as error:
                why = f"{type(error).__name__} in the database"
                seen = known.seen.get((mine.seat.mailbox_id, each.item.ref.item_id))
                failures = (seen.failures if seen else 0) + 1
                if failures < TRIES:
                    failed[each.item.ref.item_id] = failures
                else:
                    bare = replace(each.item, subject="", sender=None, internet_message_id="")
                    kept.append(give_up(bare, mine.seat, why=why, observed_at=self._at))
        return replace(outcome, scanned=kept, failed=failed, why=why)

    def _partial_ones(self, known: Known) -> list[Ref]:
        """Mails whose list answer is not all of them, in the order in which they are read; of the
        report mailbox every one: what it reports may be attached.
        """
        reports_to = known.profile.report_address
        refs = [
            item.ref
            for mine, page in self._pages
            for item in page.items
            if (item.is_partial or mine.seat.address == reports_to)
            and _wants_scan(item, _since(mine, page, item), known)
        ]
        return list(dict.fromkeys(refs))

    def _originals(
        self, read: Sequence[tuple[Mine, Page, Outcome]]
    ) -> dict[Ref, Fetched | BridgeError]:
        """Condemned mail is kept as the mail host has it; where that cannot be had, as listed."""
        wanted = [
            each.item.ref
            for _, _, outcome in read
            for each in outcome.scanned
            if each.wants_evidence and each.method not in ORIGINAL
        ]
        return _fetch(self._connector, wanted)


class _Fetching:
    """Bytes of mails as they are needed, some at a time: a page may hold more than memory does."""

    def __init__(self, connector: Connector, refs: Sequence[Ref]) -> None:
        self._connector = connector
        self._left = list(refs)
        self._here: dict[Ref, Fetched | BridgeError] = {}

    def take(self, ref: Ref) -> Fetched | BridgeError | None:
        """None for a mail that needs no fetching.  Raises ``AuthExpired``."""
        if ref not in self._here and ref in self._left:
            next_ones, self._left = self._left[:FETCHED_AT_ONCE], self._left[FETCHED_AT_ONCE:]
            self._here = _fetch(self._connector, next_ones)
        return self._here.pop(ref, None)


def _fetch(connector: Connector, refs: Sequence[Ref]) -> dict[Ref, Fetched | BridgeError]:
    """Raises ``AuthExpired``; what else failed is its error."""
    if not refs:
        return {}
    try:
        answers = connector.fetch_many(refs)
    except AuthExpired:
        raise
    except BridgeError as error:
        return dict.fromkeys(refs, error)
    return dict(zip(refs, answers, strict=True))


def _with_originals(outcome: Outcome, originals: Mapping[Ref, Fetched | BridgeError]) -> Outcome:
    scanned = []
    for each in outcome.scanned:
        original = originals.get(each.item.ref)
        if isinstance(original, Fetched):
            each = replace(each, raw=original.raw, method=original.acquired)  # noqa: PLW2901
        scanned.append(each)
    return replace(outcome, scanned=scanned)


def _since(mine: Mine, page: Page, item: Item) -> Mine:
    """What surely came just now is judged, whatever date it bears: somebody may have put it there
    with an old one.  What lay there before the connection only teaches.
    """
    if item.ref.item_id not in page.came or item.received_at >= mine.seat.judged_from:
        return mine
    return replace(mine, seat=replace(mine.seat, judged_from=item.received_at))


def _wants_scan(item: Item, mine: Mine, known: Known) -> bool:
    """New to us, and ours to judge: neither a draft nor what Bailey itself put away."""
    if item.is_draft or item.place in (Place.QUARANTINE, Place.SENT):
        return False
    if item.received_at < mine.seat.judged_from:
        return False
    return _is_new(item, known.seen.get((mine.seat.mailbox_id, item.ref.item_id)), mine)


def _is_new(item: Item, seen: SeenItem | None, mine: Mine) -> bool:
    if seen is None or not seen.place:
        return True
    if mine.is_back and not seen.is_judged:
        return item.place is not Place.QUARANTINE
    # Bailey had put it away before it was ever judged, and somebody took it out again.
    was_put_away = seen.place == Place.QUARANTINE and not seen.is_judged
    return was_put_away and item.place is not Place.QUARANTINE


class _Reading:
    """One mailbox's page, item by item."""

    def __init__(
        self,
        mine: Mine,
        known: Known,
        fetched: _Fetching,
        at: datetime,
    ) -> None:
        self._mine = mine
        self._known = known
        self._fetched = fetched
        self._at = at
        self._scanned: list[Scanned] = []
        self._unchanged: list[Item] = []
        self._failed: dict[str, int] = {}
        self._why = ""

    def of(self, page: Page) -> Outcome:
        """Raises ``ReaderUnavailable``."""
        for item in {item.ref.item_id: item for item in page.items}.values():
            seen = self._known.seen.get((self._mine.seat.mailbox_id, item.ref.item_id))
            if item.is_draft:
                self._unchanged.append(item)
            elif _is_new(item, seen, self._mine):
                seat = _since(self._mine, page, item).seat
                self._take_new(item, seat, seen.failures if seen else 0)
            elif item.place is Place.UNKNOWN:
                # It could not be had, which says nothing of where it lies.
                self._unchanged.append(item)
            elif seen is not None:
                self._take_known(item, seen)
        return Outcome(
            scanned=self._scanned, unchanged=self._unchanged, failed=self._failed, why=self._why
        )

    def _take_new(self, item: Item, seat: Seat, failures: int) -> None:
        if item.place is Place.QUARANTINE:
            self._scanned.append(Scanned(item=item, is_judged=False))
            return
        fetched = self._fetched.take(item.ref)
        if isinstance(fetched, NotFound) and not fetched.is_of_mailbox:
            # It went between the list and the fetch; if it only moved, it is listed again.
            self._unchanged.append(item)
            return
        try:
            if isinstance(fetched, BridgeError):
                raise fetched
            self._scanned.append(
                scan(item, seat, self._known, fetched=fetched, observed_at=self._at)
            )
        except ReaderUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one bad mail must not stop a mailbox
            self._after_failure(item, failures, error)

    def _after_failure(self, item: Item, failures: int, error: Exception) -> None:
        """Counted, and given up after three.  Being told to slow down, or that the whole mailbox is
        away, says nothing of the mail.
        """
        if isinstance(error, AuthExpired):
            raise error
        is_away = isinstance(error, NotFound) and error.is_of_mailbox
        failures += 0 if isinstance(error, RateLimited) or is_away else 1
        mine = self._mine
        log.warning(
            "item %s of mailbox %s failed %d times",
            item.ref.item_id,
            mine.seat.mailbox_id,
            failures,
            exc_info=not isinstance(error, BridgeError),
        )
        self._why = f"{type(error).__name__}: {error}"
        if failures >= TRIES:
            self._scanned.append(give_up(item, mine.seat, why=self._why, observed_at=self._at))
        else:
            self._failed[item.ref.item_id] = failures

    def _take_known(self, item: Item, seen: SeenItem) -> None:
        is_same = (seen.place, seen.is_read) == (item.place, item.is_read)
        if not seen.is_judged:
            if is_same:
                self._unchanged.append(item)
            else:
                self._scanned.append(Scanned(item=item, is_judged=False))
            return
        shown = self._known.shown.get(item.ref.item_id)
        # What a copy shows may come from elsewhere: our own move, or a look of ours at it alone.
        is_shown = (item.place, item.is_read) in shown if shown else is_same
        if not is_shown:
            self._scanned.append(moved(item, self._mine.seat, observed_at=self._at))
        elif is_same:
            self._unchanged.append(item)
        else:
            self._scanned.append(Scanned(item=item))
