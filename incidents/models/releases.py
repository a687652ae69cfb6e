"""Released mail that is to stay where it was put: what lets it be, and is it still there?"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from incidents.models.mail import Place
from tenants.base import TenantModel, tenant_key


class AllowedCopy(TenantModel):
    """This copy is let be by that entry of the client's list, in both layers: incidents/allowed.py.

    ``rule_id``: the gateway's entry, which is another room's row.  ``owner`` and ``words`` as they
    were then; ``beats_threats``: malware and phishing too.  ``ended_at`` None: it counts.
    """

    delivery = tenant_key("incidents.Delivery")
    rule_id = models.UUIDField()
    owner = models.CharField(max_length=200)
    words = models.TextField(blank=True)
    beats_threats = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "delivery", "rule_id"], name="allowed_copy_once"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "rule_id"], name="allowed_copy_rule")]


class ReleaseLook(TenantModel):
    """A look at one released copy: is it still where it was put (incidents/looks.py)?

    ``put_in``: where the release put it.  ``due_at`` is when it is looked at next, and under
    ``fence`` the end of the lease of who looks now; ``tries`` are looks that came to an end.
    ``outcome`` "": not looked at yet; with ``done_at`` None it is the last look's, and another
    follows.  ``place`` is what was read, "" where nothing was.  ``words`` say the outcome in a
    sentence; ``proof`` how the delivered mail compares with the original, "" where nobody compared.
    ``rule_id``: the exception that was made with the release, None without one.
    """

    class Outcome(models.TextChoices):
        KEPT = "kept", "Still there"
        MOVED = "moved", "Moved to another folder"
        PULLED = "pulled", "Pulled again by Bailey"
        JUNKED = "junked", "In the junk folder"
        DELETED = "deleted", "Deleted"
        NOT_SEEN = "not_seen", "Not seen in the mailbox"
        BLIND = "blind", "Nobody could look"
        NO_LAYER = "no_layer", "No mailbox layer there"

    class Proof(models.TextChoices):
        BYTES = "bytes", "The original, byte for byte"
        CONTENT = "content", "The same content, written anew on its way"
        DIFFERS = "differs", "Not the content of the original"

    delivery = tenant_key("incidents.Delivery", related_name="looks")
    intent = tenant_key("incidents.Intent")
    rule_id = models.UUIDField(null=True)
    released_by_id = models.UUIDField(null=True)
    released_by = models.CharField(max_length=200)
    delivered_at = models.DateTimeField()
    put_in = models.CharField(max_length=12, choices=Place.choices)
    due_at = models.DateTimeField()
    fence = models.BigIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    place = models.CharField(max_length=12, choices=Place.choices, blank=True)
    words = models.TextField(blank=True)
    proof = models.CharField(max_length=10, choices=Proof.choices, blank=True)
    looked_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "intent"], name="release_look_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "due_at"],
                name="release_look_due",
                condition=models.Q(done_at__isnull=True),
            ),
            models.Index(fields=["tenant", "delivery"], name="release_look_delivery"),
        ]

    @property
    def is_over(self) -> bool:
        return self.done_at is not None
