"""The layer ledger: figures of a period, and the list of mails behind each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api.base import PAGING, PERIOD, ListView
from console.api.pagination import TimeCursorPagination
from console.api.serializers import VerdictField
from console.lib.period import asked_by_program
from incidents.ledger import FIGURES, figures_of, lags_of, list_of
from incidents.models import LedgerEntry
from tenants.errors import NotThere

FiguresSerializer = type(
    "FiguresSerializer",
    (serializers.Serializer,),
    {
        name: serializers.IntegerField(help_text=figure.words or figure.title)
        for name, figure in FIGURES.items()
    }
    | {"__doc__": "Distinct mails by figure; docs/ledger.md defines each."},
)


class LagSerializer(serializers.Serializer[Any]):
    words = serializers.CharField()
    mails = serializers.IntegerField()
    median_s = serializers.FloatField()
    p95_s = serializers.FloatField()


class LedgerSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField(allow_null=True, help_text="null: all that you may see")
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="The period ends before it")
    figures = FiguresSerializer()
    lags = serializers.DictField(
        child=LagSerializer(), help_text="By how much the later one was later, by figure"
    )


class LedgerEntrySerializer(serializers.ModelSerializer[LedgerEntry]):
    id = serializers.UUIDField(source="message_id", read_only=True)
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    message = serializers.UUIDField(source="message_id", read_only=True)
    internet_message_id = serializers.CharField(
        source="message.internet_message_id", read_only=True
    )
    subject = serializers.CharField(source="message.subject", read_only=True)
    sender = serializers.CharField(source="message.sender_address", read_only=True)
    verdict = VerdictField()

    class Meta:
        model = LedgerEntry
        fields = (
            *("id", "tenant", "message", "internet_message_id", "subject", "sender", "verdict"),
            *("counted_as", "seen_at", "gateway_at", "mailbox_at", "person_at", "vendor_at"),
            "lag_s",
        )


class Ledger(APIView):
    """Which layer caught what, who was first, and what both missed: distinct mails.

    Every figure opens to its list under ``ledger/{figure}/``, which is as long as the figure says.
    """

    @extend_schema(parameters=PERIOD, responses=LedgerSerializer)
    def get(self, request: Request) -> Response:
        asked = asked_by_program(request.query_params)
        period, client = asked.period, asked.client
        lags = lags_of(period, client=client)
        shown = {
            "tenant": request.query_params.get("tenant") or None,
            "since": period.since,
            "until": period.until,
            "figures": figures_of(period, client=client),
            "lags": {name: asdict(lag) for name, lag in lags.items()},
        }
        return Response(LedgerSerializer(shown).data)


class EntryPagination(TimeCursorPagination):
    """Newest first: a mail's id sorts by time."""

    ordering = "-message_id"


class LedgerFigure(ListView):
    """The mails behind one figure of the ledger."""

    serializer_class = LedgerEntrySerializer
    pagination_class = EntryPagination
    filter_backends = ()  # its own parameters, not a filter set
    queryset = LedgerEntry.objects.none()

    @extend_schema(parameters=PERIOD)
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @override
    def get_queryset(self) -> QuerySet[LedgerEntry]:
        asked = asked_by_program(self.request.query_params, *PAGING)
        figure = self.kwargs["figure"]
        if figure not in FIGURES:
            raise NotThere(f"There is no figure of this name. Known are: {', '.join(FIGURES)}.")
        found = list_of(figure, asked.period, client=asked.client)
        return found.prefetch_related("message", "tenant")
