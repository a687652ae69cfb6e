"""``Idempotency-Key``: a POST that is sent again acts once and gets the same answer.

The key's row is written in the transaction of the action.  A second request with the same key
waits for the first to commit, then gets its answer; if the first failed, its row is gone and the
second acts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from console.lib.people import person_of
from tenants.errors import WrongInput
from tenants.models import IdempotencyKey

LONGEST_KEY = 200


class KeyReused(WrongInput):
    """The same key with another request: the caller mixes up two actions."""

    code = "idempotency_key_reused"
    status = 422
    title = "This Idempotency-Key belongs to another request"


def idempotent(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """For a POST handler of an APIView.

    One that answers with something else than JSON has ``answer_again(request, …)``, which gives the
    same without acting.
    """

    @wraps(view)
    def answer_once(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return view(self, request, *args, **kwargs)
        if len(key) > LONGEST_KEY:
            raise WrongInput(f"An Idempotency-Key has at most {LONGEST_KEY} characters.")
        digest = _digest_of(request)
        person = person_of(request)
        row, is_first = IdempotencyKey.objects.get_or_create(
            provider_id=person.provider_id,
            person_id=person.id,
            key=key,
            defaults={"request_digest": digest},
        )
        if is_first:
            return _answer_and_remember(row, view(self, request, *args, **kwargs))
        if row.request_digest != digest:
            raise KeyReused("Use a new Idempotency-Key for every new request.")
        response: HttpResponseBase
        if row.body is None and hasattr(self, "answer_again"):
            response = self.answer_again(request, *args, **kwargs)
        else:
            response = Response(row.body, status=row.status)
        response["Idempotency-Replayed"] = "true"
        return response

    answer_once.takes_key = True  # type: ignore[attr-defined]  # the schema says so
    return answer_once


def _digest_of(request: Request) -> str:
    """Of the address and all that was sent; the boundary of a form is another each time."""
    found = sha256(request.get_full_path().encode() + b"\n")
    if (request.content_type or "").partition(";")[0] != "multipart/form-data":
        found.update(request._request.body)
        return found.hexdigest()
    sent: Any = request.data
    for name, values in sorted(sent.lists()):
        for value in values:
            is_file = isinstance(value, UploadedFile)
            said = [name, value.name, _content_digest(value)] if is_file else [name, value]
            found.update(json.dumps(said).encode() + b"\n")
    return found.hexdigest()


def _content_digest(file: UploadedFile[Any]) -> str:
    digest = sha256(file.read()).hexdigest()
    file.seek(0)
    return digest


def _answer_and_remember(row: IdempotencyKey, response: HttpResponseBase) -> HttpResponseBase:
    row.status = response.status_code
    row.body = _plain(response.data) if isinstance(response, Response) else None
    row.save(update_fields=["status", "body"])
    return response


def _plain(data: Any) -> Any:
    """What JSON makes of it, so that the repeated answer equals the first."""
    return json.loads(json.dumps(data, cls=JSONEncoder))
