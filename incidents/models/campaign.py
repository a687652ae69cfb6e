"""Campaigns, and the ledger of why mails belong together.

The ledger is the truth, incidents and campaigns are its view: mails hang together that a path of
standing edges joins.  Nothing is ever changed or removed in it; a withdrawal is a further row.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class Campaign(TenantModel):
    """Incidents of one client that belong together, named by whichever of them one looks at.

    ``merged_into``: its number lives on there.
    """

    number = models.PositiveIntegerField()
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
        return f"Campaign {self.number}"


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


class CampaignLink(ScopedModel):
    """A keyed fingerprint of something that mail of the provider's clients shares.

    Fingerprints that stand in one mail have one ``root``: mails of one root, at whatever client,
    are the same threat.  Owned by the provider; which client has it stands in that client's own
    rows (``LinkedMail``, ``LinkedIncident``), behind the wall.  ``is_current`` False: not seen for
    so long that the same again begins a new row.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    mark = models.CharField(max_length=64)
    root = models.UUIDField()
    seen_at = models.DateTimeField()
    is_current = models.BooleanField(default=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "mark"],
                condition=models.Q(is_current=True),
                name="campaign_link_mark_once",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["provider", "root"], name="campaign_link_root")]


class LinkedMail(TenantModel):
    """A mail of an incident, and one of its fingerprints; its ``root`` stands for all of them."""

    message = tenant_key("incidents.Message")
    link = models.ForeignKey(
        CampaignLink, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "message"], name="linked_mail_once")
        ]


class LinkedIncident(TenantModel):
    """An incident has mail of this fingerprint's root; one row for each root it has."""

    incident = tenant_key("incidents.Incident", related_name="links")
    link = models.ForeignKey(
        CampaignLink, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "incident", "link"], name="linked_incident_once"
            )
        ]
        indexes: ClassVar = [
            # Over all clients on purpose: the same at others in sight.
            models.Index(fields=["link"], include=["tenant", "incident"], name="linked_incident")
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
            models.Index(fields=["tenant", "kind", "value", "seen_at"], name="trait_value"),
            models.Index(fields=["tenant", "seen_at"], name="trait_seen"),
        ]


class Recomputation(TenantModel):
    """What a canonical pass would change, shown to a person before it is done.

    ``asked_by_id`` None: Bailey herself, because evidence of an older ``version`` stands.
    ``shown_at`` None: not reckoned yet.  ``counts`` and ``lines`` are what it would do
    (incidents/campaigns/recomputing.py).  ``decided_at`` None: it waits for a person.
    """

    version = models.PositiveSmallIntegerField()
    asked_by = models.CharField(max_length=200)
    asked_by_id = models.UUIDField(null=True)
    asked_at = models.DateTimeField()
    shown_at = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)
    lines = models.JSONField(default=list)
    is_accepted = models.BooleanField(default=False)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_by_id = models.UUIDField(null=True)
    reason = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(decided_at=None),
                name="recomputation_one_open",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-asked_at"], name="recomputation_tenant")
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
