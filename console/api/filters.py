"""The filters of each list.  Times are ISO 8601 with a zone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from typing_extensions import override

from console.queries.find import copies_named, copies_with
from console.queries.named import has_ticket
from console.queries.sla import due_within
from incidents.codes import CROSS_LAYER
from incidents.models import (
    Delivery,
    Incident,
    IncidentMessage,
    Intent,
    Job,
    Message,
    Observation,
    ReleaseLook,
    Report,
    Sighting,
    Suppression,
    Task,
)
from incidents.services.quiet import in_force
from seg_bridge.models import GatewayRule
from seg_bridge.rule_scopes import rules_of
from seg_bridge.services import rules_in_force
from tenants.groups import PREFIX, of_clients
from tenants.scope import current_scope


class TenantFilter(filters.FilterSet):
    tenant = filters.CharFilter(field_name="tenant__slug")
    group = filters.UUIDFilter(method="filter_group", label="The clients in sight of this group")

    def filter_group(self, rows: QuerySet[Any], name: str, value: UUID) -> QuerySet[Any]:
        return of_clients(rows, f"{PREFIX}{value}")


class IncidentFilter(TenantFilter):
    cross_layer = filters.ChoiceFilter(
        choices=list(CROSS_LAYER.items()), method="filter_cross_layer"
    )
    is_open = filters.BooleanFilter(method="filter_open")
    since = filters.IsoDateTimeFilter(field_name="last_seen_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="last_seen_at", lookup_expr="lt")
    internet_message_id = filters.CharFilter(method="filter_message_id")
    ticket = filters.CharFilter(method="filter_ticket", label="Its number in the help desk")

    class Meta:
        model = Incident
        fields = ("tenant", "kind", "severity", "state", "sender")

    def filter_cross_layer(
        self, rows: QuerySet[Incident], name: str, value: str
    ) -> QuerySet[Incident]:
        return rows.filter(cross_layer__contains=[value])

    def filter_open(self, rows: QuerySet[Incident], name: str, value: bool) -> QuerySet[Incident]:
        resolved = Incident.State.RESOLVED
        return rows.exclude(state=resolved) if value else rows.filter(state=resolved)

    def filter_ticket(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        return rows.filter(has_ticket(value))

    def filter_message_id(
        self, rows: QuerySet[Incident], name: str, value: str
    ) -> QuerySet[Incident]:
        members = IncidentMessage.objects.filter(
            incident=OuterRef("pk"), message__internet_message_id=value
        )
        return rows.filter(Exists(members))


class MessageFilter(TenantFilter):
    since = filters.IsoDateTimeFilter(field_name="first_seen_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="first_seen_at", lookup_expr="lt")
    incident = filters.UUIDFilter(field_name="memberships__incident_id")

    class Meta:
        model = Message
        fields = ("tenant", "internet_message_id", "sender_address", "direction")


class DeliveryFilter(TenantFilter):
    replay = filters.UUIDFilter(method="filter_replay", label="Copies that this replay job sent")
    internet_message_id = filters.CharFilter(field_name="message__internet_message_id")
    message = filters.UUIDFilter(field_name="message_id")
    incident = filters.UUIDFilter(field_name="message__memberships__incident_id")
    since = filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="lt")

    q = filters.CharFilter(method="filter_q", label="Any id, address or words; words of 30 days")

    class Meta:
        model = Delivery
        fields = ("tenant", "recipient", "direction", "outcome", "place", "is_bypass")

    def filter_q(self, rows: QuerySet[Delivery], name: str, value: str) -> QuerySet[Delivery]:
        among = current_scope().tenant_ids
        named = copies_named(value, among)
        if named is None:
            named = copies_with(value, timezone.now() - timedelta(days=30), among)
        return rows.filter(id__in=named)

    def filter_replay(self, rows: QuerySet[Delivery], name: str, value: UUID) -> QuerySet[Delivery]:
        job = Job.objects.filter(id=value, kind=Job.Kind.REPLAY).first()
        return rows.filter(message__trace_ulid__in=job.detail["ulids"] if job else [])


class ObservationFilter(TenantFilter):
    delivery = filters.UUIDFilter(method="filter_delivery")
    message = filters.UUIDFilter(method="filter_message")
    since = filters.IsoDateTimeFilter(field_name="observed_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="observed_at", lookup_expr="lt")

    class Meta:
        model = Observation
        fields = ("tenant", "layer", "source", "recipient", "internet_message_id", "verdict")

    def _sighted(self, rows: QuerySet[Observation], **of: object) -> QuerySet[Observation]:
        sightings = Sighting.objects.filter(observation_id=OuterRef("pk"), **of)
        return rows.filter(Exists(sightings))

    def filter_delivery(
        self, rows: QuerySet[Observation], name: str, value: object
    ) -> QuerySet[Observation]:
        return self._sighted(rows, delivery_id=value)

    def filter_message(
        self, rows: QuerySet[Observation], name: str, value: object
    ) -> QuerySet[Observation]:
        return self._sighted(rows, delivery__message_id=value)


class JobFilter(TenantFilter):
    incident = filters.UUIDFilter(field_name="incident_id")
    order = filters.UUIDFilter(field_name="group_id", label="The jobs of one order")

    class Meta:
        model = Job
        fields = ("tenant", "kind", "state")


class ActionFilter(TenantFilter):
    job = filters.UUIDFilter(field_name="job_id")
    delivery = filters.UUIDFilter(field_name="delivery_id")
    incident = filters.UUIDFilter(field_name="job__incident_id")

    class Meta:
        model = Intent
        fields = ("tenant", "action", "state")


class ReportFilter(TenantFilter):
    incident = filters.UUIDFilter(field_name="incident_id")
    job = filters.UUIDFilter(field_name="job_id")

    class Meta:
        model = Report
        fields = ("tenant", "kind", "audience")


class GatewayRuleFilter(TenantFilter):
    """Entries for all clients, and for groups, are among those of each client they hold for."""

    tenant = filters.CharFilter(method="filter_tenant")
    in_force = filters.BooleanFilter(method="filter_in_force")

    class Meta:
        model = GatewayRule
        fields = ("tenant", "kind", "match", "value")

    def filter_tenant(
        self, rows: QuerySet[GatewayRule], name: str, value: str
    ) -> QuerySet[GatewayRule]:
        return rows.filter(rules_of(value))

    @override
    def filter_group(
        self, rows: QuerySet[GatewayRule], name: str, value: UUID
    ) -> QuerySet[GatewayRule]:
        return rows.filter(rules_of(f"{PREFIX}{value}"))

    def filter_in_force(
        self, rows: QuerySet[GatewayRule], name: str, value: bool
    ) -> QuerySet[GatewayRule]:
        return rows.filter(rules_in_force()) if value else rows.exclude(rules_in_force())


class TaskFilter(filters.FilterSet):
    class Meta:
        model = Task
        fields = ("state",)


class SuppressionFilter(TenantFilter):
    in_force = filters.BooleanFilter(method="filter_in_force")

    class Meta:
        model = Suppression
        fields = ("tenant", "match", "value")

    def filter_in_force(
        self, rows: QuerySet[Suppression], name: str, value: bool
    ) -> QuerySet[Suppression]:
        return in_force(rows) if value else rows.exclude(id__in=in_force(rows).values("id"))


class HoursAhead(filters.CharFilter):
    """It holds even where nothing is said."""

    @override
    def filter(self, qs: QuerySet[Incident], value: str) -> QuerySet[Incident]:
        return due_within(qs, value)


class ForecastFilter(TenantFilter):
    hours = HoursAhead(label="How far ahead; 8 without")

    class Meta:
        model = Incident
        fields = ("tenant", "severity", "due_for")


class ReleaseLookFilter(TenantFilter):
    delivery = filters.UUIDFilter(field_name="delivery_id")
    is_over = filters.BooleanFilter(field_name="done_at", lookup_expr="isnull", exclude=True)
    job = filters.UUIDFilter(field_name="intent__job_id")
    order = filters.UUIDFilter(method="filter_order", label="The looks of one order")

    class Meta:
        model = ReleaseLook
        fields = ("tenant", "outcome")

    def filter_order(
        self, rows: QuerySet[ReleaseLook], name: str, value: UUID
    ) -> QuerySet[ReleaseLook]:
        # The jobs first: with their clients named, PostgreSQL reads no other client's looks.
        jobs = dict(Job.objects.filter(group_id=value).values_list("id", "tenant_id"))
        return rows.filter(tenant__in=set(jobs.values()), intent__job__in=list(jobs))
