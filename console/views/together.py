"""Why an incident's mails stand together, and merging, splitting, moving and undoing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, for_staff, show
from console.lib.incident_forms import OtherForm, WhyForm
from console.queries.blindness import blind_of
from console.queries.together import together_page
from console.views.incident import seen_revision
from incidents.access import access_incident, access_regrouping
from incidents.campaigns.moving import successor
from incidents.regroup import merge_incidents, move_messages, split_incident, undo_regrouping
from incidents.regroup_campaigns import join_campaign, leave_campaign
from incidents.regrouping_rules import by_number
from tenants.errors import WrongInput


def checked(form: forms.Form) -> dict[str, Any]:
    """Raises ``WrongInput`` with the first thing that is missing."""
    if not form.is_valid():
        name, errors = next(iter(form.errors.items()))
        raise WrongInput(f"{form.fields[name].label}: {errors[0]}")
    return form.cleaned_data


@for_staff
def incident_together(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    if found.is_merged:
        return redirect("incident_together", successor(found).id)
    page = together_page(found)
    asked = {
        name: OtherForm(auto_id=f"{name}_%s", use_required_attribute=False)
        for name in ("mails", "merge", "campaign")
    }
    context = {"at": "queue", "page": page, "ask": asked, "blind": blind_of(found.tenant_id)}
    return show(request, "console/together.html", context)


@require_POST
@for_staff
def incident_merge(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    asked = checked(OtherForm(request.POST))
    other = by_number(incident, asked["number"])
    done = merge_incidents(
        kept=incident,
        gone=other,
        actor=request.user,
        reason=asked["reason"],
        revision=seen_revision(request),
    )
    messages.success(request, f"Both are #{done.incident.number} now.")
    return redirect("incident_together", done.incident_id)


@require_POST
@for_staff
def incident_split(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    reason = checked(WhyForm(request.POST))["reason"]
    chosen = _message_ids(request)
    done = split_incident(
        incident=incident,
        messages=chosen,
        actor=request.user,
        reason=reason,
        revision=seen_revision(request),
    )
    messages.success(request, "They are an incident of their own now.")
    return redirect("incident_together", done.other_id)


@require_POST
@for_staff
def incident_move(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    asked = checked(OtherForm(request.POST))
    target, chosen = by_number(incident, asked["number"]), _message_ids(request)
    move_messages(
        incident=incident,
        target=target,
        messages=chosen,
        actor=request.user,
        reason=asked["reason"],
        revision=seen_revision(request),
    )
    messages.success(request, f"They belong to #{target.number} now.")
    return redirect("incident_together", incident.id)


@require_POST
@for_staff
def incident_join_campaign(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    asked = checked(OtherForm(request.POST))
    other = by_number(incident, asked["number"])
    join_campaign(incident=incident, other=other, actor=request.user, reason=asked["reason"])
    messages.success(request, f"#{incident.number} and #{other.number} are one campaign now.")
    return redirect("incident_together", incident.id)


@require_POST
@for_staff
def incident_leave_campaign(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    incident = access_incident(incident_id)
    asked = checked(WhyForm(request.POST))
    leave_campaign(incident=incident, actor=request.user, reason=asked["reason"])
    messages.success(request, f"#{incident.number} stands by itself now.")
    return redirect("incident_together", incident.id)


@require_POST
@for_staff
def regrouping_undo(request: PersonRequest, regrouping_id: UUID) -> HttpResponse:
    done = access_regrouping(regrouping_id)
    undo_regrouping(done=done, actor=request.user)
    messages.success(request, "Undone: everything stands as before.")
    return redirect("incident_together", done.incident_id)


def _message_ids(request: PersonRequest) -> list[UUID]:
    """What the form names, as far as it names mails at all; the service checks whose they are."""
    try:
        return [UUID(each) for each in request.POST.getlist("messages")[:5000]]
    except ValueError as error:
        raise WrongInput("Choose the mails from the list.") from error
