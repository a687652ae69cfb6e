"""Clients and how their layers stand."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.http import PersonRequest, ask, for_staff, show
from console.queries.clients import client_page, client_rows
from console.queries.interference import interference_page
from incidents.access import access_client
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
def client_warnings(request: PersonRequest, slug: str) -> HttpResponse:
    found = access_client(slug)
    if request.method != "POST":
        return ask(request, "console/client_warnings.html", {"client": found})
    share_warnings(tenant=found, actor=request.user, is_on=request.POST.get("is_on") == "yes")
    return redirect("client", found.slug)
