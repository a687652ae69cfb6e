"""What is known of clients' accounts, and what people had done with them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from incidents.signs import HIGH, LOW, NORMAL
from tenants.base import TenantModel, tenant_key


class AccountTerms(TenantModel):
    """How readily a client's accounts are held to be in other hands; no row: ``normal``."""

    class Sensitivity(models.TextChoices):
        LOW_ = LOW, "Low"
        NORMAL_ = NORMAL, "Normal"
        HIGH_ = HIGH, "High"

    sensitivity = models.CharField(
        max_length=8, choices=Sensitivity.choices, default=Sensitivity.NORMAL_
    )
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant"], name="account_terms_once")
        ]


# In ``off``: what the host shows to nobody, and what is read with the next look.
NOBODYS = frozenset({"hidden", "place"})
BEHIND = "/behind"


class AccountLook(TenantModel):
    """How far the accounts behind one connection were looked at.

    ``sign_ins_until`` and ``audits_until``: what came before was read, None: nothing yet.  ``off``:
    a list of ``{"what", "words"}``: what is not looked at, and why.  ``error``: of the last look.
    ``reached``: the last mailbox of a round that is not through yet.  ``due_at``: when the next
    round begins; that one is gone on with at once.
    """

    connection = tenant_key("api_bridge.Connection")
    due_at = models.DateTimeField(default=timezone.now)
    looked_at = models.DateTimeField(null=True)
    sign_ins_until = models.DateTimeField(null=True)
    audits_until = models.DateTimeField(null=True)
    reached = models.UUIDField(null=True)
    off = models.JSONField(default=list)
    error = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "connection"], name="account_look_once")
        ]

    @property
    def lacks_permission(self) -> bool:
        """Something of what is off the client could grant; the rest no host shows, or not yet."""
        names = [str(each["what"]) for each in self.off]
        return any(name not in NOBODYS and not name.endswith(BEHIND) for name in names)


class MailboxSnapshot(TenantModel):
    """A mailbox's settings from ``taken_at`` until the next one's.

    ``content`` as ``shapes.Settings.as_json``, ``digest`` of it; ``changes``: what is different
    from the one before, each in words; of the first it is empty.
    """

    mailbox = tenant_key("tenants.Mailbox")
    digest = models.CharField(max_length=64)
    content = models.JSONField()
    changes = models.JSONField(default=list)
    taken_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "mailbox", "-taken_at"], name="snapshot_newest")
        ]


class SignIn(TenantModel):
    """A sign-in that succeeded.  ``country`` two letters, "" where nobody tells; ``latitude`` and
    ``longitude`` in degrees; ``risk`` in Microsoft's words.
    """

    mailbox = tenant_key("tenants.Mailbox")
    external_id = models.CharField(max_length=100)
    at = models.DateTimeField()
    ip = models.CharField(max_length=45, blank=True)
    country = models.CharField(max_length=2, blank=True)
    city = models.CharField(max_length=120, blank=True)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    app = models.CharField(max_length=200, blank=True)
    risk = models.CharField(max_length=20, blank=True)
    is_suspicious = models.BooleanField(default=False)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "external_id"], name="sign_in_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "mailbox", "-at"], name="sign_in_newest")
        ]


class AccountStep(TenantModel):
    """One step of a response, by a person's order; each has a result of its own.

    ``target``: which rule, grant or delegate, "" for the account as a whole; ``label`` names it.
    ``before``: what was there, kept before the call, so that it can be put back.  ``words``: what
    came of it, or why not.  ``called_at`` None: the mail host was not called for it yet.
    ``due_at`` and ``fence`` as of intents.  ``undoes``: the step that this
    one takes back.
    """

    class Kind(models.TextChoices):
        REVOKE_SESSIONS = "revoke_sessions", "End its sessions"
        DISABLE = "disable", "Switch off signing in"
        ENABLE = "enable", "Switch signing in on again"
        NEW_PASSWORD = "new_password", "Ask for a new password"
        DISABLE_RULE = "disable_rule", "Switch the rule off"
        ENABLE_RULE = "enable_rule", "Put the rule back"
        REVOKE_GRANT = "revoke_grant", "Withdraw the application's access"
        FORWARDING_OFF = "forwarding_off", "Switch forwarding off"
        FORWARDING_ON = "forwarding_on", "Switch forwarding on again"
        REMOVE_DELEGATE = "remove_delegate", "Remove the delegate"
        ADD_DELEGATE = "add_delegate", "Add the delegate back"

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        CALLING = "calling", "Being done"
        UNKNOWN = "unknown", "Not clear yet"
        VERIFIED = "verified", "Done and read back"
        ALREADY = "already", "Was so already"
        UNPROVEN = "unproven", "Ordered, not proven"
        FAILED = "failed", "Failed"
        WITHDRAWN = "withdrawn", "Withdrawn before it began"

    OPEN = (State.PENDING, State.CALLING, State.UNKNOWN)

    incident = tenant_key("incidents.Incident")
    mailbox = tenant_key("tenants.Mailbox")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    target = models.CharField(max_length=300, blank=True)
    label = models.CharField(max_length=300, blank=True)
    before = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    words = models.TextField(blank=True)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    reason = models.TextField(blank=True)
    asked_by = models.CharField(max_length=200)
    asked_by_id = models.UUIDField(null=True)
    asked_at = models.DateTimeField(auto_now_add=True)
    called_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    undoes = tenant_key("api_bridge.AccountStep", null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            # A second click while the first is being done orders nothing.
            models.UniqueConstraint(
                fields=["tenant", "mailbox", "kind", "target"],
                condition=models.Q(state__in=["pending", "calling", "unknown"]),
                name="account_step_open_once",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="account_step_incident"),
            models.Index(fields=["tenant", "state", "due_at"], name="account_step_due"),
        ]
