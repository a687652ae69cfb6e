"""What joins nothing at a client, and what a canonical pass would change before it is done."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, for_staff, show
from console.lib.incident_forms import DecisionForm
from console.queries.grouping import grouping_page
from console.queries.hubs import hubs_page
from console.views.together import checked
from incidents.access import access_client, access_open_recomputation
from incidents.campaigns.recomputing import ask_recomputation, decide_recomputation


@for_staff
def client_hubs(request: PersonRequest, slug: str) -> HttpResponse:
    context = {"at": "clients", "page": hubs_page(access_client(slug))}
    return show(request, "console/client_hubs.html", context)


@for_staff
def client_grouping(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    if request.method == "POST":
        ask_recomputation(tenant=client, actor=request.user)
        messages.success(request, "It is being reckoned; look again in a moment.")
        return redirect("client_grouping", slug)
    form = DecisionForm(use_required_attribute=False)
    context = {"at": "clients", "page": grouping_page(client), "form": form}
    return show(request, "console/client_grouping.html", context)


@require_POST
@for_staff
def client_grouping_decide(request: PersonRequest, slug: str) -> HttpResponse:
    asked = access_open_recomputation(slug)
    reason = checked(DecisionForm(request.POST))["reason"]
    is_accepted = request.POST.get("do") == "accept"
    decide_recomputation(asked=asked, actor=request.user, is_accepted=is_accepted, reason=reason)
    said = "It is being done." if is_accepted else "All stays as it is."
    messages.success(request, said)
    return redirect("client_grouping", slug)
