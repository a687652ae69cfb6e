"""A mail, safely: structure first; text, HTML and the original against a stated reason."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.exports import download
from console.lib.http import PersonRequest, ask, for_staff, show
from console.lib.message_forms import OpenForm, ReportMailForm
from console.queries.held import held_copies, pulled_copies
from console.queries.looks import looks_of_message
from console.queries.message import message_page
from console.queries.opened import read_opened
from incidents.access import access_message
from incidents.content import has_opened, open_original
from incidents.mail.render import safe_html, visible_text
from incidents.models import ContentAccess
from incidents.remediation import acquire_original
from incidents.reported import report_mail
from seg_bridge.held.legal import holds_on
from tenants.errors import NotThere

FRAME_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
FRAME_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>HTML of the mail</title>'
    "<style>:root{color-scheme:light}body{margin:1rem;font:15px/1.5 sans-serif;"
    "overflow-wrap:anywhere}</style>"
)


@for_staff
def message(request: PersonRequest, message_id: UUID) -> HttpResponse:
    found = access_message(message_id)
    context = {
        "at": "mail",
        "page": message_page(found, request.user),
        "held": held_copies(found),
        "pulled": pulled_copies(found),
        "holds": holds_on(found),
        "looks": looks_of_message(found),
    }
    return show(request, "console/message.html", context)


@for_staff
def message_open(request: PersonRequest, message_id: UUID) -> HttpResponse:
    """Ask why; fetch the original first where only a mailbox has it."""
    found = access_message(message_id)
    form = OpenForm(request.POST or None, initial={"what": request.GET.get("what", "text")})
    if request.method == "POST" and form.is_valid():
        what, reason = form.cleaned_data["what"], form.cleaned_data["reason"]
        if not found.evidence:
            job = acquire_original(message=found, actor=request.user, reason=reason)
            messages.info(request, "The original is being fetched. Open it when the job is done.")
            return redirect("job", job.id)
        open_original(message=found, person=request.user, what=what, reason=reason)
        opened = has_opened(message=found, person=request.user)
        assert opened is not None
        return redirect("message_content", found.id, opened.id)
    return ask(request, "console/message_open.html", {"message": found, "form": form})


@for_staff
def message_report(request: PersonRequest, message_id: UUID) -> HttpResponse:
    found = access_message(message_id)
    form = ReportMailForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        report_mail(message=found, actor=request.user, **form.cleaned_data)
        messages.success(request, "Your word is on record. What follows is done within seconds.")
        return redirect("message", found.id)
    return ask(request, "console/message_report.html", {"message": found, "form": form})


@for_staff
def message_content(request: PersonRequest, message_id: UUID, access_id: UUID) -> HttpResponse:
    opened = read_opened(message_id=message_id, access_id=access_id, person=request.user)
    access = opened.access
    if access.what == ContentAccess.What.ORIGINAL:
        return download(opened.raw, f"{access.message_id}.eml")
    context = {"at": "mail", "message": access.message, "access": access}
    if access.what == ContentAccess.What.TEXT:
        context["text"] = visible_text(opened.facts().text)
    return show(request, "console/message_content.html", context)


@for_staff
def message_frame(request: PersonRequest, message_id: UUID, access_id: UUID) -> HttpResponse:
    """The HTML of a mail as a document of its own, which can do nothing."""
    opened = read_opened(message_id=message_id, access_id=access_id, person=request.user)
    if opened.access.what != ContentAccess.What.HTML:
        raise NotThere
    response = HttpResponse(FRAME_HEAD + safe_html(opened.facts().html))
    response["Content-Security-Policy"] = FRAME_POLICY
    response["Referrer-Policy"] = "no-referrer"
    response["X-Content-Type-Options"] = "nosniff"
    return response
