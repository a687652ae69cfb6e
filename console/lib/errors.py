"""Turns a domain error that a page raised into a page or, for htmx, a toast."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from tenants.errors import domain_error_of
from tenants.scope import has_scope


class DomainErrorMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        told = domain_error_of(error)
        if told is None:
            return None
        if has_scope():
            transaction.set_rollback(True)  # a refused request leaves nothing half done
        if request.headers.get("HX-Request"):
            response = render(
                request, "_components/toast.html", {"text": told.sentence, "tone": "high"}
            )
            response["HX-Retarget"] = "#toasts"
            response["HX-Reswap"] = "afterbegin"
            return response
        return render(
            request,
            "error.html",
            {"title": told.title, "text": told.sentence, "back": _came_from(request)},
            status=told.status,
        )


def _came_from(request: HttpRequest) -> str:
    """The page that was refused, to look at anew; "" where it is not known, or not ours."""
    if request.method != "POST":
        return ""
    page = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(
        page, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return page if is_ours else ""
