"""Standing orders, and what a late verdict does for a client."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.incident_forms import LateVerdictsForm, WithdrawForm
from console.queries.clients import client_choices
from console.queries.rules import orders_list
from incidents.access import access_client, access_order
from incidents.automation import set_late_verdicts
from incidents.modes import wish_of
from incidents.orders import withdraw_order


@for_staff
def orders(request: PersonRequest) -> HttpResponse:
    client = said(request, "client")
    context = {
        "at": "rules",
        "orders": orders_list(client),
        "client": client,
        **client_choices(),
    }
    return show(request, "console/orders.html", context, partial="list")


@for_staff
def order_withdraw(request: PersonRequest, order_id: UUID) -> HttpResponse:
    order = access_order(order_id)
    form = WithdrawForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        withdraw_order(order=order, actor=request.user, **form.cleaned_data)
        messages.success(request, "Withdrawn. Later copies stay where they arrive.")
        return redirect("orders")
    return ask(request, "console/order_withdraw.html", {"order": order, "form": form})


@for_staff
def late_verdicts(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    wish = wish_of(client.id)
    now = {name: getattr(wish, name) for name in ("rule_mode", "most_copies")}
    initial = {**now, "rule_days": wish.rule_days, "stop": wish.stopped_at is not None}
    form = LateVerdictsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        set_late_verdicts(tenant=client, actor=request.user, **form.cleaned_data)
        messages.success(request, f"Late verdicts at {client.name}: saved.")
        return redirect("client", client.slug)
    context = {"client": client, "wish": wish, "form": form}
    return ask(request, "console/late_verdicts.html", context)
