"""Actions: a job is what a person asked for, an intent is what happens to one copy."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from incidents.models.mail import Place
from tenants.base import TenantModel, tenant_key


class Job(TenantModel):
    """``counts`` has a number per intent state; the sum is the number of copies.

    ``group_id`` is common to the jobs that one order over several clients made; None: alone.
    """

    class Kind(models.TextChoices):
        PULL = "pull", "Pull from mailboxes"
        RESTORE = "restore", "Restore to mailboxes"
        RELEASE = "release", "Release held mail"
        BLOCK = "block", "Block at the gateway"
        REPORT = "report", "Make a report"
        ACQUIRE = "acquire", "Fetch the original"
        REPLAY = "replay", "Replay mail"
        LOOK = "look", "Look again"

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        PARTLY = "partly", "Partly done"
        FAILED = "failed", "Failed"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    incident = tenant_key("incidents.Incident", related_name="jobs", null=True)
    group_id = models.UUIDField(null=True)
    requested_by_id = models.UUIDField(null=True)
    requested_by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    counts = models.JSONField(default=dict)
    detail = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-created_at"], name="job_tenant_created"),
            models.Index(fields=["tenant", "incident"], name="job_incident"),
            # Over all clients on purpose: one order's jobs, a result for each client.
            models.Index(
                fields=["group_id"], name="job_group", condition=models.Q(group_id__isnull=False)
            ),
        ]

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.DONE, self.State.PARTLY, self.State.FAILED)


class Intent(TenantModel):
    """An approved action on one delivery.

    ``undo`` is written and committed before the call; ``fence`` grows with every claim (``due_at``
    is then the end of the lease) and an
    outcome with an older fence is refused.  ``unknown`` is settled by reading, never by a blind
    repeat.
    ``checks_left`` are the later reads that must still see the mail where it was put.
    ``asked_place``: where the copy lay when it was asked for, "" where nobody noted it.
    ``waits_since`` set: it waits for access to the mailbox, and nothing is called before it was
    looked at anew with all that waits (incidents/renewals.py): ``renewal``, once that has begun.
    """

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        CALLING = "calling", "Under way"
        UNKNOWN = "unknown", "Not known, being read"
        VERIFIED = "verified", "Done and read back"
        ALREADY = "already", "Was already so"
        GONE = "gone", "No longer there"
        FAILED = "failed", "Failed"

    OVER = (State.VERIFIED, State.ALREADY, State.GONE, State.FAILED)

    job = tenant_key("incidents.Job", related_name="intents")
    delivery = tenant_key("incidents.Delivery", related_name="intents")
    action = models.CharField(max_length=12)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    undo = models.JSONField(default=dict)
    fence = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    checks_left = models.JSONField(default=list)
    error = models.TextField(blank=True)
    asked_place = models.CharField(
        max_length=12, choices=Place.choices, blank=True, default="", db_default=""
    )
    waits_since = models.DateTimeField(null=True)
    renewal = tenant_key("incidents.Renewal", related_name="intents", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "job", "delivery"], name="intent_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "state", "due_at"], name="intent_due"),
            models.Index(fields=["tenant", "delivery"], name="intent_delivery"),
            models.Index(
                fields=["tenant", "due_at"],
                name="intent_waits",
                condition=models.Q(waits_since__isnull=False),
            ),
        ]
