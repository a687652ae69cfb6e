"""Campaigns, and the ledger of why mails belong together.

The ledger is the truth, incidents and campaigns are its view: mails hang together that a path of
standing edges joins.  Nothing is ever changed or removed in it; a withdrawal is a further row.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from tenants.base import TenantModel, tenant_key


class Campaign(TenantModel):
    """Incidents of one client that belong together.  ``merged_into``: its number lives on there."""

    number = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    merged_into = tenant_key("incidents.Campaign", null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "number"], name="campaign_number_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-last_seen_at"], name="campaign_tenant_seen")
        ]

    @override
    def __str__(self) -> str:
        return self.title


class Edge(TenantModel):
    """One piece of evidence that two mails belong together, or a person's word that they do or not.

    ``a`` is the smaller id.  ``value`` identifies the shared trait and ``label`` is what people
    read; ``messages`` of ``total`` mails had it when the row was written (None: not counted).
    ``withdraws`` names the row that no longer stands.  ``who_id`` None: Bailey herself.
    """

    class Level(models.TextChoices):
        GROUP = "group", "Incident"
        CAMPAIGN = "campaign", "Campaign"

    class Act(models.TextChoices):
        LINK = "link", "Evidence"
        MUST = "must", "Belongs together"
        CANNOT = "cannot", "Does not belong together"
        WITHDRAWAL = "withdrawal", "Withdrawn"

    level = models.CharField(max_length=8, choices=Level.choices)
    act = models.CharField(max_length=10, choices=Act.choices)
    a = tenant_key("incidents.Message")
    b = tenant_key("incidents.Message")
    withdraws = models.UUIDField(null=True)
    kind = models.CharField(max_length=16, blank=True)
    value = models.CharField(max_length=64, blank=True)
    label = models.CharField(max_length=200, blank=True)
    messages = models.PositiveIntegerField(null=True)
    total = models.PositiveIntegerField(null=True)
    weight = models.FloatField(default=0.0)
    version = models.PositiveSmallIntegerField(default=1)
    who = models.CharField(max_length=200)
    who_id = models.UUIDField(null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "withdraws"],
                condition=models.Q(withdraws__isnull=False),
                name="edge_withdrawn_once",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "a"], name="edge_a"),
            models.Index(fields=["tenant", "b"], name="edge_b"),
        ]


class MessageTrait(TenantModel):
    """A trait of a mail that stands in an incident, by which later mail finds it."""

    message = tenant_key("incidents.Message", related_name="traits")
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=64)
    label = models.CharField(max_length=200)
    seen_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "message", "kind", "value"], name="trait_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "kind", "value", "seen_at"], name="trait_value")
        ]


class Regrouping(TenantModel):
    """A merge, split or move, with all that it takes to undo it exactly.

    ``incident`` is the one that stays (or the campaign's, for one of campaigns), ``other`` the one
    that was redirected or made.  ``record`` holds what was moved and how things stood before.
    """

    class Kind(models.TextChoices):
        MERGE = "merge", "Merged"
        SPLIT = "split", "Split"
        MOVE = "move", "Moved"
        CAMPAIGN_MERGE = "campaign_merge", "Campaigns joined"
        CAMPAIGN_SPLIT = "campaign_split", "Taken out of its campaign"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    incident = tenant_key("incidents.Incident")
    other = tenant_key("incidents.Incident", null=True)
    who = models.CharField(max_length=200)
    who_id = models.UUIDField(null=True)
    reason = models.TextField(blank=True)
    record = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=200, blank=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="regrouping_incident"),
            models.Index(fields=["tenant", "other"], name="regrouping_other"),
        ]
