"""Google Workspace and IMAP servers, as hosts.py tries them out and connects them.

``entered`` are the texts of console/lib/host_forms.py.
"""

from __future__ import annotations

import json

from api_bridge.access.clouds import OWN, cloud_named
from api_bridge.access.hosts import Checked, Entered, Known
from api_bridge.access.models import Purpose
from api_bridge.access.service_accounts import service_account
from api_bridge.errors import Rejected
from api_bridge.models import Connection
from api_bridge.services import (
    Cloud,
    ImapSettings,
    connect_imap,
    create_connection,
    google_cloud,
    google_credentials,
    verify_google,
    verify_imap,
)
from tenants.audit import Actor
from tenants.errors import WrongInput
from tenants.models import Tenant


def verify_google_host(entered: Entered, known: Known) -> list[Checked]:
    """Each scope by a call, with the account that it is delegated to.  Raises ``BridgeError``."""
    try:
        checks = verify_google(
            customer_id=entered["customer_id"],
            key_json=entered["service_account_key"],
            admin=entered["admin"],
            cloud=_google(entered),
            response_key=known.response_key,
        )
    except WrongInput as error:
        raise Rejected(error.sentence) from error
    return [
        Checked(
            name=check.scope,
            is_ok=check.is_ok,
            words=check.tried
            if check.is_ok
            else f"{check.problem} Without it: {check.off_without}",
            is_needed=check.is_needed,
        )
        for check in checks
    ]


def connect_google_host(*, tenant: Tenant, entered: Entered, actor: Actor) -> None:
    credentials = google_credentials(entered["service_account_key"])
    own = service_account(Purpose.RESPOND)
    if own is not None and own.client_id == credentials.client_id:
        raise WrongInput(
            "This is your service account for account response. Mail is read with another: else a"
            " client could not refuse account response alone."
        )
    create_connection(
        tenant=tenant,
        cloud_tenant_id=entered["customer_id"],
        credentials=credentials,
        cloud=_google(entered),
        actor=actor,
        kind=Connection.Kind.GOOGLE,
    )


def _google(entered: Entered) -> Cloud:
    """Raises ``WrongInput``."""
    cloud = None
    if entered.get("cloud") == OWN:
        own = cloud_named(OWN)
        cloud = Cloud(authority_url=own.authority_url, api_url=own.api_url, ca_file=own.ca_file)
    return google_cloud(
        admin=entered["admin"],
        topic=entered.get("topic", ""),
        subscription=entered.get("subscription", ""),
        cloud=cloud,
    )


def verify_imap_host(entered: Entered, known: Known) -> list[Checked]:
    """Way, TLS, logins, folders, abilities.  Raises ``BridgeError``.

    A login for all mailboxes is tried on those that are named, else on those that no other host of
    the client has.
    """
    settings = _imap(entered)
    if taken := sorted(known.of_others.intersection(each.lower() for each in settings.mailboxes)):
        raise Rejected(
            f"{taken[0]} is of another mail host of the client: no login is tried on it here. Leave"
            " it out."
        )
    if settings.auth != "password" and not settings.mailboxes:
        _check_whose(known)
    return [
        Checked(
            name=check.name,
            is_ok=check.is_ok,
            words=check.says,
            is_needed=check.weight == "needed",
        )
        for check in verify_imap(settings, mailboxes=known.mailboxes)
    ]


def _check_whose(known: Known) -> None:
    """Raises ``Rejected`` where it is not known which mailboxes are this server's."""
    if known.not_listed:
        raise Rejected(
            "Which mailboxes are this server's is not known yet: those at"
            f" {' and '.join(known.not_listed)} are not listed so far. Name this server's"
            " mailboxes, or try again once they are."
        )
    if not known.mailboxes:
        raise Rejected(
            "No mailbox is known that would be this server's: those of the client are of its other"
            " mail hosts. Name this server's mailboxes."
        )


def connect_imap_host(*, tenant: Tenant, entered: Entered, actor: Actor) -> None:
    connect_imap(tenant=tenant, settings=_imap(entered), actor=actor)


def _imap(entered: Entered) -> ImapSettings:
    passwords: dict[str, str] = json.loads(entered["passwords"])
    return ImapSettings(
        host=entered["host"],
        port=int(entered["port"]),
        security=entered["security"],
        auth=entered["auth"],
        login=entered["login"],
        secret=entered["secret"],
        passwords=passwords,
        mailboxes=tuple(passwords) or tuple(entered.get("mailboxes", "").split()),
        token_url=entered["token_url"],
        internal_hosts=entered["internal_hosts"].split(),
        ca_pem=entered.get("ca_pem", ""),
    )
