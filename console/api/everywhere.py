"""One order over several clients.  The same services as the campaign's page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api.base import parse
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.campaign import campaign_everywhere, can_be_blocked, can_be_pulled
from incidents.access import access_incident
from incidents.everywhere import MOST, block_everywhere, foresee_order, pull_everywhere
from incidents.models import Incident, Job
from tenants.errors import WrongInput


class PullEverywhereSerializer(asks.ReasonSerializer):
    incidents = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=MOST,
        help_text="Of the campaign; empty: all in sight where something can be done",
    )


class BlockEverywhereSerializer(PullEverywhereSerializer):
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Else after 30 days"
    )
    despite = serializers.BooleanField(
        default=False, help_text="Although a rehearsal has objections; needs a reason"
    )


class OrderSerializer(serializers.Serializer[Any]):
    """One order over several clients: a job for each incident."""

    order = serializers.UUIDField()
    jobs = shown.JobSerializer(many=True)


class PartSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="incident.tenant.slug")
    incident = serializers.UUIDField(source="incident.id")
    copies = serializers.IntegerField(help_text="That would be acted on")
    refused = serializers.CharField(help_text="Why it would not be done; empty: it would")


class ForeseenSerializer(serializers.Serializer[Any]):
    """What an order over several clients would come to."""

    parts = PartSerializer(many=True)


class PullEverywhere(APIView):
    """Pull every copy of the campaign at all clients in sight, or at those of ``incidents``.

    Answers the order: one job for each incident, with its own result.
    """

    @extend_schema(request=PullEverywhereSerializer, responses={202: OrderSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        return _given(_pull(request, object_id)())


class ForeseePullEverywhere(APIView):
    """What the same pull would come to at each client.  Nothing is done."""

    @extend_schema(request=PullEverywhereSerializer, responses=ForeseenSerializer)
    def post(self, request: Request, object_id: str) -> Response:
        return _foreseen(_pull(request, object_id))


class BlockEverywhere(APIView):
    """Block each incident's sender at its client, at all in sight or at those of ``incidents``.

    A part fails where its client's rehearsal objects, unless ``despite`` with ``reason``.
    """

    @extend_schema(request=BlockEverywhereSerializer, responses={202: OrderSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        return _given(_block(request, object_id)())


class ForeseeBlockEverywhere(APIView):
    """What the same block would come to: where a client's rehearsal objects, and why."""

    @extend_schema(request=BlockEverywhereSerializer, responses=ForeseenSerializer)
    def post(self, request: Request, object_id: str) -> Response:
        return _foreseen(_block(request, object_id))


def _pull(request: Request, object_id: str) -> Callable[[], UUID]:
    """The order, ready to be given."""
    found = can_be_pulled(campaign_everywhere(access_incident(object_id)))
    asked = parse(PullEverywhereSerializer, request)
    chosen = _chosen(found, asked.pop("incidents"))
    return partial(pull_everywhere, incidents=chosen, actor=person_of(request), **asked)


def _block(request: Request, object_id: str) -> Callable[[], UUID]:
    found = can_be_blocked(campaign_everywhere(access_incident(object_id)))
    asked = parse(BlockEverywhereSerializer, request)
    if asked["expires_at"] and asked["expires_at"] <= timezone.now():
        raise WrongInput("expires_at: this time has passed.")
    chosen = _chosen(found, asked.pop("incidents"))
    return partial(block_everywhere, incidents=chosen, actor=person_of(request), **asked)


def _foreseen(give: Callable[[], UUID]) -> Response:
    return Response(ForeseenSerializer({"parts": foresee_order(give)}).data)


def _chosen(found: Sequence[Incident], ids: Sequence[UUID]) -> list[Incident]:
    """All of them where none is named.  Raises ``WrongInput`` for one that is none of them."""
    if not ids:
        if not found:
            raise WrongInput("Nothing is left to do at any client in sight.")
        return list(found)
    known = {incident.id: incident for incident in found}
    if strange := [str(each) for each in ids if each not in known]:
        raise WrongInput(f"Nothing can be done here with {', '.join(strange)}.")
    return [known[each] for each in dict.fromkeys(ids)]


def _given(group_id: UUID) -> Response:
    """202 with the order's jobs to follow."""
    jobs = Job.objects.filter(group_id=group_id).select_related("tenant").order_by("created_at")
    answer = OrderSerializer({"order": group_id, "jobs": jobs})
    return Response(answer.data, status=202)
