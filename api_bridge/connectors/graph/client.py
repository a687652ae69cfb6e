"""Calls to Graph: addresses, immutable ids, limit names, paging and batches.  No meaning here.

Contract read 2026-11-22: microsoft-graph-docs ``outlook-immutable-id``, ``json-batching``,
``throttling-limits`` (4 concurrent per application and mailbox).
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from api_bridge.connectors import Connection, Runtime
from api_bridge.errors import BridgeError, RateLimited, Temporary, Unexpected
from api_bridge.http import ATTEMPTS, JSON_LIMIT_BYTES, OutgoingClient, Reply, refusal
from api_bridge.http import retry_after_s as retry_after
from api_bridge.limits import Quota
from api_bridge.tokens import TokenSource, check_connection

BATCH_SIZE = 20
PAGE_LIMIT = 2_000
# Limits of their own, for each application and tenant, whatever was saved up: of message traces
# never more than 100 in any five minutes, of the directory's logs 5 in any ten seconds, of what
# Microsoft holds of people at risk one a second (contract A.7, A.8).
TRACES, LOGS, RISKS = "traces", "logs", "risks"
QUOTAS = {
    TRACES: Quota(concurrent=1, per_s=50 / 300, burst=50.0),
    LOGS: Quota(concurrent=1, per_s=3 / 10, burst=2.0),
    RISKS: Quota(concurrent=1, per_s=1.0, burst=1.0),
}
IMMUTABLE = 'IdType="ImmutableId"'
PREFER = f"{IMMUTABLE}, outlook.allow-unsafe-html"


def path(*parts: str, **query: str) -> str:
    """``path("users", id, "messages", top="50")`` → ``/users/…/messages?$top=50``.

    Everything is quoted; ``select filter orderby top`` get their ``$``, other names stand as given.
    """
    address = "".join(f"/{quote(part, safe='$=')}" for part in parts)
    odata = ("select", "filter", "orderby", "top")
    asked = [
        f"{'$' if name in odata else ''}{name}={quote(value, safe=',')}"
        for name, value in query.items()
    ]
    return f"{address}?{'&'.join(asked)}" if asked else address


def odata_text(value: str) -> str:
    """A text literal of a filter: quotes doubled."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of a batch; it must be safe to repeat.  ``prefer``: a preference of its own."""

    mailbox_id: str
    path: str
    prefer: str = ""

    @property
    def preferences(self) -> str:
        return f"{PREFER}, {self.prefer}" if self.prefer else PREFER


@dataclass(frozen=True, slots=True)
class BatchReply:
    """One 2xx answer inside a batch.  ``headers``: of the whole batch's answer."""

    body: object
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Mapping[str, Any]:
        """Raises ``Unexpected`` if it is no object."""
        if not isinstance(self.body, dict):
            raise Unexpected("The answer in a batch is no JSON object.")
        return self.body

    def content(self) -> bytes:
        """Bytes of a ``$value``, which come as base64 text.  Raises ``Unexpected``."""
        if not isinstance(self.body, str):
            raise Unexpected("The answer in a batch is no text.")
        try:
            return base64.b64decode(self.body, validate=True)
        except (binascii.Error, ValueError):
            return self.body.encode()


