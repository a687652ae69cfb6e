"""What mail hosts send: Microsoft Graph's handshake, notifications and news of the push orders
themselves, and what Google's Pub/Sub pushes.

A notification says no more than "look at this mailbox".  It is believed if its client state is the
one of the order it names; it is answered after it is stored, so 202 means that it will be acted on.
Source: microsoft-graph-docs change-notifications-delivery-webhooks, -lifecycle-events (2026-11);
cloud.google.com/pubsub/docs/push (2026-11).
"""

from __future__ import annotations

import hmac
import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from api_bridge.connectors.google.connector import address_in
from api_bridge.hearing import connection_in, mark_heard
from api_bridge.models import MailboxSync, PushNotice
from api_bridge.notices import note_refused
from api_bridge.push import client_state_place, forget_pushes, gathered_by, note_heard
from api_bridge.services import QUEUE
from tenants.doors import ask
from tenants.middleware import without_scope
from tenants.scope import Role, tenant_scope
from tenants.secrets import SecretDoesNotOpen, unseal
from tenants.work import want_work

log = logging.getLogger(__name__)

LONGEST_TOKEN = 1_000
MOST_ORDERS = 1_000
LONGEST_ID = 100
LIFECYCLE_EVENTS = frozenset({"reauthorizationRequired", "subscriptionRemoved", "missed"})
LONGEST_EVENT = 60
SEALED_PARTS = ("data", "dataKey", "dataSignature", "encryptionCertificateId")
LONGEST_CONTENT, LONGEST_PROOF, MOST_TOKENS = 400_000, 8_000, 20
MOST_WAITING = 200
# Several notices come at once, each with a mail's text.
LONGEST_DELIVERY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """One push order of ours, as its door tells it."""

    tenant_id: int
    sync_id: UUID
    client_state: bytes


@csrf_exempt
@require_POST
@without_scope
def graph(request: HttpRequest) -> HttpResponse:
    token = request.GET.get("validationToken")
    if token is not None:
        return _handshake(token)
    body = request.read(LONGEST_DELIVERY + 1)
    if len(body) > LONGEST_DELIVERY:
        return HttpResponse("The body is too long.", status=413, content_type="text/plain")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return HttpResponse("The body is no JSON.", status=400, content_type="text/plain")
    entries = said.get("value") if isinstance(said, dict) else None
    if not isinstance(entries, list):
        return HttpResponse("There is no list 'value'.", status=400, content_type="text/plain")
    try:
        _take([entry for entry in entries if isinstance(entry, dict)], _tokens(said))
    except (OperationalError, InterfaceError):
        # Not stored, so not taken: Graph sends it again.
        log.exception("notifications could not be stored")
        return HttpResponse(status=503)
    return HttpResponse(status=202)


@csrf_exempt
@require_POST
@without_scope
def google(request: HttpRequest, token: str) -> HttpResponse:
    """The address is the secret (``hearing.push_url``).  What cannot be read is taken, and means
    nothing: refused, it would come again for days.
    """
    ours = connection_in(token)
    if ours is None:
        return HttpResponse("There is nothing here.", status=404, content_type="text/plain")
    tenant_id, connection_id = ours
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError):
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    address = address_in(message) if isinstance(message, dict) else ""
    if address:
        try:
            with tenant_scope(Role.WORKER, [tenant_id]):
                mark_heard(connection_id, {address})
                want_work(tenant_id, QUEUE, at=gathered_by(timezone.now()))
        except (OperationalError, InterfaceError):
            # Not stored, so not taken: Pub/Sub sends it again.
            log.exception("a push could not be stored")
            return HttpResponse(status=503)
    return HttpResponse(status=204)


