"""Connectors of this process: one for each connection, with the cache and limits of all processes.

A connector talks to a vendor, so it is opened and used outside any scope: read the row inside one
(``wire_connection``), leave it, then ``connector_of``.
"""

from __future__ import annotations

import hmac
import json
import threading
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from api_bridge import connectors
from api_bridge.access.models import AppRegistration, Grant, Purpose
from api_bridge.access.registrations import open_registration
from api_bridge.access.service_accounts import service_account, with_account
from api_bridge.cache import RedisCache
from api_bridge.connectors import GOOGLE_HOSTS, MICROSOFT_HOSTS, Connector, Runtime, open_connector
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.limits import RedisLimits
from api_bridge.models import Connection
from api_bridge.whose import mailboxes_of
from tenants.secrets import unseal

BROKER_TIMEOUT_S = 5.0
MOST_CONNECTORS = 500

_guard = threading.Lock()
_connectors: dict[connectors.Connection, Connector] = {}


def secret_place(connection: Connection) -> str:
    return f"api_bridge_connection.sealed_secret/{connection.tenant_id}/{connection.id}"


def certificate_place(connection: Connection) -> str:
    return f"api_bridge_connection.sealed_certificate/{connection.tenant_id}/{connection.id}"


class NotGranted(BridgeError):
    """The client has not consented to what this is for, or its consent was lost."""


def wire_connection(
    row: Connection, purpose: str = Purpose.DETECT, *, must_be_granted: bool = False
) -> connectors.Connection:
    """The row with its secrets opened, as a connector takes it.  Keep it in memory only.

    A connection with an application of its own does everything with that, but for what the provider
    has a service account of its own at Google; any other goes by the provider's registration for
    this purpose.  Both need a scope with the provider.  Raises
    ``AuthExpired`` where there is none and, where it ``must_be_granted``, ``NotGranted``.
    """
    if row.by_registrations:
        return _by_registration(row, purpose, must_be_granted=must_be_granted)
    secret, key, certificate = "", "", ""
    if row.sealed_secret:
        secret = unseal(bytes(row.sealed_secret), place=secret_place(row)).decode()
    if row.sealed_certificate:
        opened = unseal(bytes(row.sealed_certificate), place=certificate_place(row))
        key, certificate = json.loads(opened)
    wired = connectors.Connection(
        kind=row.kind,
        cloud_tenant_id=row.cloud_tenant_id,
        client_id=row.client_id,
        client_secret=secret,
        private_key_pem=key,
        certificate_pem=certificate,
        authority_url=row.authority_url,
        api_url=row.api_url,
        ca_file=row.ca_file,
        quarantine_folder=row.quarantine_folder,
        settings=tuple(sorted(_settings_of(row).items())),
    )
    if row.kind == Connection.Kind.GOOGLE and (own := service_account(purpose)) is not None:
        return with_account(wired, own)
    return wired


def _settings_of(row: Connection) -> dict[str, str]:
    """An IMAP server cannot list people: where no mailbox was named, those of the client count that
    are of no other mail host.
    """
    given: dict[str, str] = dict(row.settings)
    if row.kind == Connection.Kind.IMAP and not given.get("mailboxes"):
        known = mailboxes_of(row.tenant_id, row.id).order_by("address")
        given["mailboxes"] = " ".join(known.values_list("address", flat=True))
    return given


def _by_registration(
    row: Connection, purpose: str, *, must_be_granted: bool
) -> connectors.Connection:
    grants = Grant.objects.filter(connection=row, purpose=purpose)
    if must_be_granted:
        grant = grants.first()
        if grant is None:
            raise NotGranted(f"The client has not consented to “{Purpose(purpose).label}”.")
        if grant.lost_at is not None:
            raise NotGranted(grant.trouble, code="lost")
    registration = AppRegistration.objects.filter(purpose=purpose).first()
    if registration is None:
        raise AuthExpired(
            f"There is no app registration for “{Purpose(purpose).label}”.", code="bad_credentials"
        )
    return open_registration(
        registration, row.cloud_tenant_id, quarantine_folder=row.quarantine_folder
    )


def open_broker(url: str) -> redis.Redis[bytes]:
    """Whoever asks goes on without the broker where it is away: by themselves, clients would try
    again for five seconds at each question.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=BROKER_TIMEOUT_S,
        socket_connect_timeout=BROKER_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


@cache
def shared_runtime() -> Runtime:
    """Cache and limits in the broker; where it is away, each process goes on for itself."""
    client = open_broker(settings.REDIS_URL)
    seal_key = hmac.digest(settings.MASTER_KEY, b"api_bridge.cache", "sha256")
    return Runtime(
        cache=RedisCache(client, seal_key=seal_key),
        limits=RedisLimits(client),
        allowed_hosts=MICROSOFT_HOSTS | GOOGLE_HOSTS | set(settings.OUTGOING_HOSTS),
    )


def connector_of(connection: connectors.Connection) -> Connector:
    """The process's connector for these very settings.  Raises ``Rejected`` for wrong ones."""
    with _guard:
        known = _connectors.get(connection)
        if known is None:
            if len(_connectors) >= MOST_CONNECTORS:
                # Whoever still uses it keeps it alive; nobody finds it here any more.
                _connectors.pop(next(iter(_connectors)))
            known = _connectors[connection] = open_connector(connection, shared_runtime())
        return known


def close_connectors() -> None:
    """Let go of all of them; the next use opens them anew."""
    with _guard:
        for connector in _connectors.values():
            connector.close()
        _connectors.clear()
