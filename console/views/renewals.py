"""What waited for access to a client's mailboxes, looked at anew, and the one answer to it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from console.lib.http import PersonRequest, ask, for_staff, show
from console.lib.renewal_forms import AnswerForm
from console.lib.steps import saved
from console.queries.renewals import renewal_page
from incidents.access import access_renewal
from incidents.renewal_answers import answer_renewal


@for_staff
def renewal(request: PersonRequest, renewal_id: UUID) -> HttpResponse:
    page = renewal_page(access_renewal(renewal_id))
    return show(request, "console/renewal.html", {"at": "jobs", "page": page}, partial="found")


@for_staff
def renewal_answer(request: PersonRequest, renewal_id: UUID) -> HttpResponse:
    found = access_renewal(renewal_id)
    form = AnswerForm(request.POST or None)

    def answer() -> None:
        answer_renewal(renewal=found, actor=request.user, **form.cleaned_data)

    if saved(request, form, answer):
        messages.success(request, "Answered. What goes on is read again before it is moved.")
        return redirect("renewal", found.id)
    context: dict[str, Any] = {"page": renewal_page(found), "form": form}
    return ask(request, "console/renewal_answer.html", context)
