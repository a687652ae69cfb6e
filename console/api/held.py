"""Digests of held mail."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.held import access_mailbox_named
from seg_bridge.held.asked import send_digest_now
from seg_bridge.models import Digest


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
