"""What gates ask of Bailey (port 8002): take this, keep these bytes, is there news?

Every request is signed (seg_bridge/gatekeeper.py).  Any answer but the agreed ones tells the gate
to come again later with the same.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections, connection
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from incidents.evidence import read_evidence, store_evidence
from incidents.models import Evidence
from seg_bridge.alarms import note_trouble, trouble_of
from seg_bridge.commands import last_seq, needs_bytes, unacknowledged
from seg_bridge.gatekeeper import Refused, answers_machines, check_speaker, read_body
from seg_bridge.models import Gate
from seg_bridge.queues.intake import BadTelling, take_queue
from seg_bridge.shipping import take_in
from seg_bridge.snapshot import (
    KnownGate,
    current_snapshot,
    find_gate,
    note_in_force,
    sign_for,
)
from tenants.audit import Actor, write_audit
from tenants.errors import NotThere
from tenants.middleware import without_scope
from tenants.scope import Role, tenant_scope
from tenants.standstill import may_act, note_gate_ahead

log = logging.getLogger(__name__)

MAX_BATCH_BYTES = 64 * 2**20
MAX_EVIDENCE_BYTES = 256 * 2**20
MAX_QUEUE_BYTES = 8 * 2**20
LONGEST_WAIT_S = 30.0
LOOK_EVERY_S = 0.5
# Between a backup and its restore; more is a mistake, or would use up the numbers.
MOST_AHEAD = 1_000_000
# A gate that waits is a coroutine under ASGI, and a thread of the pool (16) under WSGI.
MOST_WAITING = 2000
MOST_WAITING_THREADS = 8
MOST_WAITING_PER_GATE = 4
_SEEN_EVERY = timedelta(seconds=5)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")

_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="gate-news")


@without_scope
@require_POST
@answers_machines
def ship(request: HttpRequest) -> HttpResponse:
    """A batch of lines; 200 with what became of them."""
    body = read_body(request, limit_bytes=MAX_BATCH_BYTES)
    gate = check_speaker(request, body)
    taken = take_in(gate, body)
    if taken.refused:
        count, first = len(taken.refused), taken.refused[0]["error"]
        log.warning("refused %d lines of gate %s; the first: %s", count, gate.name, first)
    _note_seen(gate)
    return JsonResponse(taken.as_json())


@without_scope
@require_http_methods(["GET", "PUT"])
@answers_machines
def evidence(request: HttpRequest, tenant_id: int, digest: str) -> HttpResponse:
    """Original bytes by their hash: PUT keeps them, GET gives them back for a command."""
    body = read_body(request, limit_bytes=MAX_EVIDENCE_BYTES)
    gate = check_speaker(request, body)
    is_ours = tenant_id in gate.tenant_ids and bool(_SHA256.match(digest))
    if request.method == "GET":
        if not is_ours:
            raise Refused(404, "there is nothing here for this gate")
        return _give_back(gate, tenant_id, digest)
    # 409 sets the bytes aside at the gate.  A client that it no longer serves must get that too:
    # any other answer would stop its shipper at this mail for good.
    if not is_ours or sha256(body).hexdigest() != digest:
        raise Refused(409, "the hash does not fit, or the client is not this gate's")
    return _keep(gate, tenant_id, digest, body)


def _keep(gate: KnownGate, tenant_id: int, digest: str, raw: bytes) -> HttpResponse:
    with tenant_scope(Role.WORKER, [tenant_id], provider_id=gate.provider_id):
        is_known = Evidence.objects.filter(tenant_id=tenant_id, sha256=digest).exists()
        store_evidence(tenant_id=tenant_id, raw=raw, source=f"gate:{gate.name}", method="smtp")
    return JsonResponse({"stored": digest}, status=200 if is_known else 201)


def _give_back(gate: KnownGate, tenant_id: int, digest: str) -> HttpResponse:
    try:
        with tenant_scope(Role.WORKER, [tenant_id], provider_id=gate.provider_id):
            reason = needs_bytes(gate, tenant_id=tenant_id, digest=digest)
            if not reason:
                raise NotThere
            raw = read_evidence(tenant_id=tenant_id, digest=digest)
            write_audit(
                "seg_bridge.evidence.fetched",
                actor=Actor(f"gate {gate.name}"),
                provider_id=gate.provider_id,
                tenant_id=tenant_id,
                object_kind="evidence",
                object_id=digest,
                reason=reason,
            )
    except NotThere as error:
        raise Refused(404, "there is nothing here for this gate") from error
    return HttpResponse(raw, content_type="application/octet-stream")


@without_scope
@require_POST
@answers_machines
def queue(request: HttpRequest) -> HttpResponse:
    """What waits at the gate for its next hops; replaces what it told before."""
    body = read_body(request, limit_bytes=MAX_QUEUE_BYTES)
    gate = check_speaker(request, body)
    try:
        count = take_queue(gate, body)
    except BadTelling as error:
        raise Refused(400, str(error)) from error
    _note_seen(gate)
    return JsonResponse({"items": count})


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate has: the last command it did, and the version of the policy it follows.

    ``trouble``: why it does not follow a newer one, "" for none.
    """

    after: int
    snapshot: str
    wait_s: float
    trouble: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> Question:
        """Raises ``Refused`` (400)."""
        try:
            after = int(request.GET.get("after", "0"))
            wait_s = float(request.GET.get("wait_s", "0"))
        except ValueError as error:
            raise Refused(400, "after and wait_s are numbers") from error
        if not 0 <= after < 2**63 or not 0 <= wait_s < float("inf"):
            raise Refused(400, "after and wait_s are numbers from 0")
        snapshot = request.GET.get("snapshot", "")[:64]
        trouble = request.GET.get("trouble", "")[:20]
        return cls(after, snapshot, min(wait_s, LONGEST_WAIT_S), trouble)


