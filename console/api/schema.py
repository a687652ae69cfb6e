"""The API's own description, made and written once in a process: each takes most of a second."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from rest_framework.request import Request
from typing_extensions import override


class OnceGenerator(SchemaGenerator):
    """The same for everybody: it tells nothing of any client."""

    @override
    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:
        return _schema(public)


class WrittenOnce(dict[str, Any]):
    """The description, with its YAML."""

    @cached_property
    def as_yaml(self) -> bytes:
        written: bytes = OpenApiYamlRenderer().render(dict(self))  # type: ignore[no-untyped-call]
        return written


@cache
def _schema(public: bool) -> WrittenOnce:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    return WrittenOnce(generator.get_schema(request=None, public=public))  # type: ignore[no-untyped-call]
