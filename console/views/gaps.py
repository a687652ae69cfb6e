"""What the mailbox layer of a client found late."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse

from console.lib.http import PersonRequest, for_staff, said, show
from console.queries.gaps import gaps_list, gaps_page
from incidents.access import access_client


@for_staff
def client_gaps(request: PersonRequest, slug: str) -> HttpResponse:
    context = {"at": "clients", "page": gaps_page(access_client(slug))}
    return show(request, "console/client_gaps.html", context, partial="list")


@for_staff
def client_gaps_list(request: PersonRequest, slug: str, kind: str) -> HttpResponse:
    address, cursor, since = (said(request, name) for name in ("mailbox", "cursor", "since"))
    page = gaps_list(access_client(slug), kind, address, cursor, since)
    asked = {"mailbox": address, "since": since, "cursor": page.older}
    older = "?" + urlencode(asked) if page.older else ""
    context = {"at": "clients", "page": page, "older": older}
    return show(request, "console/client_gaps_list.html", context, partial="list")
