"""What waited for access to a client's mailboxes, looked at together when access came back."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from incidents.models.mail import Place
from tenants.base import TenantModel, tenant_key


class Renewal(TenantModel):
    """One renewed rehearsal: all that waited at one return of access.

    ``waited_since``: the earliest of it.  ``looked_at`` None: copies are still being read.
    ``asked``: part of it goes beyond what was approved, and one person's word settles all of that.
    ``replaced``: access went and came again before anybody answered; a newer one asks instead.
    """

    class State(models.TextChoices):
        LOOKING = "looking", "Being looked at"
        WENT_ON = "went_on", "Went on by itself"
        ASKED = "asked", "Waits for a yes"
        ANSWERED = "answered", "Answered"
        REPLACED = "replaced", "Replaced by a newer one"

    class Answer(models.TextChoices):
        ALL = "all", "Yes, all of it"
        APPROVED = "approved", "Only what was approved"
        NONE = "none", "None of it"

    state = models.CharField(max_length=10, choices=State.choices, default=State.LOOKING)
    waited_since = models.DateTimeField()
    began_at = models.DateTimeField(auto_now_add=True)
    looked_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=10, choices=Answer.choices, blank=True)
    answered_by_id = models.UUIDField(null=True)
    answered_by = models.CharField(max_length=200, blank=True)
    answered_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant"], condition=models.Q(state="looking"), name="renewal_one_looks"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-began_at"], name="renewal_newest")]


class RenewalCopy(TenantModel):
    """One copy of it.  ``intent`` None: nobody approved this one, it came after the order.

    ``found`` "": not read yet.  ``differs``: in which way acting on it now goes beyond what was
    approved, "" where it does not; ``words`` say it.
    """

    class Found(models.TextChoices):
        THERE = "there", "Where it was"
        MOVED = "moved", "Moved meanwhile"
        GONE = "gone", "No longer there"
        DONE = "done", "Done already"
        LET_BE = "let_be", "Let be by a person meanwhile"
        UNSEEN = "unseen", "Not known: it could not be read"
        NEW = "new", "Came after it was approved"

    class Differs(models.TextChoices):
        NEW = "new", "Nobody approved this copy"
        MODE = "mode", "Its mode allows less now"
        STOPPED = "stopped", "Whatever acts by itself is stopped"

    renewal = tenant_key("incidents.Renewal", related_name="copies")
    job = tenant_key("incidents.Job")
    intent = tenant_key("incidents.Intent", null=True)
    delivery = tenant_key("incidents.Delivery")
    found = models.CharField(max_length=10, choices=Found.choices, blank=True)
    differs = models.CharField(max_length=10, choices=Differs.choices, blank=True)
    place = models.CharField(max_length=12, choices=Place.choices, blank=True)
    words = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "renewal", "job", "delivery"], name="renewal_copy_once"
            )
        ]
