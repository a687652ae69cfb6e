"""The gap counters of a client's mailboxes, and the mails behind each."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from api_bridge.models import NightReading, SeenItem
from console.api.base import PAGING, ListView
from console.lib.http import check_known
from console.queries.gaps import gap_items, gaps_page
from incidents.access import access_client


class MailboxGapsSerializer(serializers.Serializer[Any]):
    address = serializers.CharField()
    unannounced = serializers.IntegerField()
    missed = serializers.IntegerField()
    imported = serializers.IntegerField()
    pushed_since = serializers.DateTimeField(
        allow_null=True, help_text="null: no push order stands"
    )
    caught_up_at = serializers.DateTimeField(allow_null=True)


class NightSerializer(serializers.ModelSerializer[NightReading]):
    mailbox = serializers.CharField(source="mailbox.address")

    class Meta:
        model = NightReading
        fields = (
            *("mailbox", "read_at", "whole_at", "began_at", "due_at", "requests", "mails"),
            *("imported", "missed", "vanished", "last_error"),
        )


class NightsSerializer(serializers.Serializer[Any]):
    mailboxes = serializers.IntegerField(help_text="Whose folders are read through at night")
    read = serializers.IntegerField(help_text="Of them those that were read to the end")
    under_way = serializers.IntegerField(help_text="That are being read now")
    last_at = serializers.DateTimeField(allow_null=True, help_text="null: none was read yet")
    found = serializers.IntegerField(help_text="In each mailbox's last night")
    rows = NightSerializer(many=True, help_text="Those with something to say, at most 50")


class GapsSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="client.slug")
    mailboxes = serializers.IntegerField(help_text="That are read")
    pushed = serializers.IntegerField(help_text="For which a push order stands")
    unannounced = serializers.IntegerField(help_text="Found, and no push had announced them")
    missed = serializers.IntegerField(help_text="Found, and an earlier reading had missed them")
    imported = serializers.IntegerField(help_text="Put there by somebody with an old date")
    nights = NightsSerializer()
    rows = MailboxGapsSerializer(many=True, help_text="Mailboxes with a gap")


class GapItemSerializer(serializers.ModelSerializer[SeenItem]):
    mailbox = serializers.CharField(source="mailbox.address")

    class Meta:
        model = SeenItem
        fields = ("id", "mailbox", "item_id", "gap", "place", "received_at", "found_at")


class ClientGaps(APIView):
    """How many mails were found late, by mailbox."""

    @extend_schema(responses=GapsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(GapsSerializer(gaps_page(access_client(slug))).data)


class ClientGapsList(ListView):
    """The mails behind one of its figures."""

    serializer_class = GapItemSerializer
    filter_backends = ()  # its own parameters, not a filter set
    queryset = SeenItem.objects.none()

    @extend_schema(
        parameters=[
            OpenApiParameter("mailbox", str, description="Of this one alone"),
            OpenApiParameter("since", str, description="Found from this time on"),
        ]
    )
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @override
    def get_queryset(self) -> QuerySet[SeenItem]:
        said = self.request.query_params
        check_known(said, "mailbox", "since", *PAGING)
        address = said.get("mailbox", "")[:320].replace("\x00", "")
        client, since = access_client(self.kwargs["slug"]), said.get("since", "")
        return gap_items(client, self.kwargs["kind"], address, since)
