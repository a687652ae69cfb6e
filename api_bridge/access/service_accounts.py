"""The provider's own service account for account response at Google.

A client's admin delegates scopes to a client id.  With one account for everything a client that
says no to account response must leave out scopes; with a second one it says no to that.  Where
there is a second one, nothing of account response is asked or done with the first any more.
Every function runs in a scope of the provider and calls no vendor.
"""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.models import Grant, Purpose, ServiceAccount
from api_bridge.access.registrations import LEADS, QUEUE
from api_bridge.connectors.google.settings import read_account
from api_bridge.errors import Rejected
from api_bridge.models import Connection
from tenants.audit import write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.ids import new_id
from tenants.models import Person
from tenants.people import must_lead
from tenants.secrets import seal, unseal
from tenants.work import want_work

KEPT = "api_bridge.service_account.kept"
REMOVED = "api_bridge.service_account.removed"
# Reading and moving go by the account of each connection.
OWN_ACCOUNT_FOR = (Purpose.RESPOND,)


def service_account(purpose: str) -> ServiceAccount | None:
    """The scope's provider's; None: the connection's own account does it."""
    if purpose not in OWN_ACCOUNT_FOR:
        return None
    found: ServiceAccount | None = ServiceAccount.objects.filter(purpose=purpose).first()
    return found


def access_service_account(purpose: str) -> ServiceAccount:
    """Raises ``NotThere``."""
    if (found := service_account(purpose)) is None:
        raise NotThere
    return found


def delegated_clients(row: ServiceAccount) -> list[str]:
    """Names of the clients in scope that delegate to it."""
    using = Grant.objects.filter(client_id=row.client_id, purpose=row.purpose, lost_at=None)
    return sorted(set(using.values_list("tenant__name", flat=True)))


@transaction.atomic
def keep_service_account(*, purpose: str, key_json: str, actor: Person) -> ServiceAccount:
    """Enters it, or a new key of it.  Clients at Google are looked at anew at once.

    Raises ``NotAllowed``, ``WrongInput``, or ``Conflict`` where clients delegate to another one.
    """
    must_lead(actor, LEADS)
    if purpose not in OWN_ACCOUNT_FOR:
        raise WrongInput("Only account response has a service account of its own.")
    try:
        account = read_account(key_json)
    except Rejected as error:
        raise WrongInput(str(error)) from error
    if Connection.objects.filter(kind=Connection.Kind.GOOGLE, client_id=account.client_id).exists():
        raise WrongInput(
            "This service account reads a client's mail already. Account response needs another:"
            " else a client could not refuse it alone."
        )
    row = service_account(purpose)
    is_new = row is None
    row = row or ServiceAccount(id=new_id(), provider_id=actor.provider_id, purpose=purpose)
    _check_users(row, account.client_id)
    row.client_id, row.client_email = account.client_id, account.client_email
    row.sealed_key = seal(key_json.encode(), place=_place(row))
    row.changed_by, row.changed_at, row.trouble = actor.name, timezone.now(), ""
    row.save(force_insert=is_new)
    _done(KEPT, row, actor)
    return row


def _check_users(row: ServiceAccount, client_id: str) -> None:
    """A client has delegated to a client id: another one would need it anew."""
    if not row.client_id or row.client_id == client_id:
        return
    if names := delegated_clients(row):
        raise Conflict(
            f"{len(names)} clients delegate to {row.client_id} ({', '.join(names[:3])}). Another"
            " service account would need that anew: enter a key of this one, or remove it first."
        )


@transaction.atomic
def remove_service_account(*, purpose: str, actor: Person) -> None:
    """From now on the account of each connection does it.  Raises ``NotAllowed``, ``NotThere``."""
    must_lead(actor, LEADS)
    row = access_service_account(purpose)
    _done(REMOVED, row, actor)
    row.delete()


def _done(action: str, row: ServiceAccount, actor: Person) -> None:
    """For the log; and clients at Google are looked at anew."""
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        object_kind="service_account",
        object_id=row.id,
        purpose=row.purpose,
        client_id=row.client_id,
    )
    at_google = Connection.objects.filter(kind=Connection.Kind.GOOGLE)
    for tenant_id in at_google.order_by().values_list("tenant_id", flat=True).distinct():
        want_work(tenant_id, QUEUE)


def _place(row: ServiceAccount) -> str:
    return f"api_bridge_serviceaccount.sealed_key/{row.provider_id}/{row.id}"


def open_key(row: ServiceAccount) -> str:
    """The key file.  Keep it in memory only."""
    return unseal(bytes(row.sealed_key), place=_place(row)).decode()


def with_account(wired: connectors.Connection, row: ServiceAccount) -> connectors.Connection:
    """The same customer at Google, asked by this account."""
    return asked_by(wired, row.client_id, open_key(row))


def asked_by(wired: connectors.Connection, client_id: str, key_json: str) -> connectors.Connection:
    """The same customer, asked by another account, which hears of no changes: the topic is the
    connection's own.
    """
    kept = tuple(pair for pair in wired.settings if pair[0] == "admin")
    return replace(wired, client_id=client_id, client_secret=key_json, settings=kept)
