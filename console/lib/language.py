"""In which language a page is: the portal's as the reader's browser asks, the console's English."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override


class LanguageMiddleware:
    """No cookie and no address names a language: ``Accept-Language`` does (RFC 9110, 12.5.4)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.ROOT_URLCONF != "console.urls_portal":
            return self.get_response(request)
        language = get_language_from_request(request)
        with override(language):
            response = self.get_response(request)
        patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Content-Language", language)
        return response
