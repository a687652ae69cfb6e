"""A Google connection as an operator set it up, checked and taken apart.

``client_secret`` is the service account's key file (JSON) as a whole; ``settings`` has

- ``admin``: address of the administrator on whose behalf the directory is read;
- ``topic``: ``projects/…/topics/…`` to which watched mailboxes publish ("": mailboxes are polled);
- ``subscription``: ``projects/…/subscriptions/…`` from which the worker pulls ("": it is pushed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api_bridge.connectors import Connection
from api_bridge.errors import Rejected
from api_bridge.http import authority_of, check_outgoing

GMAIL_URL = "https://gmail.googleapis.com"
AUTHORITY_URL = "https://oauth2.googleapis.com"
OTHER_URLS = {
    "directory": "https://admin.googleapis.com",
    "alerts": "https://alertcenter.googleapis.com",
    "pubsub": "https://pubsub.googleapis.com",
}
NAMES = frozenset({"admin", "topic", "subscription"})
_CUSTOMER = re.compile(r"C[0-9a-z]{3,40}\Z", re.IGNORECASE)
_TOPIC = re.compile(r"projects/[^/\s]+/topics/[^/\s]+\Z")
_SUBSCRIPTION = re.compile(r"projects/[^/\s]+/subscriptions/[^/\s]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The service account, from its key file."""

    client_email: str
    client_id: str
    project: str
    key_id: str
    private_key: rsa.RSAPrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One Google customer and how it is reached."""

    customer_id: str
    admin: str
    topic: str
    subscription: str
    account: Account
    token_url: str
    gmail_url: str
    directory_url: str
    alerts_url: str
    pubsub_url: str


def read_account(key_json: str) -> Account:
    """Raises ``Rejected`` with a sentence for the person who gave the key file."""
    try:
        data = json.loads(key_json)
        key = load_pem_private_key(data["private_key"].encode(), password=None)
        named = {name: str(data[name]) for name in ("client_email", "client_id", "private_key_id")}
        is_account = data["type"] == "service_account" and isinstance(key, rsa.RSAPrivateKey)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Rejected(
            "The key file is not the JSON that Google gives for a service account.",
            code="bad_credentials",
        ) from error
    if not is_account or not isinstance(key, rsa.RSAPrivateKey):
        raise Rejected("The key file is not a service account's.", code="bad_credentials")
    return Account(
        client_email=named["client_email"],
        client_id=named["client_id"],
        project=str(data.get("project_id", "")),
        key_id=named["private_key_id"],
        private_key=key,
    )


def read_customer(connection: Connection, allowed_hosts: Collection[str]) -> Customer:
    """Raises ``Rejected`` with a sentence for the person who set the connection up.

    A cloud of one's own answers for all of Google's names under one address.
    """
    given = dict(connection.settings)
    if unknown := sorted(given.keys() - NAMES):
        raise Rejected(f"Google connections have no setting {unknown[0]}.", code="bad_settings")
    if not _CUSTOMER.match(connection.cloud_tenant_id):
        raise Rejected(
            "The customer id is missing: Admin console, Account settings, like C01abc234.",
            code="bad_tenant",
        )
    if "@" not in given.get("admin", ""):
        raise Rejected("Name the address of an administrator to act as.", code="bad_settings")
    for name, pattern in (("topic", _TOPIC), ("subscription", _SUBSCRIPTION)):
        if given.get(name) and not pattern.match(given[name]):
            raise Rejected(f"The {name} needs its full name: projects/….", code="bad_settings")
    if given.get("subscription") and not given.get("topic"):
        raise Rejected("A subscription needs its topic.", code="bad_settings")
    account = read_account(connection.client_secret)
    if connection.client_id != account.client_id:
        raise Rejected("The client id is not the key file's.", code="bad_application")
    api = connection.api_url.rstrip("/")
    is_google = authority_of(api) == authority_of(GMAIL_URL)
    others = {name: url if is_google else api for name, url in OTHER_URLS.items()}
    for url in (connection.authority_url, api, *others.values()):
        check_outgoing(url, allowed_hosts)
    return Customer(
        customer_id=connection.cloud_tenant_id,
        admin=given["admin"].strip().lower(),
        topic=given.get("topic", ""),
        subscription=given.get("subscription", ""),
        account=account,
        token_url=f"{connection.authority_url.rstrip('/')}/token",
        gmail_url=api,
        directory_url=others["directory"],
        alerts_url=others["alerts"],
        pubsub_url=others["pubsub"],
    )
