"""What the API shows of letting mail go: what will follow, exceptions, and looks afterwards."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from console.api.serializers import ReleaseSerializer, VerdictField
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


class ForeseenSerializer(serializers.Serializer[Any]):
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
    layers = ForeseenSerializer(many=True)
    ways = WaySerializer(many=True, help_text="What an exception for both layers could rest on")
    caution = serializers.CharField(help_text="Why an exception would not help as it is, or empty")


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
