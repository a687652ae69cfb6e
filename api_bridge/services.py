"""What people and other rooms ask of the mailbox layer: connect a client's cloud tenant.

Every function but ``verify_imap`` runs in the caller's scope and transaction and calls no vendor; a
worker follows up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from django.db import IntegrityError, transaction
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.service_accounts import asked_by
from api_bridge.connectors.google.settings import AUTHORITY_URL as GOOGLE_AUTHORITY_URL
from api_bridge.connectors.google.settings import GMAIL_URL, read_account, read_customer
from api_bridge.connectors.google.verify import ALL_PURPOSES, ScopeCheck, check_scopes
from api_bridge.connectors.imap.options import SECURITIES, check_imap
from api_bridge.errors import Rejected
from api_bridge.imap_setup import Check, ImapSettings, can_connect, verify_imap
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import certificate_place, secret_place, shared_runtime, wire_connection
from api_bridge.tokens import check_connection
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.ids import new_id
from tenants.models import Domain, Person, Tenant
from tenants.secrets import seal
from tenants.work import want_work

__all__ = [
    "Check",
    "Cloud",
    "Credentials",
    "ImapSettings",
    "can_connect",
    "connect_imap",
    "create_connection",
    "replace_credentials",
    "seal_pushes",
    "verify_imap",
]

QUEUE = "sync"
# Whether settings can work at all, by kind; each raises ``Rejected``.
_CHECKS: dict[str, Callable[[connectors.Connection, Collection[str]], object]] = {
    Connection.Kind.GRAPH: check_connection,
    Connection.Kind.GOOGLE: read_customer,
    Connection.Kind.IMAP: check_imap,
}
LONGEST_NAME = 64
_RESPONSE = frozenset({"respond"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Of the application in the client's cloud tenant: a secret, or a certificate with its key."""

    client_id: str
    secret: str = field(default="", repr=False)
    private_key_pem: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Where the provider's cloud answers; set by the operator.  ``ca_file`` "": the system's.

    ``settings``: what only this kind of host has (``Connection.settings``).
    """

    authority_url: str = "https://login.microsoftonline.com"
    api_url: str = "https://graph.microsoft.com"
    ca_file: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def create_connection(
    *,
    tenant: Tenant,
    cloud_tenant_id: str,
    credentials: Credentials,
    actor: Person | Actor,
    cloud: Cloud | None = None,
    kind: str = Connection.Kind.GRAPH,
) -> Connection:
    """Connect a client's cloud tenant; its mailboxes are read from now on.

    Raises ``WrongInput`` for settings that cannot work, ``Conflict`` where the cloud tenant is
    connected already, for this client or another: the answer is the same.
    """
    cloud = cloud or Cloud()
    connection = Connection(
        id=new_id(),
        tenant_id=tenant.id,
        kind=kind,
        cloud_tenant_id=cloud_tenant_id.strip().lower(),
        authority_url=cloud.authority_url,
        api_url=cloud.api_url,
        ca_file=cloud.ca_file,
        settings=dict(cloud.settings),
    )
    _set_credentials(connection, credentials)
    try:
        with transaction.atomic():
            connection.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("This cloud tenant is connected already.") from error
    write_audit(
        "api_bridge.connection.created",
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="connection",
        object_id=connection.id,
        cloud_tenant_id=connection.cloud_tenant_id,
        client_id=connection.client_id,
    )
    want_work(tenant.id, QUEUE)
    return connection


def google_credentials(key_json: str) -> Credentials:
    """Of a service account's key file.  Raises ``WrongInput``."""
    try:
        account = read_account(key_json)
    except Rejected as error:
        raise WrongInput(str(error)) from error
    return Credentials(client_id=account.client_id, secret=key_json)


def google_cloud(
    *, admin: str, topic: str = "", subscription: str = "", cloud: Cloud | None = None
) -> Cloud:
    """Google's addresses, or those of ``cloud``, with what a Google connection needs besides."""
    cloud = cloud or Cloud(authority_url=GOOGLE_AUTHORITY_URL, api_url=GMAIL_URL)
    given = {"admin": admin.strip(), "topic": topic.strip(), "subscription": subscription.strip()}
    return replace(cloud, settings={name: value for name, value in given.items() if value})