class GraphClient:
    """One connection's calls; safe for threads.  ``transport`` and ``tokens`` are for tests."""

    def __init__(
        self,
        connection: Connection,
        runtime: Runtime,
        *,
        transport: httpx.BaseTransport | None = None,
        tokens: TokenSource | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_connection(connection, runtime.allowed_hosts)
        self._limits = runtime.limits
        self._application = connection.client_id
        self._tenant_slot = f"{connection.client_id}.{connection.cloud_tenant_id}"
        self._sleep = sleep
        self._tokens = tokens or TokenSource(connection, runtime.cache)
        self._http = OutgoingClient(
            f"{connection.api_url.rstrip('/')}/v1.0",
            authorize=self._tokens.bearer,
            limits=runtime.limits,
            allowed_hosts=runtime.allowed_hosts,
            ca_file=connection.ca_file,
            transport=transport,
            sleep=sleep,
            quota_of=lambda name: QUOTAS.get(name.rpartition(".")[2]),
            clock=clock,
        )

    def close(self) -> None:
        self._http.close()
        self._tokens.close()

    def call(
        self,
        method: str,
        target: str,
        *,
        mailbox_id: str = "",
        body: Mapping[str, Any] | None = None,
        is_safe: bool | None = None,
        limit_bytes: int = JSON_LIMIT_BYTES,
        slot: str = "",
    ) -> Reply:
        """``mailbox_id`` "": the call counts for the tenant, or for ``slot``, one of ``QUOTAS``.

        Raises ``BridgeError``.
        """
        name = f"{self._tenant_slot}.{slot}" if slot else self._slot(mailbox_id)
        return self._http.call(
            method,
            target,
            slots={name: 1},
            body=body,
            headers={"Prefer": PREFER, "Accept": "application/json"},
            is_safe=is_safe,
            limit_bytes=limit_bytes,
        )

    def pages(
        self, target: str, *, mailbox_id: str = "", slot: str = ""
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Follows the links whether pages are empty or not; ``slot`` as ``call`` takes it.

        Raises ``Unexpected`` on a circle.
        """
        followed: set[str] = set()
        while target:
            if target in followed or len(followed) >= PAGE_LIMIT:
                raise Unexpected("The paging links go round in a circle.", code="repeated_link")
            followed.add(target)
            data = self.call("GET", target, mailbox_id=mailbox_id, slot=slot).json()
            yield entries_of(data)
            target = next_link_of(data)

    def batch(self, asks: Sequence[Ask]) -> list[BatchReply | BridgeError]:
        """Reads, 20 to a call, answers in the order of ``asks``; what failed is its error.

        Raises ``BridgeError`` only where the batch call as such failed.
        """
        done: dict[int, BatchReply | BridgeError] = {}
        for attempt in range(1, ATTEMPTS + 1):
            open_asks = {
                number: ask
                for number, ask in enumerate(asks)
                if number not in done or isinstance(done[number], Temporary)
            }
            if not open_asks:
                break
            if attempt > 1:
                self._pause(open_asks, done, attempt)
            numbers = list(open_asks)
            for start in range(0, len(numbers), BATCH_SIZE):
                chunk = {number: asks[number] for number in numbers[start : start + BATCH_SIZE]}
                done.update(self._send_batch(chunk))
        return [done[number] for number in range(len(asks))]

    def in_batch(self, link: str) -> str:
        """A paging link as a batch takes it.  Raises ``Unexpected`` if it points elsewhere."""
        return self._http.under_base(link)

    def _pause(
        self, asks: Mapping[int, Ask], done: Mapping[int, BatchReply | BridgeError], attempt: int
    ) -> None:
        """A 429 inside a batch pauses that mailbox only; anything else waits a little."""
        own_s = 0.5 * 2**attempt
        if not all(isinstance(done[number], RateLimited) for number in asks):
            self._sleep(own_s)
        for number, ask in asks.items():
            error = done[number]
            if isinstance(error, RateLimited) and error.code != "own_limit":
                self._limits.pause(self._slot(ask.mailbox_id), max(own_s, error.retry_after_s))

    def _send_batch(self, chunk: Mapping[int, Ask]) -> dict[int, BatchReply | BridgeError]:
        """One call.  A mailbox whose limit is reached drops out, the others go on."""
        done: dict[int, BatchReply | BridgeError] = {}
        with ExitStack() as held:
            for mailbox_id in sorted({ask.mailbox_id for ask in chunk.values()}):
                mine = [number for number, ask in chunk.items() if ask.mailbox_id == mailbox_id]
                try:
                    held.enter_context(self._limits.slot(self._slot(mailbox_id), cost=len(mine)))
                except RateLimited as error:
                    done.update(dict.fromkeys(mine, error))
            left = {number: ask for number, ask in chunk.items() if number not in done}
            if not left:
                return done
            requests = [
                {
                    "id": str(number),
                    "method": "GET",
                    "url": ask.path,
                    "headers": {"Prefer": ask.preferences},
                }
                for number, ask in left.items()
            ]
            reply = self._http.call(
                "POST",
                "/$batch",
                slots={self._tenant_slot: 1},
                body={"requests": requests},
                is_safe=True,
            )
        answers = reply.json().get("responses")
        by_id = {
            answer.get("id"): answer
            for answer in (answers if isinstance(answers, list) else [])
            if isinstance(answer, dict)
        }
        for number in left:
            done[number] = _batch_answer(by_id.get(str(number)), reply.headers)
        return done

    def _slot(self, mailbox_id: str) -> str:
        return f"{self._application}.{mailbox_id}" if mailbox_id else self._tenant_slot


def entries_of(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The objects of a page.  Raises ``Unexpected`` if the answer is no page."""
    value = data.get("value")
    if not isinstance(value, list):
        raise Unexpected("The answer is no list.")
    return [entry for entry in value if isinstance(entry, dict)]


def next_link_of(data: Mapping[str, Any]) -> str:
    """ "" on the last page."""
    link = data.get("@odata.nextLink")
    return link if isinstance(link, str) else ""


def _batch_answer(
    answer: Mapping[str, Any] | None, outer: Mapping[str, str]
) -> BatchReply | BridgeError:
    if answer is None or not isinstance(answer.get("status"), int):
        return Temporary("The batch left out an answer.", code="cut_answer")
    status, body = answer["status"], answer.get("body")
    if 200 <= status < 300:
        return BatchReply(body, outer)
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else ""
    given = answer.get("headers")
    headers = {
        str(name).lower(): str(value)
        for name, value in (given.items() if isinstance(given, dict) else ())
    }
    wait_s = retry_after(headers, datetime.now(UTC))
    return refusal(status, code if isinstance(code, str) else "", wait_s, is_safe=True)
