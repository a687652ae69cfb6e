"""What speaks for an account being in other hands."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class AccountSign(TenantModel):
    """One piece of evidence about one mailbox's account (incidents/accounts.py).

    ``code``: which kind (``SIGNS``); ``key`` names the very thing, so that it counts once.
    ``weight``: points, as they were when it was noted.  ``source``: where it was read, in words;
    ``raw``: the record as it came.  ``at``: when it happened, or was first seen where nobody tells.
    ``incident`` None: what is known of the account does not reach its client's threshold.
    """

    mailbox = models.CharField(max_length=320)
    code = models.CharField(max_length=20)
    key = models.CharField(max_length=200)
    words = models.TextField()
    weight = models.PositiveSmallIntegerField()
    source = models.CharField(max_length=60)
    raw = models.JSONField(default=dict)
    at = models.DateTimeField()
    noted_at = models.DateTimeField(auto_now_add=True)
    incident = tenant_key("incidents.Incident", related_name="signs", null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "mailbox", "code", "key"], name="account_sign_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="account_sign_incident"),
            models.Index(fields=["tenant", "mailbox", "-at"], name="account_sign_mailbox"),
        ]
