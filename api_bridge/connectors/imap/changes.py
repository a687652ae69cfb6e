"""What is new in a mailbox, over all its folders, one page a call.

A folder's state is its UIDVALIDITY, the UID up to which it was listed, and the highest MODSEQ up to
which changes are known (RFC 7162).  The composite of all folders is the cursor.  What is new is
what has a higher UID; what changed is what has a higher MODSEQ.  A server without CONDSTORE is
asked for the flags of the last days whenever the numbers of a folder moved.

UIDNEXT and MODSEQ only say that there is something to look at; the listing goes on from the
last UID that was listed, so that a number that is wrong hides nothing.  A UIDVALIDITY that
changed makes UIDs worthless: that folder alone is listed anew from ``floor`` on, and items keep
their names (``mapping.item_id_of``), so that nothing is told twice.  In a folder that is known a
higher UID is listed whatever its date: APPEND takes any (RFC 3501 6.3.11).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from api_bridge.connectors import Item, Page
from api_bridge.connectors.imap.folders import Folder
from api_bridge.connectors.imap.locate import Locator
from api_bridge.connectors.imap.mapping import (
    Spot,
    day,
    item_fields,
    item_of,
    received_at,
    state_of,
)
from api_bridge.connectors.imap.options import Options
from api_bridge.connectors.imap.session import Opened, Session
from api_bridge.errors import NotFound, Rejected

log = logging.getLogger(__name__)

PAGE_SIZE = 50
CURSOR_VERSION = 1
# Older mail is listed no more when its flags change: its row may be forgotten (sync.ITEMS_KEPT).
LOOK_BACK = timedelta(days=40)
FLAGS_WITHOUT_MODSEQ = timedelta(days=2)
SHORT_LOOK = timedelta(days=3)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
CLOCKS_DIFFER = timedelta(minutes=5)
TIMES = "(UID INTERNALDATE)"
MOST_TIMES = 5_000


@dataclass(frozen=True, slots=True)
class FolderState:
    """``next_uid``: listed up to it; ``mark``: changes known up to it; while changes are listed
    page by page, ``flag_uid`` is the last one and ``target`` the mark they lead to.  ``uid_next``
    as the server said it last; ``first_uid`` as it said it when the folder was first looked at, so
    that what has it or a higher one came since (0: it did not say).
    """

    validity: int
    next_uid: int = 1
    mark: int = 0
    flag_uid: int = 0
    target: int = 0
    uid_next: int = 0
    first_uid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """``floor``: mail received before it is not listed, where a folder is listed for the first
    time, and where only flags changed.
    """

    floor: datetime
    folders: dict[str, FolderState] = field(default_factory=dict)

    def as_text(self) -> str:
        folders = {
            name: [
                *(state.validity, state.next_uid, state.mark),
                *(state.flag_uid, state.target, state.uid_next, state.first_uid),
            ]
            for name, state in self.folders.items()
        }
        data = {"v": CURSOR_VERSION, "floor": self.floor.isoformat(), "folders": folders}
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises ``Rejected`` if it is no cursor of ours."""
        try:
            data = json.loads(text)
            if data["v"] != CURSOR_VERSION:
                raise ValueError("another version")
            folders = {
                str(name): FolderState(*(int(each) for each in state))
                for name, state in data["folders"].items()
            }
            floor = datetime.fromisoformat(data["floor"])
            return cls(floor=floor.astimezone(UTC), folders=folders)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Rejected("The cursor cannot be read.", code="bad_cursor") from error


@dataclass(slots=True)
class Listing:
    """What one page has gathered.  ``items`` by name; ``twice`` lie in several folders."""

    room: int
    items: dict[str, Item] = field(default_factory=dict)
    spots: dict[str, list[Spot]] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    skipped: int = 0
    more: bool = False
    restarted: bool = False


