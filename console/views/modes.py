"""How far Bailey goes by itself at a client, and what waits for a yes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.mode_forms import DeclineForm, ModeForm
from console.queries.modes import group_of, modes_page
from incidents.access import access_client, access_proposal
from incidents.mode_rehearsal import mark_of, rehearse_mode, set_rehearsed_mode
from incidents.modes import EFFECTS, LEADS, modes_of
from incidents.proposals import approve, decline
from tenants.people import must_lead


@for_staff
def modes(request: PersonRequest, slug: str) -> HttpResponse:
    page = modes_page(access_client(slug), request.user)
    return show(request, "console/modes.html", {"at": "clients", "page": page})


@for_staff
def mode_set(request: PersonRequest, slug: str) -> HttpResponse:
    """The first answer is rehearsed; the second, with the forecast in sight, is saved."""
    client = access_client(slug)
    must_lead(request.user, LEADS)
    group = group_of(client, said(request, "group"))
    known = modes_of(client.id)
    now = known.groups.get(group.id) if group else known.client
    mode_now = str(now.mode) if now else ""
    form = ModeForm(request.POST or None, initial={"mode": mode_now}, group=group)
    forecast, mark = None, ""
    if request.method == "POST" and form.is_valid():
        wish = dict(form.cleaned_data)
        if form.is_rehearsed:
            set_rehearsed_mode(tenant=client, group=group, actor=request.user, **wish)
            messages.success(request, f"The mode of {group or client.name} is saved.")
            return redirect("modes", client.slug)
        forecast = rehearse_mode(client.id, group, wish["mode"] or ("" if group else mode_now))
        mark = mark_of(client, group, wish["mode"], request.user)
    effects = [(mode.label, EFFECTS[mode]) for mode in EFFECTS]
    context: dict[str, Any] = {"client": client, "group": group, "form": form}
    context |= {"forecast": forecast, "mark": mark, "effects": effects}
    return ask(request, "console/mode_set.html", context)


@require_POST
@for_staff
def proposal_approve(request: PersonRequest, proposal_id: UUID) -> HttpResponse:
    found = access_proposal(proposal_id)
    job = approve(proposal=found, actor=request.user)
    messages.success(request, "The pull has started. Each copy is read back.")
    return redirect("job", job.id)


@for_staff
def proposal_decline(request: PersonRequest, proposal_id: UUID) -> HttpResponse:
    found = access_proposal(proposal_id)
    form = DeclineForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        decline(proposal=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "Declined. The copies stay, and Bailey asks no more.")
        return redirect("incident", found.incident_id)
    return ask(request, "console/proposal_decline.html", {"proposal": found, "form": form})
