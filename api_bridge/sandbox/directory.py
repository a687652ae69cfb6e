"""Tenants, their users and the applications that may read them."""

import json
import re
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from cryptography import x509

from api_bridge.sandbox.clock import now_s
from api_bridge.sandbox.store import Store

ROLES = (
    "AuditLog.Read.All", "DelegatedAdminRelationship.Read.All",
    "DelegatedPermissionGrant.ReadWrite.All", "ExchangeMessageTrace.Read.All", "Group.Read.All",
    "GroupMember.Read.All", "IdentityRiskyUser.Read.All", "LicenseAssignment.Read.All", "Mail.Read",
    "Mail.ReadBasic.All", "Mail.ReadWrite", "MailboxSettings.Read", "MailboxSettings.ReadWrite",
    "Organization.Read.All", "SecurityAlert.Read.All", "User-PasswordProfile.ReadWrite.All",
    "User.EnableDisableAccount.All", "User.Read.All", "User.RevokeSessions.All",
    "UserAuthenticationMethod.Read.All",
)  # fmt: skip
PURPOSES = ("user", "linked", "shared", "room", "equipment", "others")
FOLDERS = (  # well-known name, display name; all below the first
    ("msgfolderroot", "Top of Information Store"),
    ("archive", "Archive"),
    ("conversationhistory", "Conversation History"),
    ("deleteditems", "Deleted Items"),
    ("drafts", "Drafts"),
    ("inbox", "Inbox"),
    ("junkemail", "Junk Email"),
    ("outbox", "Outbox"),
    ("sentitems", "Sent Items"),
)
RECOVERABLE = ("recoverableitemsdeletions", "Deletions")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


class BadDirectory(ValueError):
    """What was asked for can't be a tenant, user or application.  The text says why."""


def put_tenant(store: Store, tenant_id: str, wanted: Mapping[str, Any]) -> None:
    """Make or change a tenant with its users and applications.

    Repeating it changes nothing.  Users and applications that are not named stay as they are.
    Raises BadDirectory.
    """
    if not _GUID.fullmatch(tenant_id):
        raise BadDirectory(f"a tenant's id is a GUID, not {tenant_id!r}")
    tenant_id = tenant_id.lower()
    domain = _text(wanted, "domain").lower()
    try:
        with store.transaction():
            store.execute(
                "INSERT INTO tenant VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "domain = excluded.domain, display_name = excluded.display_name",
                tenant_id, domain, str(wanted.get("display_name") or domain), now_s(),
            )  # fmt: skip
            for user in _objects(wanted, "users"):
                _put_user(store, tenant_id, user)
            for app in _objects(wanted, "apps"):
                _put_app(store, tenant_id, app)
    except sqlite3.IntegrityError as error:
        raise BadDirectory(f"a domain or address already belongs to another: {error}") from error


def delete_tenant(store: Store, tenant_id: str) -> bool:
    """Remove a tenant with all its mail.  False: there was none."""
    with store.transaction():
        existed = store.row("SELECT 1 FROM tenant WHERE id = ?", tenant_id.lower()) is not None
        store.execute("DELETE FROM tenant WHERE id = ?", tenant_id.lower())
        store.execute("DELETE FROM mime WHERE number NOT IN (SELECT mime FROM message)")
    return existed


def tenant_for(store: Store, name: str) -> sqlite3.Row | None:
    """A tenant by its GUID or its domain."""
    return store.row("SELECT * FROM tenant WHERE id = ? OR domain = ?", name.lower(), name)


def user_in(store: Store, tenant_id: str, name: str) -> sqlite3.Row | None:
    """A user of this tenant by id, principal name or address; never another tenant's."""
    return store.row(
        "SELECT * FROM user WHERE tenant_id = ? AND (id = ? OR mail = ? OR number IN "
        "(SELECT mailbox FROM address WHERE address = ?))",
        tenant_id, name, name, name,
    )  # fmt: skip


def is_google(store: Store, tenant_id: str) -> bool:
    """Its mail is at Google, and is not at Microsoft."""
    found = store.row("SELECT 1 FROM google_customer WHERE tenant_id = ?", tenant_id)
    return found is not None