def _handshake(token: str) -> HttpResponse:
    """The decoded token as plain text that no browser takes for anything else."""
    if len(token) > LONGEST_TOKEN:
        return HttpResponse("The token is too long.", status=400, content_type="text/plain")
    response = HttpResponse(token, content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response


@dataclass(slots=True)
class _Said:
    """What genuine entries say of one order: events, "" for a change, and sealed contents."""

    events: set[str] = field(default_factory=set)
    contents: list[dict[str, str]] = field(default_factory=list)
    unreadable: int = 0


def _tokens(said: dict[str, Any]) -> list[str]:
    """The proofs of a delivery; who they prove is the worker's to see."""
    given = said.get("validationTokens")
    texts = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    return [each for each in texts[:MOST_TOKENS] if len(each) <= LONGEST_PROOF and each.isascii()]


def _take(entries: Iterable[dict[str, Any]], tokens: list[str]) -> None:
    """Stores what is genuine; the rest is passed over in silence, as if it had been."""
    orders: dict[str, Order | None] = {}
    told: dict[int, dict[Order, _Said]] = defaultdict(lambda: defaultdict(_Said))
    for entry in entries:
        order = _order(str(entry.get("subscriptionId", "")), orders)
        if order is None:
            continue
        stated = entry.get("clientState")
        if not isinstance(stated, str) or not hmac.compare_digest(
            stated.encode("utf-8", "replace"), order.client_state
        ):
            log.warning("a notification for %s has the wrong client state", order.sync_id)
            continue
        _sort_in(entry, told[order.tenant_id][order])
    for tenant_id, of_tenant in told.items():
        with tenant_scope(Role.WORKER, [tenant_id]):
            _mark({order.sync_id: said.events for order, said in of_tenant.items() if said.events})
            for order, said in of_tenant.items():
                _keep_sealed(order, said, tokens)
            is_waiting = all(
                said.events <= {""} and not said.contents for said in of_tenant.values()
            )
            want_work(tenant_id, QUEUE, at=gathered_by(timezone.now()) if is_waiting else None)


def _sort_in(entry: dict[str, Any], said: _Said) -> None:
    event = entry.get("lifecycleEvent")
    if isinstance(event, str) and event:
        word = event[:LONGEST_EVENT].replace("\x00", "").encode("ascii", "replace").decode()
        said.events.add(word)
    elif not isinstance(entry.get("encryptedContent"), dict):
        said.events.add("")
    elif _is_too_long(entry["encryptedContent"]):
        # More than is kept until it is opened, and still a hint.
        said.events.add("")
    elif (content := _sealed(entry["encryptedContent"])) is None:
        said.unreadable += 1
    else:
        said.contents.append(content)


def _is_too_long(given: dict[str, Any]) -> bool:
    parts = (given.get(name) for name in SEALED_PARTS)
    return any(isinstance(text, str) and len(text) > LONGEST_CONTENT for text in parts)


def _sealed(given: dict[str, Any]) -> dict[str, str] | None:
    """The parts that opening needs, all of them printable; None if one is missing."""
    parts = {name: given.get(name) for name in SEALED_PARTS}
    content = {name: text for name, text in parts.items() if isinstance(text, str)}
    fits = all(text.isascii() and text.isprintable() for text in content.values())
    return content if fits and len(content) == len(SEALED_PARTS) else None


def _keep_sealed(order: Order, said: _Said, tokens: list[str]) -> None:
    """For the worker, who opens them.  Of a flood no more is known than that something changed."""
    rows = MailboxSync.objects.filter(tenant_id=order.tenant_id, id=order.sync_id)
    if said.unreadable:
        note_refused(rows, ["What it brings cannot be read."] * said.unreadable)
    sync = rows.first() if said.contents else None
    if sync is None:
        return
    waiting = PushNotice.objects.filter(tenant_id=order.tenant_id, mailbox=sync.mailbox_id)
    if waiting.count() + len(said.contents) > MOST_WAITING:
        note_heard(rows)
        return
    PushNotice.objects.bulk_create(
        PushNotice(
            tenant_id=order.tenant_id,
            mailbox_id=sync.mailbox_id,
            content=content,
            tokens=tokens,
            came_at=timezone.now(),
        )
        for content in said.contents
    )


def _order(push_id: str, known: dict[str, Order | None]) -> Order | None:
    """None for an order that is not (any more) ours."""
    if push_id not in known:
        is_a_name = 0 < len(push_id) <= LONGEST_ID and push_id.isascii() and push_id.isprintable()
        if not is_a_name or len(known) >= MOST_ORDERS:
            return None
        known[push_id] = _ask_order(push_id)
    return known[push_id]


def _ask_order(push_id: str) -> Order | None:
    answer = ask("door_push", push_id)
    if answer is None:
        return None
    tenant_id, sync_id = answer["tenant_id"], UUID(answer["sync_id"])
    sealed = bytes.fromhex(answer["sealed_client_state"])
    try:
        client_state = unseal(sealed, place=client_state_place(tenant_id, sync_id))
    except SecretDoesNotOpen:
        log.exception("the client state of %s does not open", sync_id)
        return None
    return Order(tenant_id, sync_id, client_state)


def _mark(events: dict[UUID, set[str]]) -> None:
    """Every event means that the mailbox has to be read; some mean more.  One that is not known is
    noted, and means no more than any.
    """
    now = timezone.now()
    for sync_id, said in events.items():
        for event in sorted(said - {""}):
            if event not in LIFECYCLE_EVENTS:
                log.warning("an unknown lifecycle event of %s: %r", sync_id, event)
            MailboxSync.objects.filter(id=sync_id).update(lifecycle_event=event, lifecycle_at=now)
    note_heard(MailboxSync.objects.filter(id__in=list(events)))
    lost = [each for each, said in events.items() if "missed" in said]
    MailboxSync.objects.filter(id__in=lost).update(whole_due_at=now)
    forget_pushes([each for each, said in events.items() if "subscriptionRemoved" in said])
    asked = [each for each, said in events.items() if "reauthorizationRequired" in said]
    # Renewing authorises anew; with no time left the connector renews at once.
    MailboxSync.objects.filter(id__in=asked).exclude(push_id="").update(
        push_expires_at=now, push_due_at=now
    )
