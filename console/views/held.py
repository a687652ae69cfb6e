"""Held mail: the list over all clients, what clients ask for, releasing and refusing."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.exports import CSV, copies_csv, download
from console.lib.held_forms import RefuseForm, ReleaseForm
from console.lib.http import PersonRequest, ask, for_staff, show
from console.queries.held import release_question
from console.queries.mail import copies_to_export, held_page
from console.views.mail import filter_context, read_filters
from incidents.access import access_delivery
from incidents.client_words import refuse_release, wishes_in_sight
from incidents.held import release_together


@for_staff
def held(request: PersonRequest) -> HttpResponse:
    filters = read_filters(request, days="30")
    page = held_page(filters, request.GET.get("cursor", ""))
    context = {
        "at": "held",
        "page": page,
        "wishes": wishes_in_sight(),
        **filter_context(filters, page.older, export="held_csv"),
    }
    return show(request, "console/held.html", context, partial="list")


@for_staff
def held_csv(request: PersonRequest) -> HttpResponse:
    copies = copies_to_export(read_filters(request, days="30"), is_held=True)
    return download(copies_csv(copies), "held.csv", CSV)


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
    question = release_question(copy, request.user)
    form = ReleaseForm(request.POST or None, question.same)
    if request.method == "POST" and form.is_valid():
        job = release_together(delivery=copy, actor=request.user, **form.cleaned_data)
        messages.success(request, "The gateway delivers it within seconds.")
        return redirect("job", job.id)
    context = {"copy": copy, "question": question, "same": question.same, "form": form}
    return ask(request, "console/held_release.html", context)
