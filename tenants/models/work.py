"""What waits to be done for a client.  The broker only rings; this table is the truth."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel


class Work(TenantModel):
    """One queue of one client.  ``wanted_at`` None: nothing to do.  See tenants/work.py."""

    queue = models.CharField(max_length=20)
    wanted_at = models.DateTimeField(null=True)
    served_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "queue"], name="work_once")
        ]
        indexes: ClassVar = [
            # Over all clients on purpose: the door that deals out work asks who waits longest.
            models.Index(
                fields=["queue", "wanted_at"],
                name="work_waiting",
                condition=models.Q(wanted_at__isnull=False),
            )
        ]


class OutgoingMail(TenantModel):
    """A mail that Bailey sends: one for each ``event`` of a client.  See tenants/outbox.py.

    ``message_id`` is the correlation token: it stays the same over every try.  ``sealed`` is the
    mail's text (it may carry links that act), empty once the mail is out.  ``due_at`` None: nothing
    more happens to it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waits"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        UNKNOWN = "unknown", "Not known whether it was sent"
        FAILED = "failed", "Not sent"

    event = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    to_address = models.CharField(max_length=320)
    message_id = models.CharField(max_length=200)
    sealed = models.BinaryField(default=bytes)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    tried_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "event"], name="outgoing_mail_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "due_at"],
                name="outgoing_mail_due",
                condition=models.Q(due_at__isnull=False),
            ),
            models.Index(fields=["tenant", "-created_at"], name="outgoing_mail_created"),
        ]
