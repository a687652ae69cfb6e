"""Calls to Google: addresses, tokens, limits, paging and batches.  No meaning here.

Contract read 2026-11-22: discovery documents gmail.v1 (20261005), admin.directory_v1,
alertcenter.v1beta1, pubsub.v1; developers.google.com/gmail/api/guides/batch.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google import units
from api_bridge.connectors.google.batching import Ask, batch_answers, batch_body
from api_bridge.connectors.google.settings import Customer, read_customer
from api_bridge.connectors.google.tokens import GoogleTokens
from api_bridge.errors import (
    AccessDenied,
    AuthExpired,
    BridgeError,
    NotFound,
    RateLimited,
    Temporary,
    Unexpected,
)
from api_bridge.http import (
    ATTEMPTS,
    JSON_LIMIT_BYTES,
    OutgoingClient,
    Reply,
)
from api_bridge.limits import Quota

BATCH_SIZE = 25
PAGE_LIMIT = 2_000
# How long it is believed that no more than reading was delegated.
READ_ONLY_S = 600.0
# A person's mail service is off, or was never on.
NO_MAIL_SERVICE = "failedPrecondition"
# Beside 403 Google's words for what all of a project did; 429 and any other word mean one person.
PROJECT_TOO_FAST = frozenset({"rateLimitExceeded", "dailyLimitExceeded"})
Query = str | Sequence[str]


def path(*parts: str, **query: Query) -> str:
    """``path("messages", id, format="raw")`` → ``/messages/…?format=raw``.

    A sequence repeats its name; what is "" is left out.
    """
    address = "".join(f"/{quote(part, safe='@')}" for part in parts)
    asked = {name: value for name, value in query.items() if value}
    return f"{address}?{urlencode(asked, doseq=True)}" if asked else address


class GoogleClient:
    """One customer's calls; safe for threads.  ``transport`` and ``sleep`` are for tests."""

    def __init__(
        self,
        connection: Connection,
        runtime: Runtime,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.customer: Customer = read_customer(connection, runtime.allowed_hosts)
        self._limits = runtime.limits
        self._sleep = sleep
        self._read_only_until = 0.0
        account = self.customer.account
        self._project = f"google.{account.project or account.client_id}"
        self._other = f"google-other.{account.client_id}.{self.customer.customer_id}"
        self._tokens = GoogleTokens(
            self.customer, runtime.cache, ca_file=connection.ca_file, transport=transport
        )

        def outgoing(base_url: str) -> OutgoingClient:
            return OutgoingClient(
                base_url,
                authorize=_unnamed,
                limits=runtime.limits,
                allowed_hosts=runtime.allowed_hosts,
                ca_file=connection.ca_file,
                transport=transport,
                sleep=sleep,
                clock=clock,
                quota_of=self._quota_of,
                paused_by=self._paused_by,
            )

        self._gmail = outgoing(self.customer.gmail_url)
        self._directory = outgoing(self.customer.directory_url)
        self._alerts = outgoing(self.customer.alerts_url)
        self._pubsub = outgoing(self.customer.pubsub_url)

    def close(self) -> None:
        for each in (self._gmail, self._directory, self._alerts, self._pubsub, self._tokens):
            each.close()

    def mail(
        self,
        method: str,
        mailbox_id: str,
        target: str,
        *,
        cost: int,
        body: Mapping[str, Any] | None = None,
        is_safe: bool | None = None,
        limit_bytes: int = JSON_LIMIT_BYTES,
        scope: str = "",
        writes: bool | None = None,
    ) -> Reply:
        """A call below one mailbox.  ``writes``: it changes mail or labels (None: all but GET).
        ``scope``: this one and no other.  Raises ``NotFound`` (``no_mail_service``) where the
        person has no mailbox, ``AccessDenied`` (``read_only``) where only reading was delegated,
        and any other ``BridgeError``.
        """
        changes = method != "GET" if writes is None else writes
        try:
            return self._gmail.call(
                method,
                f"/gmail/v1/users/{quote(mailbox_id, safe='@')}{target}",
                slots={self._user(mailbox_id): cost, self._project: cost},
                body=body,
                is_safe=is_safe,
                limit_bytes=limit_bytes,
                authorize=self._tokens.for_person(mailbox_id, scope)
                if scope
                else lambda refused: self._mail_bearer(mailbox_id, refused, writes=changes),
            )
        except BridgeError as error:
            raise _without_mail_service(error) from error

    def _mail_bearer(self, mailbox_id: str, refused: str = "", *, writes: bool = False) -> str:
        """For all of mail, or for reading where no more was delegated: that is asked again after a
        while.
        """
        if time.monotonic() >= self._read_only_until:
            try:
                return self._tokens.bearer(mailbox_id, scopes.MAIL, refused)
            except AuthExpired as error:
                if error.code != "needs_consent":
                    raise
        token = self._tokens.bearer(mailbox_id, scopes.MAIL_READ, refused)
        if time.monotonic() >= self._read_only_until:
            self._read_only_until = time.monotonic() + READ_ONLY_S
        if writes:
            raise AccessDenied(
                "The service account may read mail and not move it: the scope gmail.modify is not "
                "delegated.",
                code="read_only",
                status=403,
            )
        return token

    def directory(self, target: str, *, scope: str = scopes.USERS) -> Mapping[str, Any]:
        """A read as the administrator."""
        return self._as_admin("GET", f"/admin/directory/v1{target}", scope).json()

    def change(
        self,
        method: str,
        target: str,
        *,
        scope: str,
        body: Mapping[str, Any] | None = None,
        is_safe: bool = False,
    ) -> None:
        """A change of the directory as the administrator.  ``is_safe``: it may be repeated."""
        target = f"/admin/directory/v1{target}"
        self._as_admin(method, target, scope, body=body, is_safe=is_safe)

    def reports(self, target: str) -> Mapping[str, Any]:
        """Of what was logged, as the administrator."""
        return self._as_admin("GET", f"/admin/reports/v1{target}", scopes.REPORTS).json()

    def alerts(self, target: str) -> Mapping[str, Any]:
        return self._as_admin("GET", f"/v1beta1{target}", scopes.ALERTS, at=self._alerts).json()

    def pubsub(self, action: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """``pull`` or ``acknowledge``, as the service account itself; both may be repeated."""
        return self._pubsub.call(
            "POST",
            f"/v1/{quote(self.customer.subscription, safe='/')}:{action}",
            slots={self._other: units.OTHER_CALL},
            body=body,
            is_safe=True,
            authorize=self._tokens.for_person("", scopes.PUBSUB),
        ).json()

    def token(self, subject: str, scope: str) -> str:
        return self._tokens.bearer(subject, scope)

    def _as_admin(
        self,
        method: str,
        target: str,
        scope: str,
        *,
        body: Mapping[str, Any] | None = None,
        is_safe: bool | None = None,
        at: OutgoingClient | None = None,
    ) -> Reply:
        """Raises ``AuthExpired`` where the administrator is gone: nothing can be listed then."""
        try:
            return (at or self._directory).call(
                method,
                target,
                slots={self._other: units.OTHER_CALL},
                body=body,
                is_safe=is_safe,
                authorize=self._tokens.for_person(self.customer.admin, scope),
            )
        except NotFound as error:
            if error.code != "invalid_grant":
                raise
            raise AuthExpired(
                f"The administrator {self.customer.admin} does not exist or is suspended.",
                code="needs_consent",
                status=error.status,
            ) from error

    def pages(
        self, ask: Callable[[str], Mapping[str, Any]], name: str
    ) -> Iterator[Mapping[str, Any]]:
        """The entries of all pages; ``ask(token)`` gets one.  A page may lack ``name`` altogether
        and have a next one.  Raises ``Unexpected`` on a circle.
        """
        seen: set[str] = set()
        token = ""
        while True:
            data = ask(token)
            yield from entries_of(data, name)
            token = text_of(data, "nextPageToken")
            if not token:
                return
            if token in seen or len(seen) >= PAGE_LIMIT:
                raise Unexpected("The paging links go round in a circle.", code="repeated_link")
            seen.add(token)

    def batch(self, asks: Sequence[Ask]) -> list[Mapping[str, Any] | BridgeError]:
        """Reads, 25 to a call, answers in the order of ``asks``; what failed is its error.

        Raises ``BridgeError`` only where the batch call as such failed.
        """
        done: dict[int, Mapping[str, Any] | BridgeError] = {}
        refused: dict[str, str] = {}
        for attempt in range(1, ATTEMPTS + 1):
            open_ones = [
                number
                for number in range(len(asks))
                if number not in done or isinstance(done[number], Temporary)
            ]
            if not open_ones:
                break
            if attempt > 1:
                self._pause({number: asks[number] for number in open_ones}, done, attempt)
            for start in range(0, len(open_ones), BATCH_SIZE):
                numbers = open_ones[start : start + BATCH_SIZE]
                done.update(self._send_batch({n: asks[n] for n in numbers}, refused))
        return [done[number] for number in range(len(asks))]

    def _pause(
        self,
        asks: Mapping[int, Ask],
        done: Mapping[int, Mapping[str, Any] | BridgeError],
        attempt: int,
    ) -> None:
        """A 429 inside a batch pauses that mailbox only; anything else waits a little."""
        own_s = 0.5 * 2**attempt
        if not all(isinstance(done[number], RateLimited) for number in asks):
            self._sleep(own_s)
        for number, ask in asks.items():
            error = done[number]
            if isinstance(error, RateLimited) and error.code != "own_limit":
                self._limits.pause(self._user(ask.mailbox_id), max(own_s, error.retry_after_s))

    def _send_batch(
        self, chunk: Mapping[int, Ask], refused: dict[str, str]
    ) -> dict[int, Mapping[str, Any] | BridgeError]:
        """One call.  A mailbox whose limit is reached, or that has no token, drops out."""
        done: dict[int, Mapping[str, Any] | BridgeError] = {}
        bearers: dict[str, str] = {}
        with ExitStack() as held:
            for mailbox_id in sorted({ask.mailbox_id for ask in chunk.values()}):
                mine = [number for number, ask in chunk.items() if ask.mailbox_id == mailbox_id]
                cost = sum(chunk[number].cost for number in mine)
                try:
                    bearers[mailbox_id] = self._mail_bearer(mailbox_id, refused.get(mailbox_id, ""))
                    name = self._user(mailbox_id)
                    held.enter_context(self._limits.slot(name, cost=cost, quota=units.USER))
                except BridgeError as error:
                    done.update(dict.fromkeys(mine, error))
            left = {number: ask for number, ask in chunk.items() if number not in done}
            if not left:
                return done
            boundary = f"batch_{uuid.uuid4().hex}"
            reply = self._gmail.call(
                "POST",
                "/batch/gmail/v1",
                slots={self._project: sum(ask.cost for ask in left.values())},
                content=batch_body(left, bearers, boundary),
                headers={"Content-Type": f"multipart/mixed; boundary={boundary}"},
                is_safe=True,
                authorize=lambda _: next(bearers[ask.mailbox_id] for ask in left.values()),
            )
        answers = batch_answers(reply)
        for number, ask in left.items():
            found = answers.get(str(number))
            done[number] = found or Temporary("The batch left out an answer.", code="cut_answer")
            if isinstance(found, AuthExpired) and ask.mailbox_id not in refused:
                # The token was taken back early: asked for anew, once.
                refused[ask.mailbox_id] = bearers[ask.mailbox_id]
                done[number] = Temporary("The token was refused.", code="refused_once")
            elif isinstance(found, BridgeError):
                done[number] = _without_mail_service(found)
        return done

    def _user(self, mailbox_id: str) -> str:
        return f"{self._project}.{mailbox_id}"

    def _paused_by(self, error: RateLimited, names: Collection[str]) -> Collection[str]:
        """Too fast for one person says nothing of the project, which other clients may share."""
        if error.status == 403 and error.code in PROJECT_TOO_FAST:
            return names
        return [name for name in names if name != self._project] or names

    def _quota_of(self, name: str) -> Quota:
        if name == self._other:
            return units.OTHER_API
        return units.PROJECT if name == self._project else units.USER


def _unnamed(refused: str) -> str:
    raise Unexpected("Every call to Google names on whose behalf it is made.")


def text_of(data: Mapping[str, Any], name: str) -> str:
    """A text field; "" if it is missing or no text."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def entries_of(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list field; a missing field is an empty list, as Google writes it."""
    value = data.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _without_mail_service(error: BridgeError) -> BridgeError:
    if error.status == 400 and error.code == NO_MAIL_SERVICE:
        return NotFound("The person has no mailbox.", code="no_mail_service", status=400)
    return error
