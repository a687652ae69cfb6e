"""How far Bailey goes in a client's mailboxes, and what of it waits for a person."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from tenants.base import TenantModel, tenant_key


class LayerMode(TenantModel):
    """What somebody decided for a client's mailboxes, or for those of one of its groups.

    One row a decision; of those of one scope the last in force by ``effective_from`` counts.
    ``group`` None: the whole client.  ``mode`` "": the group has none of its own any more.
    ``dropped_at``: another decision took its place before it came into force.
    """

    class Mode(models.TextChoices):
        MONITOR = "monitor", "Only tell"
        ASK = "ask", "Ask before each pull"
        AUTO = "auto", "Act by itself"

    group = tenant_key("tenants.MailboxGroup", null=True)
    mode = models.CharField(max_length=10, choices=Mode.choices, blank=True)
    effective_from = models.DateTimeField()
    reason = models.TextField(blank=True)
    set_by_id = models.UUIDField(null=True)
    set_by = models.CharField(max_length=200)
    set_at = models.DateTimeField(auto_now_add=True)
    dropped_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "group", "-effective_from"], name="layer_mode_scope")
        ]


class PullProposal(TenantModel):
    """Copies of an incident that Bailey would pull: its one row, whatever becomes of it.

    ``why``: what speaks for it.  ``is_whole``: for every copy of the incident, not only for those
    that the mailbox layer condemned.  ``open``: ``waiting`` copies wait for a person's yes, others
    lie where Bailey only tells or are being moved.  ``left``: why a person is asked although Bailey
    may act there, "" where it may not.  ``looked_at`` None: to be looked at (anew).  Copies that
    come after it was approved or settled open it again; what was declined stays so.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"
        SETTLED = "settled", "Nothing is left to pull"

    incident = tenant_key("incidents.Incident", related_name="pull_proposals")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    why = models.TextField(blank=True)
    is_whole = models.BooleanField(default=False)
    seen = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    left = models.TextField(blank=True)
    looked_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(default=timezone.now)
    decided_by_id = models.UUIDField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    job = tenant_key("incidents.Job", null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "incident"], name="pull_proposal_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "-asked_at"],
                name="pull_proposal_open",
                condition=models.Q(state="open"),
            )
        ]
