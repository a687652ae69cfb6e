"""Kept bytes, who opened what and why, and reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class Evidence(TenantModel):
    """Original bytes in the store, by their hash.

    ``method`` says how they were taken: ``smtp`` (as received by the gate), ``graph-mime`` (rebuilt
    by Exchange, so hash and DKIM need not match), ``imap`` (as the server keeps it), ``upload`` (a
    person added it to a comment).
    """

    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    source = models.CharField(max_length=200)
    method = models.CharField(max_length=20)
    stored_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "sha256"], name="evidence_once")
        ]


class ContentAccess(TenantModel):
    """Somebody opened content of a mail.  Written before the first byte is sent."""

    class What(models.TextChoices):
        TEXT = "text", "text of the mail"
        HTML = "html", "HTML view"
        PICTURE = "picture", "picture"
        ATTACHMENT = "attachment", "attachment"
        ORIGINAL = "original", "original mail"

    message = tenant_key("incidents.Message", related_name="accesses")
    person_id = models.UUIDField()
    person_name = models.CharField(max_length=200)
    what = models.CharField(max_length=12, choices=What.choices)
    detail = models.CharField(max_length=300, blank=True)
    reason = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-at"], name="access_tenant_at"),
            models.Index(fields=["tenant", "message"], name="access_message"),
        ]


class Report(TenantModel):
    """A finished report: one JSON document and the files rendered from it.

    Of one incident, or of a period (``since``, ``until``; no incident): its agreed times, or what
    was found by looking back over its mail.
    """

    class Kind(models.TextChoices):
        INCIDENT = "incident", "Incident"
        AGREED_TIMES = "agreed_times", "Agreed times"
        FOUND = "found_in_mailboxes", "Found in your mailboxes"

    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.INCIDENT)
    incident = tenant_key("incidents.Incident", related_name="reports", null=True)
    job = tenant_key("incidents.Job", null=True)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    audience = models.CharField(max_length=10, default="internal")
    document = models.JSONField()
    pdf_sha256 = models.CharField(max_length=64, blank=True)
    csv_sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident", "-created_at"], name="report_incident"),
            models.Index(fields=["tenant", "kind", "-created_at"], name="report_kind"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(kind="incident", incident__isnull=False)
                | models.Q(
                    kind__in=["agreed_times", "found_in_mailboxes"],
                    incident=None,
                    since__lt=models.F("until"),
                ),
                name="report_of_one_thing",
            )
        ]

    @property
    def title(self) -> str:
        """What it is about, as a list of reports says it."""
        if self.incident is not None:
            return str(self.incident)
        return f"{self.get_kind_display()}, {period_words(self.since, self.until)}"

    @property
    def file_stem(self) -> str:
        """The name of its files, without what says which kind they are."""
        of_period = self.kind.replace("_", "-")
        about = self.incident.number if self.incident is not None else of_period
        return f"{self.tenant.slug}-{about}-{self.created_at:%Y%m%d-%H%M}"


def period_words(since: datetime | None, until: datetime | None) -> str:
    """``1 to 30 November 2026``: days in UTC, the last one included."""
    if since is None or until is None:
        return "no period"
    first = since.astimezone(UTC)
    last = (until - timedelta(microseconds=1)).astimezone(UTC)
    end = f"{last.day} {last:%B %Y}"
    if (first.year, first.month) != (last.year, last.month):
        return f"{first.day} {first:%B %Y} to {end}"
    return end if first.day == last.day else f"{first.day} to {end}"
