"""The portal: one client, read-only but for three things: a right, a wish, an answer."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from console.lib.exports import download
from console.lib.http import PersonRequest, ask, for_client, said, show
from console.portal.forms import DigestForm, RightForm, WordForm
from console.queries.portal import (
    access_held,
    access_own_mailbox,
    access_shared_incident,
    access_shown_attachment,
    accesses,
    asked_lately,
    copies_of_shared,
    held_mail,
    need_of,
    overview,
    own_address,
    reports,
    shared_incidents,
    words_on,
)
from console.queries.portal_found import found_in_mailboxes
from console.queries.story import story_of
from incidents.client_words import answer, ask_for_release, set_body_access
from incidents.downloads import open_attachment
from incidents.warnings import also_seen_at
from seg_bridge.held.asked import ask_for_digest
from tenants.models import Tenant


def _client_of(request: PersonRequest) -> Tenant:
    assert request.user.tenant_id is not None  # a client's reader carries her client
    return Tenant.objects.get(id=request.user.tenant_id)


@for_client
def portal(request: PersonRequest) -> HttpResponse:
    client = _client_of(request)
    context = {"at": "overview", "page": overview(client), "client": client}
    return show(request, "portal/overview.html", context, partial="now")


@for_client
def portal_incidents(request: PersonRequest) -> HttpResponse:
    shared, older = shared_incidents(request.GET.get("cursor", ""))
    context = {"at": "incidents", "shared": shared, **_places(request, older)}
    return show(request, "portal/incidents.html", context, partial="list")


@for_client
def portal_incident(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    shared = access_shared_incident(incident_id)
    copies, older = copies_of_shared(shared, request.GET.get("cursor", ""))
    context = {
        "at": "incidents",
        "shared": shared,
        "story": story_of(shared.incident, is_plain=True),
        "copies": copies,
        **_places(request, older),
        "also_seen": also_seen_at(shared.incident),
        "need": need_of(shared.incident),
        "words": words_on(shared.incident),
    }
    return show(request, "portal/incident.html", context, partial="case")


@for_client
def portal_attachment(request: PersonRequest, attachment_id: UUID) -> HttpResponse:
    found = access_shown_attachment(attachment_id)
    return download(open_attachment(attachment=found, actor=request.user), found.name)


@for_client
def portal_access(request: PersonRequest) -> HttpResponse:
    client = _client_of(request)
    opened, older = accesses(request.GET.get("cursor", ""))
    context = {"at": "access", "accesses": opened, "client": client, **_places(request, older)}
    return show(request, "portal/access.html", context, partial="list")


@for_client
def portal_access_right(request: PersonRequest) -> HttpResponse:
    """The client's own switch: off, nobody of the provider opens content any more."""
    client = _client_of(request)
    form = RightForm(request.POST or None, initial={"allowed": not client.body_access_allowed})
    if request.method == "POST" and form.is_valid():
        is_allowed = form.cleaned_data["allowed"]
        set_body_access(
            is_allowed=is_allowed, person=request.user, reason=form.cleaned_data["reason"]
        )
        messages.success(request, _(_GIVEN if is_allowed else _WITHDRAWN))
        return redirect("portal_access")
    return ask(request, "portal/access_right.html", {"client": client, "form": form})


_GIVEN = _n("Your provider may open mail again, with a reason that you see.")
_WITHDRAWN = _n("From now on nobody of your provider can open the content of your mail.")


@for_client
def portal_held(request: PersonRequest) -> HttpResponse:
    held, older = held_mail(request.GET.get("cursor", ""))
    asked, asked_older = asked_lately(request.GET.get("asked", ""))
    context = {
        "at": "held",
        "held": held,
        "asked": asked,
        "asked_older": f"?asked={asked_older}" if asked_older else "",
        **_places(request, older),
    }
    return show(request, "portal/held.html", context, partial="list")


@for_client
def portal_digest(request: PersonRequest) -> HttpResponse:
    """What is held back from a mailbox, sent to it now; its links are as any digest's."""
    form = DigestForm(request.POST or None, initial={"address": own_address(request.user)})
    if request.method == "POST" and form.is_valid():
        mailbox = access_own_mailbox(form.cleaned_data["address"])
        ask_for_digest(mailbox=mailbox, person=request.user)
        messages.success(
            request, _("It goes to %(mailbox)s within a minute.") % {"mailbox": mailbox.address}
        )
        return redirect("portal_held")
    return ask(request, "portal/digest.html", {"form": form})


@for_client
def portal_held_ask(request: PersonRequest, delivery_id: UUID) -> HttpResponse:
    copy = access_held(delivery_id)
    form = WordForm(request.POST or None)
    form.fields["text"].label = _("Why do you need this mail?")
    if request.method == "POST" and form.is_valid():
        ask_for_release(delivery=copy, person=request.user, reason=form.cleaned_data["text"])
        messages.success(request, _("It is looked at again now. You are told what becomes of it."))
        return redirect("portal_held")
    return ask(request, "portal/held_ask.html", {"copy": copy, "form": form})


@for_client
def portal_answer(request: PersonRequest, incident_id: UUID) -> HttpResponse:
    shared = access_shared_incident(incident_id)
    form = WordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        answer(incident=shared.incident, person=request.user, text=form.cleaned_data["text"])
        messages.success(request, _("Your provider reads it with the incident."))
        return redirect("portal_incident", incident_id)
    context = {"shared": shared, "form": form, "need": need_of(shared.incident)}
    return ask(request, "portal/answer.html", context)


@for_client
def portal_reports(request: PersonRequest) -> HttpResponse:
    found, older = reports(request.GET.get("cursor", ""))
    context = {"at": "reports", "reports": found, **_places(request, older)}
    return show(request, "portal/reports.html", context, partial="list")


def _places(request: PersonRequest, older: str) -> dict[str, str]:
    """Where a list goes on ("" at its end), and the place that is shown, for live updates."""
    return {"older": f"?cursor={older}" if older else "", "here": request.get_full_path()}


@for_client
def portal_found(request: PersonRequest, report_id: UUID) -> HttpResponse:
    page = found_in_mailboxes(report_id, said(request, "kind"))
    return show(request, "portal/found.html", {"at": "reports", "page": page})
