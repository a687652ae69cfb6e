"""A campaign over all clients in sight, and one order for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.incident_forms import BlockForm, ReasonForm, WhereForm
from console.queries.campaign import (
    campaign_everywhere,
    campaign_page,
    can_be_blocked,
    can_be_pulled,
)
from console.queries.foreseen import blocks_foreseen, pulls_foreseen, total_of_pulls
from console.queries.jobs import group_page
from incidents.access import access_incident
from incidents.campaigns.moving import successor
from incidents.everywhere import block_everywhere, pull_everywhere
from incidents.models import Incident
from tenants.models import Person


@for_staff
def campaign(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    if found.is_merged:
        return redirect("campaign", successor(found).id)
    wish = {name: said(request, name) for name in ("show", "client", "list")}
    page = campaign_page(
        campaign_everywhere(found),
        show=wish["show"],
        client=wish["client"],
        of=wish["list"],
        cursor=request.GET.get("cursor", ""),
    )
    kept = {name: value for name, value in wish.items() if value}
    older = "?" + urlencode({**kept, "cursor": page.older}) if page.older else ""
    context = {"at": "queue", "incident": found, "page": page, "older": older, **wish}
    return show(request, "console/campaign.html", context, partial="list")


@for_staff
def campaign_pull(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    incidents = can_be_pulled(campaign_everywhere(found))
    choices = [(str(each.id), _where(each)) for each in incidents]
    where, form = _forms(request, choices, ReasonForm)
    if request.method == "POST" and where.is_valid() and form.is_valid():
        chosen = _chosen(incidents, where)
        group_id = pull_everywhere(incidents=chosen, actor=request.user, **form.cleaned_data)
        messages.success(request, f"The pull has started at {_clients(chosen)}.")
        return redirect("job_group", group_id)
    foreseen = pulls_foreseen(incidents)
    rows = list(zip(where["where"], foreseen, strict=True))
    context = {"incident": found, "where": where, "form": form, "rows": rows}
    context["total"] = total_of_pulls(foreseen)
    return ask(request, "console/campaign_pull.html", context)


@for_staff
def campaign_block(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    incidents = can_be_blocked(campaign_everywhere(found))
    choices = [(str(each.id), f"{each.tenant.name}: {each.sender}") for each in incidents]
    where, form = _forms(request, choices, BlockForm)
    if request.method == "POST" and where.is_valid() and form.is_valid():
        chosen = _chosen(incidents, where)
        group_id = _block(request.user, chosen, **form.cleaned_data)
        messages.success(request, f"Blocked at {_clients(chosen)}.")
        return redirect("job_group", group_id)
    foreseen = blocks_foreseen(incidents, partial(_block, request.user))
    rows = list(zip(where["where"], foreseen, strict=True))
    context = {"incident": found, "where": where, "form": form, "rows": rows}
    return ask(request, "console/campaign_block.html", context)


def _block(
    person: Person,
    incidents: Sequence[Incident],
    days: int = BlockForm.USUAL_DAYS,
    reason: str = "",
    despite: bool = False,
) -> UUID:
    until = timezone.now() + timedelta(days=days)
    return block_everywhere(
        incidents=incidents, actor=person, reason=reason, expires_at=until, despite=despite
    )


@for_staff
def job_group(request: PersonRequest, group_id: UUID) -> HttpResponse:
    page = group_page(group_id)
    return show(request, "console/job_group.html", {"at": "jobs", "page": page}, partial="progress")


def _forms(
    request: PersonRequest, choices: list[tuple[str, str]], kind: type[forms.Form]
) -> tuple[WhereForm, forms.Form]:
    data = request.POST if request.method == "POST" else None
    return WhereForm(data, choices=choices), kind(data)


def _chosen(incidents: list[Incident], where: WhereForm) -> list[Incident]:
    ids = set(where.cleaned_data["where"])
    return [incident for incident in incidents if str(incident.id) in ids]


def _where(incident: Incident) -> str:
    return f"{incident.tenant.name} #{incident.number}"


def _clients(incidents: list[Incident]) -> str:
    n = len({incident.tenant_id for incident in incidents})
    return "1 client" if n == 1 else f"{n} clients"
