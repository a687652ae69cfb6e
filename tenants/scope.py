"""The wall, seen from Python: which clients this piece of work may touch.  See docs/isolation.md.

``tenant_scope`` opens a transaction and tells PostgreSQL the role and the client ids; row-level
security does the rest.  There is no value that means "all": an analyst's scope is the list of the
clients assigned to her now.  Never call a vendor inside a scope: it is a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from django.db import connection, transaction

from tenants.failpoints import failpoint


class Role(StrEnum):
    """What a scope becomes in the database."""

    ANALYST = "c_analyst"
    PORTAL = "c_portal"
    WORKER = "c_worker"
    MAINTENANCE = "janitor"


class NoTenantScope(RuntimeError):
    """Client data was read or written outside ``tenant_scope``."""


@dataclass(frozen=True, slots=True)
class Scope:
    """``provider_id`` None: rows that belong to the provider alone stay out of sight."""

    role: Role
    tenant_ids: tuple[int, ...]
    provider_id: int | None


_scope: ContextVar[Scope | None] = ContextVar("tenant_scope", default=None)


def current_scope() -> Scope:
    """The scope of this piece of work.  Raises ``NoTenantScope`` where none is open."""
    scope = _scope.get()
    if scope is None:
        raise NoTenantScope("Client data is reached only inside tenant_scope(role, tenant_ids).")
    return scope


def has_scope() -> bool:
    return _scope.get() is not None


def _apply(scope: Scope | None) -> None:
    role = scope.role.value if scope else "none"
    ids = ",".join(map(str, scope.tenant_ids)) if scope else ""
    provider = str(scope.provider_id) if scope and scope.provider_id is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.tenant_ids', %s, true),"
            " set_config('app.provider_id', %s, true), set_config('role', %s, true)",
            [ids, provider, role],
        )


@contextmanager
def _open(scope: Scope) -> Iterator[Scope]:
    outer = _scope.get()
    with transaction.atomic():
        _apply(scope)
        token = _scope.set(scope)
        try:
            yield scope
        finally:
            _scope.reset(token)
        if outer is None:
            failpoint("before_commit")
    # A released savepoint keeps what SET LOCAL set: give the outer scope its own values back.
    if connection.in_atomic_block and not connection.needs_rollback:
        _apply(outer)
    if outer is None:
        failpoint("after_commit")


@contextmanager
def tenant_scope(
    role: Role, tenant_ids: Iterable[int], *, provider_id: int | None = None
) -> Iterator[Scope]:
    """Work on these clients, and no others, in one transaction.

    Raises ``ValueError`` for an empty list of clients without a provider: that would be no scope.
    """
    ids = tuple(sorted({int(tenant_id) for tenant_id in tenant_ids}))
    if not ids and provider_id is None:
        raise ValueError("A scope names at least one client.")
    if role is Role.MAINTENANCE:
        raise ValueError("Maintenance has a scope of its own: maintenance_scope().")
    if role is Role.PORTAL and len(ids) != 1:
        raise ValueError("The portal shows one client.")
    with _open(Scope(role, ids, provider_id)) as scope:
        yield scope


@contextmanager
def maintenance_scope() -> Iterator[Scope]:
    """The owner's named commands: making a provider, removing a client.

    Sees every row.  Only the owner's login may become ``janitor``; any other gets "permission
    denied".
    """
    with _open(Scope(Role.MAINTENANCE, (), None)) as scope:
        yield scope
