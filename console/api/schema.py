"""The API's own description, made once in a process: making it takes a second."""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from rest_framework.request import Request
from typing_extensions import override


class OnceGenerator(SchemaGenerator):
    """The same for everybody: it tells nothing of any client."""

    @override
    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:
        return _schema(public)


@cache
def _schema(public: bool) -> dict[str, Any]:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema: dict[str, Any] = generator.get_schema(request=None, public=public)  # type: ignore[no-untyped-call]
    return schema
