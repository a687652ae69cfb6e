"""How a client's mail host is connected: grants, permissions, what is off; links for its admin."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api_bridge.access.links import make_link
from api_bridge.access.models import OF_CLIENTS
from api_bridge.access.permissions import google_scopes
from api_bridge.access.registrations import LEADS
from api_bridge.access.service_accounts import (
    OWN_ACCOUNT_FOR,
    delegated_clients,
    keep_service_account,
    remove_service_account,
    service_account,
)
from api_bridge.models import Connection
from console.api.base import parse
from console.api.idempotency import idempotent
from console.api.sight import BlindLayerSerializer
from console.lib.http import check_known
from console.lib.people import person_of
from console.queries.access import AccessPage, PurposeRow, access_page, counts_asked
from incidents.access import access_client
from tenants.errors import NotThere
from tenants.models import Person
from tenants.people import must_lead

PURPOSES = [(each.value, each.label) for each in OF_CLIENTS]


class PermissionNeedSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(source="need.name")
    without = serializers.CharField(source="need.without", help_text="What is off without it")
    is_granted = serializers.BooleanField(
        source="is_met", allow_null=True, help_text="null: not known"
    )


class PurposeSerializer(serializers.Serializer[Any]):
    purpose = serializers.ChoiceField(choices=PURPOSES)
    state = serializers.ChoiceField(choices=["granted", "partly", "lost", "asked", "none", "own"])
    granted_at = serializers.DateTimeField(source="grant.granted_at", default=None)
    checked_at = serializers.DateTimeField(source="grant.checked_at", default=None)
    lost_at = serializers.DateTimeField(source="grant.lost_at", default=None)
    trouble = serializers.CharField(source="grant.trouble", default="")
    permissions = PermissionNeedSerializer(source="needs", many=True)
    off = serializers.SerializerMethodField(help_text="What cannot be done now, in sentences")

    def get_off(self, row: PurposeRow) -> list[str]:
        return row.off


class ConnectionSerializer(serializers.ModelSerializer[Connection]):
    class Meta:
        model = Connection
        fields = (
            *("id", "kind", "cloud_tenant_id", "state", "blind_since", "last_ok_at"),
            *("last_error", "mailboxes_listed_at", "created_at"),
        )


class MailboxMoveSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["joined", "left"])
    address = serializers.CharField()
    display_name = serializers.CharField()
    seen_at = serializers.DateTimeField()


class RelationshipSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    status = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    ends_at = serializers.DateTimeField(allow_null=True)
    renews_itself = serializers.BooleanField()


class AccessSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    blind = BlindLayerSerializer(many=True)
    connections = ConnectionSerializer(many=True)
    purposes = PurposeSerializer(many=True)
    relationships = RelationshipSerializer(many=True)
    incidents = serializers.ListField(
        child=serializers.UUIDField(), help_text="Open health incidents about access and records"
    )
    mailboxes = serializers.IntegerField()
    moves = MailboxMoveSerializer(many=True)


class ClientAccess(APIView):
    """What a client's mail host grants, what is off without it, and who joined and left."""

    @extend_schema(responses=AccessSerializer)
    def get(self, request: Request, slug: str) -> Response:
        page = access_page(access_client(slug))
        return Response(AccessSerializer(_shown(page)).data)


def _shown(page: AccessPage) -> dict[str, Any]:
    return {
        "tenant": page.client.slug,
        "blind": page.blind.layers,
        "connections": [each.connection for each in page.connections],
        "purposes": page.purposes,
        "relationships": page.relationships,
        "incidents": [incident.id for incident in page.incidents],
        "mailboxes": page.mailboxes,
        "moves": page.moves,
    }


class LinkSerializer(serializers.Serializer[Any]):
    purposes = serializers.MultipleChoiceField(choices=PURPOSES)


class MadeLinkSerializer(serializers.Serializer[Any]):
    address = serializers.CharField(help_text="Shown this once; three days, one browser")


