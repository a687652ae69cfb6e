"""What surrounds held mail: wishes, digests, what was sent, what is kept whatever its age."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.held import access_mailbox_named
from incidents.access import access_client, access_message, access_one
from incidents.models import ClientWord
from seg_bridge.held.asked import send_digest_now
from seg_bridge.held.legal import end_hold, set_hold
from seg_bridge.models import Digest, LegalHold
from tenants.errors import WrongInput
from tenants.models import Mailbox, OutgoingMail


class DigestSerializer(serializers.ModelSerializer[Digest]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    mailbox = serializers.EmailField(source="mailbox.address", read_only=True)
    asked_by = serializers.CharField(help_text='Who wanted it now; "": it was due by the policy')

    class Meta:
        model = Digest
        fields = ("id", "tenant", "mailbox", "items", "asked_by", "created_at")


class NewDigestSerializer(serializers.Serializer[Any]):
    mailbox = serializers.EmailField(max_length=320, help_text="Its address, or one of its others")


class DigestFilter(TenantFilter):
    mailbox = filters.CharFilter(field_name="mailbox__address", lookup_expr="iexact")

    class Meta:
        model = Digest
        fields = ("tenant", "mailbox")


class DigestList(ListView):
    """Digests that were sent, newest first."""

    serializer_class = DigestSerializer
    filterset_class = DigestFilter
    queryset = Digest.objects.select_related("tenant", "mailbox")

    @extend_schema(request=NewDigestSerializer, responses={201: DigestSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Send this mailbox everything that is held back from it.  409: nothing is; 429 after six
        within an hour.
        """
        mailbox = access_mailbox_named(parse(NewDigestSerializer, request)["mailbox"])
        digest = send_digest_now(mailbox=mailbox, actor=person_of(request))
        return Response(DigestSerializer(digest).data, status=201)


class DigestDetail(DetailView):
    serializer_class = DigestSerializer
    queryset = Digest.objects.select_related("tenant", "mailbox")


# --- wishes


class WishSerializer(serializers.ModelSerializer[ClientWord]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    delivery = serializers.UUIDField(source="delivery_id", read_only=True)
    recipient = serializers.CharField(source="delivery.recipient", read_only=True)
    advice = serializers.SerializerMethodField(
        help_text='Of the new scan: harmless threat unclear; "": nobody has looked yet'
    )

    class Meta:
        model = ClientWord
        fields = (
            *("id", "tenant", "delivery", "recipient", "text", "person_name", "source"),
            *("created_at", "scanned_at", "advice", "settled_at", "settled_by", "outcome"),
        )

    def get_advice(self, word: ClientWord) -> str:
        return str(word.scan.get("advice", ""))


class WishFilter(TenantFilter):
    delivery = filters.UUIDFilter(field_name="delivery_id")
    is_open = filters.BooleanFilter(field_name="settled_at", lookup_expr="isnull")

    class Meta:
        model = ClientWord
        fields = ("tenant",)


class WishList(ListView):
    """What clients asked to have released, newest first; ``is_open``: nobody has settled it."""

    serializer_class = WishSerializer
    filterset_class = WishFilter
    queryset = ClientWord.objects.filter(kind=ClientWord.Kind.RELEASE).select_related(
        "tenant", "delivery"
    )


# --- what Bailey sent


class SentMailSerializer(serializers.ModelSerializer[OutgoingMail]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)

    class Meta:
        model = OutgoingMail
        fields = (
            *("id", "tenant", "kind", "to_address", "message_id", "state", "attempts"),
            *("created_at", "tried_at", "sent_at", "error"),
        )


class SentMailFilter(TenantFilter):
    class Meta:
        model = OutgoingMail
        fields = ("tenant", "kind", "state", "to_address")


class SentMailList(ListView):
    """Digests and notices to clients' people, newest first, and whether they went out."""

    serializer_class = SentMailSerializer
    filterset_class = SentMailFilter
    queryset = OutgoingMail.objects.select_related("tenant").defer("sealed")


# --- legal hold


class LegalHoldSerializer(serializers.ModelSerializer[LegalHold]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    message = serializers.UUIDField(
        source="message_id", allow_null=True, read_only=True, help_text="null: all of the client's"
    )

    class Meta:
        model = LegalHold
        fields = (
            *("id", "tenant", "message", "reason", "set_by", "created_at"),
            *("ended_at", "ended_by"),
        )


class LegalHoldFilter(TenantFilter):
    message = filters.UUIDFilter(field_name="message_id")
    in_force = filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = LegalHold
        fields = ("tenant",)


class NewLegalHoldSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(default="", allow_blank=True, help_text="All of its held mail")
    message = serializers.UUIDField(default=None, allow_null=True, help_text="Or this mail")
    reason = serializers.CharField(max_length=500)


class EndHoldSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


class LegalHoldList(ListView):
    """What is kept whatever its age, newest first."""

    serializer_class = LegalHoldSerializer
    filterset_class = LegalHoldFilter
    queryset = LegalHold.objects.select_related("tenant")

    @extend_schema(request=NewLegalHoldSerializer, responses={201: LegalHoldSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Keep one mail, or all held mail of a client.  409 where it is kept already."""
        asked = parse(NewLegalHoldSerializer, request)
        if bool(asked["tenant"]) == bool(asked["message"]):
            raise WrongInput("Name the client or the mail.")
        message = access_message(asked["message"]) if asked["message"] else None
        tenant = message.tenant if message else access_client(asked["tenant"])
        hold = set_hold(
            tenant=tenant, message=message, actor=person_of(request), reason=asked["reason"]
        )
        return Response(LegalHoldSerializer(hold).data, status=201)


class EndLegalHold(APIView):
    """Its age counts again from now on."""

    @extend_schema(request=EndHoldSerializer, responses=LegalHoldSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        hold = access_one(LegalHold.objects.select_related("tenant"), object_id)
        asked = parse(EndHoldSerializer, request)
        end_hold(hold=hold, actor=person_of(request), reason=asked["reason"])
        hold.refresh_from_db()
        return Response(LegalHoldSerializer(hold).data)


# --- recipients


class MailboxSerializer(serializers.ModelSerializer[Mailbox]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)

    class Meta:
        model = Mailbox
        fields = (
            *("id", "tenant", "address", "aliases", "display_name", "job_title", "is_vip"),
            *("state", "created_at"),
        )


class MailboxFilter(TenantFilter):
    class Meta:
        model = Mailbox
        fields = ("tenant", "state", "address", "is_vip")


class MailboxList(ListView):
    """The clients' mailboxes, which are the recipients that the gates know."""

    serializer_class = MailboxSerializer
    filterset_class = MailboxFilter
    queryset = Mailbox.objects.select_related("tenant")
