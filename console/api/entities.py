"""One thing that mail has in common: how common it is, since when, its mails and its incidents."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api.pagination import wished_page_size
from console.api.serializers import (
    GatewayRuleSerializer,
    IncidentSerializer,
    VerdictField,
)
from console.lib.http import check_known
from console.lib.period import read_period
from console.queries.entities import KINDS, Thing, facts_of, read_thing
from console.queries.entity_lists import incidents_page, judged, mails_page
from incidents.ledger import Period
from tenants.errors import NotThere, WrongInput

_PARAMETERS = [
    OpenApiParameter("value", str, required=True, description="Address, domain, host, link, hash"),
    OpenApiParameter("tenant", str, description="Only this client; empty: all you may see"),
    OpenApiParameter("from", str, description="A day (UTC) or a time with its zone"),
    OpenApiParameter("to", str, description="A day, the last one, or a time before which it ends"),
]
_PAGING = [
    OpenApiParameter("cursor", str, description="Where the page before ended"),
    OpenApiParameter("page_size", int, description="Up to 500; 50 unless said"),
]


class AtClientSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="client.slug")
    mails = serializers.IntegerField(source="messages")
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()


class JudgedSerializer(serializers.Serializer[Any]):
    """By verdict, of the newest mails of the period."""

    mails = serializers.IntegerField()
    gateway = serializers.DictField(child=serializers.IntegerField())
    mailbox = serializers.DictField(child=serializers.IntegerField())


class EntitySerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=list(KINDS), source="thing.kind.name")
    value = serializers.CharField(source="thing.value", help_text="As mail is counted by it")
    mails = serializers.IntegerField(
        source="messages", help_text="Of a mailbox: copies of the period"
    )
    of_mails = serializers.IntegerField(source="total", help_text="Of so many; of a mailbox 0")
    first_seen_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    at = AtClientSerializer(many=True)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="The period ends before it")
    judged = JudgedSerializer()
    incidents = serializers.IntegerField(help_text="Of the period")
    rules = GatewayRuleSerializer(many=True, help_text="Allow and block entries in force about it")


class WorstWordField(VerdictField):
    """Null also where the layer never saw a copy."""

    @override
    def to_representation(self, value: Any) -> Any:
        return super().to_representation("" if value == "not_seen" else value)


class EntityMailSerializer(serializers.Serializer[Any]):
    """A mail with the worst word of each layer on its copies; null: it gave none."""

    id = serializers.UUIDField(source="mail.id")
    tenant = serializers.SlugField(source="mail.tenant.slug")
    internet_message_id = serializers.CharField(source="mail.internet_message_id")
    subject = serializers.CharField(source="mail.subject")
    sender_address = serializers.CharField(source="mail.sender_address")
    direction = serializers.CharField(source="mail.direction")
    first_seen_at = serializers.DateTimeField(source="mail.first_seen_at")
    copies = serializers.IntegerField()
    gateway = WorstWordField()
    mailbox = WorstWordField()
    incident = serializers.UUIDField(source="incident_id", allow_null=True)


class EntityMailPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EntityMailSerializer(many=True)


class EntityIncidentPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = IncidentSerializer(many=True)


class _Asked:
    """What the address asks for.  Raises ``NotThere`` and ``WrongInput``."""

    def __init__(self, request: Request, kind: str, *more: str) -> None:
        said = {n: str(text).replace("\x00", "") for n, text in request.query_params.items()}
        check_known(said, "value", "tenant", "from", "to", *more)
        if kind not in KINDS:
            raise NotThere(f"There is no such kind of thing. Known are: {', '.join(KINDS)}.")
        thing = read_thing(kind, said.get("value", "")[:2000])
        if thing is None:
            raise WrongInput("Say which one: value=… names it.")
        self.thing: Thing = thing
        self.period: Period = read_period(said.get("from", ""), said.get("to", ""))
        self.client = said.get("tenant", "")
        self.cursor = said.get("cursor", "")


class EntityDetail(APIView):
    """How common it is over the clients in sight, since when, and how its mail was judged."""

    @extend_schema(parameters=_PARAMETERS, responses=EntitySerializer)
    def get(self, request: Request, kind: str) -> Response:
        asked = _Asked(request, kind)
        facts = facts_of(asked.thing, asked.period, client=asked.client)
        shown = {
            "thing": facts.thing,
            "messages": facts.messages,
            "total": facts.total,
            "first_seen_at": facts.first_seen_at,
            "last_seen_at": facts.last_seen_at,
            "at": facts.at,
            "since": asked.period.since,
            "until": asked.period.until,
            "judged": judged(asked.thing, asked.period, client=asked.client),
            "incidents": incidents_page(asked.thing, asked.period, client=asked.client).n,
            "rules": facts.rules,
        }
        return Response(EntitySerializer(shown).data)


class EntityMails(APIView):
    """The mails with it, newest first."""

    @extend_schema(parameters=[*_PARAMETERS, *_PAGING], responses=EntityMailPageSerializer)
    def get(self, request: Request, kind: str) -> Response:
        asked, size = _Asked(request, kind, "cursor", "page_size"), wished_page_size(request)
        page = mails_page(
            asked.thing, asked.period, client=asked.client, cursor=asked.cursor, size=size
        )
        rows = EntityMailSerializer(page.rows, many=True).data
        return Response(_page(request, page.older, rows))


class EntityIncidents(APIView):
    """The incidents with such mail, by when they were last seen."""

    @extend_schema(parameters=[*_PARAMETERS, *_PAGING], responses=EntityIncidentPageSerializer)
    def get(self, request: Request, kind: str) -> Response:
        asked, size = _Asked(request, kind, "cursor", "page_size"), wished_page_size(request)
        page = incidents_page(
            asked.thing, asked.period, client=asked.client, cursor=asked.cursor, size=size
        )
        rows = IncidentSerializer(page.rows, many=True, context={"request": request}).data
        return Response(_page(request, page.older, rows))


def _page(request: Request, older: str, rows: Any) -> dict[str, Any]:
    following = None
    if older:
        query = request.query_params.copy()
        query["cursor"] = older
        following = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
    return {"next": following, "previous": None, "results": rows}
