"""Incidents: messages of one client that one decision can settle."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from typing_extensions import override

from incidents.codes import CAUSES
from incidents.models.mail import Verdict
from incidents.words import VERDICT_WORDS
from tenants.base import TenantModel, tenant_key

LONGEST_TICKET = 80
LONGEST_TICKET_LINK = 500


class Incident(TenantModel):
    """``cross_layer`` and the keys of ``counts`` are closed lists: incidents/facts.py.

    ``gateway_verdict`` and ``mailbox_verdict`` are the worst current verdicts, "" where the layer
    gave none.  ``title`` is made of facts (incidents/titles.py), ``subject`` is the newest mail's,
    by its sender.  ``shared_at`` None: the client does not see it.

    ``queue_rank`` orders the queue before ``due_at`` and age do: 2 for money or an account at risk,
    1 for copies within reach, 3 for both.
    ``revision`` grows with every change by a person, never with facts.  ``due_at`` is the next
    agreed time that would be missed, and ``due_for`` which (None, "": no clock runs): docs/sla.md.
    ``quiet`` holds until ``quiet_until`` (incidents/models/work.py); ``waiting_since``: the clocks
    stand still, waiting for the client or another.
    ``merged_into``: its mail and history went there; it is closed, and its number leads there.
    ``ticket``: its number in the provider's help desk, read at ``ticket_link``; "": none, nowhere.
    ``finding`` "": it is about mail; else which kind of loss it is about (incidents/findings.py).
    """

    class Kind(models.TextChoices):
        SPAM = "spam", VERDICT_WORDS["spam"]
        PHISH = "phish", VERDICT_WORDS["phish"]
        BEC = "bec", VERDICT_WORDS["bec"]
        MALWARE = "malware", VERDICT_WORDS["malware"]
        SUSPICIOUS = "suspicious", VERDICT_WORDS["suspicious"]
        UNSCANNABLE = "unscannable", VERDICT_WORDS["unscannable"]
        ACCOUNT = "account", "Account"
        HEALTH = "health", "Health"

    class Severity(models.TextChoices):
        CRITICAL = "critical", "Critical"
        HIGH = "high", "High"
        MEDIUM = "medium", "Medium"
        LOW = "low", "Low"

    class State(models.TextChoices):
        NEW = "new", "New"
        TRIAGED = "triaged", "Triaged"
        CONTAINED = "contained", "Contained"
        RESOLVED = "resolved", "Resolved"

    class Classification(models.TextChoices):
        TRUE_POSITIVE = "true_positive", "True positive"
        BENIGN = "benign", "Benign"
        FALSE_POSITIVE = "false_positive", "False positive"

    class Quiet(models.TextChoices):
        SNOOZED = "snoozed", "Snoozed"
        MUTED = "muted", "Muted"
        SUPPRESSED = "suppressed", "Suppressed by a rule"

    OPEN_STATES = (State.NEW, State.TRIAGED, State.CONTAINED)
    # Closed so, it was no threat.
    HARMLESS = (Classification.BENIGN, Classification.FALSE_POSITIVE)

    number = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    subject = models.CharField(max_length=300, blank=True, default="", db_default="")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    severity_rank = models.PositiveSmallIntegerField(default=0)
    severity_parts = models.JSONField(default=list)
    queue_rank = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    classification = models.CharField(max_length=20, choices=Classification.choices, blank=True)
    cause_code = models.CharField(max_length=20, choices=list(CAUSES.items()), blank=True)
    cause = models.TextField(blank=True)
    sender = models.CharField(max_length=320, blank=True)
    finding = models.CharField(max_length=20, blank=True, default="", db_default="")
    gateway_verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    mailbox_verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    cross_layer = ArrayField(models.CharField(max_length=40), default=list)
    counts = models.JSONField(default=dict)
    owner_id = models.UUIDField(null=True)
    owner_name = models.CharField(max_length=200, blank=True)
    ticket = models.CharField(max_length=LONGEST_TICKET, blank=True, default="", db_default="")
    ticket_link = models.CharField(
        max_length=LONGEST_TICKET_LINK, blank=True, default="", db_default=""
    )
    shared_at = models.DateTimeField(null=True)
    shared_by = models.CharField(max_length=200, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    opened_at = models.DateTimeField(auto_now_add=True)
    triaged_at = models.DateTimeField(null=True)
    acted_at = models.DateTimeField(null=True)
    contained_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    due_for = models.CharField(max_length=10, blank=True)
    waiting_since = models.DateTimeField(null=True)
    waiting_for = models.CharField(max_length=20, blank=True)
    quiet = models.CharField(max_length=10, choices=Quiet.choices, blank=True)
    quiet_until = models.DateTimeField(null=True)
    revision = models.PositiveIntegerField(default=0)
    campaign = tenant_key("incidents.Campaign", related_name="incidents", null=True)
    merged_into = tenant_key("incidents.Incident", null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "number"], name="incident_number_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "campaign"],
                name="incident_campaign",
                condition=models.Q(campaign__isnull=False),
            ),
            models.Index(
                fields=["tenant", "merged_into"],
                name="incident_merged_into",
                condition=models.Q(merged_into__isnull=False),
            ),
            # Over all clients on purpose: the analyst's queue.  What its tabs ask for stands in it:
            # the planner takes a scope of all clients for a small one, and sorts what it can read
            # in order unless the index alone answers.
            models.Index(
                fields=["-queue_rank", "due_at", "opened_at", "id"],
                include=[
                    *("tenant", "owner_id", "state", "waiting_since", "waiting_for", "quiet"),
                    *("quiet_until", "severity", "kind"),
                ],
                name="incident_open_queue",
                condition=~models.Q(state="resolved"),
            ),
            models.Index(fields=["tenant", "-last_seen_at"], name="incident_tenant_seen"),
            models.Index(
                fields=["tenant", "ticket"],
                name="incident_ticket",
                condition=~models.Q(ticket=""),
            ),
            # Over all clients on purpose: what will be missed next.
            models.Index(
                fields=["due_at"],
                name="incident_due",
                condition=models.Q(due_at__isnull=False),
            ),
            models.Index(fields=["tenant", "opened_at"], name="incident_tenant_opened"),
            # Over all clients on purpose: what this sender's mail turned out to be elsewhere.
            models.Index(fields=["sender", "-last_seen_at"], name="incident_sender"),
        ]

    @override
    def __str__(self) -> str:
        return self.title

    @property
    def is_merged(self) -> bool:
        return self.merged_into_id is not None

    @property
    def is_called_harmless(self) -> bool:
        """A person has closed it as no threat."""
        return not self.is_open and self.classification in self.HARMLESS

    @property
    def is_without_mail(self) -> bool:
        """It is about access, about records, or about an account and none of its mail."""
        is_of_account = self.kind == self.Kind.ACCOUNT and not self.counts.get("copies")
        return bool(self.finding) or is_of_account

    @property
    def is_open(self) -> bool:
        return self.state != self.State.RESOLVED


class IncidentMessage(TenantModel):
    """This message belongs to that incident, and why in words."""

    incident = tenant_key("incidents.Incident", related_name="memberships")
    message = tenant_key("incidents.Message", related_name="memberships")
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "message"], name="message_in_one_incident")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "incident"], name="incident_messages")]


class GroupKey(TenantModel):
    """What makes later mail join this incident: a fingerprint, a MinHash band, a rare file."""

    incident = tenant_key("incidents.Incident", related_name="group_keys")
    message = tenant_key("incidents.Message")
    kind = models.CharField(max_length=12)
    value = models.CharField(max_length=64)
    last_seen_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "value", "message"], name="group_key_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="group_key_incident"),
            # Over all clients on purpose: the same mail at others in sight.
            models.Index(
                fields=["value"], include=["kind", "tenant", "incident"], name="group_key_value"
            ),
        ]
