"""Putting a client behind the gateway, in steps that each save themselves."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.onboard_forms import (
    BehindForm,
    ClientForm,
    DomainForm,
    DomainWayForm,
    GatesForm,
    RecipientsForm,
    TemplateChoiceForm,
    TrialForm,
    way_of,
)
from console.lib.steps import saved
from console.queries.onboarding import gates_of, onboard_page, recipients_page, somebody_of
from incidents.access import access_client, access_one
from seg_bridge.onboarding import services
from seg_bridge.policies.services import templates_for
from tenants.domains import add_mailboxes, remove_mailbox, set_asks_hop
from tenants.models import Domain, Mailbox, Tenant
from tenants.people import must_lead
from tenants.services import open_client


@for_staff
def client_new(request: PersonRequest) -> HttpResponse:
    must_lead(request.user, services.LEADS)
    form = ClientForm(request.POST or None)
    if saved(request, form, lambda: open_client(person=request.user, **form.cleaned_data)):
        return redirect("onboard", form.cleaned_data["slug"].strip().lower())
    return ask(request, "console/client_new.html", {"form": form})


@for_staff
def onboard(request: PersonRequest, slug: str) -> HttpResponse:
    page = onboard_page(access_client(slug))
    context = {"at": "clients", "page": page}
    return show(request, "console/onboard.html", context, partial="steps")


@for_staff
def onboard_domain(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    form = DomainForm(request.POST or None)
    if saved(request, form, lambda: _add_domain(client, form, request)):
        return redirect("onboard", slug)
    return _question(request, client, form, "domain")


def _add_domain(client: Tenant, form: DomainForm, request: PersonRequest) -> None:
    name = form.cleaned_data["name"]
    domain = services.begin_domain(tenant=client, name=name, way=form.way, actor=request.user)
    set_asks_hop(domain=domain, asks_hop=form.asks_hop, actor=request.user)


@for_staff
def domain_way(request: PersonRequest, domain_id: UUID) -> HttpResponse:
    domain = access_one(Domain.objects.select_related("tenant"), domain_id)
    must_lead(request.user, services.LEADS)
    form = DomainWayForm(request.POST or None, initial=way_of(domain))
    if saved(request, form, lambda: _change_way(domain, form, request)):
        return redirect("onboard", domain.tenant.slug)
    return _question(request, domain.tenant, form, "way", domain=domain)


def _change_way(domain: Domain, form: DomainWayForm, request: PersonRequest) -> None:
    services.change_way(domain=domain, way=form.way, actor=request.user)
    set_asks_hop(domain=domain, asks_hop=form.asks_hop, actor=request.user)
    is_active = form.cleaned_data["is_active"]
    services.switch_domain(domain=domain, is_active=is_active, actor=request.user)


@for_staff
def onboard_recipients(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    form = RecipientsForm(request.POST or None, request.FILES or None)
    if saved(request, form, lambda: _add_recipients(client, form, request)):
        return redirect("onboard", slug)
    return _question(request, client, form, "recipients")


def _add_recipients(client: Tenant, form: RecipientsForm, request: PersonRequest) -> None:
    added = add_mailboxes(tenant=client, boxes=form.boxes(), actor=request.user)
    messages.success(
        request, f"{added.new} new, {added.back} back again, {added.known} were there already."
    )


@for_staff
def recipients(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    q, after = said(request, "q"), said(request, "after")
    boxes, total, last = recipients_page(client, q, after)
    older = "?" + urlencode({"q": q, "after": last}) if last else ""
    context = {"client": client, "boxes": boxes, "total": total, "q": q, "older": older}
    return show(request, "console/recipients.html", {"at": "clients", **context})


@require_POST
@for_staff
def recipient_remove(request: PersonRequest, mailbox_id: UUID) -> HttpResponse:
    box = access_one(Mailbox.objects.select_related("tenant"), mailbox_id)
    must_lead(request.user, services.LEADS)
    remove_mailbox(mailbox=box, actor=request.user)
    messages.success(request, f"{box.address} is gone: its mail is refused within seconds.")
    return redirect("recipients", box.tenant.slug)


@for_staff
def onboard_policy(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    form = TemplateChoiceForm(
        request.POST or None,
        initial={"template": "Monitor only"},
        templates=templates_for(client.provider_id),
    )

    def start() -> None:
        services.start_policy(tenant=client, actor=request.user, **form.cleaned_data)

    if saved(request, form, start):
        return redirect("onboard", slug)
    return _question(request, client, form, "policy")


@for_staff
def onboard_gates(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    now = [gate.name for gate in gates_of(client)]
    form = GatesForm(request.POST or None, initial={"gates": now})

    def choose() -> None:
        services.set_gates(tenant=client, actor=request.user, **form.cleaned_data)

    if saved(request, form, choose):
        return redirect("onboard", slug)
    return _question(request, client, form, "gates")


@require_POST
@for_staff
def onboard_look(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    services.ask_look(tenant=client, actor=request.user)
    return redirect("onboard", slug)


@for_staff
def onboard_trial(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    offered = {"recipient": somebody_of(client)}
    form = TrialForm(request.POST or None, initial=offered, gates=gates_of(client))

    def send() -> None:
        services.send_trial(tenant=client, actor=request.user, **form.cleaned_data)

    if saved(request, form, send):
        return redirect("onboard", slug)
    return _question(request, client, form, "trial")


@for_staff
def onboard_behind(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    form = BehindForm(request.POST or None)

    def put_behind() -> None:
        services.put_behind(tenant=client, actor=request.user, **form.cleaned_data)

    if request.method == "POST" and saved(request, form, put_behind):
        return redirect("onboard", slug)
    return _question(request, client, form, "behind")


def _question(
    request: PersonRequest, client: Tenant, form: forms.Form, step: str, **more: Any
) -> HttpResponse:
    context = {"client": client, "form": form, "step": step, **more}
    return ask(request, "console/onboard_step.html", context)
