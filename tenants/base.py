"""What every table of clients' rows shares: the client, and a guard with a readable error.

The wall itself is in the database (tenants/rls.py).  Without a scope the database says "permission
denied"; the guard says what to do about it, and closes lazy querysets that outlive their scope.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, TypeVar

from django.db import models

from tenants.ids import new_id
from tenants.scope import current_scope

_M_co = TypeVar("_M_co", bound=models.Model, covariant=True)


class ScopedQuerySet(models.QuerySet[_M_co]):
    """Raises ``NoTenantScope`` when it is evaluated outside a scope."""


def _guarded(name: str) -> Callable[..., Any]:
    inner = getattr(models.QuerySet, name)

    @wraps(inner)
    def method(self: ScopedQuerySet[models.Model], *args: Any, **kwargs: Any) -> Any:
        current_scope()
        return inner(self, *args, **kwargs)

    return method


# Every road from a queryset to the database goes through one of these.
for _name in (
    *("_fetch_all", "_insert", "_update", "_raw_delete", "iterator", "count", "exists"),
    *("aggregate", "update", "delete", "raw"),
):
    setattr(ScopedQuerySet, _name, _guarded(_name))

ScopedManager = models.Manager.from_queryset(ScopedQuerySet)


class ScopedModel(models.Model):
    """A row that is only seen inside a scope."""

    objects: ClassVar = ScopedManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"


class TenantModel(ScopedModel):
    """A row of one client, with a public id that sorts by time."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta(ScopedModel.Meta):
        abstract = True


def tenant_key(to: str, *, related_name: str = "+", null: bool = False) -> Any:
    """A foreign key within one client; its constraint is ``AddTenantForeignKey``."""
    return models.ForeignKey(
        to,
        on_delete=models.DO_NOTHING,
        related_name=related_name,
        db_constraint=False,
        db_index=False,
        null=null,
        blank=null,
    )