def mailbox_of(store: Store, address: str) -> sqlite3.Row | None:
    """The user whose mailbox takes mail for this address; ``name+anything@`` counts as name."""
    local, _, domain = address.rpartition("@")
    for candidate in (address, f"{local.split('+', 1)[0]}@{domain}"):
        found = store.row(
            "SELECT user.* FROM address JOIN user ON user.number = address.mailbox "
            "WHERE address = ? AND has_mailbox",
            candidate,
        )
        if found is not None:
            return found
    return None


def has_domain(store: Store, domain: str) -> bool:
    """Does any tenant own this domain, by its main domain or an address of a user?"""
    return (
        store.row("SELECT 1 FROM tenant WHERE domain = ?", domain) is not None
        or store.row(
            "SELECT 1 FROM address WHERE substr(address, instr(address, '@') + 1) = ? "
            "COLLATE NOCASE",
            domain,
        )
        is not None
    )


def _put_user(store: Store, tenant_id: str, user: Mapping[str, Any]) -> None:
    mail = _text(user, "mail")
    # Without an id the same address of the same tenant gets the same one each time.
    user_id = str(user.get("id") or uuid.uuid5(uuid.UUID(tenant_id), mail.lower())).lower()
    if not _GUID.fullmatch(user_id):
        raise BadDirectory(f"a user's id is a GUID, not {user_id!r}")
    aliases = [str(alias) for alias in user.get("aliases", [])]
    for address in (mail, *aliases):
        if not _ADDRESS.fullmatch(address):
            raise BadDirectory(f"not a mail address: {address!r}")
    purpose = str(user.get("purpose", "user"))
    if purpose not in PURPOSES:
        raise BadDirectory(f"purpose is one of {', '.join(PURPOSES)}, not {purpose!r}")
    store.execute(
        "INSERT INTO user (tenant_id, id, mail, display_name, job_title, has_mailbox, purpose, "
        "is_enabled, user_type, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (tenant_id, id) DO UPDATE SET mail = excluded.mail, "
        "display_name = excluded.display_name, job_title = excluded.job_title, "
        "has_mailbox = excluded.has_mailbox, purpose = excluded.purpose, "
        "is_enabled = excluded.is_enabled, user_type = excluded.user_type",
        tenant_id, user_id, mail, str(user.get("display_name") or mail), user.get("job_title"),
        bool(user.get("has_mailbox", True)), purpose,
        bool(user.get("account_enabled", purpose == "user")),
        str(user.get("user_type", "Member")), now_s(),
    )  # fmt: skip
    number = store.value("SELECT number FROM user WHERE tenant_id = ? AND id = ?",
                         tenant_id, user_id)  # fmt: skip
    store.execute("DELETE FROM address WHERE mailbox = ?", number)
    for address in {a.lower(): a for a in (mail, *aliases)}.values():
        store.execute("INSERT INTO address VALUES (?, ?)", address, number)
    _ensure_folders(store, number)


def _ensure_folders(store: Store, mailbox: int) -> None:
    parent: int | None = None
    for well_known, name in FOLDERS:
        store.execute(
            "INSERT OR IGNORE INTO folder (mailbox, well_known, parent, display_name, is_hidden) "
            "VALUES (?, ?, ?, ?, 0)",
            mailbox, well_known, parent, name,
        )  # fmt: skip
        parent = parent or store.value(
            "SELECT number FROM folder WHERE mailbox = ? AND well_known = ?", mailbox, well_known
        )
    # Beside the tree, not in it: Outlook does not show it and /messages does not cover it.
    store.execute(
        "INSERT OR IGNORE INTO folder (mailbox, well_known, parent, display_name, is_hidden) "
        "VALUES (?, ?, NULL, ?, 1)",
        mailbox, *RECOVERABLE,
    )  # fmt: skip


