"""Move a copy and bring it back, seen with our own eyes each time.

Always in this order: read, call if there is something to do, read back.  An answer that was lost is
settled by reading; nothing is ever sent twice on a guess.

Contract read 2026-11-22: microsoft-graph-docs ``message-move``, ``message-update``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from api_bridge.connectors import Action, ActionRecord, ActionSeen, Ref, Result, State
from api_bridge.connectors.graph.client import Ask, BatchReply, GraphClient, path
from api_bridge.connectors.graph.folders import Folders
from api_bridge.connectors.graph.mapping import (
    CONTENT_FIELDS,
    STATE_FIELDS,
    Json,
    state_of,
    text_of,
)
from api_bridge.connectors.judge import GONE, judge, judge_undo, never_there, stale
from api_bridge.errors import BridgeError, NotFound
from incidents.words import Place

TARGET = {
    Action.QUARANTINE: Place.QUARANTINE,
    Action.JUNK: Place.JUNK,
    Action.DELETE: Place.DELETED,
    Action.RESTORE: Place.INBOX,
}

# Of all that Graph answers 404 with, what says that this very item is not there.
ITEM_GONE = frozenset({"ErrorItemNotFound"})


class Remediation:
    """Acts on single copies of one tenant's mailboxes."""

    def __init__(self, client: GraphClient, folders: Folders) -> None:
        self._client = client
        self._folders = folders

    def read_state(self, ref: Ref, *, with_content: bool = False) -> State:
        """A copy that is gone is a state.  Raises other ``BridgeError``, ``NotFound`` where it is
        the mailbox that is not there: it may come back with all that lies in it (trap 12).
        """
        try:
            reply = self._client.call(
                "GET", _message_path(ref, with_content=with_content), mailbox_id=ref.mailbox_id
            )
        except NotFound as error:
            if error.code not in ITEM_GONE:
                raise
            return GONE
        return self._state(ref, reply.json())

    def read_states(self, refs: Sequence[Ref]) -> list[State | BridgeError]:
        """In few calls; a copy that is gone is a state, another failure stands in its place."""
        asks = [Ask(mailbox_id=ref.mailbox_id, path=_message_path(ref)) for ref in refs]
        states: list[State | BridgeError] = []
        for ref, answer in zip(refs, self._client.batch(asks), strict=True):
            try:
                states.append(self._state_in_batch(ref, answer))
            except BridgeError as error:
                states.append(error)
        return states

    def prepare(self, ref: Ref, action: Action, key: str) -> ActionRecord:
        before = self.read_state(ref, with_content=True)
        return ActionRecord(
            ref=ref, action=action, key=key, taken_at=datetime.now(UTC), before=before
        )

    def act(self, record: ActionRecord) -> ActionSeen:
        """Raises ``BridgeError`` only where surely nothing was done."""
        ref = record.ref
        target = self._folders.folder_for(ref.mailbox_id, TARGET[record.action])
        found = self.read_state(ref)
        if not found.exists:
            return ActionSeen(result=Result.GONE, state=found)
        if found.folder_id == target:
            return ActionSeen(result=Result.ALREADY, state=found)
        if _seen_part(found) != _seen_part(record.before):
            return stale(found)
        lost = self._attempt(lambda: self._move(ref, target))
        seen = self._read_back(ref)
        if seen is not None and seen.exists and seen.folder_id != target:
            # A folder that a person deleted is made anew the next time.
            self._folders.forget(ref.mailbox_id)
        return judge(seen, lost, lambda state: state.folder_id == target)

    def undo(self, record: ActionRecord) -> ActionSeen:
        """Folder first, then flags, each only if it differs; then everything is compared."""
        before, ref = record.before, record.ref
        if not before.exists:
            return never_there()
        found = self.read_state(ref)
        if not found.exists:
            return ActionSeen(result=Result.GONE, state=found)
        if _seen_part(found) == _seen_part(before):
            return ActionSeen(result=Result.ALREADY, state=found)
        folder_id, detail = self._folder_back(ref, before)
        wanted = (folder_id, *_seen_part(before)[1:])
        lost = None
        if found.folder_id != folder_id:
            lost = self._attempt(lambda: self._move(ref, folder_id))
        if _seen_part(found)[1:] != wanted[1:]:
            lost = self._attempt(lambda: self._patch(ref, before)) or lost
        seen = self._read_back(ref, with_content=True)
        return judge_undo(
            seen, lost, lambda state: _seen_part(state) == wanted, before=before, detail=detail
        )

    def _folder_back(self, ref: Ref, before: State) -> tuple[str, str]:
        """The recorded folder, or the inbox if that was deleted since, and a sentence about it."""
        now = self._folders.place_now(ref.mailbox_id, before.folder_id)
        if now is Place.GONE or (now is Place.DELETED and before.place is not Place.DELETED):
            inbox = self._folders.folder_for(ref.mailbox_id, Place.INBOX)
            return inbox, "Its folder no longer exists; it was put into the inbox."
        return before.folder_id, ""

    def _attempt(self, call: Callable[[], None]) -> BridgeError | None:
        """The error if the call may have happened or hit nothing; raises what had no effect."""
        try:
            call()
        except NotFound as error:
            # The copy or the folder: reading back tells which.
            return error
        except BridgeError as error:
            if not error.may_have_happened:
                raise
            return error
        return None

    def _move(self, ref: Ref, folder_id: str) -> None:
        self._client.call(
            "POST",
            path("users", ref.mailbox_id, "messages", ref.item_id, "move"),
            mailbox_id=ref.mailbox_id,
            body={"destinationId": folder_id},
        )

    def _patch(self, ref: Ref, wanted: State) -> None:
        """Sets values; the same values twice are the same as once."""
        body: Mapping[str, Any] = {
            "isRead": wanted.is_read,
            "categories": list(wanted.categories),
            "importance": wanted.importance,
        }
        self._client.call(
            "PATCH",
            path("users", ref.mailbox_id, "messages", ref.item_id),
            mailbox_id=ref.mailbox_id,
            body=body,
            is_safe=True,
        )

    def _read_back(self, ref: Ref, *, with_content: bool = False) -> State | None:
        """None: not readable now, so nothing is known."""
        try:
            return self.read_state(ref, with_content=with_content)
        except BridgeError:
            return None

    def _state_in_batch(self, ref: Ref, answer: BatchReply | BridgeError) -> State:
        if isinstance(answer, NotFound) and answer.code in ITEM_GONE:
            return GONE
        if isinstance(answer, BridgeError):
            raise answer
        return self._state(ref, answer.json())

    def _state(self, ref: Ref, data: Json) -> State:
        return state_of(
            data, self._folders.place_of(ref.mailbox_id, text_of(data, "parentFolderId"))
        )


def _message_path(ref: Ref, *, with_content: bool = False) -> str:
    fields = CONTENT_FIELDS if with_content else STATE_FIELDS
    return path("users", ref.mailbox_id, "messages", ref.item_id, select=fields)


def _seen_part(state: State) -> tuple[str, bool, tuple[str, ...], str]:
    """What undo must bring back, but for the content."""
    return state.folder_id, state.is_read, tuple(sorted(state.categories)), state.importance
