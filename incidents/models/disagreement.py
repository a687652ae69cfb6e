"""Where the layers contradict each other, and what one layer's verdict does in the other."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from tenants.base import TenantModel, tenant_key


class Disagreement(TenantModel):
    """One contradiction of one kind: on its incident, or on its mail where none is open.

    ``sides``     what each layer said and why, heaviest reasons first (incidents/sides.py)
    ``rule_id``   the list entry that is responsible, None where no entry is
    ``proposal``  one repair in the other layer (incidents/repairs.py), {} where there is none
    ``result``    what an accepted one led to: ids of ``rule``, ``job``, ``order``, ``rehearsal``;
                  the incident that was ``closed`` as harmless, where that dismissed it
    ``copies``    how many copies contradict; ``seen_at`` when the newest of them came
    """

    class Kind(models.TextChoices):
        PASSED = "gateway_passed_mailbox_condemned", "Passed by the gateway, condemned inside"
        HELD = "gateway_held_mailbox_clean", "Held by the gateway, clean inside"
        RELEASED = "released_then_condemned", "Released, then condemned"
        LATE = "gateway_condemned_late", "Condemned by the gateway after delivery"
        PERSON = "person_against_layer", "A person says otherwise"
        VENDOR = "vendor_against_layer", "The mail host says otherwise"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "Repaired"
        DISMISSED = "dismissed", "Dismissed"
        SETTLED = "settled", "No longer so"

    kind = models.CharField(max_length=40, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    incident = tenant_key("incidents.Incident", related_name="disagreements", null=True)
    message = tenant_key("incidents.Message")
    copies = models.PositiveIntegerField(default=1)
    sides = models.JSONField(default=list)
    rule_id = models.UUIDField(null=True)
    rule_words = models.TextField(blank=True)
    rule_owner = models.CharField(max_length=200, blank=True)
    proposal = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    decided_by_id = models.UUIDField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "incident", "kind"],
                condition=models.Q(incident__isnull=False),
                name="disagreement_once_an_incident",
            ),
            models.UniqueConstraint(
                fields=["tenant", "message", "kind"],
                condition=models.Q(incident__isnull=True),
                name="disagreement_once_a_mail",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-seen_at", "-id"], name="disagreement_tenant_seen"),
            # Over all clients on purpose: the analyst's queue.
            models.Index(
                fields=["-seen_at", "-id"],
                name="disagreement_open",
                condition=models.Q(state="open"),
            ),
        ]

    @override
    def __str__(self) -> str:
        return str(self.get_kind_display())

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN


class StandingOrder(TenantModel):
    """What a person wants done with later copies of an incident, until it ends or is withdrawn.

    ``pull``: they are pulled as she pulled the first ones.  ``leave``: Bailey pulls none by itself.
    ``acted`` counts the copies on which it was carried out.
    """

    class Kind(models.TextChoices):
        PULL = "pull", "Pull later copies"
        LEAVE = "leave", "Leave copies where they are"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    incident = tenant_key("incidents.Incident", related_name="standing_orders")
    owner_id = models.UUIDField(null=True)
    owner_name = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    acted = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.CharField(max_length=200, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "incident"],
                condition=models.Q(withdrawn_at__isnull=True),
                name="one_standing_order",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-created_at"], name="order_tenant")]


class LateVerdicts(TenantModel):
    """What a late verdict of one layer does in the other, for one client.

    ``rule_mode`` is the gateway's side: ``ask``: a rule is proposed; ``auto``: Bailey makes it,
    where the rehearsal has no objection.  What may be done in the mailboxes is their mode
    (``LayerMode``), at most ``most_copies`` at a time.  ``stopped_at``: nothing is done by itself
    any more, on either side.
    """

    class Mode(models.TextChoices):
        ASK = "ask", "Propose it"
        AUTO = "auto", "Do it"

    rule_mode = models.CharField(max_length=10, choices=Mode.choices, default=Mode.ASK)
    most_copies = models.PositiveIntegerField(default=50)
    rule_days = models.PositiveSmallIntegerField(default=30)
    stopped_at = models.DateTimeField(null=True)
    stopped_by = models.CharField(max_length=200, blank=True)
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant"], name="late_verdicts_once")
        ]
