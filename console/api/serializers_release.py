"""What the API shows of letting mail go: what will follow, exceptions, and looks afterwards."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from console.api.serializers import JobSerializer, VerdictField
from console.api.serializers_asked import ReasonSerializer, ReleaseSerializer
from incidents.letting_go import MOST
from incidents.looks_words import next_step
from incidents.models import ReleaseLook


class ExceptionSerializer(serializers.Serializer[Any]):
    match = serializers.CharField(
        max_length=20, help_text="What it rests on: a way of foresight, like mail or dkim_domain"
    )
    days = serializers.IntegerField(min_value=1, max_value=30, default=7)
    beats_threats = serializers.BooleanField(
        default=False, help_text="For malware and phishing too; for one mail only"
    )
    despite = serializers.BooleanField(
        default=False, help_text="Make it although its rehearsal objects"
    )


class ReleaseHeldSerializer(ReleaseSerializer):
    exception = ExceptionSerializer(
        required=False, allow_null=True, help_text="One entry that both layers follow"
    )


class LetGoForeseenSerializer(serializers.Serializer[Any]):
    layer = serializers.CharField(help_text="gateway mailbox")
    acts = serializers.CharField(
        help_text="pull ask nothing nobody; of the gateway deliver tag hold reject defer; unknown"
    )
    verdict = VerdictField(help_text="null where it is not known")
    text = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())


class WaySerializer(serializers.Serializer[Any]):
    match = serializers.CharField()
    value = serializers.CharField()
    text = serializers.CharField(source="label")
    why = serializers.CharField()


class ForesightSerializer(serializers.Serializer[Any]):
    layers = LetGoForeseenSerializer(many=True)
    ways = WaySerializer(many=True, help_text="What an exception for both layers could rest on")
    caution = serializers.CharField(help_text="Why an exception would not help as it is, or empty")


class ReleaseManySerializer(ReasonSerializer):
    is_false_alarm = serializers.BooleanField(
        default=False, help_text="The filters learn it, where their clients let them learn"
    )
    exception = ExceptionSerializer(
        required=False,
        allow_null=True,
        help_text="One entry for each client; match: mail (each client's one mail) or like",
    )
    copies = serializers.ListField(
        child=serializers.UUIDField(),
        min_length=1,
        max_length=MOST,
        help_text="Held or pulled copies, of one client or of several",
    )


class ReleaseIncidentSerializer(ReleaseManySerializer):
    copies = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=MOST,
        help_text="Of the incident; empty: all that are kept",
    )


class SeenOfManySerializer(serializers.Serializer[Any]):
    """What one layer will do with so many of a client's copies."""

    copies = serializers.IntegerField()
    layer = serializers.CharField(source="what.layer", help_text="gateway mailbox")
    acts = serializers.CharField(source="what.acts", help_text="As of one copy")
    verdict = VerdictField(source="what.verdict")
    text = serializers.CharField(source="what.text")
    reasons = serializers.ListField(child=serializers.CharField(), source="what.reasons")


class ClientForeseenSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(source="client.slug")
    copies = serializers.ListField(child=serializers.UUIDField(), help_text="That she may release")
    layers = SeenOfManySerializer(many=True, source="seen", help_text="The worst first")
    not_foreseen = serializers.IntegerField(help_text="Copies nobody looked at: there are too many")
    ways = WaySerializer(many=True, help_text="What an exception for all of them could rest on")
    cautions = serializers.ListField(child=serializers.CharField())
    released = serializers.IntegerField(help_text="Copies that the gateway would let go")
    given_back = serializers.IntegerField(help_text="Copies that mailboxes would get back")
    refused = serializers.CharField(help_text="Why the others, or all, would not go; or empty")


class NotHersSerializer(serializers.Serializer[Any]):
    delivery = serializers.UUIDField()
    why = serializers.CharField()


class ManyForeseenSerializer(serializers.Serializer[Any]):
    """What an order over many kept copies would come to at each client."""

    clients = ClientForeseenSerializer(many=True)
    not_yours = NotHersSerializer(
        many=True, help_text="A client's part with one of them is refused"
    )
    left_out = serializers.ListField(
        child=serializers.UUIDField(), help_text="Not kept any more, not there, or not yours to see"
    )


class ManyReleasedSerializer(serializers.Serializer[Any]):
    """One order over many copies: a job for each client and layer."""

    order = serializers.UUIDField(help_text="Filter jobs and release-looks by it")
    jobs = JobSerializer(many=True)
    left_out = serializers.ListField(
        child=serializers.UUIDField(), help_text="Not kept any more, not there, or not yours to see"
    )


class ReleaseLookSerializer(serializers.ModelSerializer[ReleaseLook]):
    tenant = serializers.SlugField(source="tenant.slug", read_only=True)
    delivery = serializers.UUIDField(source="delivery_id", read_only=True)
    job = serializers.UUIDField(source="intent.job_id", read_only=True)
    exception = serializers.UUIDField(source="rule_id", read_only=True, allow_null=True)
    is_over = serializers.BooleanField(read_only=True, help_text="no other look follows by itself")
    next_step = serializers.SerializerMethodField(help_text="in words, empty for none")

    class Meta:
        model = ReleaseLook
        fields = (
            *("id", "tenant", "delivery", "job", "exception", "released_by", "delivered_at"),
            *("put_in", "due_at", "tries", "outcome", "place", "words", "proof", "looked_at"),
            *("is_over", "next_step"),
        )

    def get_next_step(self, look: ReleaseLook) -> str:
        return next_step(look).text
