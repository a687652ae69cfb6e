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
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from api_bridge.connectors.google.connector import address_in
from api_bridge.hearing import connection_in, mark_heard
from api_bridge.models import MailboxSync
from api_bridge.push import client_state_place, forget_pushes, note_heard
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
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError):
        return HttpResponse("The body is no JSON.", status=400, content_type="text/plain")
    entries = said.get("value") if isinstance(said, dict) else None
    if not isinstance(entries, list):
        return HttpResponse("There is no list 'value'.", status=400, content_type="text/plain")
    try:
        _take([entry for entry in entries if isinstance(entry, dict)])
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
                want_work(tenant_id, QUEUE)
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


def _take(entries: Iterable[dict[str, Any]]) -> None:
    """Stores what is genuine; the rest is passed over in silence, as if it had been."""
    orders: dict[str, Order | None] = {}
    events: dict[int, dict[UUID, set[str]]] = defaultdict(lambda: defaultdict(set))
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
        event = entry.get("lifecycleEvent")
        events[order.tenant_id][order.sync_id].add(event if isinstance(event, str) else "")
    for tenant_id, of_tenant in events.items():
        with tenant_scope(Role.WORKER, [tenant_id]):
            _mark(of_tenant)
            want_work(tenant_id, QUEUE)


def _order(push_id: str, known: dict[str, Order | None]) -> Order | None:
    """None for an order that is not (any more) ours."""
    if push_id not in known:
        if not push_id or len(push_id) > LONGEST_ID or len(known) >= MOST_ORDERS:
            return None
        known[push_id] = _ask_order(push_id.replace("\x00", ""))
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
    """Every event means that the mailbox has to be read; some mean more."""
    now = timezone.now()
    note_heard(MailboxSync.objects.filter(id__in=list(events)))
    lost = [each for each, said in events.items() if "missed" in said]
    MailboxSync.objects.filter(id__in=lost).update(whole_due_at=now)
    forget_pushes([each for each, said in events.items() if "subscriptionRemoved" in said])
    asked = [each for each, said in events.items() if "reauthorizationRequired" in said]
    # Renewing authorises anew; with no time left the connector renews at once.
    MailboxSync.objects.filter(id__in=asked).exclude(push_id="").update(
        push_expires_at=now, push_due_at=now
    )
