"""The one way out to a mailbox provider: pinned hosts, no redirects, limits, retries, size caps.

A call either returns a ``Reply`` or raises one ``BridgeError``.  What may be repeated is decided
here and nowhere else: a refusal that had no effect (401, 429, no connection) may be repeated for
every method, a lost answer only where the call is safe.
"""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from api_bridge.certificates import UNTRUSTED, untrusted
from api_bridge.circuit import NOT_THERE, Circuit
from api_bridge.errors import (
    AccessDenied,
    AuthExpired,
    BridgeError,
    NotFound,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from api_bridge.limits import Limits, Quota
from tenants.failpoints import failpoint

ATTEMPTS = 4
BACKOFF_S = 0.5
BACKOFF_LIMIT_S = 20.0
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
WHOLE_ANSWER_S = 120.0
JSON_LIMIT_BYTES = 64 * 1024 * 1024
# Google says "too fast" with 403 as well (contract A.12).
TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded"})
DAY_OVER_S = 3600.0
# Nobody is silent for longer on a host's word alone: it is asked again then.
LONGEST_WAIT_S = 86_400.0
# The same message fails in the same way for ever (contract A.4).
PERMANENT_CODES = frozenset({"ErrorMimeContentConversionFailed", "ErrorMimeContentInvalid"})
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


def authority_of(url: str) -> str:
    """``host:port`` of an https address, lower-cased.

    Raises ``Unexpected`` if the address is not plain https with a host and without credentials.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as error:
        raise Unexpected("The address cannot be read.") from error
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise Unexpected("The address is not an https address with a host.")
    return f"{parts.hostname.lower()}:{port}"


def check_outgoing(url: str, allowed_hosts: Collection[str]) -> None:
    """Raises ``Rejected`` unless the operator of the installation allowed this host.

    An entry is ``host`` (port 443) or ``host:port``.
    """
    allowed = {entry.lower() if ":" in entry else f"{entry.lower()}:443" for entry in allowed_hosts}
    try:
        authority = authority_of(url)
    except Unexpected as error:
        raise Rejected(str(error), code="bad_address") from error
    if authority not in allowed:
        raise Rejected(
            f"Outgoing calls to {authority} are not allowed; the operator of this installation "
            "adds it to BAILEY_OUTGOING_HOSTS.",
            code="host_not_allowed",
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer, whole in memory; ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """Raises ``Temporary`` if the body is cut or no JSON, ``Unexpected`` if no object."""
        try:
            data = json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise Temporary("The answer is not whole.", code="cut_answer") from error
        if not isinstance(data, dict):
            raise Unexpected("The answer is no JSON object.")
        return data


def error_code(content: bytes) -> str:
    """The provider's own code in an error body (``{"error": {"code": …}}``), or "".

    Google's code is the status again; its word is the first of ``errors``, or ``status``.
    """
    try:
        error = json.loads(content)["error"]
        code = error if isinstance(error, str) else error["code"]
        if isinstance(code, int):
            code = error["errors"][0]["reason"] if error.get("errors") else error.get("status")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
        return ""
    return code[:100] if isinstance(code, str) else ""


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Retry-After as seconds from ``now``, a day at most; None if there is none or it cannot be
    read.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return LONGEST_WAIT_S if len(value) > 6 else min(float(value), LONGEST_WAIT_S)
    at = date_of(value)
    return min(max(0.0, (at - now).total_seconds()), LONGEST_WAIT_S) if at else None


def date_of(value: str) -> datetime | None:
    """A date as headers of HTTP have it, in UTC; None if it is none, or lies beyond all clocks."""
    try:
        at = parsedate_to_datetime(value)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def refusal(status: int, code: str, wait_s: float | None, *, is_safe: bool) -> BridgeError:
    """What a status that is not 2xx means."""
    said = f"The provider answered {status} {code}".rstrip() + "."
    if status == 401:
        return AuthExpired(said, code="refused", status=status)
    if code in TOO_FAST and status in (403, 429):
        wait_s = DAY_OVER_S if code == "dailyLimitExceeded" else wait_s
        return RateLimited(said, retry_after_s=wait_s or 10.0, code=code, status=status)
    if status == 403:
        return AccessDenied(said, code=code, status=status)
    if status in (404, 410):
        return NotFound(said, code=code, status=status)
    if status == 429:
        return RateLimited(said, retry_after_s=wait_s or 10.0, code=code, status=status)
    if code in PERMANENT_CODES:
        return Rejected(said, code=code, status=status)
    if status >= 500 or status == 408:
        return Temporary(
            said,
            retry_after_s=wait_s or 30.0,
            code=code,
            status=status,
            may_have_happened=not is_safe,
        )
    if status >= 400:
        return Rejected(said, code=code, status=status)
    return Unexpected(f"The provider answered {status}; redirects are not followed.", status=status)


def tls_context(ca_file: str, ca_pem: str = "") -> ssl.SSLContext:
    """The system's authorities, or only those given; raises ``Rejected``."""
    try:
        return ssl.create_default_context(cafile=ca_file or None, cadata=ca_pem or None)
    except (OSError, ssl.SSLError) as error:
        which = f"file {ca_file}" if ca_file else "certificate"
        raise Rejected(f"The CA {which} cannot be read.", code="bad_ca_file") from error


class OutgoingClient:
    """Calls under one base address.

    ``authorize(refused)`` returns a bearer token; ``refused`` is the token that the provider has
    just answered 401 to, or "".  ``transport`` replaces the network in tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        authorize: Callable[[str], str],
        limits: Limits,
        allowed_hosts: Collection[str],
        ca_file: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        quota_of: Callable[[str], Quota | None] = lambda name: None,
        paused_by: Callable[[RateLimited, Collection[str]], Collection[str]] = lambda _, names: (
            names
        ),
    ) -> None:
        """``paused_by``: which of the names that a call counts for its 429 pauses."""
        check_outgoing(base_url, allowed_hosts)
        self._quota_of = quota_of
        self._paused_by = paused_by
        self._clock = clock
        self._circuit = Circuit(clock=clock)
        self._base_url = base_url.rstrip("/")
        self._authorize = authorize
        self._limits = limits
        self._sleep = sleep
        self._http = httpx.Client(
            transport=transport,
            verify=True if transport else tls_context(ca_file),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=8),
        )

    def close(self) -> None:
        self._http.close()

    def pinned(self, link: str) -> str:
        """``link`` itself if it lies under our base address, else raises ``Unexpected``: a paging
        link that points elsewhere would carry our token there.
        """
        is_ours = authority_of(link) == authority_of(self._base_url)
        path = urlsplit(link).path
        root = urlsplit(self._base_url).path
        if not is_ours or not path.startswith(f"{root}/") or ".." in path or "%2e" in path.lower():
            raise Unexpected("A paging link points to another host.", code="foreign_link")
        return link

    def under_base(self, link: str) -> str:
        """What comes after our base address in a paging link.  Raises ``Unexpected``."""
        parts = urlsplit(self.pinned(link))
        rest = parts.path.removeprefix(urlsplit(self._base_url).path)
        return f"{rest}?{parts.query}" if parts.query else rest

    def call(
        self,
        method: str,
        target: str,
        *,
        slots: Mapping[str, int],
        body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        is_safe: bool | None = None,
        limit_bytes: int = JSON_LIMIT_BYTES,
        authorize: Callable[[str], str] | None = None,
    ) -> Reply:
        """``target`` is a path under the base address or a whole link of the provider.

        ``slots``: limit name → how many requests this counts as.  ``is_safe``: may be repeated
        when the answer is lost (None: GET only).  ``content``: a body that is no JSON.
        ``authorize``: for this call, instead of the client's.  Raises ``BridgeError``.
        """
        safe = method == "GET" if is_safe is None else is_safe
        url = self.pinned(target) if "://" in target else f"{self._base_url}{target}"
        request = _Request(method, url, body, content, dict(headers or {}), safe, limit_bytes)
        refused_token = ""
        attempt = 0
        while True:
            attempt += 1
            self._circuit.check()
            token = self._token(authorize or self._authorize, refused_token)
            try:
                return self._send(request, token, slots)
            except AuthExpired:
                if refused_token:
                    raise
                refused_token = token
            except Temporary as error:
                is_last = attempt >= ATTEMPTS or error.code == UNTRUSTED
                if is_last or (error.may_have_happened and not safe):
                    raise
                self._wait(error, attempt, slots)

    def _token(self, authorize: Callable[[str], str], refused: str) -> str:
        """An authority that is away stops this client like a mail host that is."""
        began = self._clock()
        try:
            return authorize(refused)
        except Temporary as error:
            if error.code != UNTRUSTED:
                self._circuit.failed(self._clock() - began)
            raise

    def _wait(self, error: Temporary, attempt: int, slots: Mapping[str, int]) -> None:
        """A 429 pauses the names it counts for; waiting for a slot then waits it out, or gives up.

        Retry-After can be a constant 1 that is too short (contract A.8): never less than our own.
        """
        own_s = min(BACKOFF_LIMIT_S, BACKOFF_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        if not isinstance(error, RateLimited):
            self._sleep(own_s)
        elif error.code == "own_limit":
            raise error
        else:
            for name in self._paused_by(error, slots):
                self._limits.pause(name, max(error.retry_after_s, own_s))

    def _send(self, request: _Request, token: str, slots: Mapping[str, int]) -> Reply:
        """One try.  Slots are taken in the order of their names, so that two callers who want the
        same two never wait for each other.
        """
        if slots:
            name = min(slots)
            rest = {other: cost for other, cost in slots.items() if other != name}
            with self._limits.slot(name, cost=slots[name], quota=self._quota_of(name)):
                return self._send(request, token, rest)
        headers = {**request.headers, "Authorization": f"Bearer {token}"}
        began, is_there = self._clock(), False
        if request.method != "GET":
            failpoint("before_call")
        try:
            with self._http.stream(
                request.method,
                request.url,
                headers=headers,
                json=request.body,
                content=request.content,
            ) as response:
                is_there = True
                content = _read(response, request.limit_bytes)
        except NEVER_SENT as error:
            if refused := untrusted(request.url, error):
                raise refused from error
            self._circuit.failed(self._clock() - began)
            raise Temporary(f"No connection: {type(error).__name__}.") from error
        except httpx.HTTPError as error:
            # An answer that breaks off may be the fault of one page; the host is there.
            if not (is_there and isinstance(error, httpx.RemoteProtocolError)):
                self._circuit.failed(self._clock() - began)
            raise Temporary(
                f"The answer was lost: {type(error).__name__}.",
                may_have_happened=not request.is_safe,
            ) from error
        if request.method != "GET":
            failpoint("after_call")
        if response.status_code in NOT_THERE:
            self._circuit.failed(self._clock() - began)
        else:
            self._circuit.answered()
        if response.is_success:
            return Reply(response.status_code, dict(response.headers), content)
        wait_s = retry_after_s(response.headers, datetime.now(UTC))
        raise refusal(response.status_code, error_code(content), wait_s, is_safe=request.is_safe)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    body: Mapping[str, Any] | None
    content: bytes | None
    headers: dict[str, str]
    is_safe: bool
    limit_bytes: int


def _read(response: httpx.Response, limit_bytes: int) -> bytes:
    """The whole body.  Raises ``Rejected`` above the limit, ``httpx.ReadTimeout`` if it drips."""
    end = time.monotonic() + WHOLE_ANSWER_S
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > limit_bytes:
            raise Rejected(f"The answer is larger than {limit_bytes} bytes.", code="too_big")
        if time.monotonic() > end:
            raise httpx.ReadTimeout("The answer takes too long.")
        chunks.append(chunk)
    return b"".join(chunks)
