"""What is known of a client on its way behind the gateway, beside domains and mailboxes."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class DomainCheck(TenantModel):
    """What DNS says of one domain.

    ``token`` is what the client's TXT record has to say.  ``found``: ``owner`` and ``mx``, each
    ``{"state": "seen" | "partly" | "not_seen" | "no_answer", "words", "found": […]}``, and
    ``gates``: host → its addresses.  ``wanted_at`` None: nobody waits for a look,
    and it is looked at hourly.  ``standing``: what was seen once (onboarding/standing.py).
    """

    domain = tenant_key("tenants.Domain")
    token = models.CharField(max_length=64)
    found = models.JSONField(default=dict)
    standing = models.JSONField(default=dict)
    wanted_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "domain"], name="domain_check_once")
        ]


class TrialMail(TenantModel):
    """A mail that was sent through one gate to see whether it arrives.

    ``state`` ``sending`` after a worker died is never sent again: the trace tells.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waits for a worker"
        SENDING = "sending", "Being sent"
        TAKEN = "taken", "Taken by the gate"
        REFUSED = "refused", "Refused by the gate"
        FAILED = "failed", "The gate could not be reached"

    gate = models.ForeignKey("seg_bridge.Gate", on_delete=models.CASCADE, related_name="+")
    recipient = models.CharField(max_length=400)
    internet_message_id = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reply = models.TextField(blank=True)
    asked_by_id = models.UUIDField(null=True)
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-asked_at"], name="trial_mail_newest")]
