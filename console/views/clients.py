"""Clients and how their layers stand."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.queries.blindspots import blindspots_list, blindspots_page, read_asked, traced_list
from console.queries.clients import client_page, client_rows
from console.queries.interference import interference_page
from incidents.access import access_client
from incidents.ledger import Period
from incidents.warnings import share_warnings


@for_staff
def clients(request: PersonRequest) -> HttpResponse:
    return show(request, "console/clients.html", {"at": "clients", "rows": client_rows()})


@for_staff
def client(request: PersonRequest, slug: str) -> HttpResponse:
    page = client_page(access_client(slug))
    return show(request, "console/client.html", {"at": "clients", "page": page})


@for_staff
def client_interference(request: PersonRequest, slug: str) -> HttpResponse:
    context = {"at": "clients", "page": interference_page(access_client(slug))}
    return show(request, "console/client_interference.html", context)


@for_staff
def client_blindspots(request: PersonRequest, slug: str) -> HttpResponse:
    period = _period(request)
    page = blindspots_page(access_client(slug), period)
    context = {"at": "clients", "page": page, "days": said(request, "days") or "1"}
    return show(request, "console/client_blindspots.html", context, partial="list")


@for_staff
def client_blindspots_list(request: PersonRequest, slug: str, fate: str) -> HttpResponse:
    period, domain = _period(request), said(request, "domain")
    page = blindspots_list(access_client(slug), period, fate, domain, request.GET.get("cursor", ""))
    wish = {"domain": domain, "from": period.since.isoformat(), "to": period.until.isoformat()}
    older = "?" + urlencode(wish | {"cursor": page.older}) if page.older else ""
    context = {"at": "clients", "page": page, "older": older}
    return show(request, "console/client_blindspots_list.html", context, partial="list")


@for_staff
def client_traced(request: PersonRequest, slug: str, fate: str) -> HttpResponse:
    period = _period(request)
    page = traced_list(access_client(slug), period, fate, request.GET.get("cursor", ""))
    wish = {"from": period.since.isoformat(), "to": period.until.isoformat()}
    older = "?" + urlencode(wish | {"cursor": page.older}) if page.older else ""
    context = {"at": "clients", "page": page, "older": older}
    return show(request, "console/client_traced.html", context, partial="list")


def _period(request: PersonRequest) -> Period:
    return read_asked(*(said(request, name) for name in ("days", "from", "to")))


@for_staff
def client_warnings(request: PersonRequest, slug: str) -> HttpResponse:
    found = access_client(slug)
    if request.method != "POST":
        return ask(request, "console/client_warnings.html", {"client": found})
    share_warnings(tenant=found, actor=request.user, is_on=request.POST.get("is_on") == "yes")
    return redirect("client", found.slug)
