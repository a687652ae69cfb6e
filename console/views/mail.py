"""The list of all mail, and the way of one copy."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse

from console.lib.exports import CSV, copies_csv, download
from console.lib.http import PersonRequest, for_staff, said, show
from console.queries.blindness import blind_clients
from console.queries.clients import client_choices
from console.queries.mail import Filters, copies_page, copies_to_export
from console.queries.trace import trace_of
from incidents.access import access_delivery
from incidents.models.mail import Outcome, Verdict

DAYS = (("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"))


@for_staff
def mail(request: PersonRequest) -> HttpResponse:
    filters = read_filters(request)
    page = copies_page(filters, request.GET.get("cursor", ""))
    context = {
        "at": "mail",
        "page": page,
        "blind": blind_clients(filters.client),
        "total": sum(page.counts.values()),
        "outcomes": [(value, label, page.counts.get(value, 0)) for value, label in Outcome.choices],
        **filter_context(filters, page.older, export="mail_csv"),
    }
    return show(request, "console/mail.html", context, partial="list")


def read_filters(request: PersonRequest, *, days: str = "7") -> Filters:
    names = ("q", "client", "outcome", "verdict", "replay")
    wish = {name: said(request, name) for name in names}
    return Filters(**wish, days=said(request, "days") or days)


@for_staff
def mail_csv(request: PersonRequest) -> HttpResponse:
    copies = copies_to_export(read_filters(request))
    return download(copies_csv(copies), "mail.csv", CSV)


@for_staff
def trace(request: PersonRequest, delivery_id: UUID) -> HttpResponse:
    copy = access_delivery(delivery_id)
    return show(request, "console/trace.html", {"at": "mail", "trace": trace_of(copy)})


def filter_context(filters: Filters, older: str, *, export: str) -> dict[str, object]:
    wish = {
        "q": filters.q,
        "client": filters.client,
        "outcome": filters.outcome,
        "verdict": filters.verdict,
        "replay": filters.replay,
        "days": filters.days,
    }
    kept = {name: value for name, value in wish.items() if value}
    return {
        "filters": filters,
        "here": "?" + urlencode(kept),
        "export": f"{reverse(export)}?{urlencode(kept)}",
        "older": "?" + urlencode({**kept, "cursor": older}) if older else "",
        **client_choices(),
        "verdicts": Verdict.choices,
        "days": DAYS,
    }
