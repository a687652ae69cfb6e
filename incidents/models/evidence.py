"""Kept bytes, who opened what and why, and reports."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class Evidence(TenantModel):
    """Original bytes in the store, by their hash.

    ``method`` says how they were taken: ``smtp`` (as received by the gate), ``graph-mime`` (rebuilt
    by Exchange, so hash and DKIM need not match), ``upload`` (a person added it to a comment).
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
    """A finished report: one JSON document and the files rendered from it."""

    incident = tenant_key("incidents.Incident", related_name="reports")
    job = tenant_key("incidents.Job", null=True)
    audience = models.CharField(max_length=10, default="internal")
    document = models.JSONField()
    pdf_sha256 = models.CharField(max_length=64, blank=True)
    csv_sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident", "-created_at"], name="report_incident")
        ]
