"""Policies by level: what holds and where it comes from; changes, rehearsed first; templates."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.api.layers import RehearsalSerializer
from console.lib.http import check_known
from console.lib.people import person_of
from console.queries.policies import find_directory_group, find_domain, find_mailbox
from console.queries.policy_changes import changes_in_sight
from incidents.access import access_client, access_one
from seg_bridge.models import (
    PolicyChange,
    PolicyTemplate,
    Rehearsal,
)
from seg_bridge.policies.effective import Effective, effective
from seg_bridge.policies.keys import KEYS
from seg_bridge.policies.layers import Layers, Target
from seg_bridge.policies.services import (
    ask_change,
    make_change,
    own_row,
    remove_template,
    save_template,
    templates_for,
)
from tenants.errors import NotThere, WrongInput
from tenants.groups import access_group

# --- what is shown


class ValueSerializer(serializers.Serializer[Effective]):
    """One value and its origin."""

    value = serializers.JSONField(help_text="Text or number")
    level = serializers.CharField(
        help_text="default provider group client domain directory mailbox"
    )
    name = serializers.CharField(help_text="Whose level it is")
    by = serializers.CharField(help_text="Who stated it")
    at = serializers.CharField(help_text="When; empty for Bailey's defaults")
    reason = serializers.CharField()


class PolicySerializer(serializers.Serializer[Any]):
    level = serializers.CharField()
    group = serializers.UUIDField(allow_null=True)
    tenant = serializers.SlugField(allow_null=True)
    domain = serializers.CharField(allow_null=True)
    directory_group = serializers.UUIDField(allow_null=True, help_text="Of the client's directory")
    mailbox = serializers.CharField(allow_null=True)
    version = serializers.IntegerField(help_text="Of what this level states; 0: nothing yet")
    template = serializers.CharField(help_text="The one applied last")
    values = serializers.DictField(child=ValueSerializer())


class DifferenceSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    before = serializers.JSONField()
    before_level = serializers.CharField()
    before_name = serializers.CharField()
    after = serializers.JSONField()
    after_level = serializers.CharField()
    after_name = serializers.CharField()


class PolicyChangeSerializer(serializers.ModelSerializer[PolicyChange]):
    group = serializers.UUIDField(source="group_id", read_only=True, allow_null=True)
    tenant = serializers.SlugField(source="tenant.slug", read_only=True, default=None)
    domain = serializers.CharField(source="domain.name", read_only=True, default=None)
    directory_group = serializers.UUIDField(
        source="mailbox_group_id", read_only=True, allow_null=True
    )
    mailbox = serializers.CharField(source="mailbox.address", read_only=True, default=None)
    differences = DifferenceSerializer(many=True, read_only=True)
    rehearsals = serializers.SerializerMethodField(
        help_text="For each client whose mail would be treated otherwise"
    )

    class Meta:
        model = PolicyChange
        fields = (
            *("id", "level", "group", "tenant", "domain", "directory_group", "mailbox"),
            *(
                "states",
                "inherits",
                "template",
                "differences",
                "rehearsals",
                "state",
                "asked_by",
                "created_at",
            ),
            *("made_by", "made_at", "reason", "despite"),
        )

    @extend_schema_field(RehearsalSerializer(many=True))
    def get_rehearsals(self, change: PolicyChange) -> list[dict[str, Any]]:
        if change.batch is None:
            return []
        found = Rehearsal.objects.filter(batch=change.batch).select_related("tenant", "rule")
        return list(RehearsalSerializer(found.order_by("tenant__name"), many=True).data)


class PolicyTemplateSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(allow_null=True, help_text="null: one of Bailey's own")
    name = serializers.CharField()
    words = serializers.CharField()
    values = serializers.DictField(child=serializers.JSONField())


# --- what is asked


class PolicyWishSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(min_value=0, help_text="That you have seen")
    domain = serializers.CharField(max_length=255, default="", allow_blank=True)
    mailbox = serializers.CharField(max_length=320, default="", allow_blank=True)
    directory_group = serializers.CharField(
        max_length=300, default="", allow_blank=True, help_text="Id or name, of the directory"
    )
    states = serializers.DictField(
        child=serializers.JSONField(), default=dict, help_text=f"Keys: {', '.join(KEYS)}"
    )
    inherits = serializers.ListField(
        child=serializers.CharField(max_length=50),
        default=list,
        max_length=100,
        help_text="Keys that are given back to inheritance",
    )
    template = serializers.CharField(max_length=100, default="", allow_blank=True)


class MakeSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)
    despite = serializers.BooleanField(default=False, help_text="Although it has objections")


class NewTemplateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    words = serializers.CharField(max_length=300, default="", allow_blank=True)
    values = serializers.DictField(child=serializers.JSONField())


# --- resources

_OF_CLIENT = ("domain", "directory_group", "mailbox")


def shown_policy(target: Target) -> dict[str, Any]:
    row = own_row(target)
    chain = Layers([target.tenant.id] if target.tenant else []).chain_of(target)
    return PolicySerializer(
        {
            "level": str(target.level),
            "group": target.group.id if target.group else None,
            "tenant": target.tenant.slug if target.tenant else None,
            "domain": target.domain.name if target.domain else None,
            "directory_group": target.directory.id if target.directory else None,
            "mailbox": target.mailbox.address if target.mailbox else None,
            "version": row.version if row else 0,
            "template": row.template if row else "",
            "values": effective(chain),
        }
    ).data


def _shown_change(change: PolicyChange) -> dict[str, Any]:
    return PolicyChangeSerializer(access_one(changes_in_sight(), change.id)).data


def _client_target(
    request: Request, slug: str, domain: str, mailbox: str, directory_group: str
) -> Target:
    """The client, or what of it is named.  Raises ``NotThere``."""
    tenant, provider = access_client(slug), person_of(request).provider
    if sum(map(bool, (domain, mailbox, directory_group))) > 1:
        raise WrongInput("Name one of domain, group of the directory, and mailbox.")
    if directory_group:
        group = find_directory_group(tenant, directory_group)
        if group is None:
            raise NotThere
        return Target(provider=provider, tenant=tenant, directory=group)
    if mailbox:
        box = find_mailbox(tenant, mailbox)
        if box is None:
            raise NotThere
        return Target(provider=provider, tenant=tenant, domain=box.domain, mailbox=box)
    if domain:
        found = find_domain(tenant, domain)
        if found is None:
            raise NotThere
        return Target(provider=provider, tenant=tenant, domain=found)
    return Target(provider=provider, tenant=tenant)


def _group_target(request: Request, group_id: str) -> Target:
    """Raises ``NotThere``."""
    person = person_of(request)
    return Target(provider=person.provider, group=access_group(person, group_id).row)


def _check_names_none(asked: dict[str, Any]) -> None:
    """Of one client's levels.  Raises ``WrongInput``."""
    named = [asked.pop(name) for name in _OF_CLIENT]
    if any(named):
        raise WrongInput(
            "A domain, mailbox or group of a directory belongs to a client: tenants/{slug}/policy."
        )


