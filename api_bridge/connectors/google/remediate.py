"""Move a copy by its labels and bring it back, seen with our own eyes each time.

Always in this order: read, call if there is something to do, read back.  An answer that was lost is
settled by reading.  All labels of an action change in one call.
Contract read 2026-11-22: discovery document gmail.v1 (users.messages.modify).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from api_bridge.connectors import Action, ActionRecord, ActionSeen, Ref, Result, State
from api_bridge.connectors.google import units
from api_bridge.connectors.google.batching import Ask
from api_bridge.connectors.google.client import GoogleClient, path
from api_bridge.connectors.google.fetch import MAIL_LIMIT_BYTES
from api_bridge.connectors.google.labels import Labels
from api_bridge.connectors.google.mapping import FIXED, Json, labels_in, state_of
from api_bridge.connectors.judge import GONE, judge, judge_undo, never_there, stale
from api_bridge.errors import BridgeError, NotFound, Rejected
from incidents.words import Place

TARGET = {
    Action.QUARANTINE: Place.QUARANTINE,
    Action.JUNK: Place.JUNK,
    Action.DELETE: Place.DELETED,
    Action.RESTORE: Place.INBOX,
}
LABEL = {Action.JUNK: "SPAM", Action.DELETE: "TRASH", Action.RESTORE: "INBOX"}


class Remediation:
    """Acts on single copies of one customer's mailboxes."""

    def __init__(self, client: GoogleClient, labels: Labels) -> None:
        self._client = client
        self._labels = labels

    def read_state(self, ref: Ref, *, with_content: bool = False) -> State:
        """A copy that is gone is a state.  Raises other ``BridgeError``."""
        try:
            reply = self._client.mail(
                "GET",
                ref.mailbox_id,
                _message_path(ref, with_content=with_content),
                cost=units.GET_MESSAGE,
                limit_bytes=MAIL_LIMIT_BYTES,
            )
        except NotFound as error:
            if _is_no_mailbox(error):
                raise
            return GONE
        return state_of(reply.json(), self._labels.quarantine(ref.mailbox_id))

    def read_states(self, refs: Sequence[Ref]) -> list[State | BridgeError]:
        """In few calls; a copy that is gone is a state, another failure stands in its place."""
        asks = [Ask(mailbox_id=ref.mailbox_id, path=_message_path(ref)) for ref in refs]
        answers = self._client.batch(asks)
        return [self._in_batch(ref, each) for ref, each in zip(refs, answers, strict=True)]

    def _in_batch(self, ref: Ref, answer: Json | BridgeError) -> State | BridgeError:
        if isinstance(answer, NotFound) and not _is_no_mailbox(answer):
            return GONE
        if isinstance(answer, BridgeError):
            return answer
        try:
            return state_of(answer, self._labels.quarantine(ref.mailbox_id))
        except BridgeError as error:
            return error

    def prepare(self, ref: Ref, action: Action, key: str) -> ActionRecord:
        before = self.read_state(ref, with_content=True)
        return ActionRecord(
            ref=ref, action=action, key=key, taken_at=datetime.now(UTC), before=before
        )

    def act(self, record: ActionRecord) -> ActionSeen:
        """Raises ``BridgeError`` only where surely nothing was done."""
        ref, place = record.ref, TARGET[record.action]
        found = self.read_state(ref)
        if not found.exists:
            return ActionSeen(result=Result.GONE, state=found)
        if found.place is place:
            return ActionSeen(result=Result.ALREADY, state=found)
        if labels_in(found) != labels_in(record.before):
            return stale(found)
        lost = self._attempt(lambda: self._move(ref, record.action, found))
        seen = self._read_back(ref)
        if seen is not None and seen.exists and seen.place is not place:
            self._labels.forget(ref.mailbox_id)
        return judge(seen, lost, lambda state: state.place is place)

    def undo(self, record: ActionRecord) -> ActionSeen:
        """The very labels of the record, but for those that nobody can set or that are gone."""
        before, ref = record.before, record.ref
        if not before.exists:
            return never_there()
        found = self.read_state(ref)
        if not found.exists:
            return ActionSeen(result=Result.GONE, state=found)
        if labels_in(found) == labels_in(before):
            return ActionSeen(result=Result.ALREADY, state=found)
        wanted, detail = self._labels_back(ref, found, before)
        lost = None
        if labels_in(found) != wanted:
            lost = self._attempt(lambda: self._modify(ref, labels_in(found), wanted))
        seen = self._read_back(ref, with_content=True)
        return judge_undo(
            seen, lost, lambda state: labels_in(state) == wanted, before=before, detail=detail
        )

    def _labels_back(self, ref: Ref, found: State, before: State) -> tuple[frozenset[str], str]:
        """The labels to bring back, and a sentence about those that cannot be."""
        names = self._labels.names(ref.mailbox_id)
        recorded = labels_in(before)
        there = frozenset(label for label in recorded if label in names or label in FIXED)
        wanted = (there - FIXED) | (labels_in(found) & FIXED)
        gone = len(recorded - there)
        return wanted, f"{gone} of its labels no longer exist." if gone else ""

    def _move(self, ref: Ref, action: Action, found: State) -> None:
        now = labels_in(found)
        quarantine = self._labels.quarantine(ref.mailbox_id)
        if action is Action.QUARANTINE:
            quarantine = self._labels.made_quarantine(ref.mailbox_id)
        label = LABEL.get(action, quarantine)
        elsewhere = frozenset({"INBOX", "SPAM", "TRASH", quarantine})
        try:
            self._modify(ref, now, (now - elsewhere) | {label})
        except Rejected as error:
            if error.status != 400 or action is not Action.QUARANTINE:
                raise
            # A person deleted the label since it was seen; nothing was done, so it is made anew.
            self._labels.forget(ref.mailbox_id)
            label = self._labels.made_quarantine(ref.mailbox_id)
            self._modify(ref, now, (now - elsewhere) | {label})

    def _modify(self, ref: Ref, now: frozenset[str], wanted: frozenset[str]) -> None:
        self._client.mail(
            "POST",
            ref.mailbox_id,
            path("messages", ref.item_id, "modify"),
            cost=units.MODIFY,
            body={
                "addLabelIds": sorted(wanted - now),
                "removeLabelIds": sorted(now - wanted),
            },
        )

    def _attempt(self, call: Callable[[], None]) -> BridgeError | None:
        """The error if the call may have happened or hit nothing; raises what had no effect."""
        try:
            call()
        except NotFound as error:
            return error
        except BridgeError as error:
            if not error.may_have_happened:
                raise
            return error
        return None

    def _read_back(self, ref: Ref, *, with_content: bool = False) -> State | None:
        """None: not readable now, so nothing is known."""
        try:
            return self.read_state(ref, with_content=with_content)
        except BridgeError:
            return None


def _message_path(ref: Ref, *, with_content: bool = False) -> str:
    if with_content:
        return path("messages", ref.item_id, format="raw")
    return path("messages", ref.item_id, format="metadata", metadataHeaders="Message-ID")


def _is_no_mailbox(error: NotFound) -> bool:
    """Not the copy is gone, but the person or her mail service."""
    return error.code in ("no_mail_service", "invalid_grant")
