"""Messages, deliveries, observations and held mail; opening content with a reason."""

from __future__ import annotations

from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api.base import DetailView, ListView, job_response, parse
from console.api.filters import DeliveryFilter, MessageFilter, ObservationFilter
from console.api.idempotency import idempotent
from console.lib.exports import download
from console.lib.people import person_of
from console.queries.held import same_rule_for
from console.queries.trace import trace_of
from incidents.access import access_delivery, access_message
from incidents.allowed import allowing_entries
from incidents.client_words import refuse_release
from incidents.content import check_may_open, open_original
from incidents.evidence import read_evidence
from incidents.models import ContentAccess, Delivery, Message, Observation
from incidents.models.mail import Place
from incidents.remediation import acquire_original
from incidents.reported import report_mail
from incidents.sides import what_allowed
from incidents.sightings import history_of
from seg_bridge.held.drop import delete_held

_DELIVERIES = Delivery.objects.select_related("tenant", "message").prefetch_related(
    "message__memberships"
)


class MessageList(ListView):
    """Mails as content, newest first."""

    serializer_class = shown.MessageSerializer
    filterset_class = MessageFilter
    queryset = Message.objects.select_related("tenant")


class MessageDetail(DetailView):
    serializer_class = shown.MessageSerializer
    queryset = Message.objects.select_related("tenant")


class MessageOriginal(APIView):
    """The mail's bytes.  Needs the right to open content and a reason that the client sees."""

    @extend_schema(
        request=asks.OpenContentSerializer,
        responses={(200, "message/rfc822"): OpenApiTypes.BINARY},
    )
    @idempotent
    def post(self, request: Request, object_id: str) -> HttpResponse:
        message = access_message(object_id)
        asked = parse(asks.OpenContentSerializer, request)
        raw = open_original(
            message=message,
            person=person_of(request),
            what=ContentAccess.What.ORIGINAL,
            reason=asked["reason"],
        )
        return self._file(message, raw)

    def answer_again(self, request: Request, object_id: str) -> HttpResponse:
        """The same bytes against the same record, while she still may."""
        message = access_message(object_id)
        check_may_open(message=message, person=person_of(request))
        raw = read_evidence(tenant_id=message.tenant_id, digest=message.evidence)
        return self._file(message, raw)

    @staticmethod
    def _file(message: Message, raw: bytes) -> HttpResponse:
        return download(raw, f"{message.id}.eml", content_type="message/rfc822")


class AcquireMessage(APIView):
    """Fetch the original from a mailbox into the evidence store; answers the job to follow."""

    @extend_schema(request=asks.ReasonSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        message = access_message(object_id)
        asked = parse(asks.ReasonSerializer, request)
        job = acquire_original(message=message, actor=person_of(request), reason=asked["reason"])
        return job_response(job)


class ReportMessage(APIView):
    """Say what a mail is, as a person; an incident and the ledger follow within seconds."""

    @extend_schema(request=asks.ReportMailSerializer, responses={202: shown.ReportedMailSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        message = access_message(object_id)
        asked = parse(asks.ReportMailSerializer, request)
        copies = report_mail(message=message, actor=person_of(request), **asked)
        said = {"message": message.id, "verdict": asked["verdict"], "copies": copies}
        return Response(shown.ReportedMailSerializer(said).data, status=202)


class DeliveryList(ListView):
    """Copies, one for each recipient, newest first."""

    serializer_class = shown.DeliverySerializer
    filterset_class = DeliveryFilter
    queryset = _DELIVERIES


class DeliveryDetail(DetailView):
    serializer_class = shown.DeliverySerializer
    queryset = _DELIVERIES


class WhatAllowedDelivery(APIView):
    """What let this copy into a mailbox: an allow entry with its author, a person's release, the
    policy, a way around the gateway.  ``kind`` is null where it is in none, or nobody knows.
    """

    @extend_schema(responses=shown.AllowedSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        copy = access_delivery(object_id)
        entry = allowing_entries([copy]).get(copy.id)
        found = what_allowed(copy, history_of([copy])[copy.id], entry=entry)
        return Response(shown.AllowedSerializer(found or _NOTHING).data)


class TraceDelivery(APIView):
    """The way of one copy, oldest first: conversation, decision, next hop, sightings."""

    @extend_schema(responses=shown.TraceSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        trace = trace_of(access_delivery(object_id))
        return Response(shown.TraceSerializer(trace).data)


_NOTHING = dict.fromkeys(("kind", "text", "owner", "rule_id", "at"))


class HeldList(ListView):
    """Copies that the gateway holds now."""

    serializer_class = shown.DeliverySerializer
    filterset_class = DeliveryFilter
    queryset = _DELIVERIES.filter(place=Place.HOLD)


class HeldDetail(DetailView):
    serializer_class = shown.DeliverySerializer
    queryset = _DELIVERIES.filter(place=Place.HOLD)


class HeldBySameRule(APIView):
    """Other held copies that the same rule holds; they can be released together."""

    @extend_schema(responses=shown.SameRuleSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        same = same_rule_for(access_delivery(object_id), person_of(request))
        prefetch_related_objects(same.others, "message__memberships")
        return Response(shown.SameRuleSerializer(same).data)


class RefuseHeld(APIView):
    """A client's wish for this mail is refused; the client reads the reason.  409: nobody asks."""

    @extend_schema(request=asks.DenySerializer, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        delivery = access_delivery(object_id)
        asked = parse(asks.DenySerializer, request)
        refuse_release(delivery=delivery, actor=person_of(request), **asked)
        return Response(status=204)


class DeleteHeld(APIView):
    """The gate throws a held copy away, for good.  409 where something needs it."""

    @extend_schema(request=asks.DenySerializer, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        delivery = access_delivery(object_id)
        asked = parse(asks.DenySerializer, request)
        delete_held(delivery=delivery, actor=person_of(request), **asked)
        return Response(status=204)


class ObservationList(ListView):
    """What each layer saw, when, and why it judged so.  Append-only history."""

    serializer_class = shown.ObservationSerializer
    filterset_class = ObservationFilter
    queryset = Observation.objects.select_related("tenant")


class ObservationDetail(DetailView):
    serializer_class = shown.ObservationSerializer
    queryset = Observation.objects.select_related("tenant")


class ContentAccessList(ListView):
    """Who opened whose mail, when and why."""

    serializer_class = shown.ContentAccessSerializer
    queryset = ContentAccess.objects.select_related("tenant")
