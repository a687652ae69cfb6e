"""Move all copies of a mail and bring them back, seen with our own eyes each time.

Always in this order: read, call if there is something to do, read back, each time by a search over
all folders.  An answer that was lost is settled by reading; nothing is sent twice on a guess.

MOVE (RFC 6851) keeps flags, keywords and time of receipt.  Without it a mail is copied, seen in its
new place, and only then taken out of the old one, by UID (RFC 4315): a plain EXPUNGE would also
take what other people had marked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from api_bridge.connectors import Action, ActionRecord, ActionSeen, Ref, Result, State
from api_bridge.connectors.imap import answers
from api_bridge.connectors.imap.fetch import read_raw
from api_bridge.connectors.imap.folders import Folder, ensure_quarantine, folder_for
from api_bridge.connectors.imap.locate import Locator
from api_bridge.connectors.imap.mapping import JOINED, Found, Spot, flags_for, state_of
from api_bridge.connectors.imap.options import Options
from api_bridge.connectors.imap.pool import Pool
from api_bridge.connectors.imap.session import Session
from api_bridge.connectors.judge import GONE, judge, judge_undo, never_there, stale
from api_bridge.errors import BridgeError, NotFound, Rejected
from incidents.words import Place

TARGET = {
    Action.QUARANTINE: Place.QUARANTINE,
    Action.JUNK: Place.JUNK,
    Action.DELETE: Place.DELETED,
    Action.RESTORE: Place.INBOX,
}
DELETED = "\\Deleted"
# Elsewhere a person does not look for a mail, so "it is only there" needs a search everywhere.
OUT_OF_SIGHT = frozenset({Place.JUNK, Place.DELETED, Place.QUARANTINE})


class Remediation:
    """Acts on the copies of one mail in one mailbox of this server."""

    def __init__(self, options: Options, pool: Pool, locator: Locator) -> None:
        self._options = options
        self._pool = pool
        self._locator = locator

    def read_state(self, ref: Ref) -> State:
        """A mail that is gone is a state.  Raises ``BridgeError``."""
        with self._pool.session(ref.mailbox_id) as session:
            folders = self._locator.folders_lately(session)
            found = self._locator.last_seen(session, ref.item_id, folders)
            if not found or all(each.place in OUT_OF_SIGHT for each in found):
                found = self._locator.everywhere(session, ref.item_id)
        return state_of(found) if found else GONE

    def prepare(self, ref: Ref, action: Action, key: str) -> ActionRecord:
        with self._pool.session(ref.mailbox_id) as session:
            found = self._locator.everywhere(session, ref.item_id)
            before = state_of(_exposed(found), _content_hash(session, found)) if found else GONE
        return ActionRecord(
            ref=ref, action=action, key=key, taken_at=datetime.now(UTC), before=before
        )

    def act(self, record: ActionRecord) -> ActionSeen:
        """Raises ``BridgeError`` only where surely nothing was done."""
        ref, place = record.ref, TARGET[record.action]
        with self._pool.session(ref.mailbox_id) as session:
            folders = self._locator.folders(session)
            found = self._locator.everywhere(session, ref.item_id, folders)
            if not found:
                return ActionSeen(result=Result.GONE, state=GONE)
            target = self._target(session, folders, place)
            if all(each.spot.folder == target for each in found):
                return ActionSeen(result=Result.ALREADY, state=state_of(found))
            if _seen_part(state_of(_exposed(found))) != _seen_part(record.before):
                return stale(state_of(found))
            left = [each for each in found if each.spot.folder != target]
            has_one = len(left) < len(found)
            lost = self._attempts(
                [partial(self._move, session, ref, each, target, is_there=has_one) for each in left]
            )
        seen = self._read_back(ref)
        return judge(seen, lost, lambda state: set(_folders_of(state)) == {target})

    def undo(self, record: ActionRecord) -> ActionSeen:
        """Folders first, then flags, each only if it differs; then everything is compared."""
        before, ref = record.before, record.ref
        if not before.exists:
            return never_there()
        with self._pool.session(ref.mailbox_id) as session:
            folders = self._locator.folders(session)
            found = self._locator.everywhere(session, ref.item_id, folders)
            if not found:
                return ActionSeen(result=Result.GONE, state=GONE)
            if _seen_part(state_of(found)) == _seen_part(before):
                return ActionSeen(result=Result.ALREADY, state=state_of(found))
            wanted, detail = _folders_back(before, folders)
            wanted = wanted[: len(found)]
            free, missing = _matched(found, wanted)
            calls = [
                partial(self._move, session, ref, each, name)
                for each, name in zip(free, missing, strict=False)
            ]
            if not missing and not session.can("MOVE"):
                # It was copied back, and a worker died before it was taken out.
                held = [each for each in free if each.place is Place.QUARANTINE]
                calls = [
                    partial(self._move, session, ref, each, wanted[0], is_there=True)
                    for each in held
                ]
            lost = self._attempts(calls)
        lost = self._flags_back(ref, before, wanted[0]) or lost
        seen = self._read_back(ref, with_content=True)
        return judge_undo(
            seen, lost, lambda state: _is_back(state, before, wanted), before=before, detail=detail
        )

    def _target(self, session: Session, folders: Sequence[Folder], place: Place) -> str:
        if place is Place.QUARANTINE:
            return ensure_quarantine(session, folders, self._options.quarantine)
        return folder_for(folders, place)

    def _attempts(self, calls: Sequence[Callable[[], None]]) -> BridgeError | None:
        """The first error of a call that may have happened or hit nothing; after one there are no
        more calls.  Raises what had no effect, if nothing before it had one.
        """
        for number, call in enumerate(calls):
            try:
                call()
            except NotFound as error:
                # The copy or the folder: reading back tells which.
                return error
            except BridgeError as error:
                if not error.may_have_happened and not number:
                    raise
                return error
        return None

    def _move(
        self, session: Session, ref: Ref, found: Found, folder: str, *, is_there: bool = False
    ) -> None:
        """``is_there``: a copy of it lies in ``folder`` already."""
        spot = found.spot
        opened = session.open(spot.folder, writing=True)
        if opened.validity != spot.validity:
            raise NotFound("The folder was made anew.", code="no_mail")
        target = answers.quoted_folder(folder)
        if session.can("MOVE"):
            session.write("MOVE", spot.uid, target)
            self._note_move(session, ref, spot, folder)
            return
        if not session.can("UIDPLUS"):
            raise Rejected(
                "The server has neither MOVE nor UIDPLUS: no single mail can be moved safely.",
                code="no_move",
            )
        if not is_there:
            session.write("COPY", spot.uid, target)
            where = self._note_move(session, ref, spot, folder, is_copy=True)
            if not where or not self._locator.last_seen(
                session, ref.item_id, [Folder(name=folder, place=found.place, status={})]
            ):
                raise Rejected("The server copied the mail and it is not there.", code="no_copy")
            session.open(spot.folder, writing=True)
        session.write("STORE", spot.uid, "+FLAGS.SILENT", f"({DELETED})")
        session.write("EXPUNGE", spot.uid)

    def _note_move(
        self, session: Session, ref: Ref, spot: Spot, folder: str, *, is_copy: bool = False
    ) -> bool:
        """Where COPYUID says that it is now.  False: the server did not say."""
        where = answers.copied_to(session.said("COPYUID"))
        if where is None:
            return False
        known = self._locator.remembered(ref.mailbox_id, ref.item_id)
        kept = [each for each in known if is_copy or each != spot]
        self._locator.remember(ref.mailbox_id, ref.item_id, [*kept, Spot(folder, *where)])
        return True

    def _flags_back(self, ref: Ref, before: State, folder: str) -> BridgeError | None:
        """Sets values; the same values twice are the same as once."""
        wanted = flags_for(before)

        def put() -> None:
            with self._pool.session(ref.mailbox_id) as session:
                folders = self._locator.folders(session)
                found = self._locator.last_seen(
                    session, ref.item_id, folders
                ) or self._locator.everywhere(session, ref.item_id, folders)
                for each in found:
                    if each.spot.folder == folder and each.flags != wanted:
                        session.open(folder, writing=True)
                        flags = " ".join(wanted)
                        session.write("STORE", each.spot.uid, "FLAGS.SILENT", f"({flags})")

        try:
            put()
        except BridgeError as error:
            # The move before it may have worked; reading back tells.
            return error
        return None

    def _read_back(self, ref: Ref, *, with_content: bool = False) -> State | None:
        """None: not readable now, so nothing is known."""
        try:
            with self._pool.session(ref.mailbox_id) as session:
                found = self._locator.everywhere(session, ref.item_id)
                if not found:
                    return GONE
                return state_of(found, _content_hash(session, found) if with_content else "")
        except BridgeError:
            return None


def _content_hash(session: Session, found: Sequence[Found]) -> str:
    """sha256 of the mail's bytes, "" for one that is too big to be compared."""
    try:
        return hashlib.sha256(read_raw(session, found[0])).hexdigest()
    except Rejected:
        return ""


