"""What all resources share: known filters, one object or the one 404, parsed bodies, jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter
from rest_framework import generics, serializers
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.response import Response
from typing_extensions import override

from console.api.serializers import JobSerializer
from console.lib.http import check_known
from console.queries.blindspots import read_asked
from incidents.access import access_one
from incidents.ledger import Period
from incidents.models import Job

PAGING = ("cursor", "page_size")
CLIENTS = [
    OpenApiParameter("tenant", str, description="One client; all in sight without"),
    OpenApiParameter("group", UUID, description="The clients in sight of this group"),
]
# Parameters of what is counted over a period.
PERIOD = [
    *CLIENTS,
    OpenApiParameter("from", str, description="A day (UTC) or time; 30 days ago without"),
    OpenApiParameter("to", str, description="A day, the last one, or the time at which it ends"),
]

# The same of what is looked at over a day.
LAST_DAY = [
    OpenApiParameter("from", str, description="A day (UTC) or time; 24 hours ago without"),
    OpenApiParameter("to", str, description="A day, the last one, or the time at which it ends"),
]


class KnownFilters(DjangoFilterBackend):
    """A filter that is not known is an error, not a wish that is silently ignored."""

    @override
    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        filterset_class = self.get_filterset_class(view, queryset)
        known = set(filterset_class.base_filters) if filterset_class else set()
        check_known(request.query_params, *known, *PAGING)
        return super().filter_queryset(request, queryset, view)


class ListView(generics.ListAPIView[Any]):
    filter_backends: tuple[type[BaseFilterBackend], ...] = (KnownFilters,)


class DetailView(generics.RetrieveAPIView[Any]):
    lookup_url_kwarg = "object_id"

    @override
    def get_object(self) -> Any:
        return access_one(self.get_queryset(), self.kwargs["object_id"])


def last_day_asked(request: Request, *more: str) -> Period:
    """What ``LAST_DAY`` says; ``more`` are other parameters that are known there.

    Raises ``WrongInput``, also for one that is not.
    """
    said = request.query_params
    check_known(said, "from", "to", *more)
    since, until = (said.get(name, "")[:40].replace("\x00", "") for name in ("from", "to"))
    return read_asked("", since, until)


def parse(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, checked.  Raises DRF's ``ValidationError``, also for a field that is not
    known: a misspelt ``expires_at`` must not become an entry without it.
    """
    sent: Any = request.data
    form = serializer(data=sent)
    form.is_valid(raise_exception=True)
    if unknown := _unknown_fields(form, sent):
        raise serializers.ValidationError(unknown)
    values: dict[str, Any] = form.validated_data
    return values


def _unknown_fields(form: serializers.Serializer[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong by field, also within fields that have fields; {} where all are known."""
    known = {name: field for name, field in form.fields.items() if not field.read_only}
    hint = f"There is no such field. Known are: {', '.join(sorted(known)) or 'none'}."
    wrong: dict[str, Any] = {name: [hint] for name in said if name not in known}
    for name, field in known.items():
        inner = said.get(name)
        if not isinstance(field, serializers.Serializer) or not isinstance(inner, Mapping):
            continue
        if found := _unknown_fields(field, inner):
            wrong[name] = found
    return wrong


def job_response(job: Job) -> Response:
    """202 with the job to follow."""
    return Response(JobSerializer(job).data, status=202)
