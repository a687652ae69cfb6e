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
from api_bridge.access.models import Grant, Purpose, ServiceAccount
from api_bridge.access.permissions import GOOGLE_NEEDS, missing
from api_bridge.access.registrations import QUEUE
from api_bridge.access.service_accounts import service_account
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
class Account:
    """One service account of a Google connection and what it is asked for.

    ``own_id``: the provider's account for this purpose; None: the connection's own.
    """

    connection_id: UUID
    purposes: frozenset[str]
    wired: connectors.Connection
    own_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Delegation:
    """What was asked of one account.  ``checks`` None: it could not be asked at all."""

    account: Account
    checks: Sequence[ScopeCheck] | None

    @property
    def is_whole(self) -> bool:
        return not any(each.may_pass for each in self.checks or ())

    @property
    def is_refused(self) -> bool:
        """Google does not take the key of the provider's own account: that says nothing of what the
        client has delegated to it.
        """
        own = self.account.own_id is not None
        return own and any(each.is_refused for each in self.checks or ())


def ask_scopes(*, tenant: Tenant, actor: Person) -> None:
    """A worker tries them in seconds.  Raises ``NotAllowed``, or ``Conflict`` without Google."""
    must_lead(actor, LEADS)
    if not Connection.objects.filter(tenant=tenant, kind=Connection.Kind.GOOGLE).exists():
        raise Conflict("The client's mail is not at Google, as far as is known here.")
    want_work(tenant.id, QUEUE)


def google_accounts() -> list[Account]:
    """Needs the client's scope with its provider."""
    own = service_account(Purpose.RESPOND)
    found = []
    for row in Connection.objects.filter(kind=Connection.Kind.GOOGLE).order_by("id"):
        everything, apart = frozenset(GOOGLE_NEEDS), frozenset({str(Purpose.RESPOND)})
        if own is None:
            found.append(Account(row.id, everything, wire_connection(row)))
            continue
        found.append(Account(row.id, everything - apart, wire_connection(row)))
        found.append(Account(row.id, apart, wire_connection(row, Purpose.RESPOND), own.id))
    return found


def ask_google(account: Account) -> Delegation:
    """Calls Google: never inside a scope."""
    try:
        checks: Sequence[ScopeCheck] | None = check_scopes(
            account.wired, shared_runtime(), purposes=account.purposes
        )
    except BridgeError:
        checks = None
    return Delegation(account, checks)


def keep_delegation(tenant_id: int, found: Delegation) -> list[Trouble]:
    """What is delegated now, as grants; answers what is missing of purposes that were granted.

    Needs the client's scope.  A scope of which Google said nothing stays as it was.
    """
    if found.checks is None:
        return []
    refused = _note_account(found)
    if refused:
        return refused
    works = {each.scope for each in found.checks if each.is_ok}
    unclear = {each.scope for each in found.checks if each.may_pass}
    connection_id = found.account.connection_id
    troubles: list[Trouble] = []
    for purpose, needs in GOOGLE_NEEDS.items():
        if purpose not in found.account.purposes:
            continue
        names = {need.name for need in needs} | {name for need in needs for name in need.covered_by}
        grant = Grant.objects.filter(
            tenant_id=tenant_id, connection=connection_id, purpose=purpose
        ).first()
        stood = grant is not None and grant.lost_at is None
        # What was delegated to another account says nothing of this one.
        is_same = grant is not None and grant.client_id == found.account.wired.client_id
        was = set(grant.roles) if grant is not None and stood and is_same else set()
        roles = names & (works | (unclear & was))
        if grant is None and not roles:
            continue
        _keep(tenant_id, found, purpose, sorted(roles))
        if purpose == Purpose.RESPOND and roles - was:
            _try_at_once(tenant_id, connection_id)
        troubles += _troubles(purpose, roles)
    return troubles


def _note_account(found: Delegation) -> list[Trouble]:
    """Whether the key of the provider's own account is taken stands with it, too."""
    account = found.account
    if account.own_id is None or found.checks is None:
        return []
    label = Purpose.RESPOND.label
    rows = ServiceAccount.objects.filter(id=account.own_id)
    if not found.is_refused:
        rows.exclude(trouble="").update(trouble="")
        return []
    words = next(each.problem for each in found.checks if each.is_refused)
    rows.exclude(trouble=words).update(trouble=words)
    said = f"The key of the service account of “{label}” is refused: {words} Enter a new one."
    return [Trouble(code="secret", key=f"google/{Purpose.RESPOND}/refused", words=said)]


def _keep(tenant_id: int, found: Delegation, purpose: str, roles: Sequence[str]) -> None:
    now = timezone.now()
    account = found.account
    rows = Grant.objects.filter(
        tenant_id=tenant_id, connection=account.connection_id, purpose=purpose
    )
    client_id = account.wired.client_id
    if not roles:
        label = Purpose(purpose).label
        when = "any more" if rows.filter(client_id=client_id).exists() else "yet"
        trouble = f"No scope of “{label}” is delegated to client id {client_id} {when}."
        rows.filter(lost_at=None).update(lost_at=now)
        rows.update(checked_at=now, trouble=trouble)
        return
    kept = {"client_id": client_id, "roles": list(roles), "checked_at": now}
    if not rows.update(**kept, lost_at=None, trouble=""):
        Grant.objects.create(
            tenant_id=tenant_id,
            connection_id=account.connection_id,
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
