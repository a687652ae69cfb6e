"""Who speaks to ingest: signature, age, repeats, size.  Nothing else is believed of a request.

``check_speaker(request, body)``  the gate that signed it
``read_body(request, …)``         the bytes, within a limit
``answers_machines``              turns refusals and a database that is away into answers
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.cache import cache
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError

from seg_bridge.gate.signing import ALLOWED_SKEW_S, BadSignature, check_request
from seg_bridge.snapshot import KnownGate, find_gate

log = logging.getLogger(__name__)

# A request is accepted up to the skew before and after its own time.
REMEMBER_NONCE_S = 2 * ALLOWED_SKEW_S
_FORGET_EVERY_S = 60.0


class Refused(Exception):
    """The request gets this answer and changes nothing."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class NonceMemory:
    """Nonces seen by this process, for while the cache is away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._forget_at = 0.0

    def add(self, key: str, now: float) -> bool:
        """False: seen before.  ``now`` in seconds of any clock that only goes on."""
        with self._lock:
            if now >= self._forget_at:
                self._until = {each: until for each, until in self._until.items() if until > now}
                self._forget_at = now + _FORGET_EVERY_S
            is_new = key not in self._until
            self._until.setdefault(key, now + REMEMBER_NONCE_S)
        return is_new


_nonces = NonceMemory()


def _is_first(gate: str, nonce: str) -> bool:
    key = f"gate-nonce/{gate}/{nonce}"
    # Both are asked: a cache that comes back must not take what this process has seen.
    is_new_here = _nonces.add(key, time.monotonic())
    try:
        return bool(cache.add(key, 1, timeout=REMEMBER_NONCE_S)) and is_new_here
    except RedisError:
        log.warning("the cache is away: repeats are found within this process only")
        return is_new_here


def read_body(request: HttpRequest, *, limit_bytes: int) -> bytes:
    """The whole body.  Raises ``Refused`` (413) before reading more than the limit."""
    if int(request.headers.get("Content-Length") or 0) > limit_bytes:
        raise Refused(413, f"the body is larger than {limit_bytes} bytes")
    body: bytes = request.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        raise Refused(413, f"the body is larger than {limit_bytes} bytes")
    return body


def check_speaker(request: HttpRequest, body: bytes) -> KnownGate:
    """The gate that signed this request.  Raises ``Refused`` (401)."""
    found: list[KnownGate] = []

    def secret_of(name: str) -> bytes | None:
        gate = find_gate(name) if name else None
        if gate is None:
            return None
        found.append(gate)
        return gate.secret

    try:
        signed = check_request(
            method=request.method or "",
            target=request.get_full_path(),
            headers=request.headers,
            body=body,
            secret_of=secret_of,
        )
    except BadSignature as error:
        log.warning("refused %s %s: %s", request.method, request.path, error)
        raise Refused(401, "the signature does not fit") from error
    if not _is_first(signed.gate, signed.nonce):
        log.warning("refused %s %s: a repeated request of %s", request.method, request.path, signed)
        raise Refused(401, "this request was made before")
    return found[0]


def _answer(error: Exception) -> HttpResponse:
    if not isinstance(error, Refused):
        log.warning("not now: %s", error)
        error = Refused(503, "Bailey cannot store anything now; come again")
    answer = JsonResponse({"error": error.error}, status=error.status)
    if error.status == 503:
        answer["Retry-After"] = "5"
    return answer


# A full disk and a lost database are the same to a gate: it keeps what it has and comes again.
_TROUBLE = (Refused, OperationalError, InterfaceError, OSError)


def answers_machines(view: Callable[..., Any]) -> Callable[..., Any]:
    """Views of machines answer in JSON, 503 where trying again helps."""
    if asyncio.iscoroutinefunction(view):

        @wraps(view)
        async def waiting(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                answer: HttpResponse = await view(request, *args, **kwargs)
            except _TROUBLE as error:
                return _answer(error)
            return answer

        return waiting

    @wraps(view)
    def plain(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = view(request, *args, **kwargs)
        except _TROUBLE as error:
            return _answer(error)
        return answer

    return plain
