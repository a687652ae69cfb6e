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
