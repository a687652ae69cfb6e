"""The provider's gates: whether each follows the newest policy."""

from __future__ import annotations

from rest_framework import serializers

from console.api.base import ListView
from seg_bridge.alarms import WORDS
from seg_bridge.models import Gate


class GateSerializer(serializers.ModelSerializer[Gate]):
    tenant = serializers.SerializerMethodField(help_text="Always null: a gate is the provider's")
    trouble_in_words = serializers.SerializerMethodField()

    class Meta:
        model = Gate
        fields = (
            *("id", "tenant", "name", "hostname", "last_seen_at", "snapshot_version"),
            *("policy_trouble", "policy_trouble_since", "trouble_in_words"),
        )

    def get_tenant(self, gate: Gate) -> str | None:
        return None

    def get_trouble_in_words(self, gate: Gate) -> str:
        return WORDS.get(gate.policy_trouble, "")


class GateList(ListView):
    """The provider's gates; ``policy_trouble`` says why one does not follow the newest policy."""

    serializer_class = GateSerializer
    queryset = Gate.objects.all()
