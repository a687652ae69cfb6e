"""People, what they may see, and the keys their programs use."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from typing_extensions import override

from tenants.base import ScopedManager, ScopedModel, TenantModel
from tenants.ids import new_id


class Person(AbstractBaseUser, ScopedModel):
    """Somebody who signs in by e-mail.

    Staff of the provider carry no client: a lead sees all clients of the provider, an analyst those
    assigned to her.  A client's reader carries the one client whose portal she sees.
    """

    class Role(models.TextChoices):
        LEAD = "lead", "Lead"
        ANALYST = "analyst", "Analyst"
        CLIENT_READER = "client_reader", "Client reader"

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=20, choices=Role.choices)
    is_active = models.BooleanField(default=True)
    may_open_content = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_login = None

    # Filled by the door that found the person: the clients she may see now.
    visible_tenant_ids: tuple[int, ...] = ()

    objects: ClassVar = ScopedManager()

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(role="client_reader", tenant__isnull=False)
                | models.Q(role__in=("lead", "analyst"), tenant__isnull=True),
                name="person_client_fits_role",
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name

    @property
    def is_staff_of_provider(self) -> bool:
        return self.role in (self.Role.LEAD, self.Role.ANALYST)

    @property
    def is_lead(self) -> bool:
        return self.role == self.Role.LEAD

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in self.name.split()[:2]).upper()


class Assignment(TenantModel):
    """This analyst works for this client."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "person"], name="assignment_once")
        ]


class ApiToken(ScopedModel):
    """A program's key.  Only a digest is stored; it sees what its person sees."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        pass


class IdempotencyKey(ScopedModel):
    """What a POST with this key answered, so that a retry gets the same answer and acts once.

    ``status`` None: the first request is still at work.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "person", "key"], name="idempotency_key_once"
            )
        ]


class Session(AbstractBaseSession):
    """A signed-in browser.  Console and portal see only their own surface's rows, by policy."""

    surface = models.CharField(max_length=10)

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        db_table = "tenants_session"
