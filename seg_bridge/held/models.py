"""Digests, the links in them, and what must be kept whatever its age."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class Digest(TenantModel):
    """One mail that tells a mailbox what was kept from it.

    ``slot`` names when it was due (UTC, ISO), or the wish it was made for: one for each.  ``items``
    is how many mails it lists.
    """

    mailbox = tenant_key("tenants.Mailbox")
    slot = models.CharField(max_length=80)
    items = models.PositiveIntegerField()
    asked_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "mailbox", "slot"], name="digest_once")
        ]


class HeldLink(TenantModel):
    """A link of a digest: it is good for one mail and one mailbox, once, until ``expires_at``.

    Its token is not stored: it is the row's id with a MAC (links.py).  The row also says that this
    mailbox has been told of this mail.
    """

    digest = tenant_key("seg_bridge.Digest", related_name="links")
    delivery = tenant_key("incidents.Delivery")
    mailbox = tenant_key("tenants.Mailbox")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "digest", "delivery"], name="held_link_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "mailbox", "delivery"], name="held_link_told")
        ]


class LegalHold(TenantModel):
    """Somebody needs this mail kept, or all of the client's where ``message`` is None.

    ``ended_at`` None: it is in force.
    """

    message = tenant_key("incidents.Message", null=True)
    reason = models.TextField()
    set_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "message"],
                condition=models.Q(ended_at=None),
                name="legal_hold_once",
                nulls_distinct=False,
            )
        ]
