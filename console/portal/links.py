"""A link of a digest: no sign-in, for the token is the right to one mail; nothing happens on GET.

Used, too old, unknown and forged links get the same answer.
"""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from console.lib.throttle import count_try
from console.portal.forms import LinkForm
from seg_bridge.held.links import access_link, read_token, use_link
from tenants.errors import NotThere
from tenants.middleware import without_scope
from tenants.scope import Role, tenant_scope

_WINDOW = timedelta(minutes=10)
_TRIES_OF_A_LINK, _TRIES_OF_AN_ADDRESS = 30, 600


@without_scope
@require_http_methods(["GET", "HEAD", "POST"])
def held_link(request: HttpRequest, token: str) -> HttpResponse:
    try:
        return _guarded(_answer(request, token))
    except NotThere:
        address = request.META.get("REMOTE_ADDR", "")
        count_try("held-link-gone", address, limit=_TRIES_OF_AN_ADDRESS, window=_WINDOW)
        return _guarded(render(request, "portal/link_gone.html", status=404))


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    name = read_token(token)
    count_try("held-link", token, limit=_TRIES_OF_A_LINK, window=_WINDOW)
    form = LinkForm(request.POST if request.method == "POST" else None)
    with tenant_scope(Role.PORTAL, [name.tenant_id]):
        copy = access_link(name)
        if request.method == "POST" and form.is_valid():
            use_link(name, form.cleaned_data["text"])
            return render(request, "portal/link_done.html", {"copy": copy})
        return render(request, "portal/link.html", {"copy": copy, "form": form})


def _guarded(response: HttpResponse) -> HttpResponse:
    """The address is a secret: it is kept by nobody and told to no other site.

    Not ``no-referrer``: with it browsers send the form without an origin, and it would be refused.
    """
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "same-origin"
    return response
