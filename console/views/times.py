"""How fast the work is done, what was agreed, what was kept and what will be missed."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.forms import SlaForm, StatementForm
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.period import read_period
from console.queries.kpis import MEASURES, figures, figures_by_client, incidents_behind
from console.queries.sla import (
    attestation,
    forecast,
    form_of,
    plans_in_force,
    statements,
    summary,
    targets_behind,
)
from incidents.access import access_client
from incidents.ledger import Period
from incidents.reports import ask_statement
from incidents.sla.attest import opened_between as opened
from incidents.sla.plan import agree
from tenants.models import Tenant

_SHOWN = 200


def _asked(request: PersonRequest) -> tuple[Period, str, str]:
    """The period, the client's short name ("": all), and both as they stand in an address."""
    wish = {name: said(request, name, 60) for name in ("client", "from", "to")}
    period = read_period(wish["from"], wish["to"])
    query = urlencode({name: value for name, value in wish.items() if value})
    return period, wish["client"], query


def _days(period: Period) -> dict[str, str]:
    """First and last day of the period, as a page's fields show them."""
    last = period.until - timedelta(microseconds=1)
    return {"first_day": period.since.date().isoformat(), "last_day": last.date().isoformat()}


@for_staff
def kpis(request: PersonRequest) -> HttpResponse:
    period, client, query = _asked(request)
    found = opened(period.since, period.until, client)
    context = {
        "at": "kpis",
        **_days(period),
        "client": client,
        "query": query,
        "clients": Tenant.objects.all(),
        "figures": figures(found),
        "by_client": figures_by_client(found),
    }
    return show(request, "console/kpis.html", context, partial="list")


@for_staff
def kpi_incidents(request: PersonRequest, figure: str) -> HttpResponse:
    period, client, query = _asked(request)
    found = incidents_behind(figure, opened(period.since, period.until, client))
    context = {
        "at": "kpis",
        "measure": MEASURES[figure],
        "query": query,
        "n": found.count(),
        "rows": found.select_related("tenant")[:_SHOWN],
    }
    return show(request, "console/kpi_incidents.html", context)


@for_staff
def sla(request: PersonRequest) -> HttpResponse:
    period, client, query = _asked(request)
    context = {
        "at": "sla",
        **_days(period),
        "client": client,
        "query": query,
        "clients": Tenant.objects.all(),
        "attested": summary(period.since, period.until, client),
        "soon": forecast().order_by("due_at", "id")[:_SHOWN],
        "plans": plans_in_force(),
        "statements": statements(client),
    }
    return show(request, "console/sla.html", context, partial="list")


@for_staff
def sla_targets(request: PersonRequest, figure: str) -> HttpResponse:
    """``figure``: kept, missed or open; the address may name a severity and a target."""
    period, client, query = _asked(request)
    narrow = {name: said(request, name, 20) for name in ("severity", "target")}
    found = attestation(period.since, period.until, client, narrow["severity"])
    rows = targets_behind(found, figure, **narrow)
    context = {"at": "sla", "figure": figure, "query": query, "rows": rows[:500], "n": len(rows)}
    return show(request, "console/sla_targets.html", context)


@for_staff
def client_sla(request: PersonRequest, slug: str) -> HttpResponse:
    tenant = access_client(slug)
    form = SlaForm(request.POST or None, initial=form_of(tenant))
    if request.method == "POST" and form.is_valid():
        person = request.user
        agree(provider_id=person.provider_id, tenant=tenant, actor=person, **form.agreement())
        messages.success(request, "It holds for incidents that open from now on.")
        return redirect("client", slug)
    return ask(request, "console/client_sla.html", {"client": tenant, "form": form})


@for_staff
def client_statement(request: PersonRequest, slug: str) -> HttpResponse:
    tenant = access_client(slug)
    asked, _, _ = _asked(request)
    form = StatementForm(request.POST or None, initial=_days(asked))
    if request.method == "POST" and form.is_valid():
        job = ask_statement(tenant=tenant, actor=request.user, **form.wish())
        messages.success(request, "The statement is being made. Its files appear on this page.")
        return redirect("job", job.id)
    return ask(request, "console/client_statement.html", {"client": tenant, "form": form})


@for_staff
def sla_default(request: PersonRequest) -> HttpResponse:
    form = SlaForm(request.POST or None, initial=form_of(None))
    if request.method == "POST" and form.is_valid():
        person = request.user
        agree(provider_id=person.provider_id, tenant=None, actor=person, **form.agreement())
        messages.success(request, "It holds where a client has no agreement of its own.")
        return redirect("sla")
    return ask(request, "console/client_sla.html", {"client": None, "form": form})