def _exposed(found: list[Found]) -> list[Found]:
    """Those that are still to be moved, and as they were: where another one is in the quarantine
    already, a worker died over it, and the mark that it is to be taken out is ours.
    """
    held = [each for each in found if each.place is Place.QUARANTINE]
    if not held or len(held) == len(found):
        return found
    ours = {DELETED} - set(held[0].flags)
    return [
        replace(each, flags=tuple(flag for flag in each.flags if flag not in ours))
        for each in found
        if each not in held
    ]


def _folders_of(state: State) -> list[str]:
    return state.folder_id.split(JOINED)


def _folders_back(before: State, folders: Sequence[Folder]) -> tuple[list[str], str]:
    """The recorded folders, or the inbox for one that was deleted since, and a sentence."""
    there = {folder.name for folder in folders}
    recorded = _folders_of(before)
    if there.issuperset(recorded):
        return recorded, ""
    inbox = folder_for(folders, Place.INBOX)
    back = [name if name in there else inbox for name in recorded]
    return back, "Its folder no longer exists; it was put into the inbox."


def _matched(found: Sequence[Found], wanted: Sequence[str]) -> tuple[list[Found], list[str]]:
    """Copies that lie where none is wanted, and folders where one is missing."""
    missing, free = list(wanted), []
    for each in found:
        if each.spot.folder in missing:
            missing.remove(each.spot.folder)
        else:
            free.append(each)
    return free, missing


def _is_back(state: State, before: State, wanted: Sequence[str]) -> bool:
    """Further copies, which a person made meanwhile, do not matter."""
    return (
        set(wanted) <= set(_folders_of(state)) and _seen_part(state)[1:] == _seen_part(before)[1:]
    )


def _seen_part(state: State) -> tuple[str, bool, tuple[str, ...], str]:
    """What undo must bring back, but for the content."""
    return state.folder_id, state.is_read, tuple(sorted(state.categories)), state.importance
