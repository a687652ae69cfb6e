"""Allow and block entries: every change is rehearsed first, and made from its rehearsal."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.rule_forms import ImportForm, RuleForm, SaveForm
from console.queries.clients import client_choices
from console.queries.gates import gate_alarms
from console.queries.rules import (
    Filters,
    copies_behind,
    incidents_behind,
    matching_rules,
    rehearsal_page,
    rules_page,
)
from incidents.access import access_delivery, access_one
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.proposals import Proposal, propose_exception
from seg_bridge.rule_files import COLUMNS, MOST_BYTES, read_rules, render_rules
from seg_bridge.rule_scopes import (
    clients_of_list,
    clients_of_rule,
    rules_in_sight,
    with_group_ids,
)
from tenants.models import Tenant

MOST_EXPORTED = 50_000
LIST_WORDS = {
    "newly_held": "Copies that would be held",
    "newly_delivered": "Copies that would be delivered",
    "missed": "Incidents that would have been missed",
    "caught": "Incidents that would have been stopped",
    "broken": "Decided cases that would come out wrong",
}


def access_rehearsal(object_id: UUID) -> Rehearsal:
    return access_one(Rehearsal.objects.select_related("tenant"), object_id)


@for_staff
def rules(request: PersonRequest) -> HttpResponse:
    wish = {name: said(request, name) for name in ("client", "kind", "q")}
    filters = Filters(**wish, state=said(request, "state") or "in_force")
    page = rules_page(filters, request.GET.get("cursor", ""))
    kept = {**wish, "state": filters.state}
    context = {
        "at": "rules",
        "page": page,
        "filters": filters,
        **client_choices(),
        "older": "?" + urlencode({**kept, "cursor": page.older}) if page.older else "",
        "query": urlencode(kept),
        "gates": gate_alarms(),
    }
    return show(request, "console/rules.html", context, partial="list")


@for_staff
def rule_new(request: PersonRequest) -> HttpResponse:
    proposal, initial = _start(request)
    data = request.POST if request.method == "POST" else None
    form = RuleForm(request.user, data, initial=initial)
    if request.method == "POST" and form.is_valid():
        clients = list(form.cleaned_data.pop("clients") or Tenant.objects.all())
        wish = {"do": "add_rule", **form.cleaned_data}
        first, *_ = rehearse_wish(wish=wish, tenants=clients, actor=request.user)
        return redirect("rehearsal", first.id)
    return ask(request, "console/rule_new.html", {"form": form, "proposal": proposal})


def _start(request: PersonRequest) -> tuple[Proposal | None, dict[str, object]]:
    """What the form begins with; from a copy, the narrowest exception for it."""
    asked = {name: said(request, name) for name in ("kind", "match", "value", "recipient")}
    client = said(request, "client")
    copy_id = said(request, "copy", 36)
    proposal = None
    if copy_id:
        copy = access_delivery(copy_id)
        proposal, client = propose_exception(copy), copy.tenant.slug
        asked = {**asked, "kind": asked["kind"] or "allow", "recipient": proposal.recipient}
        if proposal.ways and not asked["value"]:
            asked |= {"match": proposal.ways[0].match, "value": proposal.ways[0].value}
    return proposal, {**asked, "kind": asked["kind"] or "block", "clients": [client]}


@for_staff
def rules_export(request: PersonRequest) -> HttpResponse:
    """Everything that the page's filters show, not only one page of it."""
    wish = {name: said(request, name) for name in ("client", "kind", "q", "state")}
    rows = matching_rules(Filters(**wish))[:MOST_EXPORTED]
    answer = HttpResponse(render_rules(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="gateway-rules.csv"'
    return answer


@for_staff
def rules_import(request: PersonRequest) -> HttpResponse:
    """The whole file is rehearsed as one change, and made from there or not at all."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        found = with_group_ids(read_rules(form.cleaned_data["file"].read(MOST_BYTES + 1)))
        tenants = clients_of_list(found)
        wish = {"do": "add_rules", "rules": found}
        first, *_ = rehearse_wish(wish=wish, tenants=tenants, actor=request.user)
        return redirect("rehearsal", first.id)
    return ask(request, "console/rules_import.html", {"form": form, "columns": COLUMNS})


@require_POST
@for_staff
def rule_remove(request: PersonRequest, rule_id: UUID) -> HttpResponse:
    rows = GatewayRule.objects.filter(rules_in_sight()).select_related("tenant")
    rule = access_one(rows, rule_id)
    wish = {"do": "remove_rule", "rule_id": str(rule.id)}
    found, *_ = rehearse_wish(wish=wish, tenants=clients_of_rule(rule), actor=request.user)
    return redirect("rehearsal", found.id)


@for_staff
def rehearsal(request: PersonRequest, rehearsal_id: UUID) -> HttpResponse:
    found = access_rehearsal(rehearsal_id)
    context = {"at": "rules", "rehearsal": found, "page": rehearsal_page(found)}
    return show(request, "console/rehearsal.html", context)


@for_staff
def rehearsal_list(request: PersonRequest, rehearsal_id: UUID, name: str) -> HttpResponse:
    found = access_rehearsal(rehearsal_id)
    copies, incidents = copies_behind(found, name), incidents_behind(found, name)
    context = {
        "at": "rules",
        "rehearsal": found,
        "words": LIST_WORDS[name],
        "number": found.counts.get(name, 0),
        "copies": copies,
        "incidents": incidents,
    }
    return show(request, "console/rehearsal_list.html", context)


@for_staff
def rehearsal_save(request: PersonRequest, rehearsal_id: UUID) -> HttpResponse:
    found = access_rehearsal(rehearsal_id)
    page = rehearsal_page(found)
    form = SaveForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        save_change(rehearsals=page.rehearsals, actor=request.user, **form.cleaned_data)
        messages.success(request, "Done. Gates follow it within seconds.")
        return redirect("rehearsal", found.id)
    context = {"rehearsal": found, "page": page, "form": form}
    return ask(request, "console/rehearsal_save.html", context)
