"""Groups of clients, and skills of people."""

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
from console.queries.skills import access_colleague, kind_rows, skill_rows
from incidents.access import access_client
from incidents.models import Incident
from incidents.services.skills import set_needs, set_skills
from seg_bridge.policies.groups import change_group, take_group_away
from tenants.errors import NotThere
from tenants.groups import access_group, groups_in_sight, save_group
from tenants.ids import as_uuid


class GroupSerializer(serializers.Serializer[Any]):
    """``tenants``: those that you may see."""

    id = serializers.UUIDField(source="row.id")
    name = serializers.CharField(source="row.name")
    tenants = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="row.created_by")
    created_at = serializers.DateTimeField(source="row.created_at")

    def get_tenants(self, group: Any) -> list[str]:
        return [client.slug for client in group.clients]


class NewGroupSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    tenants = serializers.ListField(
        child=serializers.SlugField(), default=list, max_length=5_000, help_text="All of them"
    )


class ChangedGroupSerializer(NewGroupSerializer):
    despite = serializers.BooleanField(
        default=False, help_text="Although clients are treated otherwise by joining or leaving"
    )


class SkillListField(serializers.ListField):
    child = serializers.CharField(max_length=40)


class NewSkillsSerializer(serializers.Serializer[Any]):
    skills = SkillListField(max_length=30, help_text="All of them; what is left out goes")


class NewNeedSerializer(NewSkillsSerializer):
    kind = serializers.ChoiceField(choices=Incident.Kind.choices)


class SkilledPersonSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="person.id")
    name = serializers.CharField(source="person.name")
    skills = SkillListField()


class NeedSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    skills = SkillListField(help_text="One of them is needed; none: it is for everybody")


class SkillsSerializer(serializers.Serializer[Any]):
    people = SkilledPersonSerializer(many=True)
    needs = NeedSerializer(many=True)


class GroupList(APIView):
    """Groups with a client that you may see; a lead sees all."""

    @extend_schema(responses=GroupSerializer(many=True))
    def get(self, request: Request) -> Response:
        found = groups_in_sight(person_of(request))
        return Response(GroupSerializer(found, many=True).data)

    @extend_schema(request=NewGroupSerializer, responses={201: GroupSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        asked, person = parse(NewGroupSerializer, request), person_of(request)
        clients = [access_client(slug) for slug in asked["tenants"]]
        row = save_group(name=asked["name"], clients=clients, actor=person)
        return Response(GroupSerializer(access_group(person, row.id)).data, status=201)


class GroupDetail(APIView):
    @extend_schema(responses=GroupSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        return Response(GroupSerializer(access_group(person_of(request), object_id)).data)


class ChangeGroup(APIView):
    """Give it this name and these clients, and no others.  A lead's.

    Where the group states a policy, 409 tells what changes for whom, unless ``despite``.
    """

    @extend_schema(request=ChangedGroupSerializer, responses=GroupSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        person = person_of(request)
        group = access_group(person, object_id)
        asked = parse(ChangedGroupSerializer, request)
        clients = [access_client(slug) for slug in asked.pop("tenants")]
        change_group(group=group.row, clients=clients, actor=person, **asked)
        return Response(GroupSerializer(access_group(person, object_id)).data)


class RemoveGroup(APIView):
    """Its clients stay.  A lead's; 409 while the group states a policy for clients."""

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        person = person_of(request)
        take_group_away(group=access_group(person, object_id).row, actor=person)
        return Response(status=204)


class SkillList(APIView):
    """Who is good at what, and what each kind of incident needs."""

    @extend_schema(responses=SkillsSerializer)
    def get(self, request: Request) -> Response:
        found = {"people": skill_rows(person_of(request)), "needs": kind_rows()}
        return Response(SkillsSerializer(found).data)


class PersonSkills(APIView):
    """Say what somebody is good at: yourself, or as a lead anybody."""

    @extend_schema(request=NewSkillsSerializer, responses=NewSkillsSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        person_id = as_uuid(object_id)
        if person_id is None:
            raise NotThere
        person, _ = access_colleague(person_id)
        asked = parse(NewSkillsSerializer, request)
        kept = set_skills(person=person, skills=asked["skills"], actor=person_of(request))
        return Response({"skills": kept})


class SkillNeeds(APIView):
    """Say which skills incidents of a kind are for.  A lead's."""

    @extend_schema(request=NewNeedSerializer, responses=NewNeedSerializer)
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(NewNeedSerializer, request)
        kept = set_needs(kind=asked["kind"], skills=asked["skills"], actor=person_of(request))
        return Response({"kind": asked["kind"], "skills": kept})
