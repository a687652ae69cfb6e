"""The portal: one client, read-only."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from console.lib.http import PersonRequest, for_client, show
from console.queries.portal import (
    access_shared_incident,
    accesses,
    copies_of_shared,
    overview,
    reports,
    shared_incidents,
)
from console.queries.story import story_of
from incidents.warnings import also_seen_at


@for_client
def portal(request: PersonRequest) -> HttpResponse:
    context = {"at": "overview", "page": overview()}
    return show(request, "portal/overview.html", context, partial="now")


@for_client
def portal_incidents(request: PersonRequest) -> HttpResponse:
    context = {"at": "incidents", "shared": shared_incidents()}
    return show(request, "portal/incidents.html", context, partial="list")


@for_client
def portal_incident(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    shared = access_shared_incident(incident_id)
    context = {
        "at": "incidents",
        "shared": shared,
        "story": story_of(shared.incident, is_plain=True),
        "copies": copies_of_shared(shared),
        "also_seen": also_seen_at(shared.incident),
    }
    return show(request, "portal/incident.html", context, partial="case")


@for_client
def portal_access(request: PersonRequest) -> HttpResponse:
    return show(request, "portal/access.html", {"at": "access", "accesses": accesses()})


@for_client
def portal_reports(request: PersonRequest) -> HttpResponse:
    return show(request, "portal/reports.html", {"at": "reports", "reports": reports()})
