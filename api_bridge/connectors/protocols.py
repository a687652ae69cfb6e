"""What the callers ask of a mailbox provider, and what only some of them can do.

Every method may raise any ``BridgeError``; where one means something special it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from api_bridge.connectors.folder_shapes import FolderAsk, FolderPage, MailFolder
from api_bridge.connectors.setting_shapes import Delegate, Forwarding, MailboxRule
from api_bridge.connectors.shapes import (
    Action,
    ActionRecord,
    ActionSeen,
    Capability,
    Fetched,
    Group,
    Item,
    Mailbox,
    MailboxState,
    Members,
    Page,
    PulledPushes,
    Ref,
    State,
    Subscription,
    VendorVerdict,
)
from api_bridge.errors import BridgeError


class Heard(StrEnum):
    """What a mail host said on an open connection."""

    NOTHING = "nothing"
    SOMETHING = "something"


class Listening(Protocol):
    """An open connection on which the host says that something changed in one mailbox.

    ``hears_all``: nothing happens in the mailbox unheard.
    """

    hears_all: bool

    def fileno(self) -> int:
        """To be waited for with others."""

    def hear(self) -> Heard:
        """What was said by now.  Raises ``BridgeError`` where the connection is over."""

    def close(self) -> None: ...


class Connector(Protocol):
    """Every method may raise any ``BridgeError``; where one means something special it is said."""

    capabilities: frozenset[Capability]

    def list_mailboxes(self) -> Iterator[Mailbox]:
        """All people's and shared mailboxes of the tenant."""

    def probe(self, mailbox_id: str) -> MailboxState:
        """Whether the mailbox can be read now."""

    def ensure_push(
        self,
        mailbox_id: str,
        *,
        notification_url: str,
        client_state: str,
        current: Subscription | None,
    ) -> Subscription:
        """``current`` if it still lives long enough, else renewed, else a new one."""

    def renew(self, subscription: Subscription) -> Subscription:
        """Prolongs.  ``NotFound``: it is gone; make a new one and sync."""

    def pushes(self) -> Iterator[Subscription]:
        """All that stand, of every mailbox; a sweep ends those that no row knows."""

    def end_push(self, subscription_id: str) -> None:
        """Removes it; one that is not there is fine."""

    def changes(self, mailbox_id: str, cursor: str, *, since: datetime | None = None) -> Page:
        """Mail since ``cursor``, oldest first, safe to repeat: items come again (overlap), the
        store keeps one per immutable id.  ``cursor`` "" begins at ``since`` (None: now).
        """

    def newest_many(self, wanted: Sequence[tuple[str, datetime]]) -> list[Page | BridgeError]:
        """What each mailbox received since a time, oldest first, in few calls, in order.

        A quick look beside ``changes``, not instead of it: one page of each, without a cursor;
        ``more``: there is more than that.
        """

    def older(
        self, mailbox_id: str, cursor: str, *, since: datetime, until: datetime, most: int
    ) -> Page:
        """Mail received from ``since`` until before ``until``, in all folders, from the newest to
        the oldest, at most ``most`` a page.  ``cursor`` "" begins at ``until``; no item is listed
        twice.  Not ``more``: that was all.
        """

    def fetch(self, ref: Ref) -> Fetched:
        """The whole mail.  ``NotFound``: the copy is gone."""

    def fetch_many(self, refs: Sequence[Ref]) -> list[Fetched | BridgeError]:
        """One entry per ref, in order; what failed is its error."""

    def find(self, mailbox_id: str, internet_message_id: str) -> list[Ref]:
        """Every copy in the mailbox with that Message-ID, in all folders; it need not be unique."""

    def find_many(self, wanted: Sequence[tuple[str, str]]) -> list[list[Ref] | BridgeError]:
        """``find`` for many (mailbox id, Message-ID) in few calls, in order."""

    def read_state(self, ref: Ref) -> State:
        """Never raises ``NotFound``: a copy that is gone is a state."""

    def read_states(self, refs: Sequence[Ref]) -> list[State | BridgeError]:
        """``read_state`` for many in few calls, in order."""

    def prepare(self, ref: Ref, action: Action, key: str) -> ActionRecord:
        """Reads the copy and returns the undo record; touches nothing."""

    def act(self, record: ActionRecord) -> ActionSeen:
        """Read, call if needed, read back.  Raises only where surely nothing was done."""

    def undo(self, record: ActionRecord) -> ActionSeen:
        """Brings ``record.before`` back: folder, read flag, categories, importance."""

    def close(self) -> None:
        """Lets go of its connections; the connector is of no more use."""


@runtime_checkable
class ReadsMany(Protocol):
    """A mail host that answers for many mailboxes in one call."""

    def changes_many(self, wanted: Sequence[tuple[str, str, datetime]]) -> list[Page | BridgeError]:
        """``changes`` for many (mailbox id, cursor, since), in order; what failed is its error."""


@runtime_checkable
class ReadsSettings(Protocol):
    """What an intruder changes first."""

    def rules(self, mailbox_id: str) -> list[MailboxRule]:
        """All that the provider shows."""

    def forwarding(self, mailbox_id: str) -> Forwarding | None:
        """None: no address was ever set."""

    def delegates(self, mailbox_id: str) -> list[Delegate]:
        """Empty where the mailbox has none."""


@runtime_checkable
class ReadsVerdicts(Protocol):
    """``Capability.VENDOR_VERDICTS``."""

    def verdicts(self, since: datetime) -> list[VendorVerdict]:
        """What was said since then, oldest first; the same again each time it is asked."""


@runtime_checkable
class PullsPushes(Protocol):
    """``Capability.PUSHES_PULLED``."""

    def pull_pushes(self) -> PulledPushes:
        """What waits, at once; it comes again until it is settled."""

    def settle_pushes(self, receipts: Sequence[str]) -> None:
        """These need not come again."""


@runtime_checkable
class ListsGroups(Protocol):
    """``Capability.GROUPS``.  Both read to the end or raise: half a list is none."""

    def groups(self) -> list[Group]:
        """All of the directory."""

    def members(self, group_id: str) -> Members:
        """``NotFound``: the group is gone."""


@runtime_checkable
class ReadsFolders(Protocol):
    """A mail host that tells for each folder what changed in it, whatever its date."""

    def folders_many(self, mailbox_ids: Sequence[str]) -> list[list[MailFolder] | BridgeError]:
        """All folders of each mailbox, at any depth, in order; what failed is its error."""

    def folder_changes(self, wanted: Sequence[FolderAsk]) -> list[FolderPage | BridgeError]:
        """One page of each, in order; what failed is its error."""

    def whole_items(self, mailbox_id: str, items: Sequence[Item]) -> list[Item]:
        """Summaries as a list answer would show them.  What is gone is left out, what cannot be had
        alone stays a summary.  Raises ``BridgeError`` for what says nothing of the mail.
        """


@runtime_checkable
class ListsIds(Protocol):
    """A mail host whose changes are told by a history: what there is can be listed besides."""

    def ids_since(self, mailbox_id: str, since: datetime) -> list[str]:
        """Ids of all mail received since then, in any folder."""

    def items_of(self, mailbox_id: str, ids: Sequence[str]) -> Page:
        """These, as far as they are there; its cursor is ""."""


@runtime_checkable
class Listens(Protocol):
    """A mail host that calls nobody, and speaks on a connection that we hold open."""

    def listen(self, mailbox_id: str) -> Listening:
        """A connection to be held open."""
