"""A client's outbound mail: its settings, and senders that gates stopped."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.api.serializers_asked import ReasonSerializer
from console.lib.people import person_of
from console.queries.outbound import access_stop, outbound_page
from incidents.access import access_client
from seg_bridge.outbound.models import SenderStop, SigningKey, SubmissionLogin
from seg_bridge.outbound.stopping import lift_stop


class SendingHostSerializer(serializers.Serializer[Any]):
    network = serializers.CharField()
    note = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()


class SubmissionLoginSerializer(serializers.ModelSerializer[SubmissionLogin]):
    """Its secret was shown once, and is nowhere."""

    class Meta:
        model = SubmissionLogin
        fields = ("id", "name", "purpose", "created_by", "created_at")


class SigningKeySerializer(serializers.ModelSerializer[SigningKey]):
    domain = serializers.CharField(source="domain.name")
    record_name = serializers.CharField()
    record_value = serializers.CharField()

    class Meta:
        model = SigningKey
        fields = (
            *("id", "domain", "selector", "state", "record_name", "record_value"),
            *("checked_at", "check_words", "created_by", "created_at"),
        )


class SenderLimitsSerializer(serializers.Serializer[Any]):
    """Of each mailbox; ``stop_refusals`` 0: it is not stopped for sending too much."""

    messages_per_hour = serializers.IntegerField()
    recipients_per_hour = serializers.IntegerField()
    stop_threats = serializers.IntegerField()
    stop_minutes = serializers.IntegerField()
    stop_refusals = serializers.IntegerField()


class OutboundSerializer(serializers.Serializer[Any]):
    """``next_hop`` null: by each recipient's MX where the gate has a Postfix, else put off.

    ``submission_at`` is with STARTTLS, ``submissions_at`` with TLS; "" where nobody has said.
    """

    tenant = serializers.SlugField(source="client.slug")
    is_on = serializers.BooleanField(source="terms.is_on")
    next_hop = serializers.SerializerMethodField()
    submission_at = serializers.CharField()
    submissions_at = serializers.CharField()
    gates = serializers.ListField(child=serializers.CharField())
    limits = SenderLimitsSerializer(source="terms")
    hosts = SendingHostSerializer(many=True)
    logins = SubmissionLoginSerializer(many=True)
    keys = SigningKeySerializer(many=True)

    def get_next_hop(self, page: Any) -> str | None:
        terms = page.terms
        return f"{terms.next_hop_host}:{terms.next_hop_port}" if terms.next_hop_host else None


class SenderStopSerializer(serializers.ModelSerializer[SenderStop]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    gate = serializers.CharField(source="gate_name")
    incident = serializers.UUIDField(source="incident_id", allow_null=True)

    class Meta:
        model = SenderStop
        fields = (
            *("id", "tenant", "mailbox", "cause", "words", "gate", "stopped_at", "incident"),
            *("lifted_at", "lifted_by", "lift_reason"),
        )


class SenderStopFilter(TenantFilter):
    is_lifted = filters.BooleanFilter(field_name="lifted_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = SenderStop
        fields = ("tenant", "mailbox", "cause")


class ClientOutbound(APIView):
    """How a client sends mail through the gateway: where to, by whom, how much, signed by what."""

    @extend_schema(responses=OutboundSerializer)
    def get(self, request: Request, slug: str) -> Response:
        page = outbound_page(access_client(slug), person_of(request))
        return Response(OutboundSerializer(page).data)


_STOPS = SenderStop.objects.select_related("tenant")


class SenderStopList(ListView):
    """Mailboxes that a gate stopped from sending; ``is_lifted=false`` are those that still are."""

    serializer_class = SenderStopSerializer
    filterset_class = SenderStopFilter
    queryset = _STOPS


class SenderStopDetail(DetailView):
    serializer_class = SenderStopSerializer
    queryset = _STOPS


class LiftSenderStop(APIView):
    """The mailbox may send again within seconds.  409: it may already."""

    @extend_schema(request=ReasonSerializer, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        stop = access_stop(object_id)
        asked = parse(ReasonSerializer, request)
        lift_stop(stop=stop, actor=person_of(request), reason=asked["reason"])
        return Response(status=204)
