"""``/api/v1/schema``: the view, apart from what its settings name (it is read while they are)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView
from typing_extensions import override

from console.api.schema import WrittenOnce


class _OnceYaml(OpenApiYamlRenderer):
    @override
    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if isinstance(data, WrittenOnce):
            return data.as_yaml
        refusal: bytes = super().render(data)  # type: ignore[no-untyped-call]
        return refusal


class _OnceYaml2(_OnceYaml):
    media_type = OpenApiYamlRenderer2.media_type


class ApiSchema(SpectacularAPIView):
    renderer_classes = [_OnceYaml, _OnceYaml2, OpenApiJsonRenderer, OpenApiJsonRenderer2]
