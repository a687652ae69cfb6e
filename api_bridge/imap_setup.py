"""Connecting an IMAP server: what a person types in, tried out before anything is stored.

``verify_imap`` calls the server, so it runs outside any scope; it writes nothing, here or there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from api_bridge import connectors
from api_bridge.cache import LocalCache
from api_bridge.connectors import Runtime
from api_bridge.connectors.imap.folders import Folder, read_folders
from api_bridge.connectors.imap.options import Options, check_imap
from api_bridge.connectors.imap.pool import Pool
from api_bridge.connectors.imap.session import Session
from api_bridge.errors import BridgeError, Rejected, Temporary
from api_bridge.health import NO_WAY_IN
from api_bridge.runtime import shared_runtime
from incidents.words import Place

MOST_CHECKED = 20
NEEDED, WANTED = "needed", "wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSettings:
    """``port`` None: the usual one.  ``auth``: ``password``, ``master`` or ``oauth``.

    ``login`` and ``secret``: the master's, or OAuth's client and its secret; with ``password``
    neither, but ``passwords`` by address.  ``mailboxes`` () means all of the client's.  The rest:
    ``api_bridge.connectors.imap.options``.
    """

    host: str
    port: int | None = None
    security: str = "tls"
    auth: str = "password"
    login: str = ""
    secret: str = field(default="", repr=False)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    mailboxes: Sequence[str] = ()
    master_separator: str = ""
    token_url: str = ""
    scope: str = ""
    grant: str = ""
    subject_field: str = ""
    identity: str = ""
    internal_hosts: Sequence[str] = ()
    ca_file: str = ""
    ca_pem: str = ""

    def texts(self) -> dict[str, str]:
        """As ``Connection.settings`` keeps them."""
        given = {
            "host": self.host.strip().lower(),
            "port": str(self.port or ""),
            "security": self.security,
            "auth": self.auth,
            "mailboxes": " ".join(self.mailboxes),
            "master_separator": self.master_separator,
            "scope": self.scope.strip(),
            "grant": self.grant.strip(),
            "subject_field": self.subject_field.strip(),
            "identity": self.identity,
            "internal_hosts": " ".join(self.internal_hosts).lower(),
            "ca_pem": self.ca_pem.strip(),
        }
        return {name: value for name, value in given.items() if value}

    def sealed_secret(self) -> str:
        """What belongs under seal, as one text."""
        return json.dumps(dict(self.passwords)) if self.auth == "password" else self.secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried.  ``weight``: ``needed`` (without it there is no connection) or
    ``wanted`` (something is off without it).  ``says``: what was found, or what is off and what to
    do about it.
    """

    name: str
    is_ok: bool
    weight: str
    says: str


@dataclass(frozen=True, slots=True)
class _Ability:
    """``any_of``: one of these capabilities is enough."""

    name: str
    any_of: tuple[str, ...]
    has: str
    lacks: str


ABILITIES = (
    _Ability(
        "changes",
        ("CONDSTORE", "QRESYNC"),
        "What is read, moved and flagged is seen whenever it happens (CONDSTORE).",
        "Without CONDSTORE, reading and flags are seen for two days after receipt only.",
    ),
    _Ability(
        "moving",
        ("MOVE", "UIDPLUS"),
        "Mail can be moved to quarantine and back.",
        "Without MOVE or UIDPLUS no mail can be removed or restored; it is only watched.",
    ),
    _Ability(
        "idle",
        ("IDLE",),
        "The server tells of new mail at once (IDLE).",
        "Without IDLE new mail is seen when the mailbox is polled, every 30 seconds.",
    ),
    _Ability(
        "all folders heard",
        ("NOTIFY",),
        "The server tells of mail in all folders (NOTIFY).",
        "Without NOTIFY only the inbox is heard of at once; mail that is delivered into other "
        "folders is seen when the mailbox is polled.",
    ),
    _Ability(
        "folder list",
        ("LIST-STATUS",),
        "All folders are looked at with one question (LIST-STATUS).",
        "Without LIST-STATUS each folder is asked by itself: a poll costs more calls.",
    ),
    _Ability(
        "places",
        ("SPECIAL-USE",),
        "The server says which folder is junk, trash and sent (SPECIAL-USE).",
        "Without SPECIAL-USE folders are known by their usual names.",
    ),
    _Ability(
        "mail names",
        ("OBJECTID",),
        "The server names each mail for good (OBJECTID).",
        "Without OBJECTID a mail is known by time of receipt, size and headers.",
    ),
)


