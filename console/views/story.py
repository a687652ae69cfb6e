"""An incident's story as a file, and the entry of the log behind one of its lines."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.exports import CSV, download, story_csv
from console.lib.http import PersonRequest, for_staff, show
from console.queries.story import log_entry_page
from incidents.access import access_incident, access_log_entry
from incidents.campaigns.moving import successor
from incidents.story import tell_story

MOST_EXPORTED = 10_000


@for_staff
def incident_story_csv(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    if found.is_merged:
        return redirect("incident_story_csv", successor(found).id)
    name = f"{found.tenant.slug}-{found.number}-story.csv"
    return download(story_csv(tell_story(found, most=MOST_EXPORTED)), name, CSV)


@for_staff
def log_entry(request: PersonRequest, entry_id: UUID) -> HttpResponse:
    page = log_entry_page(access_log_entry(entry_id))
    return show(request, "console/log_entry.html", {"at": "queue", "page": page})
