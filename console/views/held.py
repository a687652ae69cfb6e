"""Held mail: the list over all clients, what clients ask for, releasing and refusing."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from console.lib.exports import CSV, copies_csv, download
from console.lib.held_forms import (
    DeleteForm,
    DigestForm,
    ReasonForm,
    RefuseForm,
    ReleaseAllForm,
    ReleaseForm,
)
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.queries.blindness import blind_clients
from console.queries.held import access_mailbox_named, release_question
from console.queries.letting_go import chosen_copies, release_all_question
from console.queries.looks import not_kept_lately
from console.queries.mail import copies_to_export, held_page
from console.views.mail import filter_context, read_filters
from incidents.access import (
    access_client,
    access_delivery,
    access_incident,
    access_look,
    access_message,
    access_one,
)
from incidents.client_words import refuse_release, wishes_in_sight
from incidents.held import let_go
from incidents.letting_go import kept_copies, let_all_go
from incidents.looks import ask_look
from incidents.models import Delivery
from seg_bridge.held.asked import send_digest_now
from seg_bridge.held.drop import delete_held
from seg_bridge.held.legal import LEADS, end_hold, set_hold
from seg_bridge.models import LegalHold
from tenants.outbox import sent_lately
from tenants.people import must_lead


@for_staff
def held(request: PersonRequest) -> HttpResponse:
    filters = read_filters(request, days="30")
    page = held_page(filters, request.GET.get("cursor", ""))
    context = {
        "at": "held",
        "page": page,
        "blind": blind_clients(filters.client),
        "wishes": wishes_in_sight(),
        "not_kept": not_kept_lately(),
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
    form = ReleaseForm(request.POST or None, question.same, question.ways)
    if request.method == "POST" and form.is_valid():
        job = let_go(delivery=copy, actor=request.user, **form.cleaned_data)
        messages.success(request, "It is on its way; the job says when it has arrived.")
        return redirect("job", job.id)
    context = {"copy": copy, "question": question, "same": question.same, "form": form}
    return ask(request, "console/held_release.html", context)


@for_staff
def held_release_all(request: PersonRequest) -> HttpResponse:
    """The chosen ones, by ``copy``."""
    sent = (request.POST if request.method == "POST" else request.GET).getlist("copy")
    return _release_all(request, chosen_copies(sent), reverse("held"))


@for_staff
def incident_release(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    found = access_incident(incident_id)
    copies = chosen_copies(str(copy.id) for copy in kept_copies(found))
    return _release_all(request, copies, reverse("incident", args=[found.id]))


def _release_all(request: PersonRequest, copies: list[Delivery], back: str) -> HttpResponse:
    question = release_all_question(copies, request.user)
    form = ReleaseAllForm(request.POST or None, question.kinds)
    sent = request.POST.getlist("copy")
    if request.method == "POST" and form.is_valid():
        chosen = [copy for copy in copies if str(copy.id) in sent]
        jobs = let_all_go(copies=chosen, actor=request.user, **form.cleaned_data)
        messages.success(request, "They are on their way; each job says when they have arrived.")
        if len(jobs) == 1:
            return redirect("job", jobs[0].id)
        return redirect("job_group", jobs[0].group_id)
    context = {"question": question, "form": form, "sent": sent}
    context |= {"action": request.path, "back": back}
    return ask(request, "console/held_release_all.html", context)


@require_POST
@for_staff
def release_look(request: PersonRequest, look_id: UUID) -> HttpResponse:
    look = access_look(look_id)
    ask_look(look=look, actor=request.user)
    messages.success(request, "The mailbox is asked within seconds whether it is there.")
    return redirect("message", look.delivery.message_id)


@for_staff
def held_delete(request: PersonRequest, delivery_id: UUID) -> HttpResponse:
    copy = access_delivery(delivery_id)
    form = DeleteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        delete_held(delivery=copy, actor=request.user, **form.cleaned_data)
        messages.success(request, "The gateway throws it away within seconds.")
        return redirect("message", copy.message_id)
    return ask(request, "console/held_delete.html", {"copy": copy, "form": form})


@for_staff
def held_digest(request: PersonRequest) -> HttpResponse:
    form = DigestForm(request.POST or None, initial={"address": said(request, "address")})
    if request.method == "POST" and form.is_valid():
        mailbox = access_mailbox_named(form.cleaned_data["address"])
        digest = send_digest_now(mailbox=mailbox, actor=request.user)
        messages.success(request, f"A digest of {digest.items} goes to {mailbox.address}.")
        return redirect("held")
    return ask(request, "console/held_digest.html", {"form": form})


@for_staff
def message_keep(request: PersonRequest, message_id: UUID) -> HttpResponse:
    found = access_message(message_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        set_hold(tenant=found.tenant, message=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "It is kept, whatever its age, until somebody ends that.")
        return redirect("message", found.id)
    return ask(request, "console/message_keep.html", {"message": found, "form": form})


@for_staff
def client_keep(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        set_hold(tenant=client, message=None, actor=request.user, **form.cleaned_data)
        messages.success(request, "All held mail of this client is kept until somebody ends that.")
        return redirect("client", client.slug)
    return ask(request, "console/client_keep.html", {"client": client, "form": form})


@for_staff
def client_sent(request: PersonRequest, slug: str) -> HttpResponse:
    found = access_client(slug)
    context = {
        "at": "clients",
        "client": found,
        "sent": sent_lately(found.id),
        "has_server": bool(settings.EMAIL),
    }
    return show(request, "console/client_sent.html", context)


@for_staff
def legal_hold_end(request: PersonRequest, hold_id: UUID) -> HttpResponse:
    found = access_one(LegalHold.objects.select_related("tenant"), hold_id)
    must_lead(request.user, LEADS)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        end_hold(hold=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "Its age counts again.")
        if found.message_id:
            return redirect("message", found.message_id)
        return redirect("client", found.tenant.slug)
    return ask(request, "console/legal_hold_end.html", {"hold": found, "form": form})
