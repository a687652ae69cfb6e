"""The IMAP connector: the Protocol's methods over the parts of this folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from api_bridge.connectors import (
    Action,
    ActionRecord,
    ActionSeen,
    Capability,
    Connection,
    Fetched,
    Mailbox,
    MailboxState,
    Page,
    Ref,
    Runtime,
    State,
    Subscription,
)
from api_bridge.connectors.back import BackCursor
from api_bridge.connectors.imap.back import ChangesAndBack
from api_bridge.connectors.imap.fetch import fetch_mail
from api_bridge.connectors.imap.folders import Folder
from api_bridge.connectors.imap.listening import ImapListening
from api_bridge.connectors.imap.locate import Locator
from api_bridge.connectors.imap.options import check_imap
from api_bridge.connectors.imap.pool import Pool
from api_bridge.connectors.imap.remediate import Remediation
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, NotFound, Rejected

Wanted = TypeVar("Wanted")
Answer = TypeVar("Answer")

AT_ONCE = 4
SNAPSHOT_S = 3_600.0


class ImapConnector:
    """One client's mailboxes on one server."""

    capabilities = frozenset({Capability.RAW, Capability.HIDDEN_QUARANTINE})

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.options = check_imap(connection, runtime.allowed_hosts)
        self.pool = Pool(self.options, runtime)
        self._cache = runtime.cache
        self._locator = Locator(self.options, runtime.cache)
        self._changes = ChangesAndBack(self.options, self._locator)
        self._remediation = Remediation(self.options, self.pool, self._locator)

    def list_mailboxes(self) -> Iterator[Mailbox]:
        """Those that were named: IMAP cannot list people.  Raises what went wrong where none of
        them can be opened, ``AuthExpired`` before all else.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            states = list(threads.map(self._known_state, self.options.mailboxes))
        errors = [state for state in states if isinstance(state, BridgeError)]
        if errors and MailboxState.ACTIVE not in states:
            raise min(errors, key=lambda error: not isinstance(error, AuthExpired))
        for address, state in zip(self.options.mailboxes, states, strict=True):
            if isinstance(state, BridgeError):
                # One that gives no answer now is not thereby none.
                is_refused = isinstance(state, AuthExpired)
                state = MailboxState.DENIED if is_refused else MailboxState.ACTIVE  # noqa: PLW2901
            yield Mailbox(id=address, address=address, state=state)

    def _known_state(self, address: str) -> MailboxState | BridgeError:
        """A mailbox that could be opened lately is not asked again."""
        if self.pool.was_opened_lately(address):
            return MailboxState.ACTIVE
        try:
            return self.probe(address)
        except BridgeError as error:
            return error

    def probe(self, mailbox_id: str) -> MailboxState:
        try:
            with self.pool.session(mailbox_id) as session:
                session.open("INBOX")
        except NotFound:
            return MailboxState.NO_MAILBOX
        except AccessDenied:
            return MailboxState.DENIED
        return MailboxState.ACTIVE

    def ensure_push(
        self,
        mailbox_id: str,
        *,
        notification_url: str,
        client_state: str,
        current: Subscription | None,
    ) -> Subscription:
        raise Rejected("An IMAP server calls nobody.", code="no_push")

    def renew(self, subscription: Subscription) -> Subscription:
        raise NotFound("An IMAP server calls nobody.", code="no_push")

    def pushes(self) -> Iterator[Subscription]:
        return iter(())

    def end_push(self, subscription_id: str) -> None:
        """There is none."""

    def listen(self, mailbox_id: str) -> ImapListening:
        session = self.pool.open(mailbox_id)
        try:
            return ImapListening(session)
        except BridgeError:
            session.close()
            raise

    def changes(self, mailbox_id: str, cursor: str, *, since: datetime | None = None) -> Page:
        with self.pool.session(mailbox_id) as session:
            return self._changes.page(session, cursor, since)

    def newest_many(self, wanted: Sequence[tuple[str, datetime]]) -> list[Page | BridgeError]:
        return self._each(
            lambda each: self._newest(*each), wanted, mailboxes=[box for box, _ in wanted]
        )

    def _newest(self, mailbox_id: str, since: datetime) -> Page:
        with self.pool.session(mailbox_id) as session:
            folders = self._locator.folders(session)
            grown = self._grown(mailbox_id, since, folders)
            return self._changes.newest(session, since, grown)

    def _grown(self, mailbox_id: str, since: datetime, folders: Sequence[Folder]) -> list[Folder]:
        """Folders in which a mail may have arrived since that time: their UIDNEXT moved then, or
        we do not know when.
        """
        key = f"imap.quick.{self.options.owner}.{mailbox_id}"
        try:
            before = json.loads(self._cache.get(key) or "{}")
        except ValueError:
            before = {}
        now, after, grown = time.time(), {}, []
        for folder in folders:
            numbers = [folder.status.get("UIDVALIDITY"), folder.status.get("UIDNEXT")]
            *known, moved_at = before.get(folder.name, (None, None, 0.0))
            if known != numbers:
                moved_at = now
            after[folder.name] = [*numbers, moved_at]
            if None in numbers or moved_at >= since.timestamp():
                grown.append(folder)
        self._cache.set(key, json.dumps(after), ttl_s=SNAPSHOT_S)
        return grown

    def older(
        self, mailbox_id: str, cursor: str, *, since: datetime, until: datetime, most: int
    ) -> Page:
        at = BackCursor.of(cursor, until)
        with self.pool.session(mailbox_id) as session:
            return self._changes.older(session, at, since=since, most=most)

    def fetch(self, ref: Ref) -> Fetched:
        with self.pool.session(ref.mailbox_id) as session:
            return fetch_mail(self._locator, session, ref)

    def fetch_many(self, refs: Sequence[Ref]) -> list[Fetched | BridgeError]:
        return self._each(self.fetch, refs, mailboxes=[ref.mailbox_id for ref in refs])

    def find(self, mailbox_id: str, internet_message_id: str) -> list[Ref]:
        with self.pool.session(mailbox_id) as session:
            folders = self._locator.folders(session)
            ids = self._locator.with_message_id(session, internet_message_id, folders)
            return [Ref(mailbox_id, item_id) for item_id in ids]

    def find_many(self, wanted: Sequence[tuple[str, str]]) -> list[list[Ref] | BridgeError]:
        return self._each(
            lambda each: self.find(*each), wanted, mailboxes=[box for box, _ in wanted]
        )

    def read_state(self, ref: Ref) -> State:
        return self._remediation.read_state(ref)

    def read_states(self, refs: Sequence[Ref]) -> list[State | BridgeError]:
        return self._each(self.read_state, refs, mailboxes=[ref.mailbox_id for ref in refs])

    def prepare(self, ref: Ref, action: Action, key: str) -> ActionRecord:
        return self._remediation.prepare(ref, action, key)

    def act(self, record: ActionRecord) -> ActionSeen:
        return self._remediation.act(record)

    def undo(self, record: ActionRecord) -> ActionSeen:
        return self._remediation.undo(record)

    def close(self) -> None:
        self.pool.close()

    def _each(
        self,
        ask: Callable[[Wanted], Answer],
        wanted: Sequence[Wanted],
        *,
        mailboxes: Sequence[str],
    ) -> list[Answer | BridgeError]:
        """One answer for each, in order: mailboxes side by side, what is of one mailbox one after
        the other, in its warm session.
        """
        of_mailbox: dict[str, list[int]] = {}
        for number, mailbox in enumerate(mailboxes):
            of_mailbox.setdefault(mailbox, []).append(number)
        answers: dict[int, Answer | BridgeError] = {}

        def ask_all(numbers: Sequence[int]) -> None:
            for number in numbers:
                try:
                    answers[number] = ask(wanted[number])
                except BridgeError as error:
                    answers[number] = error

        if len(of_mailbox) > 1:
            with ThreadPoolExecutor(min(AT_ONCE, len(of_mailbox))) as threads:
                list(threads.map(ask_all, of_mailbox.values()))
        else:
            for numbers in of_mailbox.values():
                ask_all(numbers)
        return [answers[number] for number in range(len(wanted))]
