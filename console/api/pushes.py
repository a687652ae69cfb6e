"""One change of a policy for many clients, with a result for each."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api.base import DetailView, ListView, parse
from console.api.idempotency import idempotent
from console.api.policies import MakeSerializer
from console.lib.people import person_of
from incidents.access import access_client, access_one
from seg_bridge.models import PolicyPush, PolicyPushItem
from seg_bridge.policies.push import (
    MOST_CLIENTS,
    approve_push,
    ask_push,
    pushes_in_sight,
    retry_push,
    stop_push,
)
from tenants.groups import MOST_GROUPS, access_group


class PolicyPushItemSerializer(serializers.ModelSerializer[PolicyPushItem]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    change = serializers.UUIDField(source="change_id", read_only=True, allow_null=True)

    class Meta:
        model = PolicyPushItem
        fields = ("tenant", "state", "is_approved", "cause", "tries", "change", "changed_at")


class PolicyPushSerializer(serializers.ModelSerializer[PolicyPush]):
    items = PolicyPushItemSerializer(many=True, read_only=True)

    class Meta:
        model = PolicyPush
        fields = (
            *("id", "states", "inherits", "template", "asked_by", "created_at", "approved_by"),
            *("approved_at", "reason", "despite", "stopped_by", "stopped_at", "items"),
        )


class NewPushSerializer(serializers.Serializer[Any]):
    tenants = serializers.ListField(
        child=serializers.SlugField(), default=list, max_length=MOST_CLIENTS, help_text="Clients"
    )
    groups = serializers.ListField(
        child=serializers.UUIDField(),
        default=list,
        max_length=MOST_GROUPS,
        help_text="All clients that are in these now",
    )
    states = serializers.DictField(child=serializers.JSONField(), default=dict)
    inherits = serializers.ListField(
        child=serializers.CharField(max_length=50), default=list, max_length=100
    )
    template = serializers.CharField(max_length=100, default="", allow_blank=True)


def _pushes() -> QuerySet[PolicyPush]:
    items = PolicyPushItem.objects.select_related("tenant").order_by("tenant__name")
    return pushes_in_sight().prefetch_related(Prefetch("items", queryset=items))


def _shown_push(push: PolicyPush, status: int = 200) -> Response:
    return Response(PolicyPushSerializer(_pushes().get(id=push.id)).data, status=status)


class PolicyPushList(ListView):
    """One change for many clients, with a result for each; newest first."""

    serializer_class = PolicyPushSerializer

    @override
    def get_queryset(self) -> QuerySet[Any]:
        return _pushes()

    @extend_schema(request=NewPushSerializer, responses={202: PolicyPushSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Rehearse it for each of ``tenants`` and of the clients of ``groups``; nothing is made
        before it is approved.
        """
        asked, person = parse(NewPushSerializer, request), person_of(request)
        tenants = {slug: access_client(slug) for slug in asked.pop("tenants")}
        for group_id in asked.pop("groups"):
            tenants |= {each.slug: each for each in access_group(person, group_id).clients}
        push = ask_push(tenants=list(tenants.values()), actor=person, **asked)
        return _shown_push(push, status=202)


class PolicyPushDetail(DetailView):
    serializer_class = PolicyPushSerializer

    @override
    def get_queryset(self) -> QuerySet[Any]:
        return _pushes()


class ApprovePolicyPush(APIView):
    """Make it where the rehearsal has no objection, with ``despite`` where it has."""

    @extend_schema(request=MakeSerializer, responses={202: PolicyPushSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        push = access_one(pushes_in_sight(), object_id)
        approve_push(push=push, actor=person_of(request), **parse(MakeSerializer, request))
        return _shown_push(push, status=202)


class StopPolicyPush(APIView):
    """What is not made yet stays as it was."""

    @extend_schema(request=None, responses=PolicyPushSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        push = access_one(pushes_in_sight(), object_id)
        stop_push(push=push, actor=person_of(request))
        return _shown_push(push)


class RetryPolicyPush(APIView):
    """Only what failed or was stopped; 409 where nothing did."""

    @extend_schema(request=None, responses={202: PolicyPushSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        push = access_one(pushes_in_sight(), object_id)
        retry_push(push=push, actor=person_of(request))
        return _shown_push(push, status=202)
