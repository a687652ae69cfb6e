"""Writing the audit log.  Every service that changes something calls ``write_audit`` once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tenants.models import AuditEntry, Person
from tenants.scope import current_scope


class Actor:
    """Who acts where no person is at hand: a process of Bailey's own, or one that acts for her."""

    def __init__(self, name: str, id: UUID | None = None) -> None:
        self.id = id
        self.name = name


BAILEY = Actor("Bailey")


def write_audit(
    action: str,
    *,
    actor: Person | Actor,
    provider_id: int,
    tenant_id: int | None = None,
    object_kind: str = "",
    object_id: object = "",
    reason: str = "",
    **detail: Any,
) -> AuditEntry:
    """``action`` is a dotted constant; ``detail`` says before and after in JSON values."""
    current_scope()
    return AuditEntry.objects.create(
        provider_id=provider_id,
        tenant_id=tenant_id,
        actor_id=actor.id,
        actor_name=actor.name,
        action=action,
        object_kind=object_kind,
        object_id=str(object_id),
        reason=reason,
        detail=detail,
    )
