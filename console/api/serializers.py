"""What the API shows.  Every object carries ``id`` and ``tenant`` (the client's short name)."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from typing_extensions import override

from console.api.sight import BlindField, sight_of
from console.queries.trace import Step, Trace
from incidents.codes import COUNTS, CROSS_LAYER
from incidents.models import (
    ContentAccess,
    Delivery,
    Incident,
    Intent,
    Job,
    Message,
    Observation,
    Report,
)
from incidents.models.mail import Outcome, Place, Verdict
from incidents.story import exposure
from incidents.words import Mark
from seg_bridge.models import GatewayRule
from seg_bridge.rule_files import state_of
from tenants.models import Tenant


class VerdictField(serializers.ChoiceField):
    """A verdict, or null where the layer gave none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Verdict.choices, allow_null=True, read_only=True, **kwargs)

    @override
    def to_representation(self, value: Any) -> Any:
        return value or None


class LayersSerializer(serializers.Serializer[Any]):
    """The current verdict of each layer."""

    gateway = VerdictField(source="gateway_verdict")
    mailbox = VerdictField(source="mailbox_verdict")


CountsSerializer = type(
    "CountsSerializer",
    (serializers.Serializer,),
    {name: serializers.IntegerField(help_text=words) for name, words in COUNTS.items()}
    | {"__doc__": "How many copies are where.  The keys are one closed list."},
)


class ClientSerializer(serializers.ModelSerializer[Tenant]):
    id = serializers.SlugField(source="slug", read_only=True)
    tenant = serializers.SlugField(source="slug", read_only=True)
    blind = BlindField()

    class Meta:
        model = Tenant
        fields = (
            *("id", "tenant", "name", "time_zone", "protected_since", "body_access_allowed"),
            "blind",
        )


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    layers = LayersSerializer(source="*", read_only=True)
    cross_layer = serializers.ListField(
        child=serializers.ChoiceField(choices=list(CROSS_LAYER.items())), read_only=True
    )
    counts = CountsSerializer(read_only=True)
    exposure = serializers.SerializerMethodField(help_text="Where the copies are now, in words")
    first_seen = serializers.DateTimeField(source="first_seen_at", read_only=True)
    last_seen = serializers.DateTimeField(source="last_seen_at", read_only=True)
    owner = serializers.CharField(source="owner_name", read_only=True)
    is_shared = serializers.SerializerMethodField(help_text="Does the client see it?")
    blind = BlindField()
    campaign = serializers.IntegerField(
        source="campaign.number",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="Number of the client's campaign it belongs to",
    )
    merged_into = serializers.UUIDField(source="merged_into_id", read_only=True, allow_null=True)

    class Meta:
        model = Incident
        fields = (
            *("id", "tenant", "number", "title", "subject", "kind", "finding", "severity"),
            *("severity_parts", "state", "blind"),
            *(
                "classification",
                "cause_code",
                "cause",
                "sender",
                "layers",
                "cross_layer",
                "counts",
                "exposure",
            ),
            *(
                "campaign",
                "merged_into",
                "owner",
                "ticket",
                "ticket_link",
                "is_shared",
                "first_seen",
                "last_seen",
                "opened_at",
                "triaged_at",
            ),
            *("acted_at", "contained_at", "resolved_at", "due_at", "due_for", "waiting_since"),
            *("waiting_for", "quiet", "quiet_until", "revision"),
        )

    def get_exposure(self, incident: Incident) -> str:
        sight = sight_of(self, incident.tenant_id)
        return exposure(incident.counts, is_blind=sight.mailbox_since is not None)

    def get_is_shared(self, incident: Incident) -> bool:
        return incident.shared_at is not None