def verify_google(
    *,
    customer_id: str,
    key_json: str,
    admin: str,
    cloud: Cloud | None = None,
    response_key: str = "",
) -> list[ScopeCheck]:
    """Each scope by a live call, before anything is stored: what works, and what is off without.

    ``cloud``: as ``google_cloud`` makes it.  ``response_key``: of the service account by which the
    scopes of account response are tried, "": by the same one.  Calls Google, so never inside a
    scope.  Raises ``WrongInput`` for a key file or settings that cannot work.
    """
    cloud = cloud or google_cloud(admin=admin)
    settings = {**cloud.settings, "admin": admin.strip()}
    wired = connectors.Connection(
        kind=Connection.Kind.GOOGLE,
        cloud_tenant_id=customer_id.strip().lower(),
        client_id=google_credentials(key_json).client_id,
        client_secret=key_json,
        authority_url=cloud.authority_url,
        api_url=cloud.api_url,
        ca_file=cloud.ca_file,
        settings=tuple(sorted(settings.items())),
    )
    try:
        if not response_key:
            return check_scopes(wired, shared_runtime())
        account = read_account(response_key)
        second = asked_by(wired, account.client_id, response_key)
        checks = check_scopes(wired, shared_runtime(), purposes=ALL_PURPOSES - _RESPONSE)
        return [*checks, *check_scopes(second, shared_runtime(), purposes=_RESPONSE)]
    except Rejected as error:
        raise WrongInput(str(error)) from error


def connect_imap(*, tenant: Tenant, settings: ImapSettings, actor: Person | Actor) -> Connection:
    """Connect a client's IMAP server; call ``verify_imap`` before.

    Raises ``WrongInput`` for settings that cannot work or that name mailboxes of somebody else,
    ``Conflict`` where the client has a connection to this server.
    """
    own = set(Domain.objects.filter(tenant_id=tenant.id).values_list("name", flat=True))
    for address in (*settings.mailboxes, *settings.passwords):
        if address.rpartition("@")[2].strip().lower() not in own:
            raise WrongInput(f"{address} is in none of the client's domains.")
    port = settings.port or SECURITIES.get(settings.security, 0)
    server = f"{settings.host.strip().lower()}:{port}"
    scheme = "imaps" if settings.security == "tls" else "imap"
    return create_connection(
        tenant=tenant,
        cloud_tenant_id=_name_of(server, tenant),
        credentials=Credentials(client_id=settings.login.strip(), secret=settings.sealed_secret()),
        cloud=Cloud(
            authority_url=settings.token_url.strip(),
            api_url=f"{scheme}://{server}"[:200],
            ca_file=settings.ca_file,
            settings=settings.texts(),
        ),
        actor=actor,
        kind=Connection.Kind.IMAP,
    )


def _name_of(server: str, tenant: Tenant) -> str:
    """Several clients may be on one server, each with mailboxes of its own domains."""
    name = f"{server}/{tenant.id}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{hashlib.sha256(server.encode()).hexdigest()[:32]}/{tenant.id}"


def replace_credentials(
    *, connection: Connection, credentials: Credentials, actor: Person | Actor
) -> None:
    """New secret or certificate; a blind connection is tried again at once."""
    _set_credentials(connection, credentials)
    connection.list_due_at = timezone.now()
    connection.save(
        update_fields=["client_id", "sealed_secret", "sealed_certificate", "list_due_at"]
    )
    tenant = Tenant.objects.get(id=connection.tenant_id)
    write_audit(
        "api_bridge.connection.credentials_replaced",
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="connection",
        object_id=connection.id,
        client_id=connection.client_id,
    )
    want_work(tenant.id, QUEUE)


def seal_pushes(*, connection: Connection, is_on: bool, actor: Person | Actor) -> None:
    """Have the mail host tell with a push what changed, sealed for us, or no more.

    The standing orders are made anew.  Raises ``WrongInput`` where the host cannot do that.
    """
    if connection.kind != Connection.Kind.GRAPH:
        raise WrongInput("Only Microsoft 365 can seal what it tells of changes.")
    if connection.seals_pushes == is_on:
        return
    connection.seals_pushes = is_on
    connection.save(update_fields=["seals_pushes"])
    MailboxSync.objects.filter(tenant_id=connection.tenant_id, connection_id=connection.id).update(
        push_due_at=timezone.now()
    )
    tenant = Tenant.objects.get(id=connection.tenant_id)
    write_audit(
        "api_bridge.connection.seals_pushes",
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="connection",
        object_id=connection.id,
        is_on=is_on,
    )
    want_work(tenant.id, QUEUE)


def _set_credentials(connection: Connection, credentials: Credentials) -> None:
    """Seals them into the row's fields.  Raises ``WrongInput``."""
    connection.client_id = credentials.client_id
    connection.sealed_secret = connection.sealed_certificate = b""
    if credentials.secret:
        connection.sealed_secret = seal(credentials.secret.encode(), place=secret_place(connection))
    if credentials.certificate_pem:
        pair = json.dumps([credentials.private_key_pem, credentials.certificate_pem])
        connection.sealed_certificate = seal(pair.encode(), place=certificate_place(connection))
    try:
        _CHECKS[connection.kind](wire_connection(connection), shared_runtime().allowed_hosts)
    except Rejected as error:
        raise WrongInput(str(error)) from error
