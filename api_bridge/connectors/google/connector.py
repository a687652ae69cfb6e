"""The Google connector: the Protocol's methods over the parts of this folder.

A mailbox's id is its primary address in small letters: Gmail is asked by it, and tokens name it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from api_bridge.connectors import (
    Action,
    ActionRecord,
    ActionSeen,
    Capability,
    Connection,
    Delegate,
    Fetched,
    Forwarding,
    Group,
    Mailbox,
    MailboxRule,
    MailboxState,
    Members,
    Page,
    PulledPushes,
    Ref,
    Runtime,
    State,
    Subscription,
    VendorVerdict,
)
from api_bridge.connectors.back import BackCursor
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google import units
from api_bridge.connectors.google.batching import Ask
from api_bridge.connectors.google.changes import (
    changes_page,
    ids_since,
    newest_pages,
    older_page,
    page_of,
)
from api_bridge.connectors.google.client import GoogleClient, entries_of, path, text_of
from api_bridge.connectors.google.fetch import fetch_mail, fetch_mails
from api_bridge.connectors.google.labels import Labels
from api_bridge.connectors.google.mapping import (
    delegate_of,
    forwarding_of,
    group_of,
    mailbox_of,
    members_of,
    rule_of,
    verdicts_of,
)
from api_bridge.connectors.google.remediate import Remediation
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, NotFound, Rejected, Unexpected
from incidents.mail.addresses import normal_address

# A watch lives seven days; Google advises to renew it daily.
RENEWED_EVERY = timedelta(days=1)
WATCH_HEAD = "watch/"
LONGEST_PUSH_ID = 100
PULLED_AT_ONCE = 500
FIND_PAGE = 50

ALWAYS = frozenset(
    {
        Capability.CHEAP_CHANGES,
        Capability.HIDDEN_QUARANTINE,
        Capability.RAW,
        Capability.BATCH,
        Capability.VENDOR_VERDICTS,
        Capability.GROUPS,
    }
)


class GoogleConnector:
    """One client's Google customer.  ``transport`` replaces the network in tests."""

    def __init__(
        self,
        connection: Connection,
        runtime: Runtime,
        *,
        client: GoogleClient | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._client = client or GoogleClient(connection, runtime, transport=transport)
        self._labels = Labels(self._client, runtime.cache, connection.quarantine_folder)
        self._remediation = Remediation(self._client, self._labels)
        customer = self._client.customer
        pushes = {Capability.PUSH} if customer.topic else set()
        pulls = {Capability.PUSHES_PULLED} if customer.subscription else set()
        self.capabilities = ALWAYS | pushes | pulls

    @property
    def client(self) -> GoogleClient:
        """For what is asked of accounts, beside their mail."""
        return self._client

    def list_mailboxes(self) -> Iterator[Mailbox]:
        """Raises ``AuthExpired`` where the directory is another customer's than was agreed."""
        customer_id = self._client.customer.customer_id.lower()

        def ask(token: str) -> Mapping[str, Any]:
            target = path("users", customer="my_customer", maxResults="500", pageToken=token)
            return self._client.directory(target)

        for user in self._client.pages(ask, "users"):
            if text_of(user, "customerId").lower() != customer_id:
                raise AuthExpired("The directory is another customer's.", code="tenant_gone")
            mailbox = mailbox_of(user)
            if mailbox is not None:
                yield mailbox

    def groups(self) -> list[Group]:
        def ask(token: str) -> Mapping[str, Any]:
            target = path("groups", customer="my_customer", maxResults="200", pageToken=token)
            return self._client.directory(target, scope=scopes.GROUPS)

        found = [group_of(each) for each in self._client.pages(ask, "groups")]
        return [group for group in found if group is not None]

    def members(self, group_id: str) -> Members:
        def ask(token: str) -> Mapping[str, Any]:
            target = path(
                *("groups", group_id, "members"),
                includeDerivedMembership="true",
                maxResults="200",
                pageToken=token,
            )
            return self._client.directory(target, scope=scopes.GROUPS)

        return members_of(list(self._client.pages(ask, "members")))

    def probe(self, mailbox_id: str) -> MailboxState:
        try:
            self._client.mail("GET", mailbox_id, path("profile"), cost=units.GET_PROFILE)
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
        """Where the messages go is set at the topic, so address and state are not used here."""
        if current is not None and current.id == _push_id(mailbox_id):
            asked_at = current.expires_at - timedelta(days=7)
            if datetime.now(UTC) < asked_at + RENEWED_EVERY:
                return current
        return self._watch(mailbox_id)

    def renew(self, subscription: Subscription) -> Subscription:
        return self._watch(subscription.id.removeprefix(WATCH_HEAD))

    def _watch(self, mailbox_id: str) -> Subscription:
        topic = self._client.customer.topic
        if not topic:
            raise Rejected("The connection has no topic to publish to.", code="no_topic")
        push_id = _push_id(mailbox_id)
        reply = self._client.mail(
            "POST",
            mailbox_id,
            path("watch"),
            cost=units.WATCH,
            body={"topicName": topic},
            is_safe=True,
            writes=False,
        )
        expires_at = _milliseconds(text_of(reply.json(), "expiration"))
        renew_at = min(expires_at, datetime.now(UTC) + RENEWED_EVERY)
        return Subscription(
            id=push_id,
            resource=mailbox_id,
            notification_url=topic,
            expires_at=expires_at,
            renew_at=renew_at,
        )

    def pushes(self) -> Iterator[Subscription]:
        """Google does not list them (no ``Capability.PUSH_LISTED``)."""
        return iter(())

    def end_push(self, subscription_id: str) -> None:
        mailbox_id = subscription_id.removeprefix(WATCH_HEAD)
        try:
            self._client.mail(
                "POST", mailbox_id, path("stop"), cost=units.STOP, is_safe=True, writes=False
            )
        except NotFound:
            return

    def pull_pushes(self) -> PulledPushes:
        """Raises ``BridgeError``.  A message that cannot be read is settled with the others."""
        data = self._client.pubsub(
            "pull", {"maxMessages": PULLED_AT_ONCE, "returnImmediately": True}
        )
        addresses, receipts = set(), []
        for received in entries_of(data, "receivedMessages"):
            receipts.append(text_of(received, "ackId"))
            message = received.get("message")
            addresses.add(address_in(message if isinstance(message, dict) else {}))
        return PulledPushes(
            addresses=frozenset(addresses - {""}),
            receipts=tuple(each for each in receipts if each),
        )

    def settle_pushes(self, receipts: Sequence[str]) -> None:
        if receipts:
            self._client.pubsub("acknowledge", {"ackIds": list(receipts)})

    def changes(self, mailbox_id: str, cursor: str, *, since: datetime | None = None) -> Page:
        return changes_page(self._client, self._labels, mailbox_id, cursor, since)

    def ids_since(self, mailbox_id: str, since: datetime) -> list[str]:
        return ids_since(self._client, mailbox_id, since)

    def items_of(self, mailbox_id: str, ids: Sequence[str]) -> Page:
        return page_of(self._client, self._labels, mailbox_id, ids)

    def newest_many(self, wanted: Sequence[tuple[str, datetime]]) -> list[Page | BridgeError]:
        return newest_pages(self._client, self._labels, wanted)

    def older(
        self, mailbox_id: str, cursor: str, *, since: datetime, until: datetime, most: int
    ) -> Page:
        at = BackCursor.of(cursor, until)
        return older_page(self._client, self._labels, mailbox_id, at, since=since, most=most)

    def fetch(self, ref: Ref) -> Fetched:
        return fetch_mail(self._client, ref)

    def fetch_many(self, refs: Sequence[Ref]) -> list[Fetched | BridgeError]:
        return fetch_mails(self._client, refs)

    def find(self, mailbox_id: str, internet_message_id: str) -> list[Ref]:
        def ask(token: str) -> Mapping[str, Any]:
            target = _find_path(internet_message_id, token)
            return self._client.mail("GET", mailbox_id, target, cost=units.LIST_MESSAGES).json()

        entries = self._client.pages(ask, "messages")
        return [Ref(mailbox_id, text_of(entry, "id")) for entry in entries]

    def find_many(self, wanted: Sequence[tuple[str, str]]) -> list[list[Ref] | BridgeError]:
        asks = [
            Ask(mailbox_id=mailbox_id, path=_find_path(message_id, ""), cost=units.LIST_MESSAGES)
            for mailbox_id, message_id in wanted
        ]
        found: list[list[Ref] | BridgeError] = []
        for (mailbox_id, message_id), answer in zip(wanted, self._client.batch(asks), strict=True):
            try:
                if isinstance(answer, BridgeError):
                    raise answer
                if text_of(answer, "nextPageToken"):
                    found.append(self.find(mailbox_id, message_id))
                    continue
                entries = entries_of(answer, "messages")
                found.append([Ref(mailbox_id, text_of(entry, "id")) for entry in entries])
            except BridgeError as error:
                found.append(error)
        return found

    def read_state(self, ref: Ref) -> State:
        return self._remediation.read_state(ref)

    def read_states(self, refs: Sequence[Ref]) -> list[State | BridgeError]:
        return self._remediation.read_states(refs)

    def prepare(self, ref: Ref, action: Action, key: str) -> ActionRecord:
        return self._remediation.prepare(ref, action, key)

    def act(self, record: ActionRecord) -> ActionSeen:
        return self._remediation.act(record)

    def undo(self, record: ActionRecord) -> ActionSeen:
        return self._remediation.undo(record)

    def rules(self, mailbox_id: str) -> list[MailboxRule]:
        data = self._setting(mailbox_id, "filters")
        names = self._labels.names(mailbox_id)
        rules = (rule_of(each, names) for each in entries_of(data, "filter"))
        return [rule for rule in rules if rule is not None]

    def forwarding(self, mailbox_id: str) -> Forwarding | None:
        return forwarding_of(self._setting(mailbox_id, "autoForwarding"))

    def delegates(self, mailbox_id: str) -> list[Delegate]:
        data = self._setting(mailbox_id, "delegates")
        found = (delegate_of(each) for each in entries_of(data, "delegates"))
        return [each for each in found if each is not None]

    def _setting(self, mailbox_id: str, name: str) -> Mapping[str, Any]:
        target = path("settings", name)
        return self._client.mail("GET", mailbox_id, target, cost=units.READ_SETTING).json()

    def verdicts(self, since: datetime) -> list[VendorVerdict]:
        at = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        def ask(token: str) -> Mapping[str, Any]:
            target = path("alerts", filter=f'createTime >= "{at}"', pageSize="100", pageToken=token)
            return self._client.alerts(target)

        alerts = self._client.pages(ask, "alerts")
        said = [verdict for alert in alerts for verdict in verdicts_of(alert)]
        return sorted(said, key=lambda verdict: (verdict.at, verdict.key))

    def close(self) -> None:
        self._client.close()


def _push_id(mailbox_id: str) -> str:
    made = WATCH_HEAD + mailbox_id
    if len(made) > LONGEST_PUSH_ID:
        raise Rejected("The mailbox's address is too long to be watched.", code="too_long")
    return made


def _milliseconds(text: str) -> datetime:
    """Raises ``Unexpected``: a watch without an end could not be renewed in time."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    except (ValueError, OverflowError) as error:
        raise Unexpected("The watch has no end.") from error


def address_in(message: Mapping[str, Any]) -> str:
    """The mailbox that a Pub/Sub message of Gmail names, in small letters; "" if it names none.

    ``data`` is base64 of ``{"emailAddress", "historyId"}``; the id is not believed.
    """
    try:
        said = json.loads(base64.b64decode(text_of(message, "data")))
    except (binascii.Error, ValueError, RecursionError):
        return ""
    return normal_address(text_of(said, "emailAddress")) if isinstance(said, dict) else ""


def _find_path(internet_message_id: str, token: str) -> str:
    """Gmail's search ends a word at a blank, so an id with one is quoted."""
    plain = internet_message_id.strip().strip("<>").replace('"', "")
    quoted = f'"{plain}"' if any(each.isspace() for each in plain) else plain
    return path(
        "messages",
        q=f"rfc822msgid:{quoted}",
        includeSpamTrash="true",
        maxResults=str(FIND_PAGE),
        pageToken=token,
    )
