"""A client's outbound mail: terms, hosts, logins, signing keys, and senders that are stopped."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.forms.models import model_to_dict
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, show
from console.lib.outbound_forms import HostForm, KeyForm, LiftForm, LoginForm, TermsForm
from console.queries.outbound import access_key, access_login, access_stop, outbound_page
from incidents.access import access_client
from seg_bridge.outbound import services
from seg_bridge.outbound.stopping import lift_stop

FOLLOWED = "Gates follow it within seconds."


@for_staff
def client_outbound(request: PersonRequest, slug: str) -> HttpResponse:
    page = outbound_page(access_client(slug), request.user)
    return show(request, "console/outbound.html", {"at": "clients", "page": page})


@for_staff
def client_outbound_terms(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    services.must_set_up(request.user)
    form = TermsForm(request.POST or None, initial=model_to_dict(services.terms_of(client)))
    if request.method == "POST" and form.is_valid():
        services.set_terms(tenant=client, values=form.cleaned_data, actor=request.user)
        messages.success(request, f"Set. {FOLLOWED}")
        return redirect("client_outbound", client.slug)
    return ask(request, "console/outbound_terms.html", {"client": client, "form": form})


@for_staff
def client_outbound_host(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    services.must_set_up(request.user)
    form = HostForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        services.add_host(tenant=client, actor=request.user, **form.cleaned_data)
        messages.success(request, f"Added. {FOLLOWED}")
        return redirect("client_outbound", client.slug)
    return ask(request, "console/outbound_host.html", {"client": client, "form": form})


@require_POST
@for_staff
def client_outbound_host_remove(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    network = request.POST.get("network", "")
    services.remove_host(tenant=client, network=network, actor=request.user)
    messages.success(request, f"{network} is off the list. {FOLLOWED}")
    return redirect("client_outbound", client.slug)


@for_staff
def client_outbound_login(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    services.must_set_up(request.user)
    form = LoginForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name, secret = services.make_login(tenant=client, actor=request.user, **form.cleaned_data)
        context = {"at": "clients", "client": client, "name": name, "secret": secret}
        return show(request, "console/outbound_login_made.html", context)
    return ask(request, "console/outbound_login.html", {"client": client, "form": form})


@for_staff
def submission_login_end(request: PersonRequest, login_id: UUID) -> HttpResponse:
    login = access_login(login_id)
    services.must_set_up(request.user)
    if request.method == "POST":
        services.end_login(login=login, actor=request.user)
        messages.success(request, f"{login.name} has ended. {FOLLOWED}")
        return redirect("client_outbound", login.tenant.slug)
    return ask(request, "console/outbound_login_end.html", {"login": login})


@for_staff
def client_outbound_key(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    services.must_set_up(request.user)
    # Nothing said is said as well: the client's first domain.
    form = KeyForm(request.POST if request.method == "POST" else None, client=client)
    if request.method == "POST" and form.is_valid():
        services.make_key(tenant=client, domain=form.chosen, actor=request.user)
        messages.success(request, "Made. Put its record into the DNS, then have it looked up.")
        return redirect("client_outbound", client.slug)
    return ask(request, "console/outbound_key.html", {"client": client, "form": form})


@require_POST
@for_staff
def signing_key_check(request: PersonRequest, key_id: UUID) -> HttpResponse:
    key = access_key(key_id)
    services.ask_check(key=key)
    messages.success(request, "It is being looked up. Load the page again in a moment.")
    return redirect("client_outbound", key.tenant.slug)


@for_staff
def signing_key_sign(request: PersonRequest, key_id: UUID) -> HttpResponse:
    key = access_key(key_id)
    services.must_set_up(request.user)
    if request.method == "POST":
        services.start_signing(key=key, actor=request.user)
        messages.success(request, f"{key.domain.name} signs with {key.selector}. {FOLLOWED}")
        return redirect("client_outbound", key.tenant.slug)
    return ask(request, "console/outbound_key_sign.html", {"key": key})


@for_staff
def signing_key_retire(request: PersonRequest, key_id: UUID) -> HttpResponse:
    key = access_key(key_id)
    services.must_set_up(request.user)
    if request.method == "POST":
        services.retire_key(key=key, actor=request.user)
        messages.success(request, f"{key.selector} signs nothing any more. {FOLLOWED}")
        return redirect("client_outbound", key.tenant.slug)
    return ask(request, "console/outbound_key_retire.html", {"key": key})


@for_staff
def sender_stop_lift(request: PersonRequest, stop_id: UUID) -> HttpResponse:
    stop = access_stop(stop_id)
    form = LiftForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        lift_stop(stop=stop, actor=request.user, reason=form.cleaned_data["reason"])
        messages.success(request, f"{stop.mailbox} may send again. {FOLLOWED}")
        return redirect("client_outbound", stop.tenant.slug)
    return ask(request, "console/sender_stop_lift.html", {"stop": stop, "form": form})
