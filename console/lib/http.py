"""Requests and answers as views see them: who asks, page or partial."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from tenants.errors import WrongInput
from tenants.models import Person


class PersonRequest(HttpRequest):
    """A request of somebody who is signed in, inside her scope."""

    user: Person
    htmx: HtmxDetails


_P = ParamSpec("_P")
_View = Callable[Concatenate[PersonRequest, _P], HttpResponse]
_Plain = Callable[..., HttpResponse]
_METHODS = ("GET", "HEAD", "POST")  # what a browser's links and forms send


def _only_for(view: _View[_P], *, staff: bool) -> _Plain:
    @wraps(view)
    def checked(request: HttpRequest, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponse:
        person = request.user
        if not isinstance(person, Person):
            login = redirect_to_login(request.get_full_path())
            if request.headers.get("HX-Request"):
                return HttpResponseClientRedirect(login["Location"])
            return login
        if person.is_staff_of_provider != staff:
            raise Http404
        if request.method not in _METHODS:
            return HttpResponseNotAllowed(_METHODS)
        response = view(cast(PersonRequest, request), *args, **kwargs)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return checked


def said(request: HttpRequest, name: str, most: int = 320) -> str:
    """A parameter of the address, cut and without NUL, which PostgreSQL does not take."""
    return request.GET.get(name, "")[:most].replace("\x00", "").strip()


def check_known(parameters: Collection[str], *known: str) -> None:
    """Parameters of an address.  Raises ``WrongInput``, which names those that are known."""
    if unknown := set(parameters) - {*known, "format"}:
        raise WrongInput(
            f"Unknown filter: {', '.join(sorted(unknown))}."
            f" Known are: {', '.join(sorted(known)) or 'none'}."
        )


def for_staff(view: _View[_P]) -> _Plain:
    """A page of the console: signed-in staff of the provider; a client's reader gets 404."""
    return _only_for(view, staff=True)


def for_client(view: _View[_P]) -> _Plain:
    """A page of the portal: a signed-in reader of one client."""
    return _only_for(view, staff=False)


def show(
    request: PersonRequest, template: str, context: dict[str, Any], *, partial: str = ""
) -> HttpResponse:
    """The page, or only its named partial where htmx asks for that."""
    htmx = request.htmx
    wants_all = htmx.boosted or htmx.history_restore_request
    asks_part = bool(partial) and bool(htmx) and not wants_all
    name = f"{template}#{partial}" if asks_part else template
    response = render(request, name, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def ask(request: PersonRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A question with its form: inside the dialog for htmx, a page of its own without."""
    surface = "console" if request.user.is_staff_of_provider else "portal"
    frame = "_components/dialog.html" if request.htmx else f"{surface}/question_page.html"
    response = render(request, template, {**context, "frame": frame})
    patch_vary_headers(response, ["HX-Request"])
    return response