class MakeLink(APIView):
    """A link for the client's own admin, who needs no login.  A lead makes it.

    Each call makes another one: an answer that could be given again would have to be kept, and the
    address is kept nowhere.
    """

    @extend_schema(request=LinkSerializer, responses={201: MadeLinkSerializer})
    def post(self, request: Request, slug: str) -> Response:
        client = access_client(slug)
        wanted = parse(LinkSerializer, request)
        purposes = sorted(wanted["purposes"])
        address = make_link(tenant=client, purposes=purposes, actor=person_of(request))
        return Response({"address": address}, status=201)


class GoogleAccountSerializer(serializers.Serializer[Any]):
    """``client_id`` "": there is none, and the account of each connection does it."""

    purpose = serializers.CharField()
    client_id = serializers.CharField()
    client_email = serializers.CharField()
    scopes = serializers.CharField(help_text="What clients delegate, as the Admin console takes it")
    clients = serializers.ListField(
        child=serializers.CharField(), help_text="Names of those in sight that delegate to it"
    )
    trouble = serializers.CharField()
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField(allow_null=True)


class GoogleKeySerializer(serializers.Serializer[Any]):
    key_json = serializers.CharField(
        max_length=20_000, help_text="The whole key file of the service account; never given back"
    )


class GoogleAccount(APIView):
    """The provider's own service account at Google for account response (``respond``).  A lead's.

    POST enters it, or a new key of it; 409 where clients delegate to another one.
    """

    @extend_schema(responses=GoogleAccountSerializer)
    def get(self, request: Request, purpose: str) -> Response:
        _lead_for(request, purpose)
        return _account_shown(purpose)

    @extend_schema(request=GoogleKeySerializer, responses=GoogleAccountSerializer)
    @idempotent
    def post(self, request: Request, purpose: str) -> Response:
        person = _lead_for(request, purpose)
        asked = parse(GoogleKeySerializer, request)
        keep_service_account(purpose=purpose, actor=person, **asked)
        return _account_shown(purpose)


class RemoveGoogleAccount(APIView):
    """From now on the account of each connection does it.  A lead's."""

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, purpose: str) -> Response:
        remove_service_account(purpose=purpose, actor=_lead_for(request, purpose))
        return Response(status=204)


def _lead_for(request: Request, purpose: str) -> Person:
    """Raises ``NotThere`` for a purpose without an account of its own, or ``NotAllowed``."""
    if purpose not in OWN_ACCOUNT_FOR:
        raise NotThere
    person = person_of(request)
    must_lead(person, LEADS)
    return person


def _account_shown(purpose: str) -> Response:
    row = service_account(purpose)
    shown = {
        "purpose": purpose,
        "client_id": row.client_id if row else "",
        "client_email": row.client_email if row else "",
        "scopes": google_scopes(purpose),
        "clients": delegated_clients(row) if row else [],
        "trouble": row.trouble if row else "",
        "changed_by": row.changed_by if row else "",
        "changed_at": row.changed_at if row else None,
    }
    return Response(GoogleAccountSerializer(shown).data)


class CountSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="slug")
    month = serializers.DateField(help_text="Its first day")
    mailboxes = serializers.IntegerField(help_text="The most on any day of the month")
    licensed = serializers.IntegerField(allow_null=True, help_text="null: the host does not tell")
    outside = serializers.IntegerField(
        help_text="More that the host has, in domains that are none of the client's: not read"
    )
    days = serializers.IntegerField(help_text="On how many days it was counted")


class MailboxCounts(APIView):
    """Mailboxes and licences of each client, month by month."""

    @extend_schema(
        parameters=[
            OpenApiParameter("tenant", str, description="One client; all in sight without"),
            OpenApiParameter("from", str, description="A month, like 2026-11; a year ago without"),
            OpenApiParameter("to", str, description="A month, the last one; this one without"),
        ],
        responses=CountSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        asked = request.query_params
        check_known(asked, "tenant", "from", "to")
        counts = counts_asked(asked.get("from", ""), asked.get("to", ""), asked.get("tenant", ""))
        return Response(CountSerializer(counts, many=True).data)