def _put_app(store: Store, tenant_id: str, app: Mapping[str, Any]) -> None:
    client_id = _text(app, "client_id").lower()
    certificate = app.get("certificate_pem")
    if certificate is not None:
        try:
            x509.load_pem_x509_certificates(str(certificate).encode())
        except ValueError as error:
            raise BadDirectory(f"certificate_pem of {client_id} is no PEM certificate") from error
    roles = [str(role) for role in app.get("roles", ROLES)]
    store.execute(
        "INSERT OR REPLACE INTO app VALUES (?, ?, ?, ?, ?, ?)",
        tenant_id, client_id, app.get("secret"), certificate, json.dumps(roles),
        bool(app.get("consented", True)),
    )  # fmt: skip


def put_application(store: Store, client_id: str, wanted: Mapping[str, Any]) -> None:
    """Make or change an application that tenants can consent to.

    ``roles`` are what it asks for; what a tenant has granted stays until it consents anew.  Raises
    BadDirectory.
    """
    if not _GUID.fullmatch(client_id):
        raise BadDirectory(f"an application's id is a GUID, not {client_id!r}")
    roles, addresses = wanted.get("roles", []), wanted.get("redirect_uris", [])
    if not isinstance(roles, list) or not isinstance(addresses, list):
        raise BadDirectory("'roles' and 'redirect_uris' must be lists")
    store.execute(
        "INSERT OR REPLACE INTO application VALUES (?, ?, ?, ?, ?, ?, ?)",
        client_id.lower(), _text(wanted, "display_name"), wanted.get("secret"),
        wanted.get("certificate_pem"), json.dumps([str(role) for role in roles]),
        json.dumps([str(address) for address in addresses]), bool(wanted.get("expired", False)),
    )  # fmt: skip


def application_of(store: Store, client_id: str) -> sqlite3.Row | None:
    return store.row("SELECT * FROM application WHERE client_id = ?", client_id.lower())


def consent(store: Store, tenant_id: str, application: sqlite3.Row) -> None:
    """The tenant grants what the application asks for now."""
    store.execute(
        "INSERT OR REPLACE INTO app VALUES (?, ?, NULL, NULL, ?, 1)",
        tenant_id, application["client_id"], application["roles"],
    )  # fmt: skip


def withdraw(store: Store, tenant_id: str, client_id: str) -> bool:
    """The tenant's admin removes the application.  False: it was not there."""
    was = store.row(
        "SELECT 1 FROM app WHERE tenant_id = ? AND client_id = ?", tenant_id, client_id.lower()
    )
    store.execute(
        "DELETE FROM app WHERE tenant_id = ? AND client_id = ?", tenant_id, client_id.lower()
    )
    return was is not None


def put_relationships(store: Store, partner_id: str, wanted: object) -> None:
    """All delegated admin relationships of this partner, in place of those it had.

    Each: ``customer_id``, ``display_name``, ``ends_in_days``, and, if need be, ``roles`` (ids of
    directory roles), ``status``, ``auto_extend`` (an ISO 8601 duration).  Raises BadDirectory.
    """
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise BadDirectory("'relationships' must be a list of objects")
    if store.row("SELECT 1 FROM tenant WHERE id = ?", partner_id.lower()) is None:
        raise BadDirectory("no such tenant")
    now = now_s()
    with store.transaction():
        store.execute("DELETE FROM relationship WHERE partner_id = ?", partner_id.lower())
        for each in wanted:
            customer = _text(each, "customer_id").lower()
            number = str(
                each.get("id") or f"{uuid.uuid5(uuid.UUID(partner_id), customer)}-{customer}"
            )
            days = float(each.get("ends_in_days", 365))
            store.execute(
                "INSERT INTO relationship VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                number, partner_id.lower(), customer, _text(each, "display_name"),
                str(each.get("status", "active")), json.dumps(each.get("roles", [])), now,
                now + int(days * 86_400), str(each.get("auto_extend", "PT0S")),
            )  # fmt: skip


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadDirectory(f"{name!r} must be a text that is not empty")
    return value.strip()


def _objects(source: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = source.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadDirectory(f"{name!r} must be a list of objects")
    return value


def new_guid() -> str:
    return str(uuid.uuid4())
