"""Lists of mail: all copies, and what the gateway holds; the way of one copy."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from console.lib.exports import CSV, copies_csv, download
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.queries.clients import client_choices
from console.queries.mail import Filters, copies_page, copies_to_export, held_page
from console.queries.trace import trace_of
from incidents.access import access_delivery
from incidents.client_words import refuse_release, wishes_in_sight
from incidents.held import SameRule, held_by_same_rule, release_together
from incidents.models.mail import Outcome, Verdict

DAYS = (("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"))


class RefuseForm(forms.Form):
    reason = forms.CharField(
        label="Why does it stay held?",
        help_text="The client reads it.",
        max_length=250,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ReleaseForm(forms.Form):
    reason = forms.CharField(
        label="Why is it safe?",
        help_text="Stands in the log and in the report.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    is_false_alarm = forms.BooleanField(
        label="It was a false alarm",
        help_text="The gateway's filter learns it, where the client's policy lets it learn.",
        required=False,
    )
    also = forms.TypedMultipleChoiceField(label="Others", coerce=UUID, required=False)

    def __init__(self, data: QueryDict | None, same: SameRule) -> None:
        super().__init__(data)
        offered = [(str(copy.id), copy.recipient) for copy in same.others]
        self.fields["also"].choices = offered  # type: ignore[attr-defined]

    @property
    def also_chosen(self) -> list[str]:
        return self.data.getlist("also") if isinstance(self.data, QueryDict) else []


@for_staff
def mail(request: PersonRequest) -> HttpResponse:
    filters = read_filters(request)
    page = copies_page(filters, request.GET.get("cursor", ""))
    context = {
        "at": "mail",
        "page": page,
        "total": sum(page.counts.values()),
        "outcomes": [(value, label, page.counts.get(value, 0)) for value, label in Outcome.choices],
        **_filter_context(filters, page.older, export="mail_csv"),
    }
    return show(request, "console/mail.html", context, partial="list")


@for_staff
def held(request: PersonRequest) -> HttpResponse:
    filters = read_filters(request, days="30")
    page = held_page(filters, request.GET.get("cursor", ""))
    context = {
        "at": "held",
        "page": page,
        "wishes": wishes_in_sight(),
        **_filter_context(filters, page.older, export="held_csv"),
    }
    return show(request, "console/held.html", context, partial="list")


def read_filters(request: PersonRequest, *, days: str = "7") -> Filters:
    names = ("q", "client", "outcome", "verdict", "replay")
    wish = {name: said(request, name) for name in names}
    return Filters(**wish, days=said(request, "days") or days)


@for_staff
def mail_csv(request: PersonRequest) -> HttpResponse:
    copies = copies_to_export(read_filters(request))
    return download(copies_csv(copies), "mail.csv", CSV)


@for_staff
def held_csv(request: PersonRequest) -> HttpResponse:
    copies = copies_to_export(read_filters(request, days="30"), is_held=True)
    return download(copies_csv(copies), "held.csv", CSV)


@for_staff
def trace(request: PersonRequest, delivery_id: UUID) -> HttpResponse:
    copy = access_delivery(delivery_id)
    return show(request, "console/trace.html", {"at": "mail", "trace": trace_of(copy)})


def _filter_context(filters: Filters, older: str, *, export: str) -> dict[str, object]:
    wish = {
        "q": filters.q,
        "client": filters.client,
        "outcome": filters.outcome,
        "verdict": filters.verdict,
        "replay": filters.replay,
        "days": filters.days,
    }
    kept = {name: value for name, value in wish.items() if value}
    return {
        "filters": filters,
        "here": "?" + urlencode(kept),
        "export": f"{reverse(export)}?{urlencode(kept)}",
        "older": "?" + urlencode({**kept, "cursor": older}) if older else "",
        **client_choices(),
        "verdicts": Verdict.choices,
        "days": DAYS,
    }


@for_staff
def held_refuse(request: PersonRequest, delivery_id: UUID) -> HttpResponse:
    copy = access_delivery(delivery_id)
    form = RefuseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        refuse_release(delivery=copy, actor=request.user, **form.cleaned_data)
        messages.success(request, "It stays held, and the client reads why.")
        return redirect("held")
    return ask(request, "console/held_refuse.html", {"copy": copy, "form": form})


@for_staff
def held_release(request: PersonRequest, delivery_id: UUID) -> HttpResponse:
    copy = access_delivery(delivery_id)
    same = held_by_same_rule(copy)
    form = ReleaseForm(request.POST or None, same)
    if request.method == "POST" and form.is_valid():
        job = release_together(delivery=copy, actor=request.user, **form.cleaned_data)
        messages.success(request, "The gateway delivers it within seconds.")
        return redirect("job", job.id)
    context = {"copy": copy, "same": same, "form": form}
    return ask(request, "console/held_release.html", context)
