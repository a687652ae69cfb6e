"""Allow and block entries: every change is rehearsed first, and made from its rehearsal."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from typing_extensions import override

from console.lib.http import PersonRequest, ask, for_staff, said, show
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
from seg_bridge.changes import clients_of_list, clients_of_rule, rehearse_wish, save_change
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.proposals import Proposal, propose_exception
from seg_bridge.rule_files import COLUMNS, MOST_BYTES, read_rules, render_rules
from tenants.models import Person, Tenant

MOST_EXPORTED = 50_000
LIST_WORDS = {
    "newly_held": "Copies that would be held",
    "newly_delivered": "Copies that would be delivered",
    "missed": "Incidents that would have been missed",
    "caught": "Incidents that would have been stopped",
    "broken": "Decided cases that would come out wrong",
}


# What names one mail is made of it, and typed by nobody.
_TYPED = [each for each in GatewayRule.Match.choices if each[0] != GatewayRule.Match.MAIL]


class RuleForm(forms.Form):
    """A wish, as seg_bridge/changes.py takes it."""

    kind = forms.ChoiceField(label="What it does", choices=GatewayRule.Kind.choices)
    match = forms.ChoiceField(label="What it looks at", choices=_TYPED)
    value = forms.CharField(label="Value", max_length=320)
    recipient = forms.CharField(
        label="Only for this mailbox or domain",
        help_text="ceo@acme.example, or @acme.example. Empty: for the whole client.",
        max_length=320,
        required=False,
    )
    days = forms.TypedChoiceField(
        label="For how long",
        choices=[
            *((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "A year")),
            (0, "No end"),
        ],
        coerce=int,
        initial=30,
    )
    no_end_because = forms.CharField(
        label="Why it has no end", help_text="Only with “No end”.", max_length=500, required=False
    )
    everywhere = forms.BooleanField(label="For all clients, those of tomorrow too", required=False)
    clients: forms.ModelMultipleChoiceField[Tenant] = forms.ModelMultipleChoiceField(
        label="Clients",
        queryset=None,
        to_field_name="slug",
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    def __init__(self, person: Person, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["clients"].queryset = Tenant.objects.all()  # type: ignore[attr-defined]
        if person.role != Person.Role.LEAD:
            del self.fields["everywhere"]

    @override
    def clean(self) -> dict[str, object]:
        said = super().clean() or {}
        if said.get("days") == 0 and not said.get("no_end_because"):
            self.add_error("no_end_because", "Say why this entry has no end, or choose one.")
        if said.get("days"):
            said["no_end_because"] = ""
        if not said.get("everywhere") and not said.get("clients"):
            self.add_error("clients", "Choose at least one client.")
        return said


class ImportForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        help_text="As the export writes it; its first line names the columns.",
    )


class SaveForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        help_text="Stands on the rule and in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    pull_delivered = forms.BooleanField(
        label="Also pull the copies that it would have held", required=False
    )
    despite = forms.BooleanField(label="Do it although the rehearsal objects", required=False)


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
        found = read_rules(form.cleaned_data["file"].read(MOST_BYTES + 1))
        tenants = clients_of_list(found)
        wish = {"do": "add_rules", "rules": found}
        first, *_ = rehearse_wish(wish=wish, tenants=tenants, actor=request.user)
        return redirect("rehearsal", first.id)
    return ask(request, "console/rules_import.html", {"form": form, "columns": COLUMNS})


@require_POST
@for_staff
def rule_remove(request: PersonRequest, rule_id: UUID) -> HttpResponse:
    rule = access_one(GatewayRule.objects.select_related("tenant"), rule_id)
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
