"""A sender, a domain, a host, a link, a file or a mailbox, over the clients in sight."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from console.lib.http import PersonRequest, for_staff, said, show
from console.queries.blindness import blind_clients
from console.queries.entities import (
    KINDS,
    PERIODS,
    USUAL_DAYS,
    Facts,
    Thing,
    facts_of,
    last_days,
    read_thing,
)
from console.queries.entity_lists import incidents_page, judged, mails_page
from console.queries.graph_picture import draw
from console.queries.together_graph import (
    Graph,
    entity_link,
    graph_of_incident,
    graph_of_thing,
)
from incidents.access import access_incident
from seg_bridge.models import GatewayRule
from tenants.models import Tenant


@for_staff
def entity(request: PersonRequest) -> HttpResponse:
    thing, wish = _asked(request)
    context: dict[str, Any] = {
        "at": "mail",
        "wish": wish,
        "kinds": KINDS.values(),
        "periods": PERIODS.items(),
    }
    if thing is None:
        return show(request, "console/entity.html", {**context, "facts": None})
    period, client = last_days(wish["days"]), wish["client"]
    mails = mails_page(thing, period, client=client, cursor=said(request, "cursor"))
    incidents = incidents_page(thing, period, client=client, cursor=said(request, "before"))
    facts = facts_of(thing, period, client=client)
    context |= {
        "facts": facts,
        "blind": blind_clients(client),
        "judged": judged(thing, period, client=client),
        "mails": mails,
        "incidents": incidents,
        "older_mails": _link(wish, cursor=mails.older) if mails.older else "",
        "older_incidents": _link(wish, before=incidents.older) if incidents.older else "",
        "graph": reverse("entity_graph") + _link(wish),
        "acts": _acts(facts, client),
        "clients": Tenant.objects.all(),
        "period_words": PERIODS[wish["days"]],
    }
    return show(request, "console/entity.html", context)


@for_staff
def entity_graph(request: PersonRequest) -> HttpResponse:
    thing, wish = _asked(request)
    if thing is None:
        return redirect("entity")
    graph = graph_of_thing(thing, last_days(wish["days"]), client=wish["client"])
    context: dict[str, Any] = {
        "title": thing.label,
        "about": thing.kind.label,
        "back": reverse("entity") + _link(wish),
        "period_words": PERIODS[wish["days"]],
    }
    context["blind"] = blind_clients(wish["client"])
    return show(request, "console/graph.html", {**context, **_pictured(graph)})


@for_staff
def incident_graph(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    context = {
        "title": incident.title,
        "about": f"Incident #{incident.number} at {incident.tenant.name}",
        "back": reverse("incident", args=[incident.id]),
        "blind": blind_clients(incident.tenant.slug),
        "period_words": "",
    }
    graph = graph_of_incident(incident)
    return show(request, "console/graph.html", {**context, **_pictured(graph)})


def _pictured(graph: Graph) -> dict[str, Any]:
    return {"at": "mail", "graph": graph, "picture": draw(graph)}


def _asked(request: PersonRequest) -> tuple[Thing | None, dict[str, str]]:
    """The thing that the address names, and what else it says."""
    kind, value, days = (said(request, name, 2000) for name in ("kind", "value", "days"))
    wish = {
        "kind": kind if kind in KINDS else "sender",
        "value": value,
        "client": said(request, "client"),
        "days": days if days in PERIODS else USUAL_DAYS,
    }
    return read_thing(wish["kind"], value), wish


def _link(wish: dict[str, str], **more: str) -> str:
    return "?" + urlencode({name: text for name, text in (wish | more).items() if text})


def _acts(facts: Facts, client: str) -> list[tuple[str, str]]:
    """What can be done about it, in words with addresses."""
    thing = facts.thing
    acts = [
        (kind.label, reverse("rule_new") + _link({"kind": kind.value, **_about(facts, client)}))
        for kind in GatewayRule.Kind
        if thing.kind.match
    ]
    if thing.kind.name in ("sender", "mailbox"):
        acts.append(("Its mail", reverse("mail") + _link({"q": thing.value, "days": "30"})))
    if thing.kind.name == "sender":
        domain = read_thing("domain", thing.value.rpartition("@")[2])
        if domain:
            acts.append((f"About {domain.value}", entity_link("entity", domain)))
    return acts


def _about(facts: Facts, client: str) -> dict[str, str]:
    """For whom, where only one client has it."""
    thing, at = facts.thing, facts.at
    only = client or (at[0].client.slug if len(at) == 1 else "")
    return {"match": thing.kind.match, "value": thing.rule_value, "client": only}
