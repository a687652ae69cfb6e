"""Between the layers: disagreements, rehearsals of changes, standing orders, late verdicts."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api.base import DetailView, ListView, parse
from console.api.filters import TenantFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.rules import copies_behind, incidents_behind, is_of_copies
from incidents.access import access_client, access_disagreement, access_one, access_order
from incidents.automation import set_late_verdicts
from incidents.disagreements import accept, dismiss, rehearse_repair
from incidents.models import Disagreement, LateVerdicts, StandingOrder
from incidents.modes import wish_of
from incidents.orders import orders_in_force, withdraw_order
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.models import GatewayRule, Rehearsal
from tenants.errors import WrongInput

# --- what is shown


class SideSerializer(serializers.Serializer[Any]):
    """One source's word."""

    layer = serializers.CharField()
    who = serializers.CharField(
        default="", help_text="The person or the mail host that said it; empty: a layer did"
    )
    source = serializers.CharField()  # type: ignore[assignment]
    verdict = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    limit = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    reasons = serializers.ListField(child=serializers.CharField())
    rule = serializers.CharField()
    by = serializers.CharField(help_text="What decided: block, allow, verdict, score, release …")
    rule_id = serializers.CharField(help_text="The list entry that decided; empty: none did")
    owner = serializers.CharField(help_text="Whose entry it was")
    entry_reason = serializers.CharField()
    observation = serializers.CharField()
    at = serializers.CharField()
    engine = serializers.CharField()


class DisagreementSerializer(serializers.ModelSerializer[Disagreement]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True, allow_null=True)
    message = serializers.UUIDField(source="message_id", read_only=True)
    sides = SideSerializer(many=True, read_only=True)
    rule_id = serializers.UUIDField(
        read_only=True, allow_null=True, help_text="The list entry that is responsible"
    )

    class Meta:
        model = Disagreement
        fields = (
            *("id", "tenant", "kind", "state", "incident", "message", "copies", "sides"),
            *("rule_id", "rule_words", "rule_owner", "proposal", "result", "reason"),
            *("decided_by", "decided_at", "created_at", "seen_at"),
        )


