"""Accounts in other hands: a client's page, a mailbox's settings over time, steps of a response."""

from __future__ import annotations

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from api_bridge.accounts.asking import ask_look
from api_bridge.accounts.steps import offer_of, order_step, undo_step, withdraw_step
from api_bridge.accounts.terms import must_set, set_sensitivity, terms_of
from console.lib.account_forms import SensitivityForm, WhichStepForm, WhyForm
from console.lib.http import PersonRequest, ask, for_staff, show
from console.queries.accounts import (
    access_mailbox,
    access_sign,
    access_step,
    accounts_page,
    mailbox_page,
)
from incidents.access import access_client, access_incident
from tenants.errors import WrongInput


@for_staff
def client_accounts(request: PersonRequest, slug: str) -> HttpResponse:
    page = accounts_page(access_client(slug), request.user)
    return show(request, "console/client_accounts.html", {"at": "clients", "page": page})


@require_POST
@for_staff
def client_accounts_look(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    ask_look(tenant=client, actor=request.user)
    messages.success(request, "They are being looked at. Load the page again in a moment.")
    return redirect("client_accounts", client.slug)


@for_staff
def client_accounts_terms(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_set(request.user)
    form = SensitivityForm(
        request.POST or None, initial={"sensitivity": terms_of(client).sensitivity}
    )
    if request.method == "POST" and form.is_valid():
        set_sensitivity(tenant=client, actor=request.user, **form.cleaned_data)
        messages.success(request, "Set. It counts from the next look on.")
        return redirect("client_accounts", client.slug)
    return ask(request, "console/client_accounts_terms.html", {"client": client, "form": form})


@for_staff
def mailbox_settings(request: PersonRequest, mailbox_id: UUID) -> HttpResponse:
    page = mailbox_page(access_mailbox(mailbox_id))
    return show(request, "console/mailbox_settings.html", {"at": "clients", "page": page})


@for_staff
def account_sign(request: PersonRequest, sign_id: UUID) -> HttpResponse:
    sign = access_sign(sign_id)
    raw = json.dumps(sign.raw, indent=2, sort_keys=True, ensure_ascii=False)
    return show(request, "console/account_sign.html", {"at": "queue", "sign": sign, "raw": raw})


@for_staff
def incident_step(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    which = WhichStepForm(request.POST if request.method == "POST" else request.GET)
    if not which.is_valid():
        raise WrongInput("Choose a step on the incident's page.")
    offer = offer_of(incident, which.cleaned_data["kind"], which.cleaned_data["target"])
    # An empty reason is one: what was sent counts, even if it is nothing.
    form = WhyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        order_step(incident=incident, actor=request.user, **which.cleaned_data, **form.cleaned_data)
        messages.success(request, "Ordered. It is done within seconds and read back.")
        return redirect("incident", incident.id)
    context = {"incident": incident, "offer": offer, "which": which, "form": form}
    return ask(request, "console/incident_step.html", context)


@for_staff
def account_step_undo(request: PersonRequest, step_id: UUID) -> HttpResponse:
    step = access_step(step_id)
    # An empty reason is one: what was sent counts, even if it is nothing.
    form = WhyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        undo_step(step=step, actor=request.user, **form.cleaned_data)
        messages.success(request, "Ordered. It is taken back within seconds and read back.")
        return redirect("incident", step.incident_id)
    return ask(request, "console/account_step_undo.html", {"step": step, "form": form})


@for_staff
def account_step_withdraw(request: PersonRequest, step_id: UUID) -> HttpResponse:
    step = access_step(step_id)
    # An empty reason is one: what was sent counts, even if it is nothing.
    form = WhyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        withdraw_step(step=step, actor=request.user, **form.cleaned_data)
        messages.success(request, "Withdrawn. Nothing was done.")
        return redirect("incident", step.incident_id)
    return ask(request, "console/account_step_withdraw.html", {"step": step, "form": form})