def verify_imap(
    settings: ImapSettings, *, mailboxes: Sequence[str] = (), runtime: Runtime | None = None
) -> list[Check]:
    """Tries the connection out: settings, way out, TLS, logins, folders, abilities, in this order;
    the first that is needed and fails is the last.

    ``mailboxes``: the client's, to be tried where ``settings`` names none.  Never raises
    ``BridgeError``: what went wrong is a ``Check``.
    """
    shared = runtime or shared_runtime()
    if not settings.mailboxes and settings.auth != "password":
        settings = replace(settings, mailboxes=tuple(mailboxes))
    try:
        options = check_imap(_wire(settings), shared.allowed_hosts)
        if not options.mailboxes:
            raise Rejected("There is no mailbox to read yet: name one.", code="no_mailbox")
    except Rejected as error:
        return [_failed("settings", error)]
    pool = Pool(options, replace(shared, cache=LocalCache()))
    try:
        return _tried(pool, options)
    finally:
        pool.close()


def can_connect(checks: Sequence[Check]) -> bool:
    """Whether everything that is needed is there."""
    return all(check.is_ok for check in checks if check.weight == NEEDED)


def _wire(settings: ImapSettings) -> connectors.Connection:
    return connectors.Connection(
        kind="imap",
        cloud_tenant_id="",
        client_id=settings.login.strip(),
        client_secret=settings.sealed_secret(),
        authority_url=settings.token_url.strip(),
        ca_file=settings.ca_file,
        settings=tuple(settings.texts().items()),
    )


def _tried(pool: Pool, options: Options) -> list[Check]:
    checks = [_ok("settings", f"{options.server} may be called, with TLS.")]
    opened = ""
    for mailbox in options.mailboxes[:MOST_CHECKED]:
        try:
            with pool.session(mailbox) as session:
                session.open("INBOX")
        except BridgeError as error:
            checks.append(_failed(f"mailbox {mailbox}", error))
            if isinstance(error, Temporary) or error.code in NO_WAY_IN:
                # The others would hear, or wait for, the same.
                return checks
            continue
        checks.append(_ok(f"mailbox {mailbox}", f"{mailbox} can be opened."))
        opened = opened or mailbox
    if not opened:
        return checks
    left = len(options.mailboxes) - MOST_CHECKED
    if left > 0:
        checks.append(_ok("further mailboxes", f"{left} more are tried when they are read."))
    try:
        with pool.session(opened) as session:
            folders = read_folders(session, options.quarantine)
            return [*checks, *_folder_checks(folders), *_abilities(session, options)]
    except BridgeError as error:
        return [*checks, _failed("folders", error)]


def _folder_checks(folders: Sequence[Folder]) -> list[Check]:
    places = {folder.place for folder in folders}
    checks = [_ok("folders", f"{len(folders)} folders can be read.")]
    for place, name in ((Place.JUNK, "junk"), (Place.DELETED, "trash")):
        says = f"The mailbox has a {name} folder."
        if place not in places:
            says = f"The mailbox has no {name} folder that is known as one; mail there is “other”."
        checks.append(Check(name=name, is_ok=place in places, weight=WANTED, says=says))
    return checks


def _abilities(session: Session, options: Options) -> list[Check]:
    checks = []
    for each in ABILITIES:
        is_there = any(session.can(capability) for capability in each.any_of)
        says = each.has if is_there else each.lacks
        checks.append(Check(name=each.name, is_ok=is_there, weight=WANTED, says=says))
    if options.uses_emailid and not session.can("OBJECTID"):
        says = "The server has no OBJECTID: choose identity “content”."
        checks.append(Check(name="identity", is_ok=False, weight=NEEDED, says=says))
    return checks


def _ok(name: str, says: str) -> Check:
    return Check(name=name, is_ok=True, weight=NEEDED, says=says)


def _failed(name: str, error: BridgeError) -> Check:
    return Check(name=name, is_ok=False, weight=NEEDED, says=str(error))
