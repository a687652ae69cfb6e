"""Who may use what at a client's mail host, and how that came to be."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_noop as _

from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class Purpose(models.TextChoices):
    """What an app registration is for.  Each is granted, and refused, by itself."""

    DETECT = "detect", _("Detect")
    REMEDIATE = "remediate", _("Remediate")
    RESPOND = "respond", _("Account response")
    PARTNER = "partner", "Partner relationships"


# What a client is asked for, in this order; the partner's registration is the provider's own.
OF_CLIENTS = (Purpose.DETECT, Purpose.REMEDIATE, Purpose.RESPOND)


class AppRegistration(ScopedModel):
    """The provider's application in a Microsoft cloud, one for each purpose.

    ``home_tenant_id``: the provider's own cloud tenant, for the partner's registration only.
    ``expires_at``: of the secret or certificate, as the person who entered it said.  ``trouble``:
    why it could not be used, "" where it could.  ``looked_at``: when relationships were listed with
    it, for the partner's registration only.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    client_id = models.CharField(max_length=64)
    home_tenant_id = models.CharField(max_length=64, blank=True)
    cloud = models.CharField(max_length=20)
    sealed_secret = models.BinaryField(default=bytes)
    sealed_certificate = models.BinaryField(default=bytes)
    expires_at = models.DateTimeField()
    trouble = models.TextField(blank=True)
    looked_at = models.DateTimeField(null=True)
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "purpose"], name="registration_once")
        ]


class ServiceAccount(ScopedModel):
    """The provider's own service account at Google for one purpose, account response: where there
    is none, a connection's one account does everything.

    ``client_id``: what clients delegate scopes to.  ``sealed_key``: its key file (JSON).
    ``trouble``: why Google refused the key, "" where it did not.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    client_id = models.CharField(max_length=64)
    client_email = models.CharField(max_length=320)
    sealed_key = models.BinaryField()
    trouble = models.TextField(blank=True)
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "purpose"], name="service_account_once")
        ]


class Grant(TenantModel):
    """A client's consent to one registration, as its last token showed it.

    ``roles``: the permissions in that token.  ``lost_at`` None: it stands; else ``trouble`` says
    why it does not.
    """

    connection = tenant_key("api_bridge.Connection")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    client_id = models.CharField(max_length=64)
    roles = models.JSONField(default=list)
    granted_by = models.CharField(max_length=200, blank=True)
    granted_at = models.DateTimeField()
    checked_at = models.DateTimeField()
    lost_at = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "connection", "purpose"], name="grant_once")
        ]


class ConsentLink(TenantModel):
    """A link for the client's own admin, who has no login here.  Its token is not stored.

    ``open_until``: until then it can be opened, once.  ``browser``: digest of what the browser that
    opened it keeps; only that one goes on, until ``ends_at``.
    """

    purposes = models.JSONField(default=list)
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.CharField(max_length=200)
    made_at = models.DateTimeField(auto_now_add=True)
    open_until = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    browser = models.CharField(max_length=64, blank=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-made_at"], name="consent_link_new")]


class Consent(TenantModel):
    """One journey to Microsoft's consent page and back, for one registration.

    ``state``: digest of what Microsoft hands back; it is good once, until ``ends_at``.
    ``holder``: digest of the session, or of the browser's secret, that the journey began in.
    ``cloud_tenant_id``: what the browser brought back; a claim until a token has proven it.
    ``words`` says what came of it.
    """

    class Stage(models.TextChoices):
        ASKED = "asked", "At Microsoft"
        RETURNED = "returned", "Being proven"
        GRANTED = "granted", "Granted"
        REFUSED = "refused", "Refused by the client"
        FAILED = "failed", "Not granted"

    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    client_id = models.CharField(max_length=64)
    state = models.CharField(max_length=64, unique=True)
    holder = models.CharField(max_length=64)
    link = tenant_key("api_bridge.ConsentLink", null=True)
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField(auto_now_add=True)
    ends_at = models.DateTimeField()
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.ASKED)
    cloud_tenant_id = models.CharField(max_length=64, blank=True)
    returned_at = models.DateTimeField(null=True)
    words = models.TextField(blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-asked_at"], name="consent_newest")]


class Relationship(ScopedModel):
    """A delegated admin relationship (GDAP) of the provider, as Microsoft listed it last.

    ``roles``: names of the directory roles that it gives.  Which client it is with shows by
    ``cloud_tenant_id``; a customer who is no client here has one, too.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    external_id = models.CharField(max_length=120)
    cloud_tenant_id = models.CharField(max_length=64)
    name = models.CharField(max_length=300)
    status = models.CharField(max_length=40)
    roles = models.JSONField(default=list)
    ends_at = models.DateTimeField(null=True)
    renews_itself = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "external_id"], name="relationship_once")
        ]


class HostTrial(TenantModel):
    """A mail host other than Microsoft's, entered by a lead and tried out before it is connected.

    ``sealed``: what was entered, as JSON; emptied once it is settled.  ``checks``: what a worker
    found, each ``{"name", "is_ok", "words"}``.
    """

    class Stage(models.TextChoices):
        WAITING = "waiting", "Being tried out"
        CONNECTED = "connected", "Connected"
        FAILED = "failed", "Not connected"

    kind = models.CharField(max_length=10)
    sealed = models.BinaryField(default=bytes)
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.WAITING)
    checks = models.JSONField(default=list)
    words = models.TextField(blank=True)
    asked_by_id = models.UUIDField(null=True)
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-asked_at"], name="host_trial_new")]


class MailboxMove(TenantModel):
    """A mailbox that came to the client's mail host, or went, as the hourly list showed it."""

    class Kind(models.TextChoices):
        JOINED = "joined", "Joined"
        LEFT = "left", "Left"

    kind = models.CharField(max_length=6, choices=Kind.choices)
    address = models.CharField(max_length=320)
    display_name = models.CharField(max_length=200, blank=True)
    seen_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-seen_at"], name="mailbox_move_new")]


class MailboxDay(TenantModel):
    """How many there were on one day (UTC), the most that an hourly list of each host showed.

    ``mailboxes``: those in the client's domains, which are read; ``licensed`` of them, None: no
    mail host tells who has a licence.  ``outside``: more that a host has, in none of these.
    ``by_host``: connection id → the three.
    """

    day = models.DateField()
    mailboxes = models.PositiveIntegerField()
    licensed = models.PositiveIntegerField(null=True)
    outside = models.PositiveIntegerField(default=0, db_default=0)
    by_host = models.JSONField(default=dict, db_default={})

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "day"], name="mailbox_day_once")
        ]
