"""API tokens.  The middleware has already found the person and opened her scope."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from typing_extensions import override


class ApiTokenAuthentication(BaseAuthentication):
    @override
    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        if getattr(request._request, "is_token_call", False):
            return request._request.user, None
        if request.headers.get("Authorization"):
            raise AuthenticationFailed("This token is unknown, expired or revoked.")
        return None

    @override
    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
