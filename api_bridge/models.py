"""The mailbox layer: connections, how far each mailbox was read, what is known of senders."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
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
)
from tenants.base import TenantModel, tenant_key

__all__ = [
    "AppRegistration",
    "Connection",
    "Consent",
    "ConsentLink",
    "Correspondent",
    "Grant",
    "HostTrial",
    "MailboxDay",
    "MailboxMove",
    "MailboxSync",
    "Purpose",
    "Relationship",
    "SeenItem",
]


class Connection(TenantModel):
    """A client's mail host.  One cloud tenant belongs to one client: its id is unique.

    ``blind_since`` None: the layer sees.  ``list_due_at``: when its mailboxes are listed next, or
    a blind connection is tried again; ``watch_due_at``: when exposed copies are looked at again.
    URLs and ``ca_file`` are set by the operator, never by a client.  ``cloud_tenant_id`` is the
    host's own name of the client (Microsoft: the directory's GUID); ``settings`` are texts by name
    that only this kind of host has, none of them secret.  ``by_registrations``: the connection has
    no application of its own and goes by the provider's registrations, as far as the client granted
    them (api_bridge/access).  ``rests_until`` not None: its host did not answer, and no worker asks
    it before then.
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

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.GRAPH)
    cloud_tenant_id = models.CharField(max_length=64, unique=True)
    client_id = models.CharField(max_length=64, blank=True)
    by_registrations = models.BooleanField(default=False, db_default=False)
    sealed_secret = models.BinaryField(default=bytes)
    sealed_certificate = models.BinaryField(default=bytes)
    authority_url = models.URLField()
    api_url = models.URLField()
    ca_file = models.CharField(max_length=500, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    blind_since = models.DateTimeField(null=True)
    last_ok_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    mailboxes_listed_at = models.DateTimeField(null=True)
    list_due_at = models.DateTimeField(default=timezone.now)
    watch_due_at = models.DateTimeField(default=timezone.now)
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
    no observation tells of it (sent mail, mail from before the connection).  ``gap``: how it should
    have been found, and was not; ``found_at``: when it was, where there is one.
    """

    class Gap(models.TextChoices):
        UNANNOUNCED = "unannounced", "No push announced it"
        MISSED = "missed", "An earlier reading missed it"

    mailbox = tenant_key("tenants.Mailbox")
    item_id = models.CharField(max_length=500)
    place = models.CharField(max_length=12)
    is_read = models.BooleanField()
    received_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(default=0)
    is_judged = models.BooleanField(default=True)
    gap = models.CharField(
        max_length=12, choices=Gap.choices, blank=True, default="", db_default=""
    )
    found_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "mailbox", "item_id"], name="item_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "mailbox", "found_at"],
                condition=~models.Q(gap=""),
                name="item_gap",
            )
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
