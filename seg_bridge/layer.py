"""The gateway as the incident model asks for it (incidents/layers.py)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from seg_bridge import services
from seg_bridge.commands import order_releases
from tenants.audit import Actor


class Gateway:
    """Writes rules and commands in the caller's scope and transaction."""

    def release(
        self, *, delivery_ids: list[UUID], intent_ids: list[UUID], released_by: str
    ) -> None:
        order_releases(delivery_ids=delivery_ids, intent_ids=intent_ids, released_by=released_by)

    def block_sender(
        self,
        *,
        tenant_id: int,
        sender: str,
        reason: str,
        owner_id: UUID | None,
        owner_name: str,
        expires_at: datetime | None,
        incident_id: UUID | None,
    ) -> UUID:
        rule = services.block_sender(
            tenant_id=tenant_id,
            sender=sender,
            reason=reason,
            actor=Actor(owner_name, owner_id),
            expires_at=expires_at,
            incident_id=incident_id,
        )
        return rule.id
