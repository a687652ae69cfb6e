"""The gateway as the console knows it: gates, rules, rehearsals, commands to gates.

The models of its rooms are imported here, where Django looks for them.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from incidents.words import Direction
from seg_bridge.held.models import Digest, HeldLink, LegalHold
from seg_bridge.learning.models import Lesson
from seg_bridge.onboarding.records import DomainCheck, TrialMail
from seg_bridge.outbound.models import OutboundTerms, SenderStop, SigningKey, SubmissionLogin
from seg_bridge.policies.models import (
    PolicyChange,
    PolicyLayer,
    PolicyPush,
    PolicyPushItem,
    PolicyTemplate,
)
from seg_bridge.queues.records import QueueItem
from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.groups import PREFIX
from tenants.ids import new_id

__all__ = [
    "Digest",
    "DomainCheck",
    "Gate",
    "GateClient",
    "GateCommand",
    "GatewayRule",
    "HeldLink",
    "LegalHold",
    "Lesson",
    "OutboundTerms",
    "PolicyChange",
    "PolicyLayer",
    "PolicyPush",
    "PolicyPushItem",
    "PolicyTemplate",
    "QueueItem",
    "Rehearsal",
    "SenderStop",
    "SigningKey",
    "SubmissionLogin",
    "TrialMail",
]


class Gate(ScopedModel):
    """One gate process of the provider.  Its secret is sealed; it speaks for its clients only.

    ``snapshot_version``: of the policy that it follows; ``offered_version``: that it was given
    last.  ``policy_trouble``: why it does not follow it, one of ``gate.policy.TROUBLES`` or "".
    ``queue_at``: as of when its queue is known; ``queue_left_out`` and ``queue_others`` count mails
    beyond what it tells, and recipients that are nobody's client.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    name = models.SlugField(unique=True)
    hostname = models.CharField(max_length=255)
    sealed_secret = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(null=True)
    snapshot_version = models.CharField(max_length=64, blank=True)
    offered_version = models.CharField(max_length=64, blank=True)
    offered_at = models.DateTimeField(null=True)
    policy_trouble = models.CharField(max_length=20, blank=True)
    policy_trouble_since = models.DateTimeField(null=True)
    queue_at = models.DateTimeField(null=True)
    queue_left_out = models.PositiveIntegerField(default=0)
    queue_others = models.PositiveIntegerField(default=0)

    class Meta(ScopedModel.Meta):
        pass

    @override
    def __str__(self) -> str:
        return self.name


class GateClient(TenantModel):
    """This gate handles mail of that client.

    ``in_force`` is the digest of what the gate follows for it (snapshot.py), "" until it told.
    """

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="+")
    in_force = models.CharField(max_length=32, blank=True)
    in_force_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "gate"], name="gate_client_once")
        ]


class GatewayRule(ScopedModel):
    """One allow or block entry with its author, its reason and its end.

    ``tenant`` None: for all clients of the provider, or where ``group`` is named for those who are
    in it; a group's entries go with it.  ``recipient`` "": every mailbox, as
    ``@acme.example`` those of a domain, else one; ``mailbox_group``: those in this group of the
    client's directory, with ``recipient`` "".  ``expires_at`` None only with
    ``no_end_because``.  ``in_mailboxes``: the mailbox layer follows it too.  ``release``: the
    release that it was made with, None for any other.
    """

    class Kind(models.TextChoices):
        ALLOW = "allow", "Allow"
        BLOCK = "block", "Block"

    class Match(models.TextChoices):
        SENDER = "sender", "Sender"
        SENDER_DOMAIN = "sender_domain", "Sender's domain"
        DKIM_DOMAIN = "dkim_domain", "Domain that signed it (DKIM)"
        CLIENT_IP = "client_ip", "Sending host"
        URL_HOST = "url_host", "Host of a link"
        ATTACHMENT_SHA256 = "attachment_sha256", "Attachment"
        MAIL = "mail", "This one mail"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    group = models.ForeignKey(
        "tenants.ClientGroup", on_delete=models.CASCADE, related_name="+", null=True
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    match = models.CharField(max_length=20, choices=Match.choices)
    value = models.CharField(max_length=320)
    recipient = models.CharField(max_length=320, blank=True)
    mailbox_group = tenant_key("tenants.MailboxGroup", null=True)
    action = models.CharField(max_length=10, default="hold")
    beats_threats = models.BooleanField(default=False)
    in_mailboxes = models.BooleanField(default=False, db_default=False)
    incident = tenant_key("incidents.Incident", related_name="gateway_rules", null=True)
    release = tenant_key("incidents.Job", null=True)
    owner_id = models.UUIDField(null=True)
    owner_name = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    no_end_because = models.CharField(max_length=500, blank=True)
    removed_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(group__isnull=True) | models.Q(tenant__isnull=True),
                name="rule_of_one_owner",
            ),
            models.CheckConstraint(
                condition=models.Q(mailbox_group__isnull=True)
                | models.Q(tenant__isnull=False, recipient=""),
                name="rule_for_a_group_of_one_client",
            ),
            # What is past its end and not retired yet still stands here: services.py makes room.
            models.UniqueConstraint(
                fields=[
                    "tenant",
                    "provider",
                    "group",
                    "kind",
                    "match",
                    "value",
                    "recipient",
                    "mailbox_group",
                ],
                condition=models.Q(removed_at__isnull=True),
                name="rule_once",
                nulls_distinct=False,
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "kind", "value"],
                name="rule_in_force",
                condition=models.Q(removed_at__isnull=True),
            )
        ]

    @property
    def whose(self) -> str:
        """For whom it holds, in words for the provider's people: clients do not see the group."""
        if self.tenant is not None:
            return str(self.tenant)
        return f"the group {self.group}" if self.group is not None else "all clients"

    @property
    def whose_mailboxes(self) -> str:
        """As people and files write it: ``group:Finance`` of the directory; "" for every one."""
        return f"{PREFIX}{self.mailbox_group}" if self.mailbox_group else self.recipient


