"""Which layers cannot see a client, said with each object of it."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from typing_extensions import override

from console.queries.blindness import Blind, Blindness
from tenants.models import Tenant
from tenants.scope import current_scope


class BlindLayerSerializer(serializers.Serializer[Any]):
    """A layer that cannot see the client now."""

    layer = serializers.ChoiceField(choices=["gateway", "mailbox"])
    since = serializers.DateTimeField()
    why = serializers.CharField()


@extend_schema_field(BlindLayerSerializer(many=True))
class BlindField(serializers.Field[Any, Any, Any, Any]):
    """The layers that cannot see the row's client now; asked once for all rows of an answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    @override
    def to_representation(self, row: Any) -> Any:
        tenant_id = row.id if isinstance(row, Tenant) else row.tenant_id
        return BlindLayerSerializer(sight_of(self, tenant_id).layers, many=True).data


def sight_of(field: serializers.Field[Any, Any, Any, Any], tenant_id: int) -> Blind:
    """How the client's layers see; kept in the answer's context."""
    kept = cast(dict[str, Any], field.context)
    if "blindness" not in kept:
        kept["blindness"] = Blindness(current_scope().tenant_ids)
    known: Blindness = kept["blindness"]
    return known.of(tenant_id)
