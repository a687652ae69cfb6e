"""Putting a client behind the gateway: the state of each step, and a call for each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.base import parse
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.onboarding import DomainRow, GateRow, OnboardPage, TrialRow, onboard_page
from incidents.access import access_client, access_one
from seg_bridge.models import Gate
from seg_bridge.onboarding import services
from tenants.domains import NewMailbox, NextHop, add_mailboxes, remove_mailbox, set_asks_hop
from tenants.errors import WrongInput
from tenants.models import Domain, Mailbox, Person, Tenant
from tenants.people import must_lead

# --- what is shown


class StepSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField(help_text="done todo, or note: nothing need or can be seen")


class SeenSerializer(serializers.Serializer[Any]):
    """What DNS said."""

    state = serializers.CharField(help_text='seen partly not_seen no_answer; "": not looked yet')
    words = serializers.CharField()
    found = serializers.ListField(child=serializers.CharField())


class DomainSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    is_active = serializers.BooleanField(help_text="The gates take mail for it")
    host = serializers.CharField()
    port = serializers.IntegerField()
    backup_host = serializers.CharField()
    backup_port = serializers.IntegerField()
    tls = serializers.CharField()
    asks_host = serializers.BooleanField(help_text="The mail host is asked for who is not listed")
    recipients = serializers.IntegerField()
    owner = SeenSerializer()
    mx = SeenSerializer()
    txt_name = serializers.CharField(help_text="The TXT record that proves the owner")
    txt_text = serializers.CharField()
    looked_at = serializers.DateTimeField(allow_null=True)


class GateStateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    hostname = serializers.CharField()
    addresses = serializers.ListField(child=serializers.CharField())
    is_current = serializers.BooleanField(help_text="It follows what stands here")
    is_silent = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)


class TrialSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    gate = serializers.CharField()
    recipient = serializers.CharField()
    state = serializers.CharField()
    reply = serializers.CharField()
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()
    is_seen = serializers.BooleanField(help_text="Its trace has come; the mail is on record")


class OnboardingSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    steps = StepSerializer(many=True)
    done = serializers.IntegerField()
    is_moving = serializers.BooleanField(help_text="Something changes by itself: ask again")
    domains = DomainSerializer(many=True)
    gates = GateStateSerializer(many=True)
    trials = TrialSerializer(many=True)
    protected_since = serializers.DateTimeField(allow_null=True)


def _told(page: OnboardPage) -> dict[str, Any]:
    return {
        "tenant": page.client.slug,
        "steps": [asdict(step) for step in page.steps.values()],
        "done": page.done,
        "is_moving": page.is_moving,
        "domains": [_domain(row) for row in page.domains],
        "gates": [_gate(row) for row in page.gates],
        "trials": [_trial(row) for row in page.trials],
        "protected_since": page.client.protected_since,
    }


def _domain(row: DomainRow) -> dict[str, Any]:
    domain = row.domain
    return {
        "id": domain.id,
        "name": domain.name,
        "is_active": domain.is_active,
        "host": domain.next_hop_host,
        "port": domain.next_hop_port,
        "backup_host": domain.backup_hop_host,
        "backup_port": domain.backup_hop_port,
        "tls": domain.hop_tls,
        "asks_host": domain.asks_hop,
        "recipients": row.mailboxes,
        "owner": row.owner,
        "mx": row.mx,
        "txt_name": row.record[0],
        "txt_text": row.record[1],
        "looked_at": row.check.looked_at if row.check else None,
    }


def _gate(row: GateRow) -> dict[str, Any]:
    link = row.link
    return {
        "name": link.gate.name,
        "hostname": link.gate.hostname,
        "addresses": row.addresses,
        "is_current": row.is_current,
        "is_silent": row.is_silent,
        "since": link.in_force_at,
    }


def _trial(row: TrialRow) -> dict[str, Any]:
    trial = row.trial
    names = ("id", "recipient", "state", "reply", "asked_by", "asked_at")
    told = {name: getattr(trial, name) for name in names}
    return {**told, "gate": trial.gate.name, "is_seen": row.trace is not None}


def _answer(client: Tenant, status: int = 200) -> Response:
    page = onboard_page(Tenant.objects.get(id=client.id))
    return Response(OnboardingSerializer(_told(page)).data, status=status)


# --- what is asked


class NewClientSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    slug = serializers.CharField(max_length=50, help_text="Its short name, which never changes")
    time_zone = serializers.CharField(max_length=64, default="UTC", help_text="Europe/Vienna")


class StartedSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField()


class RecipientsWaySerializer(serializers.Serializer[Any]):
    host = serializers.CharField(max_length=255, help_text="It keeps the mailboxes")
    port = serializers.IntegerField(min_value=1, max_value=65535, default=25)
    backup_host = serializers.CharField(max_length=255, default="", allow_blank=True)
    backup_port = serializers.IntegerField(min_value=1, max_value=65535, default=25)
    tls = serializers.ChoiceField(choices=Domain.Tls.choices, default=Domain.Tls.MAY)
    asks_host = serializers.BooleanField(
        default=False, help_text="Ask the mail host for who is not listed"
    )


class NewDomainSerializer(RecipientsWaySerializer):
    name = serializers.CharField(max_length=255)


class ChangedDomainSerializer(RecipientsWaySerializer):
    is_active = serializers.BooleanField(default=True)


class RecipientSerializer(serializers.Serializer[Any]):
    address = serializers.CharField(max_length=320)
    display_name = serializers.CharField(max_length=200, default="", allow_blank=True)
    job_title = serializers.CharField(max_length=200, default="", allow_blank=True)
    is_vip = serializers.BooleanField(default=False)


class RecipientsSerializer(serializers.Serializer[Any]):
    recipients = RecipientSerializer(many=True, allow_empty=False)


class AddedSerializer(serializers.Serializer[Any]):
    new = serializers.IntegerField()
    known = serializers.IntegerField()
    back = serializers.IntegerField(help_text="Had been removed, and are there again")


class StartPolicySerializer(serializers.Serializer[Any]):
    template = serializers.CharField(
        max_length=100, default="", allow_blank=True, help_text='"": it inherits everything'
    )


class GatesSerializer(serializers.Serializer[Any]):
    gates = serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=100, help_text="All of them, by name"
    )


class NewTrialSerializer(serializers.Serializer[Any]):
    recipient = serializers.CharField(max_length=320)
    gate = serializers.CharField(max_length=50, help_text="Its name")


class BehindSerializer(serializers.Serializer[Any]):
    despite = serializers.BooleanField(
        default=False, help_text="Although not every MX record names our gates alone"
    )


# --- resources


def _lead_at(request: Request, slug: str) -> tuple[Tenant, Person]:
    """The client and the lead who asks.  Raises ``NotThere`` or ``NotAllowed``."""
    client, person = access_client(slug), person_of(request)
    must_lead(person, services.LEADS)
    return client, person


class Onboarding(APIView):
    """How far the client is: each step, what DNS says, what each gate follows, the test mails."""

    @extend_schema(responses=OnboardingSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return _answer(access_client(slug))


class OnboardDomain(APIView):
    """Add a domain with its mail host; the first gates begin to serve the client.  A lead's."""

    @extend_schema(request=NewDomainSerializer, responses={201: OnboardingSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client, person = _lead_at(request, slug)
        asked = parse(NewDomainSerializer, request)
        name, asks = asked.pop("name"), asked.pop("asks_host")
        way = NextHop(**asked)
        domain = services.begin_domain(tenant=client, name=name, way=way, actor=person)
        set_asks_hop(domain=domain, asks_hop=asks, actor=person)
        return _answer(client, 201)


class ChangeDomain(APIView):
    """Where a domain's mail goes on, all of it anew.  A lead's."""

    @extend_schema(request=ChangedDomainSerializer, responses=OnboardingSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        domain = access_one(Domain.objects.select_related("tenant"), object_id)
        person = person_of(request)
        must_lead(person, services.LEADS)
        asked = parse(ChangedDomainSerializer, request)
        asks, is_active = asked.pop("asks_host"), asked.pop("is_active")
        services.change_way(domain=domain, way=NextHop(**asked), actor=person)
        set_asks_hop(domain=domain, asks_hop=asks, actor=person)
        services.switch_domain(domain=domain, is_active=is_active, actor=person)
        return _answer(domain.tenant)


class OnboardRecipients(APIView):
    """List addresses that exist.  A lead's."""

    @extend_schema(request=RecipientsSerializer, responses=AddedSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client, person = _lead_at(request, slug)
        asked = parse(RecipientsSerializer, request)
        boxes = [NewMailbox(**each) for each in asked["recipients"]]
        added = add_mailboxes(tenant=client, boxes=boxes, actor=person)
        return Response(AddedSerializer(added).data)


class RemoveRecipient(APIView):
    """Its mail is refused within seconds.  A lead's."""

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        box = access_one(Mailbox.objects.select_related("tenant"), object_id)
        must_lead(person_of(request), services.LEADS)
        remove_mailbox(mailbox=box, actor=person_of(request))
        return Response(status=204)


class OnboardPolicy(APIView):
    """What the client's mail is treated by in the beginning.  A lead's; 409 with objections."""

    @extend_schema(request=StartPolicySerializer, responses=OnboardingSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client, person = _lead_at(request, slug)
        asked = parse(StartPolicySerializer, request)
        services.start_policy(tenant=client, actor=person, **asked)
        return _answer(client)


class OnboardGates(APIView):
    """These gates take the client's mail, and no others.  A lead's."""

    @extend_schema(request=GatesSerializer, responses=OnboardingSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client, person = _lead_at(request, slug)
        names = parse(GatesSerializer, request)["gates"]
        services.set_gates(tenant=client, gates=_gates_named(names), actor=person)
        return _answer(client)


def _gates_named(names: list[str]) -> list[Gate]:
    found = list(Gate.objects.filter(name__in=names))
    unknown = sorted(set(names) - {gate.name for gate in found})
    if unknown:
        raise WrongInput(f"There is no gate called {', '.join(unknown[:5])}.")
    return found


class OnboardLook(APIView):
    """Have DNS asked again for every domain of the client; the answer stands in the steps."""

    @extend_schema(request=None, responses={202: OnboardingSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client = access_client(slug)
        services.ask_look(tenant=client, actor=person_of(request))
        return _answer(client, 202)


class OnboardTrial(APIView):
    """Have a test mail sent through a gate, to an address of the client's.  A lead's."""

    @extend_schema(request=NewTrialSerializer, responses={202: OnboardingSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client, person = _lead_at(request, slug)
        asked = parse(NewTrialSerializer, request)
        (gate,) = _gates_named([asked["gate"]])
        services.send_trial(tenant=client, gate=gate, recipient=asked["recipient"], actor=person)
        return _answer(client, 202)


class OnboardBehind(APIView):
    """From now on a mail without our trace is a bypass.  A lead's; 409 unless DNS says so too."""

    @extend_schema(request=BehindSerializer, responses=OnboardingSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        client, person = _lead_at(request, slug)
        services.put_behind(tenant=client, actor=person, **parse(BehindSerializer, request))
        return _answer(client)
