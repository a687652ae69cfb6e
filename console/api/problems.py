"""Every error of the API is a problem document (RFC 9457)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import transaction
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from tenants.errors import NotThere, domain_error_of
from tenants.scope import has_scope


def problem(status: int, title: str, detail: str, code: str, **more: Any) -> Response:
    body = {"type": f"about:blank#{code}", "title": title, "status": status, "detail": detail}
    return Response(
        {**body, "code": code, **more}, status=status, content_type="application/problem+json"
    )


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler.  None: not ours, Django answers 500 and the scope rolls back."""
    if isinstance(error, Http404):
        error = NotThere()
    if has_scope():
        transaction.set_rollback(True)  # a refused request leaves nothing half done
    if told := domain_error_of(error):
        return problem(told.status, told.title, told.sentence, told.code)
    if isinstance(error, RequestDataTooBig):
        return problem(413, "Too large", "The body of this request is too large.", "too_large")
    response = exception_handler(error, context)
    if response is None:
        return None
    code = getattr(error, "default_code", "error")
    if isinstance(error, PermissionDenied):
        code = "not_allowed"
    if isinstance(error, exceptions.ValidationError):
        answer = problem(400, "Please check what you sent", _sentence(error.detail), "wrong_input")
        answer.data["errors"] = error.detail
    else:
        detail = getattr(error, "detail", "")
        answer = problem(response.status_code, _title(response.status_code), str(detail), str(code))
    for header in ("WWW-Authenticate", "Retry-After"):
        if header in response:
            answer[header] = response[header]
    return answer


def _title(status: int) -> str:
    return {401: "Please sign in", 403: "Not allowed", 404: "Not found", 429: "Too many"}.get(
        status, "This cannot be done"
    )


def _sentence(detail: Any) -> str:
    """The first message of a nest of validation errors, with the field it is about."""
    if isinstance(detail, dict):
        field, inner = next(iter(detail.items()))
        sentence = _sentence(inner)
        return sentence if field == "non_field_errors" else f"{field}: {sentence}"
    if isinstance(detail, list):
        return _sentence(detail[0]) if detail else ""
    return str(detail)
