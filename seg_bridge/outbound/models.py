"""Tables of outbound mail.  None of them is for the portal."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from tenants.base import TenantModel, tenant_key


class OutboundTerms(TenantModel):
    """How one client sends mail through the gateway; without a row, or not ``is_on``, it does not.

    ``hosts``: ``{"network", "note", "by", "at"}``, the client's own sending hosts.  The next hop's
    host is "" where none is named: mail then goes to each recipient's own mail host.  The limits
    are of each mailbox (seg_bridge/gate/outbound/terms.py).
    """

    is_on = models.BooleanField(default=True)
    next_hop_host = models.CharField(max_length=255, blank=True)
    next_hop_port = models.PositiveIntegerField(default=25)
    hosts = models.JSONField(default=list)
    messages_per_hour = models.PositiveIntegerField(default=100)
    recipients_per_hour = models.PositiveIntegerField(default=500)
    stop_threats = models.PositiveSmallIntegerField(default=5)
    stop_minutes = models.PositiveSmallIntegerField(default=10)
    stop_refusals = models.PositiveSmallIntegerField(default=50)
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant"], name="outbound_terms_once")
        ]


class SubmissionLogin(TenantModel):
    """A name and the salted hash of its secret, which was shown once; ``purpose``: what uses it."""

    name = models.CharField(max_length=80)
    purpose = models.CharField(max_length=200)
    hashed = models.CharField(max_length=200)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_by = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "name"], name="submission_login_once")
        ]

    @override
    def __str__(self) -> str:
        return self.name


class SigningKey(TenantModel):
    """A DKIM key of one domain.  ``sealed_private``: PEM, sealed for its row (tenants/secrets.py).

    ``public``: base64, as the DNS record holds it.  ``check_words``: what the last look into the
    DNS found, "" before the first; ``check_wanted_at`` None: nobody waits for one.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting for its DNS record"
        SIGNING = "signing", "Signing"
        RETIRED = "retired", "Retired"

    domain = tenant_key("tenants.Domain")
    selector = models.CharField(max_length=63)
    sealed_private = models.BinaryField()
    public = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    check_wanted_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_words = models.CharField(max_length=300, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "domain", "selector"], name="signing_key_once"
            ),
            models.UniqueConstraint(
                fields=["tenant", "domain"],
                condition=models.Q(state="signing"),
                name="signing_key_one_signs",
            ),
        ]

    @property
    def record_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain.name}"

    @property
    def record_value(self) -> str:
        return f"v=DKIM1; k=rsa; p={self.public}"


class SenderStop(TenantModel):
    """A mailbox that a gate stopped from sending.  ``stop_ulid`` is the gate's number for it.

    ``evidence``: ulids of the mails behind it.  ``incident`` None: none of them is known yet.
    """

    class Cause(models.TextChoices):
        THREATS = "threats", "Its mails were held to be threats"
        LIMITS = "limits", "It sent more than it may"

    stop_ulid = models.CharField(max_length=26)
    gate_name = models.CharField(max_length=100)
    mailbox = models.CharField(max_length=320)
    cause = models.CharField(max_length=10, choices=Cause.choices)
    words = models.CharField(max_length=300)
    evidence = models.JSONField(default=list)
    stopped_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)
    incident = tenant_key("incidents.Incident", related_name="sender_stops", null=True)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=200, blank=True)
    lift_reason = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "stop_ulid"], name="sender_stop_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-stopped_at"], name="sender_stop_tenant")
        ]