class ProviderPolicy(APIView):
    """What holds for all clients unless they state otherwise."""

    @extend_schema(responses=PolicySerializer)
    def get(self, request: Request) -> Response:
        return Response(shown_policy(Target(provider=person_of(request).provider)))

    @extend_schema(request=PolicyWishSerializer, responses={201: PolicyChangeSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Ask for a change: rehearsed over every client that it would touch.  A lead's."""
        asked = parse(PolicyWishSerializer, request)
        _check_names_none(asked)
        person = person_of(request)
        change = ask_change(target=Target(provider=person.provider), actor=person, **asked)
        return Response(_shown_change(change), status=201)


class GroupPolicy(APIView):
    """What holds for the clients of a group unless they state otherwise."""

    @extend_schema(responses=PolicySerializer)
    def get(self, request: Request, object_id: str) -> Response:
        return Response(shown_policy(_group_target(request, object_id)))

    @extend_schema(request=PolicyWishSerializer, responses={201: PolicyChangeSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        """Ask for a change: rehearsed over every client of the group.  A lead's."""
        target = _group_target(request, object_id)
        asked = parse(PolicyWishSerializer, request)
        _check_names_none(asked)
        change = ask_change(target=target, actor=person_of(request), **asked)
        return Response(_shown_change(change), status=201)


class ClientPolicy(APIView):
    """What holds for a client, or with ``domain``, ``directory_group`` or ``mailbox`` for one of
    hers.
    """

    @extend_schema(
        parameters=[OpenApiParameter(name) for name in _OF_CLIENT],
        responses=PolicySerializer,
    )
    def get(self, request: Request, slug: str) -> Response:
        check_known(request.query_params, *_OF_CLIENT)
        named = {name: request.query_params.get(name, "") for name in _OF_CLIENT}
        return Response(shown_policy(_client_target(request, slug, **named)))

    @extend_schema(request=PolicyWishSerializer, responses={201: PolicyChangeSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Ask for a change: rehearsed, and kept to be made."""
        access_client(slug)
        asked = parse(PolicyWishSerializer, request)
        target = _client_target(request, slug, **{name: asked.pop(name) for name in _OF_CLIENT})
        change = ask_change(target=target, actor=person_of(request), **asked)
        return Response(_shown_change(change), status=201)


class PolicyChangeFilter(TenantFilter):
    class Meta:
        model = PolicyChange
        fields = ("tenant", "level", "state")


class PolicyChangeList(ListView):
    """Changes of policies, newest first."""

    serializer_class = PolicyChangeSerializer
    filterset_class = PolicyChangeFilter

    @override
    def get_queryset(self) -> QuerySet[Any]:
        return changes_in_sight()


class PolicyChangeDetail(DetailView):
    serializer_class = PolicyChangeSerializer

    @override
    def get_queryset(self) -> QuerySet[Any]:
        return changes_in_sight()


class MakePolicyChange(APIView):
    """The level states it from now on.  409 where the rehearsal objects, unless ``despite``, and
    where somebody changed a level of the chain meanwhile.
    """

    @extend_schema(request=MakeSerializer, responses=PolicyChangeSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        change = access_one(changes_in_sight(), object_id)
        make_change(change=change, actor=person_of(request), **parse(MakeSerializer, request))
        return Response(_shown_change(change))


class PolicyTemplateList(APIView):
    """Bailey's own first, then the provider's by name."""

    @extend_schema(responses=PolicyTemplateSerializer(many=True))
    def get(self, request: Request) -> Response:
        provider_id = person_of(request).provider_id
        own = PolicyTemplate.objects.filter(provider_id=provider_id)
        ids = {row.name: row.id for row in own}
        found = [
            {"id": ids.get(one.name), "name": one.name, "words": one.words, "values": one.values}
            for one in templates_for(provider_id)
        ]
        return Response(PolicyTemplateSerializer(found, many=True).data)

    @extend_schema(request=NewTemplateSerializer, responses={201: PolicyTemplateSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """A template of the provider's own, or another content for one of this name.  A lead's."""
        person = person_of(request)
        row = save_template(
            provider_id=person.provider_id, actor=person, **parse(NewTemplateSerializer, request)
        )
        return Response(PolicyTemplateSerializer(row).data, status=201)


class RemovePolicyTemplate(APIView):
    """Levels that it was applied to stay as they are."""

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        row = access_one(PolicyTemplate.objects.all(), object_id)
        remove_template(template=row, actor=person_of(request))
        return Response(status=204)
