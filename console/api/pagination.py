"""Cursor paging: ``results`` and ``next``, steady while rows arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from typing_extensions import override

from tenants.errors import WrongInput

USUAL_SIZE, BIGGEST_SIZE = 50, 500


def wished_page_size(request: Request) -> int:
    """Raises ``WrongInput``."""
    wish = request.query_params.get("page_size", "")
    if wish and (not (wish.isascii() and wish.isdigit()) or int(wish[:9]) == 0):
        raise WrongInput(f"page_size is a number from 1 to {BIGGEST_SIZE}.")
    return min(int(wish[:9]), BIGGEST_SIZE) if wish else USUAL_SIZE


class TimeCursorPagination(CursorPagination):
    """Newest first: ids sort by time.  A cursor or page size that makes no sense is an error."""

    page_size = USUAL_SIZE
    max_page_size = BIGGEST_SIZE
    page_size_query_param = "page_size"
    ordering = "-id"

    @override
    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: Any = None
    ) -> list[Any] | None:
        assert isinstance(queryset, QuerySet)
        self._key = queryset.model._meta.pk
        found: list[Any] | None = super().paginate_queryset(queryset, request, view)
        return found

    @override
    def get_page_size(self, request: Request) -> int | None:
        return wished_page_size(request)

    @override
    def decode_cursor(self, request: Request) -> Cursor | None:
        if not request.query_params.get(self.cursor_query_param):
            return None
        try:
            cursor = super().decode_cursor(request)
            # It reaches the database as the id to go on from.
            position = self._key.to_python(cursor and cursor.position)
            self._key.run_validators(position)
            if position is None:
                raise NotFound
        except (NotFound, ValidationError) as error:
            raise WrongInput("This cursor leads nowhere. Begin again without it.") from error
        return cursor
