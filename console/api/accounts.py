"""Accounts in other hands: how they are watched, what speaks for it, what was done."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api_bridge.accounts.asking import ask_look
from api_bridge.accounts.models import AccountLook, AccountStep, MailboxSnapshot
from api_bridge.accounts.steps import order_step, undo_step, withdraw_step
from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.accounts import access_step, accounts_page
from incidents.access import access_client, access_incident
from incidents.models import AccountSign


class NotLookedAtSerializer(serializers.Serializer[Any]):
    what = serializers.CharField()
    words = serializers.CharField()


class AccountLookSerializer(serializers.ModelSerializer[AccountLook]):
    kind = serializers.CharField(source="connection.kind")
    off = NotLookedAtSerializer(many=True)

    class Meta:
        model = AccountLook
        fields = ("kind", "looked_at", "due_at", "off", "error")


class ClientAccountsSerializer(serializers.Serializer[Any]):
    """``threshold``: points of signs from which an incident opens."""

    tenant = serializers.SlugField(source="client.slug")
    sensitivity = serializers.CharField(source="terms.sensitivity")
    threshold = serializers.IntegerField()
    looks = AccountLookSerializer(many=True)


class AccountSignSerializer(serializers.ModelSerializer[AccountSign]):
    """``incident`` null: the account's signs do not reach its client's threshold."""

    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", allow_null=True)
    raw = serializers.JSONField()

    class Meta:
        model = AccountSign
        fields = (
            *("id", "tenant", "mailbox", "code", "words", "weight", "source", "at", "noted_at"),
            *("incident", "raw"),
        )


class MailboxSnapshotSerializer(serializers.ModelSerializer[MailboxSnapshot]):
    """``changes``: what is different from the one before, in words; ``content``: all settings."""

    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    mailbox = serializers.CharField(source="mailbox.address")
    content = serializers.JSONField()
    changes = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = MailboxSnapshot
        fields = ("id", "tenant", "mailbox", "taken_at", "digest", "changes", "content")


class AccountStepSerializer(serializers.ModelSerializer[AccountStep]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    mailbox = serializers.CharField(source="mailbox.address")
    incident = serializers.UUIDField(source="incident_id")
    undoes = serializers.UUIDField(source="undoes_id", allow_null=True)

    class Meta:
        model = AccountStep
        fields = (
            *("id", "tenant", "incident", "mailbox", "kind", "target", "label", "state", "words"),
            *("reason", "asked_by", "asked_at", "finished_at", "undoes"),
        )


class OrderStepSerializer(serializers.Serializer[Any]):
    """``target``: the rule, grant, forwarding address or delegate as the mail host names it; "" for
    the account as a whole.
    """

    kind = serializers.ChoiceField(choices=AccountStep.Kind.choices)
    target = serializers.CharField(max_length=300, allow_blank=True, default="")
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class StepReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class AccountSignFilter(TenantFilter):
    incident = filters.UUIDFilter(field_name="incident_id")
    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")

    class Meta:
        model = AccountSign
        fields = ("tenant", "mailbox", "code")


class MailboxSnapshotFilter(TenantFilter):
    mailbox = filters.CharFilter(field_name="mailbox__address")

    class Meta:
        model = MailboxSnapshot
        fields = ("tenant",)


class AccountStepFilter(TenantFilter):
    incident = filters.UUIDFilter(field_name="incident_id")
    mailbox = filters.CharFilter(field_name="mailbox__address")

    class Meta:
        model = AccountStep
        fields = ("tenant", "kind", "state")


class ClientAccounts(APIView):
    """How a client's accounts are watched, and what is off for want of a permission."""

    @extend_schema(responses=ClientAccountsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        page = accounts_page(access_client(slug), person_of(request))
        return Response(ClientAccountsSerializer(page).data)


class LookAtAccounts(APIView):
    """Look at a client's accounts now, not at the next quarter of an hour; answers how they are
    watched.
    """

    @extend_schema(request=None, responses={202: ClientAccountsSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client = access_client(slug)
        ask_look(tenant=client, actor=person_of(request))
        page = accounts_page(client, person_of(request))
        return Response(ClientAccountsSerializer(page).data, status=202)


class AccountSignList(ListView):
    """What speaks for accounts being in other hands, each with the record as it came."""

    serializer_class = AccountSignSerializer
    filterset_class = AccountSignFilter
    queryset = AccountSign.objects.select_related("tenant")


class AccountSignDetail(DetailView):
    serializer_class = AccountSignSerializer
    queryset = AccountSign.objects.select_related("tenant")


class MailboxSnapshotList(ListView):
    """Settings of mailboxes over time: one for each change."""

    serializer_class = MailboxSnapshotSerializer
    filterset_class = MailboxSnapshotFilter
    queryset = MailboxSnapshot.objects.select_related("tenant", "mailbox")


_STEPS = AccountStep.objects.select_related("tenant", "mailbox")


class AccountStepList(ListView):
    serializer_class = AccountStepSerializer
    filterset_class = AccountStepFilter
    queryset = _STEPS


class AccountStepDetail(DetailView):
    serializer_class = AccountStepSerializer
    queryset = _STEPS


class OrderAccountStep(APIView):
    """One step of a response; follow it by its id.  409: something is missing, or it is begun."""

    @extend_schema(request=OrderStepSerializer, responses={202: AccountStepSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(OrderStepSerializer, request)
        step = order_step(incident=incident, actor=person_of(request), **asked)
        return Response(AccountStepSerializer(step).data, status=202)


class UndoAccountStep(APIView):
    """Takes a step back, from what was kept before it.  409: it cannot be, or was already."""

    @extend_schema(request=StepReasonSerializer, responses={202: AccountStepSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        step = access_step(object_id)
        asked = parse(StepReasonSerializer, request)
        made = undo_step(step=step, actor=person_of(request), **asked)
        return Response(AccountStepSerializer(made).data, status=202)


class WithdrawAccountStep(APIView):
    """A step that waits is not begun any more.  409: it is being done, or is over."""

    @extend_schema(request=StepReasonSerializer, responses={200: AccountStepSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        step = access_step(object_id)
        asked = parse(StepReasonSerializer, request)
        withdraw_step(step=step, actor=person_of(request), **asked)
        return Response(AccountStepSerializer(access_step(object_id)).data)
