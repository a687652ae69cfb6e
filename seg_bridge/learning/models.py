"""What a gate was, or could not be, taught of one mail."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tenants.base import TenantModel, tenant_key


class Lesson(TenantModel):
    """One mail, one lesson; the mail's last one holds.

    ``as_spam`` None: Bayes is left as it is, only hashes change.  ``share`` and ``unshare``: as
    what its hashes are given to all clients of the gate, or taken back, "" for neither.
    ``refusal``: why no gate was asked, "" where one was, or where the original is being fetched
    (``command`` None).  ``takes_back``: it undoes the lesson before it.
    """

    class Hashes(models.TextChoices):
        SPAM = "spam", "Spam"
        PHISH = "phish", "Phishing"

    message = tenant_key("incidents.Message")
    incident = tenant_key("incidents.Incident", null=True)
    command = tenant_key("seg_bridge.GateCommand", null=True)
    as_spam = models.BooleanField(null=True)
    share = models.CharField(max_length=10, choices=Hashes.choices, blank=True)
    unshare = models.CharField(max_length=10, choices=Hashes.choices, blank=True)
    takes_back = models.BooleanField(default=False)
    because = models.CharField(max_length=300)
    decided_by_id = models.UUIDField(null=True)
    decided_by = models.CharField(max_length=200)
    refusal = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "message", "id"], name="lesson_message"),
            models.Index(fields=["tenant", "incident"], name="lesson_incident"),
            models.Index(fields=["tenant", "command"], name="lesson_command"),
        ]

    @property
    def is_failed(self) -> bool:
        """Not all of it was learned, and it will not be."""
        if self.command is None:
            return bool(self.refusal)
        return self.command.ok is False

    @property
    def has_taught(self) -> bool:
        """Bayes knows it by it, or will soon; of a lesson that failed half-way too."""
        if self.as_spam is None:
            return False
        if self.command is None:
            return not self.refusal
        return self.command.ok is None or str(self.command.detail).startswith(LEARNED)


# What the gate says where Bayes has it now (engines/rspamd/learning.py).
LEARNED = ("learned", "known before")
