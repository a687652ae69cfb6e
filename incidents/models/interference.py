"""Where the layers or the mail host disturb each other, as it was found last."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel


class Interference(TenantModel):
    """What one check found at one client; made anew every hour (incidents/interference).

    ``copies``    how many copies of the period ``since`` … ``looked_at`` could be compared.
    ``is_cut``    only the newest of the period were looked at.
    ``findings``  most copies first, each with ``cause`` and ``value`` (docs/layers.md), ``copies``,
                  ``first_at`` and ``last_at`` (ISO 8601) and ``proof``, the ids of the newest.
    """

    class Kind(models.TextChoices):
        HEADER = "header", "The gateway's mark"
        CONNECTOR = "connector", "Whom the mail host takes for the sender"
        LINKS = "links", "Rewritten links"
        DOUBLE_QUARANTINE = "double_quarantine", "Filtered a second time"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    copies = models.PositiveIntegerField()
    findings = models.JSONField(default=list)
    is_cut = models.BooleanField(default=False)
    since = models.DateTimeField()
    looked_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "kind"], name="interference_once")
        ]