class MessageSerializer(serializers.ModelSerializer[Message]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    is_original_kept = serializers.SerializerMethodField(help_text="Can the original be opened?")

    class Meta:
        model = Message
        fields = (
            *("id", "tenant", "internet_message_id", "subject", "sender_address", "sender_name"),
            *("direction", "size_bytes", "fingerprint", "sent_at", "first_seen_at"),
            *("last_seen_at", "is_original_kept"),
        )

    def get_is_original_kept(self, message: Message) -> bool:
        return bool(message.evidence)


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    message = serializers.UUIDField(source="message_id", read_only=True)
    internet_message_id = serializers.CharField(
        source="message.internet_message_id",
        read_only=True,
        help_text="RFC 5322 Message-ID with its brackets",
    )
    subject = serializers.CharField(source="message.subject", read_only=True)
    sender = serializers.CharField(source="message.sender_address", read_only=True)
    incident = serializers.SerializerMethodField()
    outcome = serializers.ChoiceField(choices=Outcome.choices, read_only=True)
    place = serializers.ChoiceField(
        choices=Place.choices, read_only=True, help_text="Where the copy is now"
    )
    verdicts = LayersSerializer(source="*", read_only=True)

    class Meta:
        model = Delivery
        fields = (
            *("id", "tenant", "message", "incident", "internet_message_id", "subject", "sender"),
            *("recipient", "direction", "outcome", "place", "first_place", "is_read"),
            *("was_exposed", "is_bypass", "was_released", "match", "match_reason", "verdicts"),
            *("clicked_at", "clicked_by", "replied_at", "replied_by"),
            *("forwarded_at", "forwarded_by"),
            *("received_at", "verified_at"),
        )

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_incident(self, delivery: Delivery) -> Any:
        member = next(iter(delivery.message.memberships.all()), None)
        return member.incident_id if member else None


class ObservationSerializer(serializers.ModelSerializer[Observation]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    verdict = VerdictField()

    class Meta:
        model = Observation
        fields = (
            *("id", "tenant", "layer", "source", "observed_at", "recorded_at", "recipient"),
            *("direction", "internet_message_id", "trace_state", "verdict", "score", "score_limit"),
            *("confidence", "reasons", "engine", "engine_version", "policy_version", "action"),
            *("rule", "place", "is_read", "detail"),
        )


class TraceStepSerializer(serializers.Serializer[Any]):
    observation = ObservationSerializer(source="seen")
    facts = serializers.SerializerMethodField(help_text="How it came and went, by name")
    dialogue = serializers.SerializerMethodField(help_text="Lines as “Sender: …”, “Gateway: …”")

    def get_facts(self, step: Step) -> dict[str, str]:
        return dict(step.facts)

    def get_dialogue(self, step: Step) -> list[str]:
        return [f"{line.by}: {line.text}" for line in step.dialogue]


class LessonSerializer(serializers.Serializer[Any]):
    sentence = serializers.CharField(help_text="What the gateway's filter learned, or why not")
    why = serializers.CharField(help_text="The decision that taught it")
    command = serializers.IntegerField(source="number", allow_null=True)
    gate = serializers.CharField()
    at = serializers.DateTimeField(source="lesson.created_at")


class TraceSerializer(serializers.Serializer[Any]):
    delivery = serializers.UUIDField(source="copy.id")
    ids = serializers.SerializerMethodField(help_text="Name and value; a name may come twice")
    steps = TraceStepSerializer(many=True, help_text="Oldest first")
    lessons = LessonSerializer(many=True, help_text="Of the mail, newest first")

    def get_ids(self, trace: Trace) -> list[list[str]]:
        return [[name, value] for name, value in trace.ids]


class JobSerializer(serializers.ModelSerializer[Job]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True, allow_null=True)
    order = serializers.UUIDField(
        source="group_id",
        read_only=True,
        allow_null=True,
        help_text="Common to the jobs of one order over several clients",
    )
    blind = BlindField()

    class Meta:
        model = Job
        fields = (
            *("id", "tenant", "kind", "state", "incident", "order", "requested_by", "reason"),
            *("counts", "detail", "error", "created_at", "finished_at", "blind"),
        )


class ActionSerializer(serializers.ModelSerializer[Intent]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    job = serializers.UUIDField(source="job_id", read_only=True)
    delivery = serializers.UUIDField(source="delivery_id", read_only=True)
    recipient = serializers.CharField(source="delivery.recipient", read_only=True)

    class Meta:
        model = Intent
        fields = (
            *("id", "tenant", "job", "delivery", "recipient", "action", "state", "attempts"),
            *("error", "created_at", "finished_at"),
        )


class ReportSerializer(serializers.ModelSerializer[Report]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True, allow_null=True)
    job = serializers.UUIDField(source="job_id", read_only=True, allow_null=True)

    blind = BlindField()

    class Meta:
        model = Report
        fields = (
            *("id", "tenant", "kind", "incident", "since", "until", "job", "audience"),
            *("document", "pdf_sha256", "csv_sha256", "created_by", "created_at", "blind"),
        )


class ContentAccessSerializer(serializers.ModelSerializer[ContentAccess]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    message = serializers.UUIDField(source="message_id", read_only=True)

    class Meta:
        model = ContentAccess
        fields = ("id", "tenant", "message", "person_name", "what", "detail", "reason", "at")


class GatewayRuleSerializer(serializers.ModelSerializer[GatewayRule]):
    tenant = serializers.SlugField(
        source="tenant.slug", read_only=True, default=None, help_text="null: for several clients"
    )
    group = serializers.UUIDField(
        source="group_id",
        read_only=True,
        allow_null=True,
        help_text="The group it is for; null with tenant null: for all clients",
    )
    owner = serializers.CharField(source="owner_name", read_only=True)
    incident = serializers.UUIDField(source="incident_id", read_only=True, allow_null=True)
    release = serializers.UUIDField(
        source="release_id",
        read_only=True,
        allow_null=True,
        help_text="the release that it was made with",
    )
    recipient = serializers.CharField(
        source="whose_mailboxes",
        read_only=True,
        help_text="An address, `@domain`, `group:<name>` of the directory; empty: every mailbox",
    )
    state = serializers.SerializerMethodField(help_text="in_force expired removed")

    class Meta:
        model = GatewayRule
        fields = (
            *("id", "tenant", "group", "kind", "match", "value", "recipient", "action", "owner"),
            *("reason", "beats_threats", "in_mailboxes", "release", "incident", "created_at"),
            *("expires_at", "no_end_because", "removed_at", "state"),
        )

    def get_state(self, rule: GatewayRule) -> str:
        return state_of(rule, timezone.now())


class SameRuleSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField(help_text="What holds it, in the gateway's words")
    rule_id = serializers.UUIDField(allow_null=True, help_text="The list entry, if one does")
    others = DeliverySerializer(many=True)


class AllowedSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(
        choices=["entry", "override", "bypass", "policy", "not_scanned"], allow_null=True
    )
    text = serializers.CharField(allow_null=True)
    owner = serializers.CharField(allow_null=True, help_text="Whose entry or release it was")
    rule_id = serializers.UUIDField(allow_null=True, help_text="The entry, if one allowed it")
    at = serializers.DateTimeField(allow_null=True)


class ReportedMailSerializer(serializers.Serializer[Any]):
    message = serializers.UUIDField()
    verdict = serializers.CharField()
    copies = serializers.IntegerField(help_text="Of how many copies it was said")


class StoryLineSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    lane = serializers.ChoiceField(choices=["sender", "gateway", "mailbox", "person", "action"])
    lead = serializers.CharField()
    text = serializers.CharField()
    recipients = serializers.ListField(child=serializers.CharField())
    record = serializers.CharField(source="source", help_text="The raw record behind the sentence")
    mark = serializers.ChoiceField(
        choices=[each.value for each in Mark],
        help_text="On record as it stands, computed from records, or a judgement",
    )


class StorySerializer(serializers.Serializer[Any]):
    headline = serializers.CharField()
    lines = StoryLineSerializer(many=True)
    not_checked = serializers.ListField(child=serializers.CharField())
