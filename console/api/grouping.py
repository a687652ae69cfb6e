"""What joins nothing at a client, and a canonical pass that is read before it is done.

The same services as the client's pages *What joins nothing* and *What a pass would change*.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.base import parse
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.grouping import grouping_page
from console.queries.hubs import hubs_page
from incidents.access import access_client, access_open_recomputation
from incidents.campaigns.recomputing import ask_recomputation, decide_recomputation
from incidents.models import Recomputation
from tenants.models import Tenant


class HubSerializer(serializers.Serializer[Any]):
    """A value that everybody's mail shares."""

    words = serializers.CharField(help_text="links to sharepoint.com")
    label = serializers.CharField()  # type: ignore[assignment]
    mails = serializers.IntegerField(help_text="Of the client, harmless ones too")
    threats = serializers.IntegerField(help_text="Those of them that are in incidents")
    why = serializers.CharField(help_text="Why it joins nothing")


class HubsSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="client.slug")
    hubs = HubSerializer(many=True)
    looked_at = serializers.IntegerField(help_text="Values, those in most mails first")
    is_cut = serializers.BooleanField(help_text="Rarer values were not looked at")


class LineSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["split", "merge", "campaign"])
    text = serializers.CharField()


class RecomputationSerializer(serializers.ModelSerializer[Recomputation]):
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By kind, of all")
    lines = LineSerializer(many=True, help_text="At most 500")

    class Meta:
        model = Recomputation
        fields = (
            *("id", "version", "asked_by", "asked_at", "shown_at", "counts", "lines"),
            *("is_accepted", "decided_by", "decided_at", "reason"),
        )


class GroupingSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="client.slug")
    waits = serializers.BooleanField(help_text="No pass changes anything until it is decided")
    now = RecomputationSerializer(
        allow_null=True, help_text="shown_at null: being reckoned; null: nothing is asked"
    )
    before = RecomputationSerializer(many=True, help_text="The last 20 that were decided")


class DecisionSerializer(serializers.Serializer[Any]):
    accept = serializers.BooleanField()
    reason = serializers.CharField(min_length=5, max_length=500, help_text="Stands in the log")


class ClientHubs(APIView):
    """Values that join no mails at this client, those in most mails first, and why."""

    @extend_schema(responses=HubsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(HubsSerializer(hubs_page(access_client(slug))).data)


class ClientGrouping(APIView):
    """A dry run of the canonical pass: what it would change, before anything is changed."""

    @extend_schema(responses=GroupingSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(_grouping(access_client(slug)))

    @extend_schema(request=None, responses={202: GroupingSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Have it reckoned (anew).  GET shows it once ``shown_at`` is there."""
        client = access_client(slug)
        ask_recomputation(tenant=client, actor=person_of(request))
        return Response(_grouping(client), status=202)


class DecideGrouping(APIView):
    """Have done what the dry run showed, or leave all as it is.  409 until it is reckoned."""

    @extend_schema(request=DecisionSerializer, responses=GroupingSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        open_one = access_open_recomputation(slug)
        asked = parse(DecisionSerializer, request)
        decide_recomputation(
            asked=open_one,
            actor=person_of(request),
            is_accepted=asked["accept"],
            reason=asked["reason"],
        )
        return Response(_grouping(open_one.tenant))


def _grouping(client: Tenant) -> dict[str, Any]:
    told: dict[str, Any] = GroupingSerializer(grouping_page(client)).data
    return told
