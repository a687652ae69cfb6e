"""The mailbox layer: connections, how far each mailbox was read, what is known of senders."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from api_bridge.access.models import (
    AppRegistration,
    Consent,
    ConsentLink,
    Grant,
    HostTrial,
    MailboxDay,
    MailboxMove,
    Purpose,
    Relationship,
    ServiceAccount,
)
from api_bridge.accounts.models import (
    AccountLook,
    AccountStep,
    AccountTerms,
    MailboxSnapshot,
    SignIn,
)
from api_bridge.nightly.models import NightFolder, NightReading
from api_bridge.scanback.models import ScanBack, ScanBackFinding, ScanBackMailbox
from tenants.base import TenantModel, tenant_key

__all__ = [
    "AccountLook",
    "AccountStep",
    "AccountTerms",
    "AppRegistration",
    "Connection",
    "Consent",
    "ConsentLink",
    "Correspondent",
    "Grant",
    "HostTrial",
    "MailboxDay",
    "MailboxMove",
    "MailboxSnapshot",
    "MailboxSync",
    "NightFolder",
    "NightReading",
    "Purpose",
    "PushNotice",
    "Relationship",
    "ScanBack",
    "ScanBackFinding",
    "ScanBackMailbox",
    "SeenItem",
    "ServiceAccount",
    "SignIn",
    "TracedMail",
]


class Connection(TenantModel):
    """A client's mail host.  One cloud tenant belongs to one client: its id is unique.

    ``blind_since`` None: the layer sees; ``seeing_since``: when it last came to see again, None: it
    was never blind.  ``list_due_at``: when its mailboxes are listed next, or
    a blind connection is tried again; ``watch_due_at``: when exposed copies are looked at again;
    ``verdicts_due_at``: when the host's own verdicts are asked for; ``sweep_due_at``: when its
    standing push orders are held against ours.
    URLs and ``ca_file`` are set by the operator, never by a client.  ``cloud_tenant_id`` is the
    host's own name of the client (Microsoft: the directory's GUID); ``settings`` are texts by name
    that only this kind of host has, none of them secret.  ``by_registrations``: the connection has
    no application of its own and goes by the provider's registrations, as far as the client granted
    them (api_bridge/access).  ``own_roles``: what the last token of its own application may do,
    None: none was had yet.  ``traced_until``: up to when the host's own record of its mail was
    read (api_bridge/traces.py), None: never; ``trace_error`` says why not, "": nothing is wrong.
    ``seals_pushes``: what is told of its mailboxes brings what changed, sealed with the first of
    ``sealed_push_keys`` (api_bridge/push_keys.py).
    ``rests_until`` not None: its host did not answer, and no worker asks it before then.
    ``groups_at``: when the directory's groups were last listed, with ``groups_error`` "" or why the
    last try found none.
    """

    class Kind(models.TextChoices):
        GRAPH = "graph", "Microsoft 365"
        GOOGLE = "google", "Google Workspace"
        IMAP = "imap", "IMAP"

    class State(models.TextChoices):
        ACTIVE = "active", "Connected"
        NEEDS_CONSENT = "needs_consent", "Consent is missing"
        CREDENTIALS_EXPIRED = "credentials_expired", "Secret or certificate is not accepted"
        GONE = "gone", "The cloud tenant does not exist"
        NOT_TRUSTED = "not_trusted", "Its certificate is not accepted"
        NOT_ALLOWED = "not_allowed", "Its address may not be called"
        NO_LOGIN = "no_login", "No protected way to sign in"

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.GRAPH)
    cloud_tenant_id = models.CharField(max_length=64, unique=True)
    client_id = models.CharField(max_length=64, blank=True)
    by_registrations = models.BooleanField(default=False, db_default=False)
    own_roles = models.JSONField(null=True)
    sealed_secret = models.BinaryField(default=bytes)
    sealed_certificate = models.BinaryField(default=bytes)
    authority_url = models.URLField()
    api_url = models.URLField()
    ca_file = models.CharField(max_length=500, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    blind_since = models.DateTimeField(null=True)
    seeing_since = models.DateTimeField(null=True)
    last_ok_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    mailboxes_listed_at = models.DateTimeField(null=True)
    groups_at = models.DateTimeField(null=True)
    groups_error = models.TextField(blank=True, default="", db_default="")
    list_due_at = models.DateTimeField(default=timezone.now)
    watch_due_at = models.DateTimeField(default=timezone.now)
    trace_due_at = models.DateTimeField(default=timezone.now, db_default=Now())
    verdicts_due_at = models.DateTimeField(default=timezone.now, db_default=Now())
    sweep_due_at = models.DateTimeField(default=timezone.now, db_default=Now())
    traced_until = models.DateTimeField(null=True)
    trace_error = models.TextField(blank=True, default="", db_default="")
    seals_pushes = models.BooleanField(default=False, db_default=False)
    sealed_push_keys = models.BinaryField(default=bytes, db_default=b"")
    rests_until = models.DateTimeField(null=True)
    quarantine_folder = models.CharField(max_length=100, default="Bailey Quarantine")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "kind"], name="connection_tenant")]


class MailboxSync(TenantModel):
    """How far one mailbox was read.  ``cursor`` is committed with the rows it covers.

    ``dirty_at`` set: a hint that something changed.  Until ``whole_due_at`` a quick look at the
    newest mail is enough; then everything since the cursor is listed, which is done again after
    ``whole_every_s``.  The push fields name the
    subscription; ``push_error`` says why there is none, and then the mailbox is only polled.
    ``push_key``: the key that it was ordered with, "" where it does not bring what changed.
    ``lifecycle_event``: what the host last said of the order itself, in its own word.
    ``notices_refused``: how many notices did not prove what they said; ``refused_why``: the last.
    ``push_began_at``: since when it stands; ``heard_at``: the last hint.  ``caught_up_at``: what
    was received before it should be known; ``checked_at``, ``check_due_at``: when the list of ids
    was last, and is next, held against what is known (api_bridge/gaps).
    """

    mailbox = tenant_key("tenants.Mailbox")
    connection = tenant_key("api_bridge.Connection")
    cursor = models.TextField(default="", blank=True)
    dirty_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    whole_due_at = models.DateTimeField(default=timezone.now)
    whole_every_s = models.PositiveIntegerField(default=600, db_default=600)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    push_id = models.CharField(max_length=100, blank=True)
    sealed_client_state = models.BinaryField(default=bytes)
    push_expires_at = models.DateTimeField(null=True)
    push_due_at = models.DateTimeField(default=timezone.now)
    push_began_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)
    caught_up_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_due_at = models.DateTimeField(default=timezone.now)
    push_error = models.TextField(blank=True)
    push_key = models.CharField(max_length=100, blank=True, default="", db_default="")
    lifecycle_event = models.CharField(max_length=60, blank=True, default="", db_default="")
    lifecycle_at = models.DateTimeField(null=True)
    notices_refused = models.PositiveIntegerField(default=0, db_default=0)
    refused_why = models.TextField(blank=True, default="", db_default="")

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "mailbox"], name="sync_once"),
            models.UniqueConstraint(
                fields=["push_id"], condition=~models.Q(push_id=""), name="push_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "due_at"], name="sync_due")]


class SeenItem(TenantModel):
    """An item of a mailbox as it was last listed, so that only changes become observations.

    ``place`` "": it could not be scanned yet, ``failures`` times.  ``is_judged`` False: known, and
    no observation tells of it (sent mail, mail from before the connection).  ``again_at``: when it
    is judged again as far as more is known (api_bridge/again), None: not any more.
    ``gap``: how it should have been found, and was not; ``found_at``: when it was, where there is
    one.
    """

    class Gap(models.TextChoices):
        UNANNOUNCED = "unannounced", "No push announced it"
        MISSED = "missed", "An earlier reading missed it"
        IMPORTED = "imported", "It was put there with an old date"

    mailbox = tenant_key("tenants.Mailbox")
    item_id = models.CharField(max_length=500)
    place = models.CharField(max_length=12)
    is_read = models.BooleanField()
    received_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(default=0)
    is_judged = models.BooleanField(default=True)
    again_at = models.DateTimeField(null=True)
    gap = models.CharField(
        max_length=12, choices=Gap.choices, blank=True, default="", db_default=""
    )
    found_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "mailbox", "item_id"], name="item_once")
        ]
        indexes: ClassVar = [
            # Mail of the last 72 hours only.
            models.Index(
                fields=["tenant", "again_at"],
                name="item_again",
                condition=models.Q(again_at__isnull=False),
            ),
            models.Index(
                fields=["tenant", "mailbox", "found_at"],
                condition=~models.Q(gap=""),
                name="item_gap",
            ),
        ]


class Correspondent(TenantModel):
    """What a client has had from a sender.  ``recipient`` "" is the client as a whole."""

    sender = models.CharField(max_length=320)
    recipient = models.CharField(max_length=320, blank=True)
    mails = models.PositiveIntegerField(default=0)
    replies = models.PositiveIntegerField(default=0)
    features = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "sender", "recipient"], name="correspondent_once"
            )
        ]


class TracedMail(TenantModel):
    """A copy that the mail host has on record as passed through it: what it did with it, not what
    this layer saw.  ``mailbox`` None: the address is of the client, and no mailbox of it is known.
    """

    mailbox = tenant_key("tenants.Mailbox", null=True)
    connection = tenant_key("api_bridge.Connection")
    trace_id = models.CharField(max_length=100)
    recipient = models.CharField(max_length=320)
    sender = models.CharField(max_length=320, blank=True)
    internet_message_id = models.CharField(max_length=1000)
    subject = models.TextField(blank=True)
    status = models.CharField(max_length=12)
    received_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "trace_id", "recipient"], name="traced_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-received_at"], name="traced_received"),
        ]


class PushNotice(TenantModel):
    """A push that brought what changed, sealed as it came, until the worker has opened it.

    ``tokens``: what it brought as proof.
    """

    mailbox = tenant_key("tenants.Mailbox")
    content = models.JSONField()
    tokens = models.JSONField()
    came_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "came_at"], name="notice_came")]
