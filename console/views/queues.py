"""Mail that waits at the gates: what for, and what is done about it."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from console.lib.exports import CSV, download
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.queues_forms import OrderAllForm, OrderForm
from console.queries.clients import client_choices
from console.queries.queues import (
    Filters,
    access_item,
    items_to_export,
    queues_page,
    same_mail,
    waiting,
)
from incidents.reports.csv_file import write_csv
from seg_bridge.models import QueueItem
from seg_bridge.queues.orders import ACTIONS, order
from seg_bridge.queues.reasons import KINDS
from seg_bridge.queues.together import access_batch, foresee, order_many, stop_batch
from tenants.errors import NotThere

_NAMES = ("q", "client", "hop", "why", "where", "older")
_COLUMNS = (
    *("client", "gate", "queue_id", "where", "arrived_at", "recipient", "sender", "next_hop"),
    *("why", "reason", "size_bytes", "trace"),
)
ALL_OF_THEM = (
    *(("retry", "Try all again"), ("hold", "Hold all"), ("free", "Let all go on")),
    *(("return", "Return all"), ("remove", "Take all out")),
)
OLDER = (("1", "Longer than an hour"), ("4", "Longer than 4 hours"), ("24", "Longer than a day"))


@for_staff
def queues(request: PersonRequest) -> HttpResponse:
    filters = read_filters(request)
    page = queues_page(filters, request.GET.get("cursor", ""))
    kept = kept_of(filters)
    context = {
        "at": "queues",
        "page": page,
        "filters": filters,
        "here": "?" + urlencode(kept),
        "export": f"{reverse('queues_csv')}?{urlencode(kept)}",
        "older": "?" + urlencode({**kept, "cursor": page.older}) if page.older else "",
        "reasons": list(KINDS.items()),
        "wheres": QueueItem.Where.choices,
        "spans": OLDER,
        "all_of_them": ALL_OF_THEM,
        "kept": kept,
        **client_choices(),
    }
    return show(request, "console/queues.html", context, partial="list")


def kept_of(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in _NAMES if getattr(filters, name)}


def read_filters(request: PersonRequest) -> Filters:
    return Filters(**{name: said(request, name, 700) for name in _NAMES})


@for_staff
def queues_csv(request: PersonRequest) -> HttpResponse:
    items = items_to_export(read_filters(request))
    return download(write_csv(_COLUMNS, map(_line, items)), "queues.csv", CSV)


def _line(item: QueueItem) -> list[object]:
    return [
        *(item.tenant.name, item.gate.name, item.queue_id, item.where),
        *(item.arrived_at.isoformat(), item.recipient, item.sender, item.next_hop),
        *(KINDS.get(item.reason_kind, ""), item.reason, item.size_bytes, item.trace_ulid),
    ]


@for_staff
def queue_order(request: PersonRequest, item_id: UUID, action: str) -> HttpResponse:
    row = access_item(item_id)
    if action not in ACTIONS:
        raise NotThere
    form = OrderForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        order(item=row.item, action=action, actor=request.user, **form.cleaned_data)
        messages.success(request, "The gate does it within seconds, and says here what came of it.")
        return redirect(f"{reverse('queues')}?{urlencode({'q': row.item.queue_id})}")
    context = {"row": row, "form": form, "action": action, "others": same_mail(row.item)}
    return ask(request, "console/queue_order.html", context)


@for_staff
def queue_order_all(request: PersonRequest, action: str) -> HttpResponse:
    if action not in ACTIONS:
        raise NotThere
    filters = read_filters(request)
    form = OrderAllForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = {"action": action, "actor": request.user, **form.cleaned_data}
        return redirect("queue_batch", order_many(found=waiting(filters), **given))
    context = {
        "form": form,
        "action": action,
        "filters": filters,
        "kept": urlencode(kept_of(filters)),
        "foreseen": foresee(waiting(filters), action),
    }
    return ask(request, "console/queue_order_all.html", context)


@for_staff
def queue_batch(request: PersonRequest, batch_id: UUID) -> HttpResponse:
    context = {"at": "queues", "batch": access_batch(batch_id)}
    return show(request, "console/queue_batch.html", context, partial="progress")


@require_POST
@for_staff
def queue_batch_stop(request: PersonRequest, batch_id: UUID) -> HttpResponse:
    batch = access_batch(batch_id)
    stopped = stop_batch(batch=batch.id, actor=request.user)
    messages.success(request, f"Stopped: {stopped} of them are not done.")
    return redirect("queue_batch", batch.id)
