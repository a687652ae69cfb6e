"""How much a request may carry.  What carries more is answered before it is read into memory."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from console.api.problems import problem
from incidents.services.attachments import MOST_BYTES_TOGETHER
from tenants.errors import TooLarge

# Room for the fields beside the files.
MOST_WITH_FILES = MOST_BYTES_TOGETHER + 1024 * 1024
# A browser shows no answer before it has sent everything: so much is read and thrown away.
MOST_READ_AWAY = 64 * 1024 * 1024
_CHUNK = 64 * 1024


class BodyLimitMiddleware:
    """413 with a sentence for a body that is larger than any form here needs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        has_files = request.content_type == "multipart/form-data"
        most = MOST_WITH_FILES if has_files else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = _length(request)
        if length <= most:
            return self.get_response(request)
        if length <= MOST_READ_AWAY:
            while request.read(_CHUNK):
                pass
        error = TooLarge(
            f"At most {most // (1024 * 1024)} MB can be sent at once. Nothing was done."
        )
        return _refuse(request, error)


def _length(request: HttpRequest) -> int:
    said = request.META.get("CONTENT_LENGTH") or "0"
    return int(said) if said.isascii() and said.isdigit() else 0


def _refuse(request: HttpRequest, error: TooLarge) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        found = problem(error.status, error.title, error.sentence, error.code)
        return JsonResponse(
            found.data, status=error.status, content_type="application/problem+json"
        )
    context = {"title": error.title, "text": error.sentence}
    return render(request, "error.html", context, status=error.status)
