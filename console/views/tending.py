"""Work on one incident: owner, ticket, comments, calls, tasks, waiting, quiet."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.drafts import keep_files, take_files
from console.lib.exports import download
from console.lib.forms import (
    AnswerForm,
    CallForm,
    CommentForm,
    OwnerForm,
    QuietForm,
    TaskForm,
    TicketForm,
    WaitForm,
    until,
)
from console.lib.http import PersonRequest, ask, for_staff
from console.views.incident import seen_revision
from incidents.access import access_attachment, access_incident, access_one
from incidents.downloads import open_attachment
from incidents.models import Task
from incidents.services import assign_incident, triage_incident
from incidents.services.attachments import MOST_FILES, check_files
from incidents.services.comments import add_comment, log_call
from incidents.services.quiet import quiet_incident, wake_incident
from incidents.services.skills import rank_by_skill
from incidents.services.tasks import add_task, settle_task
from incidents.services.tickets import keep_ticket
from incidents.services.waiting import stop_waiting, wait_for
from tenants.colleagues import colleagues_of


@for_staff
def incident_assign(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    people = colleagues_of(found.tenant_id)
    ranked = rank_by_skill(people, [found])
    form = OwnerForm(request.POST or None, incident=found, people=ranked)
    if request.method == "POST" and form.is_valid():
        owner = next((one for one in people if str(one.id) == form.cleaned_data["owner"]), None)
        revision = form.cleaned_data["revision"]
        assign_incident(incident=found, actor=request.user, owner=owner, revision=revision)
        return redirect("incident", found.id)
    return ask(request, "console/incident_assign.html", {"incident": found, "form": form})


@require_POST
@for_staff
def incident_triage(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    triage_incident(incident=found, actor=request.user, revision=seen_revision(request))
    return redirect("incident", found.id)


@for_staff
def incident_ticket(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = TicketForm(request.POST or None, incident=found)
    if request.method == "POST" and form.is_valid():
        keep_ticket(incident=found, actor=request.user, **form.cleaned_data)
        return redirect("incident", found.id)
    return ask(request, "console/incident_ticket.html", {"incident": found, "form": form})


@for_staff
def incident_comment(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    """What the client would see is shown first, as she would see it; then it takes a second yes."""
    found = access_incident(incident_id)
    form = CommentForm(
        request.POST or None, request.FILES or None, people=colleagues_of(found.tenant_id)
    )
    context: dict[str, Any] = {"incident": found, "form": form}
    if request.method == "POST" and form.is_valid():
        said, person = form.cleaned_data, request.user
        drafts = request.POST.getlist("draft")[:MOST_FILES]
        if said["audience"] == "client" and "confirmed" not in request.POST:
            context["files"] = check_files(said["attachments"])
            context["drafts"] = keep_files(incident=found, person=person, files=context["files"])
            return ask(request, "console/incident_comment_preview.html", context)
        add_comment(
            incident=found,
            actor=person,
            text=said["text"],
            audience=said["audience"],
            mention_ids=[UUID(each) for each in said["mentions"]],
            files=[*said["attachments"], *take_files(incident=found, person=person, tokens=drafts)],
        )
        return redirect("incident", found.id)
    return ask(request, "console/incident_comment.html", context)


@for_staff
def attachment(request: PersonRequest, attachment_id: UUID) -> HttpResponse:
    """The file, never shown by us: a download that can do nothing on this address."""
    found = access_attachment(attachment_id)
    return download(open_attachment(attachment=found, actor=request.user), found.name)


@for_staff
def incident_call(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    client = found.tenant
    known = {"whom": client.contact_name, "phone": client.contact_phone}
    form = CallForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        log_call(incident=found, actor=request.user, **form.cleaned_data)
        return redirect("incident", found.id)
    return ask(request, "console/incident_call.html", {"incident": found, "form": form})


@for_staff
def incident_wait(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = WaitForm(request.POST or None, incident=found)
    if request.method == "POST" and form.is_valid():
        wait_for(incident=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "The clocks stand still.")
        return redirect("incident", found.id)
    return ask(request, "console/incident_wait.html", {"incident": found, "form": form})


@for_staff
def incident_answer(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = AnswerForm(request.POST or None, incident=found)
    if request.method == "POST" and form.is_valid():
        stop_waiting(incident=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "The clocks run again.")
        return redirect("incident", found.id)
    return ask(request, "console/incident_answer.html", {"incident": found, "form": form})


@for_staff
def incident_quiet(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = QuietForm(request.POST or None, incident=found)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        end = until(said.pop("hours"))
        quiet_incident(incident=found, actor=request.user, until=end, **said)
        messages.success(request, "It is out of the way. The tab Quiet lists it.")
        return redirect("incident", found.id)
    return ask(request, "console/incident_quiet.html", {"incident": found, "form": form})


@require_POST
@for_staff
def incident_wake(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    wake_incident(incident=found, actor=request.user, revision=seen_revision(request))
    return redirect("incident", found.id)


@require_POST
@for_staff
def incident_task(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    form = TaskForm(request.POST)
    if form.is_valid():
        add_task(incident=found, actor=request.user, **form.cleaned_data)
    else:
        messages.error(request, f"No task was added: {' '.join(map(str, form.errors['title']))}")
    return redirect("incident", found.id)


@require_POST
@for_staff
def task_settle(request: PersonRequest, task_id: UUID) -> HttpResponse:
    task = access_one(Task.objects.select_related("tenant", "incident"), task_id)
    state, seen = (request.POST.get(name, "") for name in ("state", "seen"))
    settle_task(task=task, actor=request.user, state=state, seen=seen)
    return redirect("incident", task.incident_id)
