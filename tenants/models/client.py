"""Providers and their clients."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from typing_extensions import override

from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class Provider(ScopedModel):
    """The MSP."""

    id = models.BigAutoField(primary_key=True)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        pass

    @override
    def __str__(self) -> str:
        return self.name


class Tenant(ScopedModel):
    """A company that the provider protects; people see it as *client*.

    ``protected_since`` None: the gateway is not in front yet, so mail without its trace is no
    bypass.
    ``body_access_allowed`` is the client's own switch: off, nobody of the provider opens content.
    ``shares_warnings`` off: it neither counts among the "other organisations" of a warning nor sees
    one.
    ``data_key`` is the client's key for stored bytes, wrapped by the installation's master key.
    """

    id = models.BigAutoField(primary_key=True)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC")
    contact_name = models.CharField(max_length=200, blank=True)
    contact_phone = models.CharField(max_length=64, blank=True)
    contact_email = models.EmailField(blank=True)
    contact_hours = models.CharField(max_length=200, blank=True)
    contact_language = models.CharField(max_length=64, blank=True)
    protected_since = models.DateTimeField(null=True, blank=True)
    body_access_allowed = models.BooleanField(default=True)
    shares_warnings = models.BooleanField(default=True)
    data_key = models.BinaryField(default=bytes)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        ordering = ("name",)

    @override
    def __str__(self) -> str:
        return self.name


class ClientGroup(ScopedModel):
    """A name for some of the provider's clients, by which its staff narrows lists.

    The clients themselves see neither the group nor its name.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                models.F("provider"), Lower("name"), name="client_group_name_once"
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name


class GroupMember(TenantModel):
    """This client is in this group; a client may be in several."""

    group = models.ForeignKey(ClientGroup, on_delete=models.CASCADE, related_name="members")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "group"], name="group_member_once")
        ]


class Domain(TenantModel):
    """A mail domain of a client.  Its name is unique over all clients: mail is routed by it.

    ``backup_hop_host`` "": there is none.  ``asks_hop``: the mail host is asked for a recipient who
    is in no list; else such a one does not exist.
    """

    class Tls(models.TextChoices):
        MAY = "may", "Where the mail host offers it"
        MUST = "must", "Always: no mail goes without"
        VERIFY = "verify", "Always, with a certificate that is good for the host's name"

    name = models.CharField(max_length=255, unique=True)
    next_hop_host = models.CharField(max_length=255)
    next_hop_port = models.PositiveIntegerField(default=25)
    backup_hop_host = models.CharField(max_length=255, blank=True)
    backup_hop_port = models.PositiveIntegerField(default=25)
    hop_tls = models.CharField(max_length=10, choices=Tls.choices, default=Tls.MAY)
    asks_hop = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "name"], name="domain_tenant_name")]

    @override
    def __str__(self) -> str:
        return self.name


class Mailbox(TenantModel):
    """One mailbox of a client.  ``external_id`` is the mail host's id, "" if not connected."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        NO_MAILBOX = "no_mailbox", "No mailbox behind this user"
        BLIND = "blind", "Cannot be read now"
        GONE = "gone", "Removed at the mail host"

    domain = models.ForeignKey(
        Domain, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    address = models.CharField(max_length=320)
    aliases = models.JSONField(default=list, blank=True)
    display_name = models.CharField(max_length=200, blank=True)
    job_title = models.CharField(max_length=200, blank=True)
    is_vip = models.BooleanField(default=False)
    external_id = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "address"], name="mailbox_tenant_address")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "domain"], name="mailbox_domain")]

    @override
    def __str__(self) -> str:
        return self.address


class MailboxGroup(TenantModel):
    """A group of a client's mailboxes, as its mail host's directory has it.

    It is followed, never changed here.  ``external_id`` is the host's own id, which stays when it
    is renamed; ``source_id`` the connection that lists it.  ``members_at`` None: its members were
    never read whole.  ``gone_at``: when the directory no longer listed it; such a group decides
    nothing, and comes back under the same id.
    """

    source_id = models.UUIDField()
    external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=256)
    address = models.CharField(max_length=320, blank=True)
    members_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "source_id", "external_id"], name="mailbox_group_once"
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name


class MailboxGroupMember(TenantModel):
    """This mailbox is in this group, by whatever chain of groups in between."""

    group = tenant_key("tenants.MailboxGroup", related_name="members")
    mailbox = tenant_key("tenants.Mailbox")

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "group", "mailbox"], name="mailbox_group_member_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "mailbox"], name="mailbox_group_of_mailbox")
        ]
