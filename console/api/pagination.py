"""Cursor paging: ``results`` and ``next``, steady while rows arrive."""

from rest_framework.pagination import CursorPagination


class TimeCursorPagination(CursorPagination):
    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"
    ordering = "-id"
