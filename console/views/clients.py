"""Clients and how their layers stand."""

from __future__ import annotations

from django.http import HttpResponse

from console.lib.http import PersonRequest, for_staff, show
from console.queries.clients import client_page, client_rows
from incidents.access import access_client


@for_staff
def clients(request: PersonRequest) -> HttpResponse:
    return show(request, "console/clients.html", {"at": "clients", "rows": client_rows()})


@for_staff
def client(request: PersonRequest, slug: str) -> HttpResponse:
    page = client_page(access_client(slug))
    return show(request, "console/client.html", {"at": "clients", "page": page})
