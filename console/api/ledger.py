"""The layer ledger: figures of a period, and the list of mails behind each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api.base import ListView
from console.api.pagination import TimeCursorPagination
from console.api.serializers import VerdictField
from console.lib.period import read_period
from incidents.ledger import FIGURES, Period, figures_of, lags_of, list_of
from incidents.models import LedgerEntry
from tenants.errors import NotThere, WrongInput

_PARAMETERS = [
    OpenApiParameter("tenant", str, description="Only this client; empty: all you may see"),
    OpenApiParameter("from", str, description="A day (UTC) or a time with its zone"),
    OpenApiParameter("to", str, description="A day, the last one, or a time before which it ends"),
]
_KNOWN = {"tenant", "from", "to"}

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


def _period(request: Request) -> Period:
    asked = request.query_params
    return read_period(asked.get("from", ""), asked.get("to", ""))


class Ledger(APIView):
    """Which layer caught what, who was first, and what both missed: distinct mails.

    Every figure opens to its list under ``ledger/{figure}/``, which is as long as the figure says.
    """

    @extend_schema(parameters=_PARAMETERS, responses=LedgerSerializer)
    def get(self, request: Request) -> Response:
        unknown = set(request.query_params) - _KNOWN - {"format"}
        if unknown:
            raise WrongInput(f"Unknown filter: {', '.join(sorted(unknown))}.")
        period, client = (
            _period(request),
            request.query_params.get("tenant", "").replace("\x00", ""),
        )
        lags = lags_of(period, client=client)
        shown = {
            "tenant": client or None,
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

    @extend_schema(parameters=_PARAMETERS)
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @override
    def get_queryset(self) -> QuerySet[LedgerEntry]:
        unknown = set(self.request.query_params) - _KNOWN - {"cursor", "page_size", "format"}
        if unknown:
            raise WrongInput(f"Unknown filter: {', '.join(sorted(unknown))}.")
        figure = self.kwargs["figure"]
        if figure not in FIGURES:
            raise NotThere(f"There is no figure of this name. Known are: {', '.join(FIGURES)}.")
        client = self.request.query_params.get("tenant", "").replace("\x00", "")
        found = list_of(figure, _period(self.request), client=client)
        return found.prefetch_related("message", "tenant")
