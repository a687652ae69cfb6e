"""The layer ledger: one row for each mail that anybody condemned, and its sums by day."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from incidents.models.mail import Verdict
from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class LedgerEntry(ScopedModel):
    """Who condemned this mail, when, and where it is counted (incidents/ledger/figures.py).

    ``seen_at`` is the first sight of it by anybody; periods go by it.  The four times are the first
    word of that source against the mail, None: it counts as not having caught it.  ``lag_s`` is by
    how much the second layer was later, or how long after the first sight a person reported it;
    None elsewhere.  Made from the history alone: incidents/ledger/upkeep.py.
    """

    message = models.OneToOneField(
        "incidents.Message",
        primary_key=True,
        on_delete=models.DO_NOTHING,
        related_name="ledger_entry",
        db_constraint=False,
    )
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    counted_as = models.CharField(max_length=40)
    verdict = models.CharField(max_length=12, choices=Verdict.choices)
    seen_at = models.DateTimeField()
    gateway_at = models.DateTimeField(null=True)
    mailbox_at = models.DateTimeField(null=True)
    person_at = models.DateTimeField(null=True)
    vendor_at = models.DateTimeField(null=True)
    lag_s = models.FloatField(null=True)

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-seen_at"], name="ledger_tenant_seen"),
            # Over all clients on purpose: a figure's list, newest first.
            models.Index(fields=["counted_as", "-message"], name="ledger_figure_list"),
            models.Index(
                fields=["seen_at"],
                include=["tenant", "counted_as", "lag_s"],
                condition=models.Q(lag_s__isnull=False),
                name="ledger_lags",
            ),
        ]


class LedgerDay(TenantModel):
    """By how much the mails of one client and day (UTC, of ``seen_at``) under one name changed.

    The sum of a day's rows is the number of mails; it may take several.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    day = models.DateField()
    counted_as = models.CharField(max_length=40)
    mails = models.IntegerField()

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "day", "counted_as"], include=["mails"], name="ledger_day_sums"
            )
        ]


class WarningMark(TenantModel):
    """A keyed fingerprint of something that a threat shares with mail of other clients.

    Without the installation's key it says nothing; only ``door_also_seen`` compares clients, and it
    answers with a number (incidents/warnings.py).
    """

    message = tenant_key("incidents.Message")
    mark = models.CharField(max_length=64)
    last_seen_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "message", "mark"], name="warning_mark_once")
        ]
        indexes: ClassVar = [
            # Over all clients on purpose: the door counts who else has it.
            models.Index(fields=["mark", "-last_seen_at"], name="warning_mark_seen"),
        ]
