"""What all resources share: known filters, one object or the one 404, parsed bodies, jobs."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter
from rest_framework import generics, serializers
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.response import Response
from typing_extensions import override

from console.api.serializers import JobSerializer
from incidents.access import access_one
from incidents.models import Job
from tenants.errors import WrongInput

PAGING = ("cursor", "page_size")
# Parameters of what is counted over a period.
PERIOD = [
    OpenApiParameter("tenant", str, description="One client; all in sight without"),
    OpenApiParameter("group", str, description="The clients in sight of this group"),
    OpenApiParameter("from", str, description="A day (UTC) or time; 30 days ago without"),
    OpenApiParameter("to", str, description="A day, the last one, or the time at which it ends"),
]


class KnownFilters(DjangoFilterBackend):
    """A filter that is not known is an error, not a wish that is silently ignored."""

    @override
    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        filterset_class = self.get_filterset_class(view, queryset)
        known = set(filterset_class.base_filters) if filterset_class else set()
        unknown = set(request.query_params) - known - {*PAGING, "format"}
        if unknown:
            raise WrongInput(
                f"Unknown filter: {', '.join(sorted(unknown))}."
                f" Known are: {', '.join(sorted(known)) or 'none'}."
            )
        return super().filter_queryset(request, queryset, view)


class ListView(generics.ListAPIView[Any]):
    filter_backends: tuple[type[BaseFilterBackend], ...] = (KnownFilters,)


class DetailView(generics.RetrieveAPIView[Any]):
    lookup_url_kwarg = "object_id"

    @override
    def get_object(self) -> Any:
        return access_one(self.get_queryset(), self.kwargs["object_id"])


def parse(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, checked.  Raises DRF's ``ValidationError``."""
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    values: dict[str, Any] = form.validated_data
    return values


def job_response(job: Job) -> Response:
    """202 with the job to follow."""
    return Response(JobSerializer(job).data, status=202)
