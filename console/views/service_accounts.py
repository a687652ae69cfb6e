"""The provider's own service account for account response at Google."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from api_bridge.access.models import Purpose
from api_bridge.access.permissions import google_scopes
from api_bridge.access.registrations import LEADS
from api_bridge.access.service_accounts import (
    OWN_ACCOUNT_FOR,
    access_service_account,
    delegated_clients,
    keep_service_account,
    remove_service_account,
    service_account,
)
from console.lib.access_forms import ServiceAccountForm
from console.lib.http import PersonRequest, ask, for_staff
from console.lib.steps import saved
from tenants.people import must_lead


@for_staff
def google_account(request: PersonRequest, purpose: str) -> HttpResponse:
    if purpose not in OWN_ACCOUNT_FOR:
        raise Http404
    must_lead(request.user, LEADS)
    form = ServiceAccountForm(request.POST or None)

    def keep() -> None:
        keep_service_account(purpose=purpose, actor=request.user, **form.cleaned_data)

    if saved(request, form, keep):
        messages.success(request, "Entered. What each client delegates to it is tried at once.")
        return redirect("registrations")
    context = {
        "form": form,
        "purpose": Purpose(purpose),
        "row": service_account(purpose),
        "scopes": google_scopes(purpose),
    }
    return ask(request, "console/google_account.html", context)


@for_staff
def google_account_remove(request: PersonRequest, purpose: str) -> HttpResponse:
    must_lead(request.user, LEADS)
    row = access_service_account(purpose)
    if request.method == "POST":
        remove_service_account(purpose=purpose, actor=request.user)
        messages.success(request, "Removed. Each client's one service account does it from now on.")
        return redirect("registrations")
    context = {"purpose": Purpose(purpose), "row": row, "clients": delegated_clients(row)}
    return ask(request, "console/google_account_remove.html", context)
