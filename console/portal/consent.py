"""A link for a client's own admin: consent at Microsoft without a login here.

Nothing happens on opening the page.  The first question opens the link, and from then on only this
browser, by a cookie of its own, goes on with it.  Used, too old, unknown and forged links get the
same answer.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from api_bridge.access.consent import new_secret
from api_bridge.access.links import begin_step, read_link, return_to_link
from api_bridge.access.models import Purpose
from api_bridge.access.permissions import NEEDS
from console.lib.access_forms import AnswerForm, ConsentForm
from console.lib.throttle import count_try
from tenants.errors import NotThere
from tenants.middleware import without_scope

COOKIE, LINK_COOKIE = "bailey_consent", "bailey_consent_link"
COOKIE_LIFE_S = 600
_WINDOW = timedelta(minutes=10)
_TRIES_OF_A_LINK, _TRIES_OF_AN_ADDRESS = 300, 600


@without_scope
@require_safe
def connect(request: HttpRequest, token: str) -> HttpResponse:
    try:
        count_try("consent-link", token, limit=_TRIES_OF_A_LINK, window=_WINDOW)
        link = read_link(token, request.COOKIES.get(COOKIE, ""))
    except NotThere:
        return _gone(request)
    return _guarded(render(request, "portal/connect.html", {"link": link, "token": token}))


@without_scope
@require_POST
def connect_step(request: HttpRequest, token: str) -> HttpResponse:
    """Opens the link with its first question; answers with the way to Microsoft."""
    form = ConsentForm(request.POST)
    browser = request.COOKIES.get(COOKIE, "") or new_secret()
    try:
        if not form.is_valid():
            raise NotThere
        purpose = Purpose(form.cleaned_data["purpose"])
        address = begin_step(token, browser, purpose)
        link = read_link(token, browser)
    except NotThere:
        return _gone(request)
    needs = NEEDS[purpose]
    context = {"link": link, "token": token, "purpose": purpose, "needs": needs, "address": address}
    response = _guarded(render(request, "portal/connect_go.html", context))
    for name, value in ((COOKIE, browser), (LINK_COOKIE, token)):
        response.set_cookie(
            name,
            value,
            max_age=COOKIE_LIFE_S,
            path="/portal/",
            secure=settings.PORTAL_URL.startswith("https"),
            httponly=True,
            samesite="Lax",
        )
    return response


@without_scope
@require_http_methods(["GET"])
def connect_return(request: HttpRequest) -> HttpResponse:
    """Microsoft's page leads back here."""
    form = AnswerForm(request.GET)
    try:
        if not form.is_valid():
            raise NotThere
        return_to_link(form.answer, request.COOKIES.get(COOKIE, ""))
    except NotThere:
        return _gone(request)
    return _guarded(redirect("connect", request.COOKIES.get(LINK_COOKIE, "-")))


def _gone(request: HttpRequest) -> HttpResponse:
    address = request.META.get("REMOTE_ADDR", "")
    count_try("consent-link-gone", address, limit=_TRIES_OF_AN_ADDRESS, window=_WINDOW)
    return _guarded(render(request, "portal/connect_gone.html", status=404))


def _guarded(response: HttpResponse) -> HttpResponse:
    """As for a digest's link: the address is a secret, kept by nobody and told to no other site."""
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "same-origin"
    return response
