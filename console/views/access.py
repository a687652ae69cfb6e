"""Connecting a client's mail host, and how its access stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from api_bridge.access.consent import LEADS as ACCESS_LEADS
from api_bridge.access.consent import ask_consent, take_answer
from api_bridge.access.delegations import ask_scopes
from api_bridge.access.hosts import HOSTS, ask_host
from api_bridge.access.links import make_link, withdraw_link
from api_bridge.access.models import ConsentLink, Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.access.registrations import LEADS, keep_registration, registrations
from api_bridge.models import Connection
from api_bridge.services import seal_pushes
from console.lib.access_forms import AnswerForm, ConsentForm, LinkForm, RegistrationForm
from console.lib.exports import CSV, counts_csv, download
from console.lib.host_forms import FORMS
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.steps import saved
from console.queries.access import access_page, counts_asked, graph_connection
from console.queries.google_accounts import delegated_to
from console.queries.registrations import registrations_page
from incidents.access import access_client, access_one
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.people import must_lead


@for_staff
def access(request: PersonRequest, slug: str) -> HttpResponse:
    page = access_page(access_client(slug))
    return show(request, "console/access.html", {"at": "clients", "page": page}, partial="access")


@require_POST
@for_staff
def access_ask(request: PersonRequest, slug: str) -> HttpResponse:
    """A page with the way to Microsoft: a form of ours may lead to no other site (CSP)."""
    client = access_client(slug)
    form = ConsentForm(request.POST)
    if not form.is_valid():
        raise WrongInput("Choose what the client is asked for.")
    purpose = Purpose(form.cleaned_data["purpose"])
    session_key = request.session.session_key or ""
    address = ask_consent(
        tenant=client, purpose=purpose, person=request.user, session_key=session_key
    )
    context = {"client": client, "purpose": purpose, "needs": NEEDS[purpose], "address": address}
    return ask(request, "console/consent_go.html", context)


@for_staff
def consent_return(request: PersonRequest) -> HttpResponse:
    """Microsoft's page leads back here.  A GET that changes something: its state is the proof that
    this very session asked for it, and it is used up.
    """
    form = AnswerForm(request.GET)
    if not form.is_valid():
        raise NotThere
    session_key = request.session.session_key or ""
    try:
        consent = take_answer(answer=form.answer, person=request.user, session_key=session_key)
    except Conflict as refusal:
        return render(request, "console/consent_over.html", {"why": refusal.sentence}, status=409)
    return redirect("access", consent.tenant.slug)


@for_staff
def access_link(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, ACCESS_LEADS)
    page = access_page(client)
    wanted = [row.purpose for row in page.askable]
    form = LinkForm(request.POST or None, initial={"purposes": wanted})
    made: list[str] = []

    def make() -> None:
        made.append(make_link(tenant=client, actor=request.user, **form.cleaned_data))

    context: dict[str, Any] = {"client": client, "form": form, "page": page}
    if saved(request, form, make):
        return ask(request, "console/access_link_made.html", {**context, "address": made[0]})
    return ask(request, "console/access_link.html", context)


@require_POST
@for_staff
def access_link_withdraw(request: PersonRequest, link_id: UUID) -> HttpResponse:
    link = access_one(ConsentLink.objects.select_related("tenant"), link_id)
    withdraw_link(link=link, actor=request.user)
    messages.success(request, "The link is withdrawn: nobody can use it any more.")
    return redirect("access", link.tenant.slug)


@require_POST
@for_staff
def access_pushes(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, ACCESS_LEADS)
    is_on = request.POST.get("is_on") == "yes"
    seal_pushes(connection=graph_connection(client), is_on=is_on, actor=request.user)
    return redirect("access", client.slug)


@require_POST
@for_staff
def access_scopes(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    ask_scopes(tenant=client, actor=request.user)
    messages.success(request, "Asked. Each scope is tried within seconds.")
    return redirect("access", client.slug)


@for_staff
def access_host(request: PersonRequest, slug: str, kind: str) -> HttpResponse:
    client = access_client(slug)
    if kind not in HOSTS:
        raise Http404
    must_lead(request.user, ACCESS_LEADS)
    form = FORMS[kind](request.POST or None)

    def try_it() -> None:
        ask_host(tenant=client, kind=kind, entered=form.entered, actor=request.user)

    if saved(request, form, try_it):
        return redirect("access", slug)
    accounts = delegated_to() if kind == Connection.Kind.GOOGLE else []
    context = {"client": client, "kind": kind, "form": form, "accounts": accounts}
    return ask(request, "console/host_new.html", context)


@for_staff
def mailbox_counts(request: PersonRequest) -> HttpResponse:
    """The months' counts of all clients in sight, for whoever writes the bills."""
    counts = counts_asked(said(request, "from"), said(request, "to"), said(request, "client"))
    return download(counts_csv(counts), "mailboxes.csv", CSV)


@for_staff
def app_registrations(request: PersonRequest) -> HttpResponse:
    context = {"at": "clients", "page": registrations_page(request.user)}
    return show(request, "console/registrations.html", context)


@for_staff
def registration(request: PersonRequest, purpose: str) -> HttpResponse:
    if purpose not in Purpose.values:
        raise Http404
    must_lead(request.user, LEADS)
    row = registrations().get(purpose)
    form = RegistrationForm(request.POST or None, purpose=purpose, row=row)

    def keep() -> None:
        keep_registration(wanted=form.wanted, actor=request.user)

    if saved(request, form, keep):
        return redirect("registrations")
    context = {"form": form, "purpose": Purpose(purpose), "row": row}
    return ask(request, "console/registration.html", context)
