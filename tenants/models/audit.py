"""Who did what, when and why; never changed, never removed by the application."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import ScopedModel
from tenants.ids import new_id


class AuditEntry(ScopedModel):
    """One act.  ``action`` is a dotted constant (``incidents.incident.pulled``).

    ``tenant`` None: an act within the provider (a sign-in, a new analyst).  ``actor_name`` is kept
    with the row, so that a client can read it without seeing the provider's people.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    at = models.DateTimeField(auto_now_add=True)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=100)
    object_kind = models.CharField(max_length=50, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    reason = models.TextField(blank=True)
    detail = models.JSONField(default=dict)

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-at"], name="audit_tenant_at"),
            models.Index(fields=["tenant", "object_id"], name="audit_tenant_object"),
        ]
