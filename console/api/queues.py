"""Mail that waits at the gates, by next hop and copy by copy, and orders for one or for all."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.base import CLIENTS, DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.api.serializers_asked import ReasonSerializer
from console.lib.people import person_of
from console.lib.period import clients_asked
from console.queries.queues import Filters, access_item, hops_of, waiting
from seg_bridge.models import GateCommand, QueueItem
from seg_bridge.queues.orders import ACTIONS, allowed, order
from seg_bridge.queues.reasons import KINDS
from seg_bridge.queues.together import access_batch, foresee, order_many, stop_batch

_ACTIONS = tuple(ACTIONS)


class QueueItemSerializer(serializers.ModelSerializer[QueueItem]):
    """``reason`` are the next hop's words, ``reason_kind`` what they amount to."""

    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    gate = serializers.CharField(source="gate.name")
    reason_kind = serializers.ChoiceField(choices=list(KINDS.items()))
    actions = serializers.SerializerMethodField(help_text="Which orders can be given")

    class Meta:
        model = QueueItem
        fields = (
            *("id", "tenant", "gate", "queue_id", "where", "recipient", "sender", "next_hop"),
            *("reason", "reason_kind", "arrived_at", "size_bytes", "trace_ulid", "actions"),
        )

    def get_actions(self, item: QueueItem) -> list[str]:
        return allowed(item)


class QueueFilter(TenantFilter):
    older = filters.NumberFilter(
        method="filter_older",
        label="Waiting longer than so many hours",
        min_value=0,
        max_value=9999,
        decimal_places=0,
    )

    class Meta:
        model = QueueItem
        fields = ("tenant", "next_hop", "reason_kind", "where", "queue_id", "recipient")

    def filter_older(self, rows: QuerySet[QueueItem], name: str, value: Any) -> QuerySet[QueueItem]:
        return rows.filter(id__in=waiting(Filters(older=str(int(value)))).values("id"))


class GiveQueueOrderSerializer(ReasonSerializer):
    action = serializers.ChoiceField(choices=_ACTIONS)


class ChosenMailSerializer(serializers.Serializer[Any]):
    """Which mails: what is not said holds for any."""

    tenant = serializers.CharField(default="", allow_blank=True)
    next_hop = serializers.CharField(default="", allow_blank=True, max_length=600)
    reason_kind = serializers.ChoiceField(choices=list(KINDS), default="", allow_blank=True)
    where = serializers.ChoiceField(choices=QueueItem.Where.choices, default="", allow_blank=True)
    older = serializers.IntegerField(
        default=None, allow_null=True, min_value=0, max_value=9999, help_text="Hours"
    )
    action = serializers.ChoiceField(choices=_ACTIONS)


class OrderManySerializer(ChosenMailSerializer, ReasonSerializer):
    counted = serializers.IntegerField(
        min_value=1, help_text="So many mails you have seen that it is about (queue-orders/foresee)"
    )


class QueueForeseenSerializer(serializers.Serializer[Any]):
    """``also``: further copies of the same mails; ``left_out``: mails that stay as they are."""

    mails = serializers.SerializerMethodField()
    copies = serializers.IntegerField()
    also = serializers.IntegerField()
    left_out = serializers.IntegerField()

    def get_mails(self, foreseen: Any) -> int:
        return len(foreseen.mails)


class QueueOrderSerializer(serializers.ModelSerializer[GateCommand]):
    """``ok`` null: the gate has not answered yet."""

    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    gate = serializers.CharField(source="gate.name")

    class Meta:
        model = GateCommand
        fields = ("id", "tenant", "gate", "kind", "queue_id", "ok", "detail", "created_at")


class QueueBatchSerializer(serializers.Serializer[Any]):
    """An order for many, as far as it is about clients that you see."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    by = serializers.CharField()
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    stopped = serializers.IntegerField()
    waiting = serializers.IntegerField()
    troubles = QueueOrderSerializer(many=True)


class HopReasonSerializer(serializers.Serializer[Any]):
    reason_kind = serializers.CharField()
    count = serializers.IntegerField()


class HopSerializer(serializers.Serializer[Any]):
    next_hop = serializers.CharField(allow_blank=True)
    count = serializers.IntegerField()
    on_hold = serializers.IntegerField()
    oldest_at = serializers.DateTimeField()
    reasons = serializers.SerializerMethodField()

    @extend_schema(responses=HopReasonSerializer(many=True))
    def get_reasons(self, hop: Any) -> list[dict[str, Any]]:
        return [{"reason_kind": kind, "count": count} for kind, _, count in hop.reasons]


_ITEMS = QueueItem.objects.select_related("tenant", "gate")


class QueueList(ListView):
    """Copies that wait for their next hop, as each gate told it last; in an order of its own."""

    serializer_class = QueueItemSerializer
    filterset_class = QueueFilter
    queryset = _ITEMS


class QueueDetail(DetailView):
    serializer_class = QueueItemSerializer
    queryset = _ITEMS


class HopsSerializer(serializers.Serializer[Any]):
    results = HopSerializer(many=True)


class HopList(APIView):
    """By next hop: how many wait, since when, and why.  All of them, on one page."""

    @extend_schema(parameters=CLIENTS, responses=HopsSerializer)
    def get(self, request: Request) -> Response:
        found = waiting(Filters(client=clients_asked(request.query_params)))
        return Response(HopsSerializer({"results": hops_of(found)}).data)


class OrderForQueued(APIView):
    """Retry, hold, let go on, take out or return one mail.  409: an order for it is on its way."""

    @extend_schema(request=GiveQueueOrderSerializer, responses={202: QueueOrderSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        row = access_item(object_id)
        asked = parse(GiveQueueOrderSerializer, request)
        command = order(item=row.item, actor=person_of(request), **asked)
        return Response(QueueOrderSerializer(command).data, status=202)


class ForeseeOrder(APIView):
    """How many mails an order would be about.  Nothing is done."""

    @extend_schema(request=ChosenMailSerializer, responses=QueueForeseenSerializer)
    def post(self, request: Request) -> Response:
        asked = parse(ChosenMailSerializer, request)
        action = asked.pop("action")
        return Response(QueueForeseenSerializer(foresee(_chosen(asked), action)).data)


class OrderForMany(APIView):
    """One order for all that fit; answers the batch to follow.  409: more wait than you counted."""

    @extend_schema(request=OrderManySerializer, responses={202: QueueBatchSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(OrderManySerializer, request)
        given = {name: asked.pop(name) for name in ("action", "reason", "counted")}
        batch = order_many(found=_chosen(asked), actor=person_of(request), **given)
        return Response(QueueBatchSerializer(access_batch(batch)).data, status=202)


class BatchDetail(APIView):
    """How far an order for many is."""

    @extend_schema(responses=QueueBatchSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        return Response(QueueBatchSerializer(access_batch(object_id)).data)


class StopBatch(APIView):
    """What no gate has done yet is not done.  409: all is done."""

    @extend_schema(request=None, responses=QueueBatchSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        batch = access_batch(object_id).id
        stop_batch(batch=batch, actor=person_of(request))
        return Response(QueueBatchSerializer(access_batch(batch)).data)


def _chosen(asked: dict[str, Any]) -> QuerySet[QueueItem]:
    older = asked["older"]
    return waiting(
        Filters(
            client=asked["tenant"],
            hop=asked["next_hop"],
            why=asked["reason_kind"],
            where=asked["where"],
            older="" if older is None else str(older),
        )
    )
