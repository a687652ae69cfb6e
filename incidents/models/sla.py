"""What was agreed about times, and where a clock stands still."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class SlaPlan(ScopedModel):
    """Agreed times: one client's, or the provider's default (``tenant`` None).

    Never changed: a new agreement is a new row that holds from ``valid_from``, and an incident goes
    by what held when it opened.  ``weekly``: seven lists of ``["09:00", "17:00"]``; ``holidays``:
    ISO dates; ``targets``: severity → ``{"triage": minutes, "contain": …, "resolve": …, "hours":
    "always" | "business"}``.  Read and checked by incidents/sla/plan.py.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64)
    weekly = models.JSONField()
    holidays = models.JSONField(default=list)
    targets = models.JSONField()
    valid_from = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-valid_from"], name="sla_plan_tenant"),
        ]

    @override
    def __str__(self) -> str:
        return self.name


class Pause(TenantModel):
    """The clocks of an incident stand still, for a cause on record.

    ``asked`` are words that the client reads where the cause is hers; ``ended_at`` None: it holds.
    """

    class Cause(models.TextChoices):
        CLIENT_ANSWER = "client_answer", "Waiting for the client's answer"
        CLIENT_APPROVAL = "client_approval", "Waiting for the client's approval"
        CLIENT_ACCESS = "client_access", "Waiting for access at the client"
        VENDOR = "vendor", "Waiting for the mail host"
        RESOLVED = "resolved", "Resolved until more of it came"

    # What people may stop a clock for.
    ASKED = tuple(choice for choice in Cause.choices if choice[0] != "resolved")

    incident = tenant_key("incidents.Incident", related_name="pauses")
    cause = models.CharField(max_length=20, choices=Cause.choices)
    asked = models.TextField()
    started_at = models.DateTimeField()
    started_by = models.CharField(max_length=200)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True)
    answer = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "incident"],
                condition=models.Q(ended_at=None),
                name="pause_one_at_a_time",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident", "started_at"], name="pause_incident")
        ]

    @property
    def is_for_client(self) -> bool:
        return self.cause.startswith("client_")
