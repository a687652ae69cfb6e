"""What waited for access to a client's mailboxes, looked at anew, and the one answer to it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.api.sight import BlindField
from console.lib.people import person_of
from incidents.access import access_renewal
from incidents.models import Renewal, RenewalCopy
from incidents.renewal_answers import answer_renewal


class RenewalCopySerializer(serializers.ModelSerializer[RenewalCopy]):
    job = serializers.UUIDField(source="job_id", read_only=True)
    approved_by = serializers.CharField(source="job.requested_by", read_only=True)
    approved_at = serializers.DateTimeField(source="job.created_at", read_only=True)
    action = serializers.UUIDField(
        source="intent_id",
        read_only=True,
        allow_null=True,
        help_text="null: nobody approved this copy, it came after the order",
    )
    delivery = serializers.UUIDField(source="delivery_id", read_only=True)
    recipient = serializers.CharField(source="delivery.recipient", read_only=True)
    place_then = serializers.CharField(source="intent.asked_place", read_only=True, default="")

    class Meta:
        model = RenewalCopy
        fields = (
            *("job", "approved_by", "approved_at", "action", "delivery", "recipient", "found"),
            *("place_then", "place", "differs", "words"),
        )


_FIELDS = (
    *("id", "tenant", "state", "waited_since", "began_at", "looked_at", "answer"),
    *("answered_by", "answered_at", "reason", "blind"),
)


class RenewalSerializer(serializers.ModelSerializer[Renewal]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    blind = BlindField()

    class Meta:
        model = Renewal
        fields = _FIELDS


class RenewalWithCopiesSerializer(RenewalSerializer):
    copies = RenewalCopySerializer(many=True, help_text="`differs` empty: within what was approved")

    class Meta:
        model = Renewal
        fields = (*_FIELDS, "copies")


class RenewalAnswerSerializer(serializers.Serializer[Any]):
    answer = serializers.ChoiceField(
        choices=Renewal.Answer.choices,
        help_text="`approved`: only what goes not beyond what was approved",
    )
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class RenewalFilter(TenantFilter):
    state = filters.ChoiceFilter(choices=Renewal.State.choices)


class RenewalList(ListView):
    """Renewed rehearsals, the newest first; with `state=asked` what waits for an answer."""

    serializer_class = RenewalSerializer
    filterset_class = RenewalFilter

    @override
    def get_queryset(self) -> QuerySet[Renewal]:
        return Renewal.objects.select_related("tenant")


def _with_copies() -> QuerySet[Renewal]:
    return Renewal.objects.select_related("tenant").prefetch_related(
        "copies__job", "copies__intent", "copies__delivery"
    )


class RenewalDetail(DetailView):
    serializer_class = RenewalWithCopiesSerializer

    @override
    def get_queryset(self) -> QuerySet[Renewal]:
        return _with_copies()


class AnswerRenewal(APIView):
    """The one answer to all jobs that would do more than was approved."""

    @extend_schema(request=RenewalAnswerSerializer, responses=RenewalWithCopiesSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        asked = parse(RenewalAnswerSerializer, request)
        found = access_renewal(object_id)
        answer_renewal(renewal=found, actor=person_of(request), **asked)
        return Response(RenewalWithCopiesSerializer(_with_copies().get(id=found.id)).data)
