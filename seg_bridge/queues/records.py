"""A copy that waits at a gate, as the gate told it last."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel


class QueueItem(TenantModel):
    """One recipient of one mail in a gate's queue.

    Its id is made of gate, ``queue_id`` and recipient, so that it stays the same while the copy
    waits.  ``sender`` "" is the empty one.  ``trace_ulid`` "": the gate could not name the mail.
    """

    class Where(models.TextChoices):
        DEFERRED = "deferred", "Waits for its next try"
        ACTIVE = "active", "Is being tried"
        INCOMING = "incoming", "Has just come in"
        HOLD = "hold", "On hold"

    gate = models.ForeignKey("seg_bridge.Gate", on_delete=models.CASCADE, related_name="+")
    queue_id = models.CharField(max_length=64)
    where = models.CharField(max_length=10, choices=Where.choices)
    recipient = models.CharField(max_length=400)
    sender = models.CharField(max_length=400, blank=True)
    next_hop = models.CharField(max_length=600, blank=True)
    reason = models.TextField(blank=True)
    reason_kind = models.CharField(max_length=20, blank=True)
    size_bytes = models.BigIntegerField()
    arrived_at = models.DateTimeField()
    trace_ulid = models.CharField(max_length=26, blank=True)
    may_return = models.BooleanField(default=False)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-arrived_at"], name="queue_item_arrived"),
            models.Index(fields=["tenant", "gate", "queue_id"], name="queue_item_queue"),
        ]
