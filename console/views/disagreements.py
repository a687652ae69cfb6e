"""The queue of disagreements: look, rehearse, accept, dismiss."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.incident_forms import AcceptForm, DismissForm
from console.queries.clients import client_choices
from console.queries.disagreements import Filters, disagreements_page, item_page
from console.queries.story import story_of
from incidents.access import access_disagreement
from incidents.disagreements import accept, dismiss, rehearse_repair
from incidents.layers import Objections
from incidents.repairs import mark_of


@for_staff
def disagreements(request: PersonRequest) -> HttpResponse:
    wish = {name: said(request, name) for name in ("client", "kind")}
    filters = Filters(**wish, state=said(request, "state") or "open")
    page = disagreements_page(filters, request.GET.get("cursor", ""))
    kept = {**wish, "state": filters.state}
    context = {
        "at": "disagreements",
        "page": page,
        "filters": filters,
        **client_choices(),
        "here": "?" + urlencode(kept),
        "older": "?" + urlencode({**kept, "cursor": page.older}) if page.older else "",
    }
    return show(request, "console/disagreements.html", context, partial="list")


@for_staff
def disagreement(request: PersonRequest, item_id: UUID) -> HttpResponse:
    item = access_disagreement(item_id)
    context = {
        "at": "disagreements",
        "item": item,
        "page": item_page(item),
        "story": story_of(item.incident) if item.incident else None,
    }
    return show(request, "console/disagreement.html", context, partial="case")


@require_POST
@for_staff
def disagreement_rehearse(request: PersonRequest, item_id: UUID) -> HttpResponse:
    item = access_disagreement(item_id)
    forecast = rehearse_repair(item=item, actor=request.user)
    n = forecast.counts["looked_at"]
    over = f"Rehearsed over {n} stored copies." if n else "No mail is stored to rehearse it over."
    messages.success(request, f"{over} Nothing was changed.")
    return redirect("disagreement", item.id)


@for_staff
def disagreement_accept(request: PersonRequest, item_id: UUID) -> HttpResponse:
    item = access_disagreement(item_id)
    form = AcceptForm(request.POST or None, initial={"seen": mark_of(item.proposal)})
    if request.method == "POST" and form.is_valid():
        try:
            accept(item=item, actor=request.user, **form.cleaned_data)
        except Objections as objections:
            form.add_error("despite", objections.sentence)
        else:
            messages.success(request, item.proposal["text"])
            return redirect("disagreement", item.id)
    context = {"item": item, "page": item_page(item), "form": form}
    return ask(request, "console/disagreement_accept.html", context)


@for_staff
def disagreement_dismiss(request: PersonRequest, item_id: UUID) -> HttpResponse:
    item = access_disagreement(item_id)
    form = DismissForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        dismiss(item=item, actor=request.user, **form.cleaned_data)
        messages.success(request, "Dismissed.")
        return redirect("disagreements")
    return ask(request, "console/disagreement_dismiss.html", {"item": item, "form": form})
