"""What is asked of the API: the bodies of its orders."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from incidents.codes import CAUSES
from incidents.models import (
    Incident,
)
from incidents.reported import SAYABLE
from seg_bridge.models import GatewayRule


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class ReleaseSerializer(ReasonSerializer):
    also = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=100,
        help_text="Other copies that the same rule holds",
    )
    is_false_alarm = serializers.BooleanField(
        required=False,
        default=False,
        help_text="The gateway was wrong: its filter learns it, where the client lets it learn",
    )


class DenySerializer(ReasonSerializer):
    is_spam = serializers.BooleanField(
        required=False,
        default=False,
        help_text="The gateway's filter learns it, where the client lets it learn",
    )


class RemoveRuleSerializer(ReasonSerializer):
    despite = serializers.BooleanField(
        default=False, help_text="Although the rehearsal has objections"
    )


class OpenContentSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(
        max_length=2000, help_text="Why the content is opened; the client sees it"
    )


class ReportMailSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=list(SAYABLE.items()))
    reason = serializers.CharField(max_length=2000, help_text="Why, in a sentence")


class RevisionSerializer(serializers.Serializer[Any]):
    revision = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=2**31 - 1,
        help_text="The revision that you have seen: 409 if a person changed the incident since",
    )


class ChangeSerializer(RevisionSerializer):
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class ResolveSerializer(RevisionSerializer):
    classification = serializers.ChoiceField(choices=Incident.Classification.choices)
    cause_code = serializers.ChoiceField(
        choices=list(CAUSES.items()), required=False, default="other"
    )
    cause = serializers.CharField(max_length=2000)


class NewGatewayRuleSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(
        default="",
        allow_blank=True,
        help_text="The client it holds for; empty with group or everywhere",
    )
    group = serializers.UUIDField(
        default=None,
        allow_null=True,
        help_text="For all clients of this group, those who join later too; a lead's",
    )
    everywhere = serializers.BooleanField(
        default=False, help_text="For all clients, those of tomorrow too; a lead's"
    )
    kind = serializers.ChoiceField(choices=GatewayRule.Kind.choices, default="block")
    match = serializers.ChoiceField(choices=GatewayRule.Match.choices, default="sender")
    value = serializers.CharField(
        max_length=320, help_text="The address, domain, host or hash that is matched"
    )
    recipient = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=320,
        help_text="Only for this mailbox, as `@example.com` this domain, or as `group:Finance` this"
        " group of the directory; empty: the whole client",
    )
    reason = serializers.CharField(required=False, default="Added through the API", max_length=2000)
    beats_threats = serializers.BooleanField(
        default=False, help_text="An allow entry that lets malware and phishing pass"
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Else after 30 days"
    )
    no_end_because = serializers.CharField(
        default="", allow_blank=True, max_length=500, help_text="Why it has no end"
    )
    despite = serializers.BooleanField(
        default=False, help_text="Although the rehearsal has objections"
    )


class NewReportSerializer(serializers.Serializer[Any]):
    audience = serializers.ChoiceField(
        choices=[("internal", "For the provider"), ("client", "For the client")],
        default="internal",
    )


class NewStatementSerializer(NewReportSerializer):
    since = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=40, help_text="A day or a time"
    )
    until = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=40, help_text="A day or a time"
    )
