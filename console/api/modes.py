"""How far Bailey goes by itself: modes of a client and its groups, rehearsed, and what waits."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers_asked as asks
from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.modes import ModesPage, ScopeRow, group_of, modes_page
from incidents.access import access_client, access_proposal
from incidents.mode_rehearsal import mark_of, rehearse_mode, set_rehearsed_mode
from incidents.models import PullProposal
from incidents.modes import Mode, modes_of
from incidents.proposals import approve, decline, waiting_for_a_yes


class ModeScopeSerializer(serializers.Serializer[Any]):
    group = serializers.UUIDField(allow_null=True, help_text="null: the client")
    name = serializers.CharField()
    mailboxes = serializers.IntegerField()
    gone_at = serializers.DateTimeField(allow_null=True, help_text="Gone: it decides nothing")
    mode = serializers.CharField(help_text="Empty: the group has none of its own")
    effect = serializers.CharField(help_text="In words")
    effective_from = serializers.DateTimeField(allow_null=True)
    set_by = serializers.CharField()
    later_mode = serializers.CharField(help_text="Decided and not in force yet; empty: nothing")
    later_from = serializers.DateTimeField(allow_null=True)
    later_by = serializers.CharField()


class MailboxModeSerializer(serializers.Serializer[Any]):
    mailbox = serializers.EmailField()
    mode = serializers.ChoiceField(choices=Mode.choices)
    origin = serializers.CharField(help_text="Where it comes from, in words")


class ModesSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    client = ModeScopeSerializer()
    groups = ModeScopeSerializer(many=True)
    mailboxes = MailboxModeSerializer(many=True, help_text="The first 500 by address")


class ModeQuestionSerializer(serializers.Serializer[Any]):
    group = serializers.CharField(required=False, default="", help_text="Empty: the client")
    mode = serializers.ChoiceField(choices=[("", "As the client"), *Mode.choices])


class ModeWishSerializer(ModeQuestionSerializer):
    rehearsal = serializers.CharField(
        max_length=1000, help_text="As modes/rehearse answered it to you, within the last hour"
    )
    effective_from = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="null: at once"
    )
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class ModeChangedSerializer(serializers.Serializer[Any]):
    before = serializers.CharField()
    after = serializers.CharField()
    copies = serializers.IntegerField()
    mistaken = serializers.IntegerField(help_text="Of them called harmless by a person")


class ModeForecastSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    condemned = serializers.IntegerField(help_text="Copies that the mailbox layer called grave")
    changed = ModeChangedSerializer(many=True)
    mailboxes = serializers.IntegerField()
    now_moved = serializers.IntegerField(help_text="At most so many that wait are pulled then")
    rehearsal = serializers.CharField(help_text="Wanted with the change itself")


class PullProposalSerializer(serializers.ModelSerializer[PullProposal]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True)
    job = serializers.UUIDField(source="job_id", read_only=True, allow_null=True)

    class Meta:
        model = PullProposal
        fields = (
            *("id", "tenant", "incident", "state", "why", "waiting", "left", "asked_at"),
            *("decided_by", "decided_at", "reason", "job"),
        )


class ClientModes(APIView):
    """The modes of the client, its groups and its mailboxes."""

    @extend_schema(responses=ModesSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(
            ModesSerializer(_told(modes_page(access_client(slug), person_of(request)))).data
        )

    @extend_schema(request=ModeWishSerializer, responses=ModesSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        tenant = access_client(slug)
        asked = parse(ModeWishSerializer, request)
        group = group_of(tenant, asked.pop("group"))
        set_rehearsed_mode(tenant=tenant, group=group, actor=person_of(request), **asked)
        return Response(ModesSerializer(_told(modes_page(tenant, person_of(request)))).data)


class RehearseMode(APIView):
    """What a mode would have meant for the last thirty days; nothing is changed."""

    @extend_schema(request=ModeQuestionSerializer, responses=ModeForecastSerializer)
    def post(self, request: Request, slug: str) -> Response:
        tenant = access_client(slug)
        asked = parse(ModeQuestionSerializer, request)
        group = group_of(tenant, asked["group"])
        mode = asked["mode"] or ("" if group else modes_of(tenant.id).client.mode)
        forecast = rehearse_mode(tenant.id, group, mode)
        told = {each.name: getattr(forecast, each.name) for each in fields(forecast)}
        mark = mark_of(tenant, group, asked["mode"], person_of(request))
        return Response(ModeForecastSerializer({**told, "rehearsal": mark}).data)


def _told(page: ModesPage) -> dict[str, Any]:
    return {
        "tenant": page.client.slug,
        "client": _scope(page.own, page.client.name),
        "groups": [_scope(row, str(row.group)) for row in page.groups],
        "mailboxes": [
            {"mailbox": row.mailbox.address, "mode": row.mode.mode, "origin": row.mode.origin}
            for row in page.mailboxes
        ],
    }


def _scope(row: ScopeRow, name: str) -> dict[str, Any]:
    decided = row.mode.row if row.mode else None
    return {
        "group": row.group.id if row.group else None,
        "name": name,
        "mailboxes": row.members,
        "gone_at": row.group.gone_at if row.group else None,
        "mode": row.mode.mode if row.mode else "",
        "effect": row.effect,
        "effective_from": decided.effective_from if decided else None,
        "set_by": decided.set_by if decided else "",
        "later_mode": row.later.mode if row.later else "",
        "later_from": row.later.effective_from if row.later else None,
        "later_by": row.later.set_by if row.later else "",
    }


class PullProposalList(ListView):
    """Pulls that wait for a yes."""

    serializer_class = PullProposalSerializer
    filterset_class = TenantFilter

    @override
    def get_queryset(self) -> QuerySet[PullProposal]:
        rows = PullProposal.objects.select_related("tenant")
        return rows.filter(waiting_for_a_yes())


class PullProposalDetail(DetailView):
    serializer_class = PullProposalSerializer
    queryset = PullProposal.objects.select_related("tenant")


class ApprovePullProposal(APIView):
    @extend_schema(request=asks.ReasonSerializer, responses=PullProposalSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        asked = parse(asks.ReasonSerializer, request)
        found = access_proposal(object_id)
        approve(proposal=found, actor=person_of(request), reason=asked["reason"])
        return Response(PullProposalSerializer(access_proposal(object_id)).data)


class DeclinePullProposal(APIView):
    @extend_schema(request=asks.ReasonSerializer, responses=PullProposalSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        asked = parse(asks.ReasonSerializer, request)
        found = access_proposal(object_id)
        decline(proposal=found, actor=person_of(request), reason=asked["reason"])
        return Response(PullProposalSerializer(access_proposal(object_id)).data)