class Rehearsal(TenantModel):
    """What a change would have done for one client, kept for the person who decides about it.

    ``batch`` joins the clients of one question.  ``change`` is the change as JSON (changes.py);
    ``lists`` names deliveries and incidents behind the numbers of ``counts``, the newest 1,000;
    ``stops`` are the objections.  ``saved_at`` None: the change was not made.
    """

    batch = models.UUIDField()
    change = models.JSONField()
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    counts = models.JSONField(default=dict)
    lists = models.JSONField(default=dict)
    stops = models.JSONField(default=list)
    asked_by_id = models.UUIDField(null=True)
    asked_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    saved_at = models.DateTimeField(null=True)
    saved_by = models.CharField(max_length=200, blank=True)
    rule = tenant_key("seg_bridge.GatewayRule", null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "batch"], name="rehearsal_batch"),
            models.Index(fields=["tenant", "-created_at"], name="rehearsal_tenant_created"),
        ]


class GateCommand(TenantModel):
    """Something a gate has to do.  ``seq`` is its order; ``ok`` None: not acknowledged yet.

    ``queue_id``: of an order about mail that waits (queues/orders.py), "" of any other.
    ``direction`` is the held mail's.  To lift a stop, ``trace_ulid`` is the stop's number and
    ``recipients`` the mailbox that may send again.
    ``batch``: of orders that one person gave at once (queues/together.py); ``stopped_by`` who
    stopped one before its gate had answered.
    ``terms``: what there is to say of a lesson, as the gate reads it (gate/lessons.py); of an
    outbound mail's release the host that submitted it.
    """

    class Kind(models.TextChoices):
        RELEASE = "release", "Release held mail"
        DROP = "drop", "Drop held mail"
        Q_RETRY = "q_retry", "Try again"
        Q_HOLD = "q_hold", "Put on hold"
        Q_FREE = "q_free", "Let it go on"
        Q_REMOVE = "q_remove", "Take out of the queue"
        Q_RETURN = "q_return", "Return to its sender"
        LIFT = "lift", "Let a stopped sender send again"
        LEARN = "learn", "Learn from a mail"

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="+")
    seq = models.BigIntegerField(unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    intent = tenant_key("incidents.Intent", null=True)
    trace_ulid = models.CharField(max_length=26)
    recipients = models.JSONField(default=list)
    evidence = models.CharField(max_length=64)
    queue_id = models.CharField(max_length=64, blank=True)
    batch = models.UUIDField(null=True)
    stopped_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    direction = models.CharField(
        max_length=10,
        choices=[(each.value, each.value) for each in Direction],
        default=Direction.INBOUND.value,
        db_default=Direction.INBOUND.value,
    )
    released_by = models.CharField(max_length=200, blank=True)
    terms = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True)
    detail = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "gate", "seq"],
                name="command_waiting",
                condition=models.Q(ok__isnull=True),
            ),
            models.Index(
                fields=["tenant", "queue_id"],
                name="command_of_queue",
                condition=models.Q(queue_id__gt=""),
            ),
            models.Index(
                fields=["tenant", "batch"],
                name="command_of_batch",
                condition=models.Q(batch__isnull=False),
            ),
        ]