class Changes:
    """Lists one server's mailboxes."""

    def __init__(self, options: Options, locator: Locator) -> None:
        self.locator = locator
        self._fields = item_fields(uses_emailid=options.uses_emailid)

    def page(self, session: Session, cursor: str, since: datetime | None) -> Page:
        """Raises ``BridgeError``; the old cursor then stays good."""
        now = datetime.now(UTC)
        at = Cursor.from_text(cursor) if cursor else Cursor(floor=since or now)
        folders = self.locator.folders(session)
        listing = Listing(PAGE_SIZE)
        states: dict[str, FolderState] = {}
        for folder in folders:
            if folder.is_drafts:
                continue
            state = at.folders.get(folder.name)
            try:
                after = self._folder(session, folder, state, at.floor, listing)
            except (NotFound, Rejected) as error:
                # It went while we looked, or this server refuses this folder: not the others.
                if session.is_dead:
                    raise
                log.warning("a folder cannot be listed: %s", error)
                listing.skipped += 1
                after = state
            if after is not None:
                states[folder.name] = after
        self.settle_copies(session, folders, listing)
        floor = at.floor if listing.more else max(at.floor, now - LOOK_BACK)
        return Page(
            items=tuple(sorted(listing.items.values(), key=lambda item: item.received_at)),
            cursor=Cursor(floor=floor, folders=states).as_text(),
            more=listing.more,
            skipped=listing.skipped,
            restarted=listing.restarted,
        )

    def newest(self, session: Session, since: datetime, grown: Sequence[Folder]) -> Page:
        """What these folders have received since a time, in one page."""
        listing = Listing(PAGE_SIZE)
        for folder in grown:
            if folder.is_drafts or listing.room <= 0:
                continue
            try:
                opened = session.open(folder.name)
                uids = _received_since(session, "", since)
                self.take(session, folder, opened, uids[-listing.room :], since, listing)
            except (NotFound, Rejected):
                if session.is_dead:
                    raise
        self.settle_copies(session, grown, listing)
        items = sorted(listing.items.values(), key=lambda item: item.received_at)
        return Page(items=tuple(items), cursor="", more=listing.room <= 0, skipped=listing.skipped)

    def _folder(
        self,
        session: Session,
        folder: Folder,
        state: FolderState | None,
        floor: datetime,
        listing: Listing,
    ) -> FolderState | None:
        """The folder's state after this page."""
        if state is not None and _is_unchanged(folder, state):
            return state
        if listing.room <= 0:
            listing.more = True
            return state
        opened = session.open(folder.name)
        mark = _mark(folder, opened)
        if state is not None and state.validity != opened.validity:
            listing.restarted, state = True, None
        if state is None:
            state = FolderState(opened.validity, mark=mark)
        if not state.first_uid:
            came = opened.uid_next or folder.status.get("UIDNEXT", 0)
            state = replace(state, first_uid=max(came, state.next_uid) if came else 0)
        known_to = state.next_uid
        state = self._list_new(session, folder, opened, state, floor, listing)
        if listing.room <= 0 and listing.more:
            return state
        state = replace(state, uid_next=folder.status.get("UIDNEXT", opened.uid_next))
        if known_to == 1:
            return state
        return self._list_changed(session, folder, opened, state, (known_to, mark, floor), listing)

    def _list_new(
        self,
        session: Session,
        folder: Folder,
        opened: Opened,
        state: FolderState,
        floor: datetime,
        listing: Listing,
    ) -> FolderState:
        since = state.first_uid
        found = session.search(f"UID {max(state.next_uid, since)}:*") if since else []
        if state.next_uid < since or not since:
            found = [*_received_since(session, f"UID {state.next_uid}:* ", floor), *found]
        # ``n:*`` is the last mail, too, if that has a lower number.
        uids = sorted(uid for uid in set(found) if uid >= state.next_uid)
        taken = uids[: listing.room]
        before = [uid for uid in taken if not since or uid < since]
        self.take(session, folder, opened, before, floor, listing)
        # Somebody may have put mail there with an old date.
        self.take(session, folder, opened, taken[len(before) :], LONG_AGO, listing)
        if len(taken) < len(uids):
            listing.more = True
        return replace(state, next_uid=taken[-1] + 1) if taken else state

    def _list_changed(
        self,
        session: Session,
        folder: Folder,
        opened: Opened,
        state: FolderState,
        known: tuple[int, int, datetime],
        listing: Listing,
    ) -> FolderState:
        """Flags of mail that was listed before this page."""
        known_to, mark, floor = known
        if mark == state.mark and not state.flag_uid:
            return state
        if listing.room <= 0:
            listing.more = True
            return state
        target = state.target if state.flag_uid else mark
        since = floor
        changed = ""
        if opened.modseq:
            changed = f" MODSEQ {max(state.mark, 0) + 1}"
        else:
            since = max(floor, datetime.now(UTC) - FLAGS_WITHOUT_MODSEQ)
        found = session.search(
            f"UID {state.flag_uid + 1}:{known_to - 1} "
            f"SINCE {day(since - timedelta(days=1))}{changed}"
        )
        uids = [uid for uid in found if state.flag_uid < uid < known_to]
        taken = uids[: listing.room]
        self.take(session, folder, opened, taken, floor, listing)
        if len(taken) < len(uids):
            listing.more = True
            return replace(state, flag_uid=taken[-1], target=target)
        return replace(state, mark=target, flag_uid=0, target=0)

    def take(
        self,
        session: Session,
        folder: Folder,
        opened: Opened,
        uids: Sequence[int],
        floor: datetime,
        listing: Listing,
    ) -> None:
        """Reads these mails of the opened folder into the listing."""
        listing.room -= len(uids)
        answered = session.fetch(uids, self._fields)
        for uid in uids:
            fields = answered.get(uid) or session.fetch([uid], self._fields).get(uid)
            if fields is None:
                if uid in session.search(f"UID {uid}"):
                    log.warning("a mail of mailbox %s cannot be listed", session.mailbox)
                    listing.skipped += 1
                continue
            at = received_at(fields)
            if at is not None and at < floor.replace(microsecond=0):
                continue
            item_id = self.locator.name_of(session.mailbox, fields)
            if not item_id:
                listing.skipped += 1
                continue
            if item_id in listing.items:
                listing.twice.add(item_id)
            listing.items[item_id] = item_of(session.mailbox, item_id, fields, folder)
            spot = Spot(folder.name, opened.validity, uid)
            listing.spots.setdefault(item_id, []).append(spot)

    def settle_copies(self, session: Session, folders: Sequence[Folder], listing: Listing) -> None:
        """A mail that lies in several folders is where a person finds it first."""
        for item_id, item in listing.items.items():
            here = listing.spots[item_id]
            before = self.locator.remembered(session.mailbox, item_id)
            if item_id not in listing.twice and {spot.folder for spot in before} <= {
                spot.folder for spot in here
            }:
                if before != here:
                    self.locator.remember(session.mailbox, item_id, here)
                continue
            self.locator.remember(session.mailbox, item_id, list(dict.fromkeys(before + here)))
            found = self.locator.last_seen(session, item_id, folders)
            if not found:
                # It moved on just now and is listed where it went.
                continue
            self.locator.remember(session.mailbox, item_id, [each.spot for each in found])
            state = state_of(found)
            listing.items[item_id] = replace(
                item,
                place=state.place,
                folder_id=state.folder_id,
                is_read=state.is_read,
                categories=state.categories,
                importance=state.importance,
            )


