"""Which scopes a client's admin has delegated at Google: each asked by a live call, hourly.

There is no consent page to come back from: what the calls show is kept as the client's grants, one
for each purpose of which at least one scope works.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.consent import LEADS
from api_bridge.access.models import Grant, Purpose
from api_bridge.access.permissions import GOOGLE_NEEDS, missing
from api_bridge.access.registrations import QUEUE
from api_bridge.connectors.google.verify import ScopeCheck, check_scopes
from api_bridge.errors import BridgeError
from api_bridge.models import AccountLook, AccountStep, Connection
from api_bridge.runtime import shared_runtime, wire_connection
from incidents.findings import Trouble
from tenants.errors import Conflict
from tenants.models import Person, Tenant
from tenants.people import must_lead
from tenants.work import want_work

BY = "the Admin console"


@dataclass(frozen=True, slots=True)
class Delegation:
    """What was asked of one Google connection.  ``checks`` None: it could not be asked at all."""

    connection_id: UUID
    client_id: str
    checks: Sequence[ScopeCheck] | None

    @property
    def is_whole(self) -> bool:
        return not any(each.may_pass for each in self.checks or ())


def ask_scopes(*, tenant: Tenant, actor: Person) -> None:
    """A worker tries them in seconds.  Raises ``NotAllowed``, or ``Conflict`` without Google."""
    must_lead(actor, LEADS)
    if not Connection.objects.filter(tenant=tenant, kind=Connection.Kind.GOOGLE).exists():
        raise Conflict("The client's mail is not at Google, as far as is known here.")
    want_work(tenant.id, QUEUE)


def google_connections() -> list[tuple[UUID, connectors.Connection]]:
    """Needs the client's scope."""
    rows = Connection.objects.filter(kind=Connection.Kind.GOOGLE).order_by("id")
    return [(row.id, wire_connection(row)) for row in rows]


def ask_google(connection_id: UUID, wired: connectors.Connection) -> Delegation:
    """Calls Google: never inside a scope."""
    try:
        checks: Sequence[ScopeCheck] | None = check_scopes(wired, shared_runtime())
    except BridgeError:
        checks = None
    return Delegation(connection_id, wired.client_id, checks)


def keep_delegation(tenant_id: int, found: Delegation) -> list[Trouble]:
    """What is delegated now, as grants; answers what is missing of purposes that were granted.

    Needs the client's scope.  A scope of which Google said nothing stays as it was.
    """
    if found.checks is None:
        return []
    works = {each.scope for each in found.checks if each.is_ok}
    unclear = {each.scope for each in found.checks if each.may_pass}
    troubles: list[Trouble] = []
    for purpose, needs in GOOGLE_NEEDS.items():
        names = {need.name for need in needs} | {name for need in needs for name in need.covered_by}
        grant = Grant.objects.filter(
            tenant_id=tenant_id, connection=found.connection_id, purpose=purpose
        ).first()
        was = set(grant.roles) if grant and grant.lost_at is None else set()
        roles = names & (works | (unclear & was))
        if grant is None and not roles:
            continue
        _keep(tenant_id, found, purpose, sorted(roles))
        if purpose == Purpose.RESPOND and roles - was:
            _try_at_once(tenant_id, found.connection_id)
        troubles += _troubles(purpose, roles)
    return troubles


def _keep(tenant_id: int, found: Delegation, purpose: str, roles: Sequence[str]) -> None:
    now = timezone.now()
    rows = Grant.objects.filter(
        tenant_id=tenant_id, connection=found.connection_id, purpose=purpose
    )
    if not roles:
        label = Purpose(purpose).label
        trouble = f"No scope of “{label}” is delegated in the Admin console any more."
        rows.filter(lost_at=None).update(lost_at=now)
        rows.update(checked_at=now, trouble=trouble)
        return
    kept = {"client_id": found.client_id, "roles": list(roles), "checked_at": now}
    if not rows.update(**kept, lost_at=None, trouble=""):
        Grant.objects.create(
            tenant_id=tenant_id,
            connection_id=found.connection_id,
            purpose=purpose,
            granted_by=BY,
            granted_at=now,
            **kept,
        )


def _try_at_once(tenant_id: int, connection_id: UUID) -> None:
    """What was off, and what waited for it."""
    now = timezone.now()
    looks = AccountLook.objects.filter(tenant_id=tenant_id, connection=connection_id)
    looks.update(due_at=now)
    waiting = AccountStep.objects.filter(tenant_id=tenant_id, state=AccountStep.State.PENDING)
    waiting.update(due_at=now)


def _troubles(purpose: str, roles: Collection[str]) -> list[Trouble]:
    label = Purpose(purpose).label
    return [
        Trouble(
            code="permission",
            key=f"{purpose}/{need.name}",
            words=f"{need.short} ({label}) is not delegated. {need.without}",
        )
        for need in missing(purpose, roles, "google")
        if not need.is_extra
    ]
