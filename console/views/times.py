"""How fast the work is done, what was agreed, what was kept and what will be missed."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.forms import SlaForm, StatementForm
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.period import Asked, asked_on
from console.queries.blindness import blind_clients, blind_of
from console.queries.clients import client_choices
from console.queries.kpis import MEASURES, figures, figures_by_client, page_behind
from console.queries.sla import (
    attestation,
    forecast,
    form_of,
    plans_in_force,
    statements,
    summary_or_why,
    targets_behind,
    targets_page,
)
from incidents.access import access_client
from incidents.reports import ask_statement
from incidents.sla.attest import opened_between as opened
from incidents.sla.plan import agree

_SHOWN = 200


@for_staff
def kpis(request: PersonRequest) -> HttpResponse:
    asked = asked_on(request)
    period = asked.period
    found = opened(period.since, period.until, asked.client)
    context = {
        "at": "kpis",
        "asked": asked,
        **client_choices(),
        "figures": figures(found),
        "by_client": [
            (asked.query_of(slug), name, mine) for slug, name, mine in figures_by_client(found)
        ],
    }
    return show(request, "console/kpis.html", context, partial="list")


@for_staff
def kpi_incidents(request: PersonRequest, figure: str) -> HttpResponse:
    asked = asked_on(request)
    period = asked.period
    found = opened(period.since, period.until, asked.client)
    rows, older, n = page_behind(figure, found, request.GET.get("cursor", ""))
    context = {
        "at": "kpis",
        "measure": MEASURES[figure],
        "query": asked.query,
        "n": n,
        "rows": rows,
        "older": _older(asked, older),
    }
    return show(request, "console/kpi_incidents.html", context, partial="list")


def _older(asked: Asked, cursor: str, **narrow: str) -> str:
    """Where the list goes on; "" at its end."""
    more = urlencode({name: value for name, value in narrow.items() if value})
    wish = (asked.query, more, urlencode({"cursor": cursor}))
    return "?" + "&".join(filter(None, wish)) if cursor else ""


@for_staff
def sla(request: PersonRequest) -> HttpResponse:
    asked = asked_on(request)
    period = asked.period
    attested, why_not = summary_or_why(period.since, period.until, asked.client)
    soon = list(forecast().order_by("due_at", "id")[: _SHOWN + 1])
    context = {
        "at": "sla",
        "asked": asked,
        **client_choices(),
        "blind": blind_clients(asked.client),
        "attested": attested,
        "why_not": why_not,
        "soon": soon[:_SHOWN],
        "is_more": len(soon) > _SHOWN,
        "plans": plans_in_force(),
        "statements": statements(asked.client),
    }
    return show(request, "console/sla.html", context, partial="list")


@for_staff
def sla_targets(request: PersonRequest, figure: str) -> HttpResponse:
    """``figure``: kept, missed or open; the address may name a severity and a target."""
    asked = asked_on(request)
    period = asked.period
    narrow = {name: said(request, name, 20) for name in ("severity", "target")}
    found = attestation(period.since, period.until, asked.client, narrow["severity"])
    page = targets_page(targets_behind(found, figure, **narrow), request.GET.get("cursor", ""))
    context = {"at": "sla", "page": page, "figure": figure, "query": asked.query}
    context["older"] = _older(asked, page.older, **narrow)
    return show(request, "console/sla_targets.html", context, partial="list")


@for_staff
def client_sla(request: PersonRequest, slug: str) -> HttpResponse:
    tenant = access_client(slug)
    form = SlaForm(request.POST or None, initial=form_of(tenant))
    if request.method == "POST" and form.is_valid():
        person = request.user
        agree(provider_id=person.provider_id, tenant=tenant, actor=person, **form.agreement())
        messages.success(request, "It holds for incidents that open from now on.")
        return redirect("client", slug)
    context = {"client": tenant, "form": form, "may_agree": request.user.is_lead}
    return ask(request, "console/client_sla.html", context)


@for_staff
def client_statement(request: PersonRequest, slug: str) -> HttpResponse:
    tenant = access_client(slug)
    asked = asked_on(request)
    days = {"first_day": asked.first_day, "last_day": asked.last_day}
    form = StatementForm(request.POST or None, initial=days)
    if request.method == "POST" and form.is_valid():
        job = ask_statement(tenant=tenant, actor=request.user, **form.wish())
        messages.success(request, "The statement is being made. Its files appear on this page.")
        return redirect("job", job.id)
    context = {"client": tenant, "form": form, "blind": blind_of(tenant.id)}
    return ask(request, "console/client_statement.html", context)


@for_staff
def sla_default(request: PersonRequest) -> HttpResponse:
    form = SlaForm(request.POST or None, initial=form_of(None))
    if request.method == "POST" and form.is_valid():
        person = request.user
        agree(provider_id=person.provider_id, tenant=None, actor=person, **form.agreement())
        messages.success(request, "It holds where a client has no agreement of its own.")
        return redirect("sla")
    context = {"client": None, "form": form, "may_agree": request.user.is_lead}
    return ask(request, "console/client_sla.html", context)
