"""What the schema says of every operation: how to sign in, the key, what a refusal looks like."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers
from typing_extensions import override

from console.api.idempotency import LONGEST_KEY

_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "maxLength": LONGEST_KEY},
    OpenApiParameter.HEADER,
    description="The same key and request again gets the first answer and does nothing",
)


_REFUSAL = OpenApiResponse(
    inline_serializer(
        "Problem",
        {
            "type": serializers.CharField(),
            "title": serializers.CharField(),
            "status": serializers.IntegerField(),
            "detail": serializers.CharField(allow_blank=True),
            "code": serializers.CharField(),
            "errors": serializers.DictField(
                required=False, help_text="Of wrong input: what, by field"
            ),
        },
    ),
    description="Refused (RFC 9457); nothing was done",
)


class Operation(AutoSchema):
    @override
    def get_override_parameters(self) -> list[Any]:
        handler = getattr(self.view, self.method.lower())
        key = [_KEY] if getattr(handler, "takes_key", False) else []
        return [*super().get_override_parameters(), *key]

    @override
    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        bodies["4XX"] = self._get_response_for_code(  # type: ignore[no-untyped-call]
            _REFUSAL, "4XX", media_types=["application/problem+json"]
        )
        return bodies


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "console.api.authentication.ApiTokenAuthentication"
    name = "token"

    @override
    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
