"""What clients' people reported, and the terms on which each client's reports are taken."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
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
from console.queries.user_reports import TermsPage, terms_page
from incidents.access import access_client
from incidents.models import IncidentMessage, ReportTerms, UserReport
from incidents.userreports.terms import FEWEST, MOST, set_terms
from tenants.errors import WrongInput


class UserReportSerializer(serializers.ModelSerializer[UserReport]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    delivery = serializers.UUIDField(source="delivery_id", read_only=True, allow_null=True)
    incident = serializers.UUIDField(
        source="incident_id", read_only=True, allow_null=True, help_text="Of its original"
    )
    counts = serializers.BooleanField(
        read_only=True, help_text="Proven to come from one of the client's own mailboxes"
    )

    class Meta:
        model = UserReport
        fields = (
            *("id", "tenant", "way", "reporter", "reported_at", "said", "words", "subject"),
            *("counts", "trust", "trust_why", "is_automatic", "state", "found", "found_why"),
            *("original_id", "original_subject", "original_sender", "evidence", "delivery"),
            *("incident", "receipt_at", "outcome_at", "outcome", "unanswered"),
        )


class RehearsedHerdSerializer(serializers.Serializer[Any]):
    reporters = serializers.IntegerField(help_text="So many people within 24 hours")
    incidents = serializers.IntegerField(help_text="Incidents that they would have met")
    copies = serializers.IntegerField(help_text="Copies of these, as on record now")


class ReportTermsSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    mailbox = serializers.EmailField(allow_blank=True, help_text="Empty: reports are not read")
    answers = serializers.BooleanField(help_text="Reporters get a receipt and the outcome")
    herd_mode = serializers.ChoiceField(choices=ReportTerms.Herd.choices)
    herd_reporters = serializers.IntegerField()
    changed_by = serializers.CharField()
    last_30_days = RehearsedHerdSerializer(many=True, help_text="The herd rule, without effect")


class ReportTermsWishSerializer(serializers.Serializer[Any]):
    mailbox = serializers.EmailField(required=False, allow_blank=True)
    answers = serializers.BooleanField(required=False)
    herd_mode = serializers.ChoiceField(choices=ReportTerms.Herd.choices, required=False)
    herd_reporters = serializers.IntegerField(min_value=FEWEST, max_value=MOST, required=False)


class UserReportFilter(TenantFilter):
    incident = filters.UUIDFilter(method="filter_incident")
    delivery = filters.UUIDFilter(field_name="delivery_id")
    since = filters.IsoDateTimeFilter(field_name="reported_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="reported_at", lookup_expr="lt")

    class Meta:
        model = UserReport
        fields = ("tenant", "reporter", "way", "said", "trust", "state")

    def filter_incident(
        self, rows: QuerySet[UserReport], name: str, value: UUID
    ) -> QuerySet[UserReport]:
        return rows.filter(delivery__message__memberships__incident_id=value)


_MEMBER = IncidentMessage.objects.filter(
    tenant=OuterRef("tenant"), message=OuterRef("delivery__message")
)
_REPORTS = (
    UserReport.objects.select_related("tenant")
    .defer("original")
    .annotate(incident_id=Subquery(_MEMBER.values("incident_id")[:1]))
)


class UserReportList(ListView):
    """What people reported."""

    serializer_class = UserReportSerializer
    filterset_class = UserReportFilter
    queryset = _REPORTS


class UserReportDetail(DetailView):
    serializer_class = UserReportSerializer
    queryset = _REPORTS


class ClientReportTerms(APIView):
    """The report mailbox, answers, and the herd rule with its dry run over 30 days."""

    @extend_schema(responses=ReportTermsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        page = terms_page(access_client(slug))
        return Response(ReportTermsSerializer(_told(page)).data)

    @extend_schema(request=ReportTermsWishSerializer, responses=ReportTermsSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        tenant = access_client(slug)
        asked = parse(ReportTermsWishSerializer, request)
        if not asked:
            raise WrongInput("Say what is to change.")
        set_terms(tenant=tenant, actor=person_of(request), **asked)
        return Response(ReportTermsSerializer(_told(terms_page(tenant))).data)


def _told(page: TermsPage) -> dict[str, Any]:
    terms = page.terms
    return {
        "tenant": page.client.slug,
        "mailbox": terms.mailbox.address if terms.mailbox else "",
        "answers": terms.answers,
        "herd_mode": terms.herd_mode,
        "herd_reporters": terms.herd_reporters,
        "changed_by": terms.changed_by,
        "last_30_days": page.rehearsed,
    }
