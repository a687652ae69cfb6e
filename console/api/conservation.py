"""Is all mail that a client's layers took in accounted for?  Figures by layer and hour."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api_bridge.conservation import MOST_LISTED, conservation_of, unaccounted_of
from console.api.base import LAST_DAY, last_day_asked
from incidents.access import access_client


class AccountedHourSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="When the hour begins")
    taken_in = serializers.IntegerField(help_text="All outcomes + unaccounted")
    outcomes = serializers.DictField(child=serializers.IntegerField())
    unaccounted = serializers.IntegerField(help_text="No outcome is known, or none yet")


class LayerSerializer(serializers.Serializer[Any]):
    layer = serializers.CharField()
    taken_in = serializers.IntegerField()
    outcomes = serializers.DictField(child=serializers.IntegerField())
    unaccounted = serializers.IntegerField()
    hours = AccountedHourSerializer(many=True, help_text="Those in which something was taken in")


class UnaccountedSerializer(serializers.Serializer[Any]):
    layer = serializers.CharField()
    name = serializers.CharField(help_text="The gateway's trace id, or the mail host's item id")
    recipient = serializers.CharField()
    at = serializers.DateTimeField()


class ConservationSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="The period ends before it")
    layers = LayerSerializer(many=True)
    unaccounted = UnaccountedSerializer(
        many=True, help_text=f"The oldest {MOST_LISTED} of each layer"
    )


class ClientConservation(APIView):
    """Taken in = sum of outcomes, with what is unaccounted one by one."""

    @extend_schema(parameters=LAST_DAY, responses=ConservationSerializer)
    def get(self, request: Request, slug: str) -> Response:
        client = access_client(slug)
        period = last_day_asked(request)
        told = {
            "tenant": client.slug,
            "since": period.since,
            "until": period.until,
            "layers": conservation_of(client, period),
            "unaccounted": unaccounted_of(client, period),
        }
        return Response(ConservationSerializer(told).data)
