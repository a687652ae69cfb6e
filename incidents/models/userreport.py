"""What a client's people report, and on which terms: docs/user-reports.md."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from incidents.words import VERDICT_WORDS_WITHIN
from tenants.base import TenantModel, tenant_key


class UserReport(TenantModel):
    """One mail that somebody reported.

    ``source_key``  the source's own key of it: a report is taken once.
    ``reporter``    the address as it was told; ``mailbox`` whose it is, None: of nobody here.
    ``trust``       whether it counts; ``trust_why`` says why not, "" where it does.
    ``words``       what the reporter wrote, cut; ``subject`` is that of the report itself.
    ``original``    facts of the attached mail (``MailFacts.as_json``) until it is placed, then {}.
    ``evidence``    sha256 of the attached mail's bytes as the reporter sent them, "" if none.
    ``found``       how its original was found; ``found_why`` in words, also why it was not.
    ``receipt_at``, ``outcome_at``  when the answers were written; ``unanswered`` why one was not.
    ``outcome``     what the reporter was told last (incidents/userreports/telling.py).
    ``owes_outcome``  its incident was resolved and nobody has told the reporter yet.
    """

    class Way(models.TextChoices):
        ABUSE_MAILBOX = "abuse_mailbox", "Mail to the report mailbox"
        MICROSOFT = "microsoft", "Report button of Outlook"
        GMAIL = "gmail", "Report button of Gmail"

    class Said(models.TextChoices):
        PHISH = "phish", "Phishing"
        JUNK = "junk", "Junk"
        NOT_JUNK = "not_junk", "Not junk"
        UNSURE = "unsure", "Looks odd"

    class Trust(models.TextChoices):
        OWN = "own", "From one of the client's people"
        OUTSIDE = "outside", "Not from one of ours"
        FORGED = "forged", "Says it is from one of ours, not proven"

    class State(models.TextChoices):
        NEW = "new", "Just came"
        SAID = "said", "Being matched"
        PLACED = "placed", "Original found"
        MISSING = "missing", "Original not found"
        IGNORED = "ignored", "Does not count"

    class Found(models.TextChoices):
        NOT_YET = "", "Not yet"
        BY_ID = "message_id", "By its Message-ID"
        BY_CONTENT = "fingerprint", "By its content"
        BY_SUBJECT = "subject", "By its subject, the only one"
        ATTACHED = "attached", "From the report alone"
        NOWHERE = "nowhere", "Not found"

    way = models.CharField(max_length=20, choices=Way.choices)
    source_key = models.CharField(max_length=600)
    reporter = models.CharField(max_length=320)
    mailbox = tenant_key("tenants.Mailbox", null=True)
    reported_at = models.DateTimeField()
    taken_at = models.DateTimeField(default=timezone.now)
    said = models.CharField(max_length=10, choices=Said.choices)
    trust = models.CharField(max_length=10, choices=Trust.choices)
    trust_why = models.CharField(max_length=300, blank=True)
    is_automatic = models.BooleanField(default=False)
    subject = models.CharField(max_length=300, blank=True)
    words = models.CharField(max_length=500, blank=True)
    original_id = models.CharField(max_length=1000, blank=True)
    original_fingerprint = models.CharField(max_length=64, blank=True)
    original_subject = models.CharField(max_length=300, blank=True)
    original_sender = models.CharField(max_length=320, blank=True)
    original = models.JSONField(default=dict)
    evidence = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    delivery = tenant_key("incidents.Delivery", related_name="user_reports", null=True)
    found = models.CharField(max_length=12, choices=Found.choices, blank=True)
    found_why = models.CharField(max_length=300, blank=True)
    receipt_at = models.DateTimeField(null=True)
    outcome_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=40, blank=True)
    owes_outcome = models.BooleanField(default=False)
    unanswered = models.CharField(max_length=200, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "source_key"], name="user_report_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-reported_at"], name="user_report_tenant"),
            # Over all clients on purpose: the list of what people reported, newest first.
            models.Index(fields=["-reported_at", "-id"], name="user_report_newest"),
            models.Index(
                fields=["tenant", "delivery"],
                name="user_report_delivery",
                condition=models.Q(delivery__isnull=False),
            ),
            models.Index(
                fields=["tenant", "state"],
                name="user_report_waiting",
                condition=models.Q(state__in=["new", "said"]),
            ),
            models.Index(
                fields=["tenant"],
                name="user_report_owing",
                condition=models.Q(owes_outcome=True),
            ),
        ]

    @property
    def counts(self) -> bool:
        return self.trust == self.Trust.OWN

    @property
    def outcome_word(self) -> str:
        """``phishing``, ``harmless``: what the reporter was told that it is; "" before."""
        return VERDICT_WORDS_WITHIN.get(self.outcome, self.outcome)


class ReportTerms(TenantModel):
    """How one client's reports are taken: one row, made when somebody first changes them.

    ``mailbox`` None: there is no report mailbox.  The herd rule: ``herd_reporters`` distinct
    reporters of one incident within 24 hours do what ``herd_mode`` says.
    """

    class Herd(models.TextChoices):
        OFF = "off", "Nothing"
        DRY_RUN = "dry_run", "Dry run: note what would have been pulled"
        PULL = "pull", "Pull all copies"

    mailbox = tenant_key("tenants.Mailbox", null=True)
    answers = models.BooleanField(default=True)
    herd_mode = models.CharField(max_length=10, choices=Herd.choices, default=Herd.OFF)
    herd_reporters = models.PositiveSmallIntegerField(default=5)
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant"], name="report_terms_once")
        ]


class HerdAct(TenantModel):
    """The herd rule met this incident: once for each mode.

    ``copies``: how many it pulled, or would have pulled.  ``job`` None: a dry run.
    """

    incident = tenant_key("incidents.Incident", related_name="herd_acts")
    mode = models.CharField(max_length=10, choices=ReportTerms.Herd.choices)
    reporters = models.PositiveIntegerField()
    copies = models.PositiveIntegerField()
    job = tenant_key("incidents.Job", null=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "incident", "mode"], name="herd_act_once")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-at"], name="herd_act_tenant")]
