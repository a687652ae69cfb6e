"""The incident page and its actions.  Each asks first, calls one service and goes back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from console.lib.forms import ResolveForm, RevisionForm
from console.lib.http import PersonRequest, ask, for_staff, show
from console.lib.incident_forms import BlockForm, PullForm, ReasonForm, ReportForm
from console.presence import look_at
from console.queries.blindness import blind_of
from console.queries.incident import incident_page
from console.queries.rows import copies_words
from console.queries.rules import block_forecast
from console.queries.story import story_of
from console.queries.work import work_of
from incidents.access import access_incident
from incidents.assessment import copies_within_reach, within_reach
from incidents.campaigns.moving import successor
from incidents.client_words import read_answers
from incidents.models import Incident
from incidents.orders import LATE_COPIES
from incidents.remediation import block_sender, copies_of, look_again, pull_incident, pullable
from incidents.reports import ask_report
from incidents.services import (
    reopen_incident,
    resolve_incident,
    share_incident,
    take_incident,
    unshare_incident,
)
from incidents.services.comments import mark_seen
from incidents.taking_back import restore_incident


def seen_revision(request: PersonRequest) -> int | None:
    """The revision that the page had shown; None where it carried none."""
    form = RevisionForm(request.POST)
    return form.cleaned_data["revision"] if form.is_valid() else None


@for_staff
def incident(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    if found.is_merged:
        return redirect("incident", successor(found).id)
    page = incident_page(found, request.user)
    context = {
        "at": "queue",
        "page": page,
        "story": story_of(found),
        "looking": look_at(found, request.user),
        "work": work_of(found, _open_of(page.elsewhere.shown)),
    }
    mark_seen(incident=found, person=request.user)
    return show(request, "console/incident.html", context, partial="case")


def _open_of(incidents: Iterable[Incident]) -> set[UUID]:
    """Those of which nothing more is to be told than that they are open."""
    return {incident.id for incident in incidents if incident.is_open}


@require_POST
@for_staff
def incident_take(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    take_incident(incident=found, actor=request.user, revision=seen_revision(request))
    messages.success(request, f"#{found.number} is yours.")
    return redirect("incident", found.id)


@for_staff
def incident_pull(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = PullForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["late_days"]
        late = LATE_COPIES if days == "" else timedelta(days=days) or None
        reason = form.cleaned_data["reason"]
        job = pull_incident(incident=found, actor=request.user, reason=reason, late=late)
        messages.success(request, "The pull has started. Each copy is read back.")
        return redirect("job", job.id)
    copies = pullable(copies_of(found))
    n = len(copies_within_reach(copies)) or len(copies)
    context: dict[str, Any] = {"incident": found, "form": form, "copies": copies_words(n), "n": n}
    context |= {"deleted": len(copies) - n, "blind": blind_of(found.tenant_id)}
    return ask(request, "console/incident_pull.html", context)


@require_POST
@for_staff
def incident_read(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    read_answers(incident=found, actor=request.user)
    return redirect("incident", found.id)


@require_POST
@for_staff
def incident_look(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    job = look_again(incident=found, actor=request.user)
    messages.success(request, "Each mailbox is asked where its copy is now.")
    return redirect("job", job.id)


@for_staff
def incident_restore(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        job = restore_incident(incident=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "The copies go back where they were.")
        return redirect("job", job.id)
    n = int(found.counts.get("removed", 0))
    context = {"incident": found, "form": form, "copies": copies_words(n), "n": n}
    context["blind"] = blind_of(found.tenant_id)
    return ask(request, "console/incident_restore.html", context)


@for_staff
def incident_block(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = BlockForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        until = timezone.now() + timedelta(days=form.cleaned_data["days"])
        block_sender(
            incident=found,
            actor=request.user,
            reason=form.cleaned_data["reason"],
            expires_at=until,
            despite=form.cleaned_data["despite"],
        )
        messages.success(request, f"The gateway holds mail of {found.sender} within seconds.")
        return redirect("incident", found.id)
    forecast = block_forecast(found)
    if forecast is not None and forecast.stops:
        form.fields["despite"].widget.attrs["required"] = True
    context = {"incident": found, "form": form, "forecast": forecast}
    return ask(request, "console/incident_block.html", context)


@for_staff
def incident_resolve(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    likely = {"cause_code": "account"} if found.kind == Incident.Kind.ACCOUNT else None
    form = ResolveForm(request.POST or None, incident=found, initial=likely)
    if request.method == "POST" and form.is_valid():
        resolve_incident(incident=found, actor=request.user, **form.cleaned_data)
        messages.success(request, f"#{found.number} is resolved.")
        return redirect("queue")
    context = {"incident": found, "form": form, "reach": within_reach(found.counts)}
    context["blind"] = blind_of(found.tenant_id)
    return ask(request, "console/incident_resolve.html", context)


@for_staff
def incident_share(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    if request.method != "POST":
        return ask(request, "console/incident_share.html", {"incident": found})
    change = unshare_incident if found.shared_at else share_incident
    change(incident=found, actor=request.user, revision=seen_revision(request))
    return redirect("incident", found.id)


@for_staff
def incident_reopen(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        revision = seen_revision(request)
        reopen_incident(incident=found, actor=request.user, revision=revision, **form.cleaned_data)
        return redirect("incident", found.id)
    return ask(request, "console/incident_reopen.html", {"incident": found, "form": form})


@for_staff
def incident_report(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = ReportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        ask_report(incident=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "The report is being made. It appears on this page.")
        return redirect("incident", found.id)
    return ask(request, "console/incident_report.html", {"incident": found, "form": form})
