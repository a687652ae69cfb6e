"""Signing in and out, on the console and on the portal."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from console.lib.sign_in_forms import SignInForm
from console.lib.throttle import count_try
from tenants.audit import write_audit
from tenants.middleware import scope_role, without_scope
from tenants.models import Person
from tenants.scope import tenant_scope

SIGNED_IN = "tenants.person.signed_in"


@without_scope
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email, address = form.cleaned_data["email"].lower(), request.META.get("REMOTE_ADDR", "")
        count_try("sign-in", f"{email} {address}", limit=10, window=timedelta(minutes=10))
        person = authenticate(request, email=email, password=form.cleaned_data["password"])
        if person is not None:
            login(request, person)
            _put_on_record(person)
            return _onward(request)
        form.add_error(None, _("E-mail and password do not fit together."))
    status = 200 if request.method == "GET" else 422
    return render(request, "login.html", {"form": form, "next": _next(request)}, status=status)


@without_scope
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("login")


def _put_on_record(person: Person) -> None:
    """Staff only: the portal's login cannot write."""
    if not person.is_staff_of_provider:
        return
    with tenant_scope(
        scope_role(person), person.visible_tenant_ids, provider_id=person.provider_id
    ):
        write_audit(SIGNED_IN, actor=person, provider_id=person.provider_id)


def _next(request: HttpRequest) -> str:
    """Where to go after signing in; "" for an address that is not ours."""
    wish = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wish, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wish if is_ours else ""


def _onward(request: HttpRequest) -> HttpResponseRedirect:
    return HttpResponseRedirect(_next(request) or "/")
