"""Why mails stand together, and merge, split, move and undo.  The same services as the page."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.base import parse
from console.api.idempotency import idempotent
from console.api.serializers_asked import RevisionSerializer
from console.lib.people import person_of
from console.queries.together import Together, together_page
from incidents.access import access_incident, access_regrouping
from incidents.models import Regrouping
from incidents.regroup import merge_incidents, move_messages, split_incident, undo_regrouping
from incidents.regroup_campaigns import join_campaign, leave_campaign
from incidents.regrouping_rules import by_number


class BoundaryReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500, help_text="Stands beside the mail from now on")


class WithNumberSerializer(BoundaryReasonSerializer):
    number = serializers.IntegerField(min_value=1, help_text="Of an incident of the same client")


class MergeSerializer(RevisionSerializer, WithNumberSerializer):
    pass


class MailsSerializer(RevisionSerializer, BoundaryReasonSerializer):
    messages = serializers.ListField(child=serializers.UUIDField(), max_length=5000)


class MoveSerializer(MailsSerializer):
    number = serializers.IntegerField(min_value=1, help_text="Of an incident of the same client")


class RegroupingSerializer(serializers.ModelSerializer[Regrouping]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True)
    other = serializers.UUIDField(source="other_id", read_only=True)

    class Meta:
        model = Regrouping
        fields = (
            *("id", "tenant", "kind", "incident", "other", "who", "reason", "created_at"),
            *("undone_at", "undone_by"),
        )


class ReasonedSerializer(serializers.Serializer[Any]):
    message = serializers.UUIDField(source="member.message.id")
    subject = serializers.CharField(source="member.message.subject")
    reasons = serializers.ListField(child=serializers.CharField(), help_text="In words")
    more = serializers.IntegerField(help_text="Reasons that are not listed")


class TieSerializer(serializers.Serializer[Any]):
    incident = serializers.UUIDField(source="other.id")
    number = serializers.IntegerField(source="other.number")
    sentence = serializers.CharField()
    since = serializers.DateTimeField()


class TogetherSerializer(serializers.Serializer[Together]):
    mails = ReasonedSerializer(many=True)
    campaign = serializers.IntegerField(source="campaign.number", default=None, allow_null=True)
    incidents = serializers.SerializerMethodField(help_text="Others of the campaign, by number")
    ties = TieSerializer(many=True)
    done = RegroupingSerializer(many=True, help_text="What can be undone, newest first")

    def get_incidents(self, page: Together) -> list[int]:
        return [incident.number for incident in page.siblings]


class IncidentTogether(APIView):
    """Why each mail stands in the incident, and what joins it to others of its campaign."""

    @extend_schema(responses=TogetherSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        page = together_page(access_incident(object_id))
        return Response(TogetherSerializer(page).data)


class MergeIncident(APIView):
    """Make two incidents one; the older number stays and the other leads to it."""

    @extend_schema(request=MergeSerializer, responses=RegroupingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(MergeSerializer, request)
        other = by_number(incident, asked.pop("number"))
        done = merge_incidents(kept=incident, gone=other, actor=person_of(request), **asked)
        return Response(RegroupingSerializer(done).data)


class SplitIncident(APIView):
    """Make an incident of its own of some of the mails."""

    @extend_schema(request=MailsSerializer, responses=RegroupingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(MailsSerializer, request)
        done = split_incident(incident=incident, actor=person_of(request), **asked)
        return Response(RegroupingSerializer(done).data)


class MoveMessages(APIView):
    """Put some of the mails into another incident of the client."""

    @extend_schema(request=MoveSerializer, responses=RegroupingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(MoveSerializer, request)
        target = by_number(incident, asked.pop("number"))
        done = move_messages(incident=incident, target=target, actor=person_of(request), **asked)
        return Response(RegroupingSerializer(done).data)


class JoinCampaign(APIView):
    """Put two incidents, and what hangs together with each, into one campaign."""

    @extend_schema(request=WithNumberSerializer, responses=RegroupingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(WithNumberSerializer, request)
        other = by_number(incident, asked["number"])
        actor = person_of(request)
        done = join_campaign(incident=incident, other=other, actor=actor, reason=asked["reason"])
        return Response(RegroupingSerializer(done).data)


class LeaveCampaign(APIView):
    """Take the incident out of its campaign; the others stay together."""

    @extend_schema(request=BoundaryReasonSerializer, responses=RegroupingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(BoundaryReasonSerializer, request)
        done = leave_campaign(incident=incident, actor=person_of(request), reason=asked["reason"])
        return Response(RegroupingSerializer(done).data)


class UndoRegrouping(APIView):
    """Everything stands as before, but for what people did since then."""

    @extend_schema(request=None, responses=RegroupingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        done = access_regrouping(object_id)
        undo_regrouping(done=done, actor=person_of(request))
        return Response(RegroupingSerializer(access_regrouping(object_id)).data)
