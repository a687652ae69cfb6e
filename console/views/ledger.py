"""The layer ledger and the lists behind its figures."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse

from console.lib.http import PersonRequest, for_staff, show
from console.lib.period import asked_on
from console.queries.clients import client_choices
from console.queries.ledger import ledger_page, list_page


@for_staff
def ledger(request: PersonRequest) -> HttpResponse:
    asked = asked_on(request)
    context = {
        "at": "ledger",
        "page": ledger_page(asked),
        "asked": asked,
        **client_choices(),
    }
    return show(request, "console/ledger.html", context, partial="list")


@for_staff
def ledger_figure(request: PersonRequest, figure: str) -> HttpResponse:
    asked = asked_on(request)
    page = list_page(figure, asked, request.GET.get("cursor", ""))
    older = f"?{asked.query}&{urlencode({'cursor': page.older})}" if page.older else ""
    context = {"at": "ledger", "page": page, "asked": asked, "older": older}
    return show(request, "console/ledger_figure.html", context, partial="list")
