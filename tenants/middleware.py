"""Opens the scope of every request of a signed-in person, and of every API call with a token."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from tenants.auth import person_for_token
from tenants.models import Person
from tenants.scope import Role, tenant_scope

_View = Callable[..., HttpResponse]


def without_scope(view: _View) -> _View:
    """Mark a view that reads no client data: signing in and out, health."""
    view.needs_no_scope = True  # type: ignore[attr-defined]
    return view


def scope_role(person: Person) -> Role:
    return Role.ANALYST if person.is_staff_of_provider else Role.PORTAL


class ScopeMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self._take_token(request)
        if not request.user.is_authenticated or self._is_scope_free(request):
            return self.get_response(request)
        person = request.user
        provider_id = person.provider_id if person.is_staff_of_provider else None
        with tenant_scope(scope_role(person), person.visible_tenant_ids, provider_id=provider_id):
            response = self.get_response(request)
            # Django has already turned an exception into this response: keep nothing half done.
            if response.status_code >= 500:
                transaction.set_rollback(True)
        return response

    @staticmethod
    def _take_token(request: HttpRequest) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() not in ("bearer", "token") or not request.path_info.startswith("/api/"):
            return
        person = person_for_token(token.strip())
        if person is not None:
            request.user = person
            request.is_token_call = True  # type: ignore[attr-defined]

    @staticmethod
    def _is_scope_free(request: HttpRequest) -> bool:
        try:
            view = resolve(request.path_info).func
        except Resolver404:
            return True
        return bool(getattr(view, "needs_no_scope", False))
