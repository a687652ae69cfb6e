"""A look back over a client's mailboxes: what was asked, how far each is, what was found."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from incidents.models.mail import Verdict
from tenants.base import TenantModel, tenant_key


class ScanBack(TenantModel):
    """One run over mail received from ``since`` until each mailbox was watched.

    ``most_mails``: it ends there, whatever is left.  In each hour from ``hour_began_at`` on it
    reads at most ``mails_per_hour`` mails with at most ``requests_per_hour`` requests; ``hour_…``
    count them.  ``due_at``: when it goes on; ``waits_for`` says why it does not now, "": it does.
    ``ended_by``: why it is over, "" while it is not.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Looking back"
        STOPPED = "stopped", "Stopped"
        DONE = "done", "Done"

    class EndedBy(models.TextChoices):
        ALL = "all", "Everything was looked at"
        MOST = "most", "The number of mails that was agreed is reached"
        FAILED = "failed", "Some mailboxes could not be read"

    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    since = models.DateTimeField()
    until = models.DateTimeField()
    days = models.PositiveSmallIntegerField()
    most_mails = models.PositiveIntegerField()
    mails_per_hour = models.PositiveIntegerField()
    requests_per_hour = models.PositiveIntegerField()
    is_all = models.BooleanField()
    asked_by_id = models.UUIDField()
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField(default=timezone.now)
    stopped_at = models.DateTimeField(null=True)
    stopped_by = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=8, choices=EndedBy.choices, blank=True)
    due_at = models.DateTimeField(default=timezone.now)
    waits_for = models.CharField(max_length=300, blank=True)
    hour_began_at = models.DateTimeField(null=True)
    hour_mails = models.PositiveIntegerField(default=0)
    hour_requests = models.PositiveIntegerField(default=0)
    mails = models.PositiveIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(state__in=["running", "stopped"]),
                name="scan_back_one_open",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-asked_at"], name="scan_back_newest")]

    @property
    def is_open(self) -> bool:
        return self.state != self.State.DONE


class ScanBackMailbox(TenantModel):
    """One mailbox of a run.  ``reached_at``: everything received from then until ``until`` was
    looked at; it goes back in time, with ``cursor``, in the transaction that stores what was found.

    ``page_at``: when the page after ``cursor`` was begun, so that a page that is read again says
    the same; None: it was not.  ``mails``: looked at; ``unread``: of them those that could not be
    read; ``skipped``: entries of the host's list that could not even be named.  ``estimated``: how
    many there are by what is known of the mailbox, None: nothing is.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "To be read"
        DONE = "done", "Read"
        FAILED = "failed", "Could not be read"

    run = tenant_key("api_bridge.ScanBack", related_name="mailboxes")
    mailbox = tenant_key("tenants.Mailbox")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    until = models.DateTimeField()
    reached_at = models.DateTimeField()
    cursor = models.TextField(blank=True)
    page_at = models.DateTimeField(null=True)
    mails = models.PositiveIntegerField(default=0)
    unread = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    estimated = models.PositiveIntegerField(null=True)
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    due_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "run", "mailbox"], name="scan_back_mailbox_once"
            )
        ]


class ScanBackFinding(TenantModel):
    """A mail that a run condemned, or could not read, as it was judged then."""

    run = tenant_key("api_bridge.ScanBack", related_name="findings")
    mailbox = tenant_key("tenants.Mailbox")
    item_id = models.CharField(max_length=500)
    verdict = models.CharField(max_length=12, choices=Verdict.choices)
    received_at = models.DateTimeField()
    found_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "run", "mailbox", "item_id"], name="scan_back_finding_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "run", "verdict"], name="scan_back_finding_kind")
        ]
