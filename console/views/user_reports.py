"""What clients' people reported, and on which terms."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.http import PersonRequest, for_staff, said, show
from console.lib.report_forms import ReportTermsForm
from console.queries.blindness import blind_clients
from console.queries.clients import client_choices
from console.queries.user_reports import Filters, reports_page, terms_page
from incidents.access import access_client
from incidents.userreports.terms import set_terms


@for_staff
def user_reports(request: PersonRequest) -> HttpResponse:
    wish = {name: said(request, name) for name in ("client", "said", "trust", "state")}
    page = reports_page(Filters(**wish), request.GET.get("cursor", ""))
    context = {
        "at": "user_reports",
        "page": page,
        "blind": blind_clients(wish["client"]),
        "filters": Filters(**wish),
        **client_choices(),
        "here": "?" + urlencode(wish),
        "older": "?" + urlencode({**wish, "cursor": page.older}) if page.older else "",
    }
    return show(request, "console/user_reports.html", context, partial="list")


@for_staff
def report_terms(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    page = terms_page(client)
    now = {name: getattr(page.terms, name) for name in ("answers", "herd_mode", "herd_reporters")}
    now["mailbox"] = page.terms.mailbox.address if page.terms.mailbox else ""
    form = ReportTermsForm(request.POST or None, initial=now, watched=page.watched)
    if request.method == "POST" and form.is_valid():
        set_terms(tenant=client, actor=request.user, **form.cleaned_data)
        messages.success(request, f"Reports at {client.name}: saved. In force within a minute.")
        return redirect("report_terms", client.slug)
    context = {"at": "clients", "page": page, "form": form}
    return show(request, "console/report_terms.html", context)
