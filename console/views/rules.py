"""Allow and block entries: every change is rehearsed first, and made from its rehearsal."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.queries.clients import client_choices
from console.queries.rules import (
    Filters,
    copies_behind,
    incidents_behind,
    rehearsal_page,
    rules_page,
)
from incidents.access import access_one
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.models import GatewayRule, Rehearsal
from tenants.models import Tenant

LIST_WORDS = {
    "newly_held": "Copies that would be held",
    "newly_delivered": "Copies that would be delivered",
    "missed": "Incidents that would have been missed",
    "caught": "Incidents that would have been stopped",
    "broken": "Decided cases that would come out wrong",
}


class RuleForm(forms.Form):
    """A wish, as seg_bridge/changes.py takes it."""

    kind = forms.ChoiceField(label="What it does", choices=GatewayRule.Kind.choices)
    match = forms.ChoiceField(label="What it looks at", choices=GatewayRule.Match.choices)
    value = forms.CharField(label="Value", max_length=320)
    recipient = forms.CharField(
        label="Only for this mailbox",
        help_text="Empty: for the whole client.",
        max_length=320,
        required=False,
    )
    days = forms.TypedChoiceField(
        label="For how long",
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days"), (0, "No end")],
        coerce=int,
        initial=30,
    )
    clients: forms.ModelMultipleChoiceField[Tenant] = forms.ModelMultipleChoiceField(
        label="Clients", queryset=None, to_field_name="slug", widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["clients"].queryset = Tenant.objects.all()  # type: ignore[attr-defined]


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
    }
    return show(request, "console/rules.html", context, partial="list")


@for_staff
def rule_new(request: PersonRequest) -> HttpResponse:
    asked = {name: said(request, name) for name in ("kind", "match", "value", "recipient")}
    initial = {**asked, "kind": asked["kind"] or "block", "clients": [said(request, "client")]}
    form = RuleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        clients = list(form.cleaned_data.pop("clients"))
        wish = {"do": "add_rule", **form.cleaned_data}
        first, *_ = rehearse_wish(wish=wish, tenants=clients, actor=request.user)
        return redirect("rehearsal", first.id)
    return ask(request, "console/rule_new.html", {"form": form})


@require_POST
@for_staff
def rule_remove(request: PersonRequest, rule_id: UUID) -> HttpResponse:
    rule = access_one(GatewayRule.objects.select_related("tenant"), rule_id)
    wish = {"do": "remove_rule", "rule_id": str(rule.id)}
    (found,) = rehearse_wish(wish=wish, tenants=[rule.tenant], actor=request.user)
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
