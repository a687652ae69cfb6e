"""The queue and its tabs."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from types import SimpleNamespace
from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse

from console.lib.http import PersonRequest, for_staff, said, show
from console.queries.blindness import blind_clients
from console.queries.clients import client_choices, client_rows
from console.queries.gates import gate_alarms
from console.queries.interference import with_summary
from console.queries.mail import Filters as MailFilters
from console.queries.mail import copies_page
from console.queries.named import incidents_named
from console.queries.queue import ANY_DISAGREEMENT, FITS_ME, LAYERS, Filters, queue_page, tab_counts
from console.queries.registrations import registration_alarms
from incidents.client_words import wishes_waiting
from incidents.models import Disagreement, Incident
from incidents.services.views import views_of
from tenants.models import Person

TABS = {"mine": "Needs me", "team": "Team", "waiting": "Waiting for client", "quiet": "Quiet"}


@for_staff
def queue(request: PersonRequest) -> HttpResponse:
    tab, filters = read_tab(request), read_filters(request)
    page = queue_page(tab, request.user, filters, request.GET.get("cursor", ""))
    context = {
        "at": "queue",
        "tab": tab,
        "layers": LAYERS.items(),
        "fits": [(FITS_ME, "Fits my skills")],
        "differences": [(ANY_DISAGREEMENT, "The layers disagree"), *Disagreement.Kind.choices],
        "tabs": tabs_for(request.user),
        "page": page,
        "q": filters.q,
        "named": incidents_named(filters.q) if filters.q and not page.rows else [],
        "filters": filters,
        "older": _link(tab, filters, page.older) if page.older else "",
        "here": _link(tab, filters, request.GET.get("cursor", "")),
        "views": [
            (v, f"{reverse('queue')}?{urlencode(v.filters)}") for v in views_of(request.user)
        ],
        "wider": [
            (_link(tab, replace(filters, days=days), ""), words) for days, words in filters.wider
        ],
        "query": urlencode({"tab": tab, **filters.as_dict()}),
        "wishes": wishes_waiting(),
        **client_choices(),
        "severities": Incident.Severity.choices,
        "kinds": Incident.Kind.choices,
        "states": [choice for choice in Incident.State.choices if choice[0] != "resolved"],
    }
    return show(request, "console/queue.html", context, partial="list")


@for_staff
def handled(request: PersonRequest) -> HttpResponse:
    filters = MailFilters(days=said(request, "days") or "1", client=said(request, "client"))
    page = copies_page(filters, request.GET.get("cursor", ""), is_settled=True)
    wish = {"days": filters.days, "client": filters.client, "cursor": page.older}
    older = "?" + urlencode(wish) if page.older else ""
    context = {
        "at": "queue",
        "tabs": tabs_for(request.user),
        "page": page,
        "blind": blind_clients(filters.client),
        "filters": filters,
        "older": older,
    }
    return show(request, "console/handled.html", context, partial="list")


@for_staff
def health(request: PersonRequest) -> HttpResponse:
    context = {
        "at": "queue",
        "tabs": tabs_for(request.user),
        "rows": with_summary(client_rows()),
        "gates": gate_alarms(),
        "registrations": registration_alarms(),
    }
    return show(request, "console/health.html", context, partial="list")


def read_tab(request: PersonRequest) -> str:
    tab = request.GET.get("tab", "mine")
    return tab if tab in TABS else "mine"


def read_filters(request: PersonRequest) -> Filters:
    return Filters(**{each.name: said(request, each.name) for each in fields(Filters)})


def tabs_for(person: Person) -> list[SimpleNamespace]:
    counts = tab_counts(person)
    tabs = [
        SimpleNamespace(key=key, text=text, href=_link(key, Filters(), ""), count=counts[key])
        for key, text in TABS.items()
    ]
    for key, text in (("handled", "Handled automatically"), ("health", "Health")):
        tabs.append(SimpleNamespace(key=key, text=text, href=reverse(key), count=None))
    return tabs


def _link(tab: str, filters: Filters, cursor: str) -> str:
    wish = {"tab": tab, **asdict(filters), "cursor": cursor}
    return reverse("queue") + "?" + urlencode({key: value for key, value in wish.items() if value})
