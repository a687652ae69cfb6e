"""Where a client's layers or its mail host disturb each other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.sight import BlindLayerSerializer
from console.queries.interference import Found, Page, interference_page
from incidents.access import access_client
from incidents.models import Interference

STATES = ("found", "clear", "nothing", "blind", "absent", "unlooked")


class FixSerializer(serializers.Serializer[Any]):
    host = serializers.CharField()
    steps = serializers.ListField(child=serializers.CharField())
    source = serializers.CharField(help_text="The vendor's page; empty: none")  # type: ignore[assignment]


class InterferenceFoundSerializer(serializers.Serializer[Any]):
    cause = serializers.CharField(help_text="docs/layers.md defines each")
    value = serializers.CharField()
    words = serializers.CharField()
    harm = serializers.CharField()
    copies = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    fixes = FixSerializer(many=True)
    proof = serializers.SerializerMethodField(
        help_text="Deliveries, the newest of them, as `deliveries/{id}/trace` opens them"
    )

    def get_proof(self, found: Found) -> list[UUID]:
        return [copy.id for copy in found.proof]


class CheckSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Interference.Kind.choices)
    state = serializers.ChoiceField(choices=STATES)
    compared = serializers.CharField(help_text="What could be compared")
    copies = serializers.IntegerField(help_text="How many of them were looked at")
    is_cut = serializers.BooleanField(help_text="Only the newest")
    since = serializers.DateTimeField(allow_null=True)
    looked_at = serializers.DateTimeField(allow_null=True)
    found = InterferenceFoundSerializer(many=True)


class InterferenceSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    blind = BlindLayerSerializer(many=True)
    bypass = serializers.UUIDField(
        allow_null=True, help_text="The open incident of mail around the gateway"
    )
    checks = CheckSerializer(many=True)


class ClientInterference(APIView):
    """What the last hourly look at a client found, with fix and proof."""

    @extend_schema(responses=InterferenceSerializer)
    def get(self, request: Request, slug: str) -> Response:
        page = interference_page(access_client(slug))
        return Response(InterferenceSerializer(_shown(page)).data)


def _shown(page: Page) -> dict[str, Any]:
    return {
        "tenant": page.client.slug,
        "blind": page.blind.layers,
        "bypass": page.bypass.id if page.bypass else None,
        "checks": page.checks,
    }
