"""Jobs: what people asked for and how far it is."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.incident_forms import ReasonForm
from console.queries.blindness import Blindness
from console.queries.clients import client_choices
from console.queries.jobs import job_row, job_rows, steps_of
from console.queries.looks import looks_of_jobs
from console.queries.renewals import waits_in
from incidents.access import access_job
from incidents.taking_back import stop_job


@for_staff
def jobs(request: PersonRequest) -> HttpResponse:
    client, cursor = said(request, "client"), request.GET.get("cursor", "")
    rows, older = job_rows(client, cursor)
    context = {
        "at": "jobs",
        "rows": rows,
        "client": client,
        **client_choices(),
        "here": "?" + urlencode({"client": client, "cursor": cursor}),
        "older": "?" + urlencode({"client": client, "cursor": older}) if older else "",
    }
    return show(request, "console/jobs.html", context, partial="list")


@for_staff
def job(request: PersonRequest, job_id: UUID) -> HttpResponse:
    found = access_job(job_id)
    row = job_row(found, Blindness([found.tenant_id]))
    context = {"at": "jobs", "row": row, "job": found, "steps": steps_of(found)}
    context["looks"] = looks_of_jobs([found])
    context["renewal"] = waits_in(found)
    return show(request, "console/job.html", context, partial="progress")


@for_staff
def job_stop(request: PersonRequest, job_id: UUID) -> HttpResponse:
    found = access_job(job_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        stop_job(job=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "Stopped. What may have been sent is read once more.")
        return redirect("job", found.id)
    row = job_row(found, Blindness([found.tenant_id]))
    return ask(request, "console/job_stop.html", {"row": row, "form": form})
