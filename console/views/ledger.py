"""The layer ledger and the lists behind its figures."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse

from console.lib.http import PersonRequest, for_staff, said, show
from console.queries.ledger import Asked, ledger_page, list_page
from tenants.models import Tenant


@for_staff
def ledger(request: PersonRequest) -> HttpResponse:
    asked = _asked(request)
    context = {
        "at": "ledger",
        "page": ledger_page(asked),
        "asked": asked,
        "clients": Tenant.objects.all(),
    }
    return show(request, "console/ledger.html", context, partial="list")


@for_staff
def ledger_figure(request: PersonRequest, figure: str) -> HttpResponse:
    asked = _asked(request)
    page = list_page(figure, asked, request.GET.get("cursor", ""))
    older = f"?{asked.query}&{urlencode({'cursor': page.older})}" if page.older else ""
    context = {"at": "ledger", "page": page, "asked": asked, "older": older}
    return show(request, "console/ledger_figure.html", context, partial="list")


def _asked(request: PersonRequest) -> Asked:
    return Asked(said(request, "client"), said(request, "from", 40), said(request, "to", 40))