def _received_since(session: Session, criteria: str, since: datetime) -> list[int]:
    """UIDs in the opened folder, in order; some may be a little older.

    SINCE knows days only.  For a short time back a server with WITHIN (RFC 5032) counts seconds,
    and another is asked for the times themselves.
    """
    found = f"{criteria}SINCE {day(since - timedelta(days=1))}"
    age = datetime.now(UTC) - since
    if age > SHORT_LOOK:
        return session.search(found)
    if session.can("WITHIN"):
        return session.search(f"{found} YOUNGER {int((age + CLOCKS_DIFFER).total_seconds())}")
    uids = session.search(found)[-MOST_TIMES:]
    times = {uid: received_at(fields) for uid, fields in session.fetch(uids, TIMES).items()}
    # One whose time was not told is looked at.
    return [uid for uid in uids if (times.get(uid) or since) >= since - CLOCKS_DIFFER]


def _is_unchanged(folder: Folder, state: FolderState) -> bool:
    """By what came with the list of folders, without opening it."""
    status = folder.status
    if not status or state.flag_uid or status.get("UIDVALIDITY") != state.validity:
        return False
    return status.get("UIDNEXT") == state.uid_next and _listed_mark(status) == state.mark


def _mark(folder: Folder, opened: Opened) -> int:
    """The opened folder's own MODSEQ, or its numbers where it has none."""
    return opened.modseq or _listed_mark(folder.status)


def _listed_mark(status: dict[str, int]) -> int:
    """Without MODSEQ below zero: how many mails there are, and how many are not read."""
    if modseq := status.get("HIGHESTMODSEQ", 0):
        return modseq
    return -(status.get("MESSAGES", 0) * 10_000_000 + status.get("UNSEEN", 0))
