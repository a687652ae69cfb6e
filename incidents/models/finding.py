"""What is wrong with a client's access or records, as opposed to its mail."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class Finding(TenantModel):
    """One loss, or one that is coming, of a client.  ``incident`` is the one of its ``code``.

    ``key`` names the thing that is lost (a purpose, a domain); ``words`` say what is lost and what
    to do about it.  ``ends_at``: when it will hurt, None: it does now, or nobody knows.
    ``settled_at`` None: it stands.
    """

    incident = tenant_key("incidents.Incident", related_name="findings")
    code = models.CharField(max_length=20)
    key = models.CharField(max_length=120)
    words = models.TextField()
    ends_at = models.DateTimeField(null=True)
    since = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "code", "key"],
                condition=models.Q(settled_at__isnull=True),
                name="finding_stands_once",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "incident"], name="finding_incident")]
