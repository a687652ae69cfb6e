"""Policies as they are stored: what each level states, changes of it, templates, pushes."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class PolicyLayer(ScopedModel):
    """What one level states of the gateway's policy; what it does not state it inherits.

    ``stated``: key → ``{"value", "by", "at", "reason"}`` (policies/keys.py).  ``tenant`` None: a
    level of the provider's, of one of its groups where ``group`` is named; ``mailbox_group``: of a
    group of the client's directory.  ``version`` grows with
    each change, so that nobody overwrites what she has not seen.  ``template`` names what was
    applied last.
    """

    class Level(models.TextChoices):
        PROVIDER = "provider", "All clients"
        GROUP = "group", "Group of clients"
        CLIENT = "client", "Client"
        DOMAIN = "domain", "Domain"
        DIRECTORY = "directory", "Group of the directory"
        MAILBOX = "mailbox", "Mailbox"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    level = models.CharField(max_length=10, choices=Level.choices)
    group = models.ForeignKey(
        "tenants.ClientGroup", on_delete=models.CASCADE, related_name="+", null=True
    )
    domain = tenant_key("tenants.Domain", null=True)
    mailbox = tenant_key("tenants.Mailbox", null=True)
    mailbox_group = tenant_key("tenants.MailboxGroup", null=True)
    stated = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    template = models.CharField(max_length=100, blank=True)
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(
                    level="provider",
                    group__isnull=True,
                    tenant__isnull=True,
                    domain__isnull=True,
                    mailbox__isnull=True,
                    mailbox_group__isnull=True,
                )
                | models.Q(
                    level="group",
                    group__isnull=False,
                    tenant__isnull=True,
                    domain__isnull=True,
                    mailbox__isnull=True,
                    mailbox_group__isnull=True,
                )
                | models.Q(
                    level="client",
                    group__isnull=True,
                    tenant__isnull=False,
                    domain__isnull=True,
                    mailbox__isnull=True,
                    mailbox_group__isnull=True,
                )
                | models.Q(
                    level="domain",
                    group__isnull=True,
                    tenant__isnull=False,
                    domain__isnull=False,
                    mailbox__isnull=True,
                    mailbox_group__isnull=True,
                )
                | models.Q(
                    level="directory",
                    group__isnull=True,
                    tenant__isnull=False,
                    domain__isnull=True,
                    mailbox__isnull=True,
                    mailbox_group__isnull=False,
                )
                | models.Q(
                    level="mailbox",
                    group__isnull=True,
                    tenant__isnull=False,
                    domain__isnull=True,
                    mailbox__isnull=False,
                    mailbox_group__isnull=True,
                ),
                name="policy_layer_fits_level",
            ),
            models.UniqueConstraint(
                fields=["provider"],
                condition=models.Q(level="provider"),
                name="policy_layer_provider_once",
            ),
            models.UniqueConstraint(
                fields=["group"],
                condition=models.Q(level="group"),
                name="policy_layer_group_once",
            ),
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(level="client"),
                name="policy_layer_client_once",
            ),
            models.UniqueConstraint(
                fields=["tenant", "domain"],
                condition=models.Q(level="domain"),
                name="policy_layer_domain_once",
            ),
            models.UniqueConstraint(
                fields=["tenant", "mailbox"],
                condition=models.Q(level="mailbox"),
                name="policy_layer_mailbox_once",
            ),
            models.UniqueConstraint(
                fields=["tenant", "mailbox_group"],
                condition=models.Q(level="directory"),
                name="policy_layer_directory_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "level"], name="policy_layer_tenant")]


class PolicyChange(ScopedModel):
    """A change that somebody asks for at one level: rehearsed, looked at, then made or left.

    ``states`` key → value; ``inherits`` keys given back.  ``differences``: what changes of the
    effective policy, as the person saw it (policies/effective.py).  ``seen``: layer → its version
    when she looked, of the whole chain.  ``batch`` joins the rehearsals, None: no mail would be
    treated otherwise.  ``despite``: objections that stood when it was made.
    """

    class State(models.TextChoices):
        REHEARSED = "rehearsed", "Rehearsed"
        MADE = "made", "Made"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    level = models.CharField(max_length=10, choices=PolicyLayer.Level.choices)
    group = models.ForeignKey(
        "tenants.ClientGroup", on_delete=models.CASCADE, related_name="+", null=True
    )
    domain = tenant_key("tenants.Domain", null=True)
    mailbox = tenant_key("tenants.Mailbox", null=True)
    mailbox_group = tenant_key("tenants.MailboxGroup", null=True)
    states = models.JSONField(default=dict)
    inherits = models.JSONField(default=list)
    template = models.CharField(max_length=100, blank=True)
    differences = models.JSONField(default=list)
    seen = models.JSONField(default=dict)
    batch = models.UUIDField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.REHEARSED)
    asked_by_id = models.UUIDField(null=True)
    asked_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    made_at = models.DateTimeField(null=True)
    made_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    despite = models.JSONField(default=list)

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-created_at"], name="policy_change_tenant"),
            models.Index(fields=["provider", "-created_at"], name="policy_change_provider"),
        ]


class PolicyTemplate(ScopedModel):
    """A whole policy of the provider's to begin with; Bailey's own stand in policies/templates.py.

    ``values``: key → value.  Applying it makes a level state these and nothing else.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    words = models.CharField(max_length=300, blank=True)
    values = models.JSONField(default=dict)
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "name"], name="policy_template_once")
        ]

    @override
    def __str__(self) -> str:
        return self.name


class PolicyPush(ScopedModel):
    """One change for many clients: rehearsed for each, then made for those that a person approves.

    ``reason`` and ``despite`` are of the last approval, "" before the first.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    states = models.JSONField(default=dict)
    inherits = models.JSONField(default=list)
    template = models.CharField(max_length=100, blank=True)
    asked_by_id = models.UUIDField(null=True)
    asked_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    approved_by_id = models.UUIDField(null=True)
    approved_by = models.CharField(max_length=200, blank=True)
    approved_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    despite = models.BooleanField(default=False)
    stopped_by = models.CharField(max_length=200, blank=True)
    stopped_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["provider", "-created_at"], name="policy_push_provider")
        ]


class PolicyPushItem(TenantModel):
    """What became of a push for one client.  ``cause``: why it failed, or what the rehearsal
    objects; ``is_approved``: a person wants it made.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting for its rehearsal"
        REHEARSED = "rehearsed", "Rehearsed"
        OBJECTED = "objected", "The rehearsal objects"
        MADE = "made", "Made"
        UNCHANGED = "unchanged", "Stated so already"
        FAILED = "failed", "Failed"
        STOPPED = "stopped", "Stopped"

    push = models.ForeignKey(PolicyPush, on_delete=models.CASCADE, related_name="items")
    change = tenant_key("seg_bridge.PolicyChange", null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    is_approved = models.BooleanField(default=False)
    cause = models.TextField(blank=True)
    tries = models.PositiveSmallIntegerField(default=1)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "push"], name="policy_push_item_once")
        ]
