"""The blind-spot meter of a client: figures by domain and hour, and the copies behind each."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from api_bridge.blindspots import WORDS, Fate, copies_of
from api_bridge.models import TracedMail
from api_bridge.trace_sight import TRACE_WORDS, TraceFate, traced_of
from console.api.base import LAST_DAY, PAGING, ListView, last_day_asked
from console.api.serializers import DeliverySerializer
from console.api.sight import BlindLayerSerializer
from console.queries.blindspots import Page, blindspots_page
from incidents.access import access_client
from incidents.models import Delivery
from tenants.errors import NotThere


class CountsSerializer(serializers.Serializer[Any]):
    delivered = serializers.IntegerField(help_text="seen + lost + unlooked + unread")
    seen = serializers.IntegerField()
    lost = serializers.IntegerField(help_text="Its mailbox was read since, without it")
    unlooked = serializers.IntegerField(help_text="Its mailbox was not read since")
    unread = serializers.IntegerField(help_text="To an address whose mailbox nobody reads")
    shown = serializers.IntegerField(help_text="In mailboxes: through + around")
    through = serializers.IntegerField()
    around = serializers.IntegerField()
    seen_share = serializers.FloatField(allow_null=True, help_text="seen / (seen + lost)")
    through_share = serializers.FloatField(allow_null=True, help_text="through / shown")


class MeterHourSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="When the hour begins")
    counts = CountsSerializer()


class MeterDomainSerializer(serializers.Serializer[Any]):
    domain = serializers.CharField()
    counts = CountsSerializer()
    hours = MeterHourSerializer(many=True, help_text="Those with mail")


class TraceCountsSerializer(serializers.Serializer[Any]):
    delivered = serializers.IntegerField(help_text="seen + lost + unlooked + unread")
    seen = serializers.IntegerField()
    lost = serializers.IntegerField(help_text="Its mailbox was read since, without it")
    unlooked = serializers.IntegerField(help_text="Its mailbox was not read since")
    unread = serializers.IntegerField(help_text="To an address whose mailbox nobody reads")
    filtered = serializers.IntegerField(help_text="Kept back by Exchange's own protection")
    seen_share = serializers.FloatField(allow_null=True, help_text="seen / (seen + lost)")


class ExchangeSerializer(serializers.Serializer[Any]):
    """Exchange's own record of all mail to the client."""

    off = serializers.CharField(help_text='Why it is not read; "": it is')
    until = serializers.DateTimeField(allow_null=True, help_text="Up to when it was read")
    counts = TraceCountsSerializer()


class TracedSerializer(serializers.ModelSerializer[TracedMail]):
    class Meta:
        model = TracedMail
        fields = (
            *("id", "received_at", "sender", "recipient", "subject"),
            *("internet_message_id", "status"),
        )


class BlindSpotsSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    blind = BlindLayerSerializer(many=True)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="The period ends before it")
    counts = CountsSerializer()
    domains = MeterDomainSerializer(many=True)
    exchange = ExchangeSerializer(allow_null=True, help_text="Null: the mail host keeps none")


class ClientBlindSpots(APIView):
    """What the gateway delivered against what the mailboxes showed, and back."""

    @extend_schema(parameters=LAST_DAY, responses=BlindSpotsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        page = blindspots_page(access_client(slug), last_day_asked(request))
        return Response(BlindSpotsSerializer(_told(page)).data)


class ClientBlindSpotsList(ListView):
    """The copies behind one of its figures, newest first."""

    serializer_class = DeliverySerializer
    filter_backends = ()  # its own parameters, not a filter set
    queryset = Delivery.objects.none()

    @extend_schema(parameters=[*LAST_DAY, OpenApiParameter("domain", str)])
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @override
    def get_queryset(self) -> QuerySet[Delivery]:
        client = access_client(self.kwargs["slug"])
        if self.kwargs["fate"] not in WORDS:
            raise NotThere(f"There is no figure of this name. Known are: {', '.join(Fate)}.")
        period = last_day_asked(self.request, "domain", *PAGING)
        domain = self.request.query_params.get("domain", "")[:255].replace("\x00", "")
        found = copies_of(client, period, Fate(self.kwargs["fate"]), domain)
        return found.select_related("message", "tenant")


class ClientTraced(ListView):
    """The copies behind one figure of Exchange's own record, newest first."""

    serializer_class = TracedSerializer
    filter_backends = ()  # its own parameters, not a filter set
    queryset = TracedMail.objects.none()

    @extend_schema(parameters=LAST_DAY)
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @override
    def get_queryset(self) -> QuerySet[TracedMail]:
        client = access_client(self.kwargs["slug"])
        if self.kwargs["fate"] not in TRACE_WORDS:
            raise NotThere(f"There is no figure of this name. Known are: {', '.join(TraceFate)}.")
        period = last_day_asked(self.request, *PAGING)
        return traced_of(client, period, TraceFate(self.kwargs["fate"]))


def _told(page: Page) -> dict[str, Any]:
    return {
        "tenant": page.client.slug,
        "blind": page.blind.layers,
        "since": page.period.since,
        "until": page.period.until,
        "counts": page.counts,
        "domains": [row.sight for row in page.rows],
        "exchange": page.exchange,
    }