class WaitingRoom:
    """Bounds how many gates wait in this process, and how often one of them does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def enter(self, gate: str, *, places: int) -> Iterator[bool]:
        """False: there is no place, the gate cannot wait here."""
        with self._lock:
            is_full = self._waiting.total() >= places
            has_place = not is_full and self._waiting[gate] < MOST_WAITING_PER_GATE
            self._waiting[gate] += has_place
        try:
            yield has_place
        finally:
            with self._lock:
                self._waiting[gate] -= has_place


_room = WaitingRoom()


@without_scope
@require_GET
@answers_machines
async def commands(request: HttpRequest) -> HttpResponse:
    """News for a gate: a policy it does not have, and commands.  Answers at once where there are
    any, else when some come, at the latest after ``wait_s``.  Nothing is held while waiting.
    """
    is_async = isinstance(request, ASGIRequest)
    question = Question.of(request)
    until = time.monotonic() + question.wait_s
    gate = await _look(is_async, _begin, request, question)
    places = MOST_WAITING if is_async else MOST_WAITING_THREADS
    with _room.enter(gate.name, places=places) as has_place:
        while True:
            left_s = until - time.monotonic()
            news = await _look(is_async, _news, gate.name, question, left_s <= 0)
            if news is not None:
                return JsonResponse(news)
            if not has_place:
                raise Refused(503, "too many gates wait here; come again")
            await asyncio.sleep(min(LOOK_EVERY_S, max(left_s, 0.0)))


async def _look(is_async: bool, look: Any, *arguments: Any) -> Any:
    """Run a short read outside the event loop."""

    def fresh() -> Any:
        # Between two looks the server may have gone and come back.
        if not connection.in_atomic_block:
            close_old_connections()
        return look(*arguments)

    if is_async:
        # A few threads serve all waiting gates, each with one connection that stays open.
        return await sync_to_async(fresh, thread_sensitive=False, executor=_readers)()
    return await sync_to_async(fresh, thread_sensitive=True)()


def _begin(request: HttpRequest, question: Question) -> KnownGate:
    gate = check_speaker(request, request.body)
    _note_seen(gate, snapshot=question.snapshot)
    _note_policy(gate, question)
    if _is_ahead(gate, question):
        note_gate_ahead(question.after)
    if not may_act():
        raise Refused(503, "Bailey stands still: its database was restored; come again")
    return gate


def _is_ahead(gate: KnownGate, question: Question) -> bool:
    """It has done what this database never ordered: the database was restored."""
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        last = last_seq()
    if question.after > last + MOST_AHEAD:
        raise Refused(400, "no gate has done so many commands")
    return question.after > last


def _news(name: str, question: Question, is_last: bool) -> dict[str, Any] | None:
    """None: nothing new.  At the end of the wait everything not acknowledged is offered again,
    because a command can get its number before one that the gate already has.
    """
    gate = find_gate(name)
    if gate is None:
        raise Refused(401, "the signature does not fit")
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        at = _database_clock()
        content = current_snapshot(gate)
        offered = unacknowledged(gate, after=None if is_last else question.after)
    is_changed = content.version != question.snapshot
    if not is_last and not is_changed and not offered:
        return None
    if is_changed:
        _note_offered(gate, content.version)
    signed = sign_for(gate, content, at=at) if is_changed else None
    return {"snapshot": signed, "commands": offered}


def _database_clock() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def _note_seen(gate: KnownGate, *, snapshot: str | None = None) -> None:
    now = timezone.now()
    is_due = Q(last_seen_at=None) | Q(last_seen_at__lt=now - _SEEN_EVERY)
    changes: dict[str, Any] = {"last_seen_at": now}
    if snapshot is not None:
        is_due |= ~Q(snapshot_version=snapshot)
        changes["snapshot_version"] = snapshot
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        is_noted = Gate.objects.filter(is_due, id=gate.gate_id).update(**changes)
        if is_noted and snapshot:
            note_in_force(gate, snapshot)


def _note_policy(gate: KnownGate, question: Question) -> None:
    now = timezone.now()
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        row = Gate.objects.get(id=gate.gate_id)
        trouble = trouble_of(row, said=question.trouble, follows=question.snapshot, now=now)
        note_trouble(row, trouble, now=now)


def _note_offered(gate: KnownGate, version: str) -> None:
    """The time of the first offer counts, not that of its repeats."""
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        Gate.objects.filter(id=gate.gate_id).exclude(offered_version=version).update(
            offered_version=version, offered_at=timezone.now()
        )