class RehearsalSerializer(serializers.ModelSerializer[Rehearsal]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    rule = serializers.UUIDField(source="rule_id", read_only=True, allow_null=True)
    counts = serializers.DictField(
        child=serializers.IntegerField(), read_only=True, help_text="docs/layers.md defines each"
    )
    stops = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Rehearsal
        fields = (
            *("id", "tenant", "batch", "change", "days", "since", "counts", "stops"),
            *("asked_by", "created_at", "saved_by", "saved_at", "rule"),
        )


class StandingOrderSerializer(serializers.ModelSerializer[StandingOrder]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True)
    owner = serializers.CharField(source="owner_name", read_only=True)

    class Meta:
        model = StandingOrder
        fields = (
            *("id", "tenant", "kind", "incident", "owner", "reason", "acted", "created_at"),
            *("expires_at", "withdrawn_at", "withdrawn_by"),
        )


class LateVerdictsSerializer(serializers.ModelSerializer[LateVerdicts]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    stopped = serializers.SerializerMethodField(help_text="Nothing is done by itself")

    class Meta:
        model = LateVerdicts
        fields = (
            *("tenant", "rule_mode", "most_copies", "rule_days", "stopped"),
            *("stopped_by", "changed_by"),
        )

    def get_stopped(self, wish: LateVerdicts) -> bool:
        return wish.stopped_at is not None


# --- what is asked


class AcceptSerializer(asks.ReasonSerializer):
    despite = serializers.BooleanField(
        default=False, help_text="Although the rehearsal objects; needs a reason"
    )


class WhySerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000)


class NewRehearsalSerializer(serializers.Serializer[Any]):
    tenants = serializers.ListField(
        child=serializers.SlugField(), min_length=1, max_length=500, help_text="Clients"
    )
    do = serializers.ChoiceField(choices=["add_rule", "remove_rule"])
    kind = serializers.ChoiceField(choices=GatewayRule.Kind.choices, default="block")
    match = serializers.ChoiceField(choices=GatewayRule.Match.choices, default="sender")
    value = serializers.CharField(max_length=320, default="", allow_blank=True)
    recipient = serializers.CharField(max_length=320, default="", allow_blank=True)
    beats_threats = serializers.BooleanField(default=False)
    days = serializers.IntegerField(
        min_value=0, max_value=3650, default=30, help_text="How long the rule holds"
    )
    no_end_because = serializers.CharField(
        default="", allow_blank=True, max_length=500, help_text="Why it has no end"
    )
    everywhere = serializers.BooleanField(
        default=False, help_text="One rule for all clients, rehearsed for these; a lead's"
    )
    group = serializers.UUIDField(
        required=False, help_text="One rule for all clients of this group; a lead's"
    )
    rule_id = serializers.UUIDField(required=False, help_text="Of the rule to remove")
    period_days = serializers.IntegerField(
        min_value=1, max_value=90, default=30, help_text="Stored mail of so many days"
    )


class SaveSerializer(WhySerializer):
    despite = serializers.BooleanField(default=False, help_text="Although it has objections")
    pull_delivered = serializers.BooleanField(
        default=False, help_text="Pull what a new block would have held"
    )


class LateVerdictsWishSerializer(serializers.Serializer[Any]):
    rule_mode = serializers.ChoiceField(choices=LateVerdicts.Mode.choices, required=False)
    most_copies = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    rule_days = serializers.IntegerField(min_value=1, max_value=365, required=False)
    stop = serializers.BooleanField(required=False)


# --- resources


class DisagreementFilter(TenantFilter):
    incident = filters.UUIDFilter(field_name="incident_id")

    class Meta:
        model = Disagreement
        fields = ("tenant", "kind", "state")


class DisagreementList(ListView):
    """Where the layers contradict each other, newest first; ``state=open`` is the queue."""

    serializer_class = DisagreementSerializer
    filterset_class = DisagreementFilter
    queryset = Disagreement.objects.select_related("tenant")


class DisagreementDetail(DetailView):
    serializer_class = DisagreementSerializer
    queryset = Disagreement.objects.select_related("tenant")


class RehearseDisagreement(APIView):
    """What the proposed gateway rule would have done; nothing is changed."""

    @extend_schema(request=None, responses=RehearsalSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        item = access_disagreement(object_id)
        forecast = rehearse_repair(item=item, actor=person_of(request))
        kept = Rehearsal.objects.select_related("tenant").get(id=forecast.id)
        return Response(RehearsalSerializer(kept).data)


class AcceptDisagreement(APIView):
    """Carry out the proposal.  A gateway rule is rehearsed first; 409 where that has objections."""

    @extend_schema(request=AcceptSerializer, responses=DisagreementSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        item = access_disagreement(object_id)
        accept(item=item, actor=person_of(request), **parse(AcceptSerializer, request))
        return Response(DisagreementSerializer(access_disagreement(object_id)).data)


class DismissDisagreement(APIView):
    """It needs no repair, and why."""

    @extend_schema(request=WhySerializer, responses=DisagreementSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        item = access_disagreement(object_id)
        dismiss(item=item, actor=person_of(request), **parse(WhySerializer, request))
        return Response(DisagreementSerializer(access_disagreement(object_id)).data)


class RehearsalFilter(TenantFilter):
    class Meta:
        model = Rehearsal
        fields = ("tenant", "batch")


class RehearsalList(ListView):
    """Rehearsals, newest first; those of one question share ``batch``."""

    serializer_class = RehearsalSerializer
    filterset_class = RehearsalFilter
    queryset = Rehearsal.objects.select_related("tenant", "rule")

    @extend_schema(request=NewRehearsalSerializer, responses={201: RehearsalSerializer(many=True)})
    @idempotent
    def post(self, request: Request) -> Response:
        """Replay a change over stored mail; one rehearsal for each client."""
        asked = parse(NewRehearsalSerializer, request)
        tenants = [access_client(slug) for slug in dict.fromkeys(asked.pop("tenants"))]
        days = asked.pop("period_days")
        wish = {name: _plain(value) for name, value in asked.items()}
        kept = rehearse_wish(wish=wish, tenants=tenants, actor=person_of(request), days=days)
        return Response(RehearsalSerializer(kept, many=True).data, status=201)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)


class RehearsalDetail(DetailView):
    serializer_class = RehearsalSerializer
    queryset = Rehearsal.objects.select_related("tenant", "rule")


class RehearsalNumber(ListView):
    """What is behind a number of ``counts``: copies (``newly_held``, ``newly_delivered``) or
    incidents (``missed``, ``caught``, ``broken``).  The newest 1,000.
    """

    queryset = Rehearsal.objects.all()

    @override
    def get_queryset(self) -> QuerySet[Any]:
        rehearsal = access_one(Rehearsal.objects.all(), self.kwargs["object_id"])
        name = self.kwargs["name"]
        if is_of_copies(name):
            return copies_behind(rehearsal, name).prefetch_related("message__memberships")
        return incidents_behind(rehearsal, name)

    @override
    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        of_copies = is_of_copies(self.kwargs["name"])
        return shown.DeliverySerializer if of_copies else shown.IncidentSerializer

    @extend_schema(
        responses=PolymorphicProxySerializer(
            component_name="CopyOrIncident",
            serializers=[shown.DeliverySerializer, shown.IncidentSerializer],
            resource_type_field_name=None,
            many=True,
        )
    )
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class SaveRehearsal(APIView):
    """Make the change that was rehearsed, for every client of the batch."""

    @extend_schema(request=SaveSerializer, responses=shown.GatewayRuleSerializer(many=True))
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        rehearsal = access_one(Rehearsal.objects.all(), object_id)
        asked = parse(SaveSerializer, request)
        batch = list(Rehearsal.objects.filter(batch=rehearsal.batch))
        rules = save_change(rehearsals=batch, actor=person_of(request), **asked)
        return Response(shown.GatewayRuleSerializer(rules, many=True).data)


class StandingOrderFilter(TenantFilter):
    incident = filters.UUIDFilter(field_name="incident_id")
    in_force = filters.BooleanFilter(method="filter_in_force")

    class Meta:
        model = StandingOrder
        fields = ("tenant", "kind")

    def filter_in_force(
        self, rows: QuerySet[StandingOrder], name: str, value: bool
    ) -> QuerySet[StandingOrder]:
        return rows.filter(orders_in_force()) if value else rows.exclude(orders_in_force())


class StandingOrderList(ListView):
    """What people want done with later copies of incidents."""

    serializer_class = StandingOrderSerializer
    filterset_class = StandingOrderFilter
    queryset = StandingOrder.objects.select_related("tenant")


class StandingOrderDetail(DetailView):
    serializer_class = StandingOrderSerializer
    queryset = StandingOrder.objects.select_related("tenant")


class WithdrawStandingOrder(APIView):
    @extend_schema(request=asks.ReasonSerializer, responses=StandingOrderSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        order = access_order(object_id)
        asked = parse(asks.ReasonSerializer, request)
        withdraw_order(order=order, actor=person_of(request), reason=asked["reason"])
        return Response(StandingOrderSerializer(access_order(object_id)).data)


class ClientLateVerdicts(APIView):
    """What a late verdict of one layer does in the other."""

    @extend_schema(responses=LateVerdictsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        wish = wish_of(access_client(slug).id)
        return Response(LateVerdictsSerializer(wish).data)

    @extend_schema(request=LateVerdictsWishSerializer, responses=LateVerdictsSerializer)
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        tenant = access_client(slug)
        asked = parse(LateVerdictsWishSerializer, request)
        if not asked:
            raise WrongInput("Say what is to change.")
        wish = set_late_verdicts(tenant=tenant, actor=person_of(request), **asked)
        return Response(LateVerdictsSerializer(wish).data)
