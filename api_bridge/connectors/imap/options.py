"""What an operator says of an IMAP server, read out of a connection and checked.

``Connection.settings`` of kind ``imap``:

    host, port        the server; its certificate must be for ``host``
    security          ``tls`` (implicit, 993) or ``starttls`` (143); never without
    auth              ``password`` (one for each mailbox), ``master`` (one login that may open every
                      mailbox) or ``oauth`` (client credentials)
    mailboxes         addresses to read, separated by blanks or line breaks
    master_separator  between mailbox and master login, ``*`` as Dovecot has it; ``sasl``: the
                      mailbox is SASL's authorization identity instead
    scope             OAuth: what the token is asked for
    grant             OAuth: the grant type, ``client_credentials`` unless another is named
    subject_field     OAuth: under which name the token endpoint is told the mailbox, for servers
                      that want a token of each (``requested_subject``); "" asks for one for all
    identity          ``content`` (default) or ``emailid`` (the server has OBJECTID, RFC 8474)
    internal_hosts    names that the server writes behind ``by`` in its own Received lines

``client_id``: the master login, or OAuth's client.  ``client_secret``: its password or secret; for
``password`` a JSON object, address → password.  ``authority_url``: OAuth's token endpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from api_bridge.connectors import Connection
from api_bridge.errors import Rejected
from api_bridge.http import check_outgoing

SECURITIES = {"tls": 993, "starttls": 143}
AUTHS = ("password", "master", "oauth")
IDENTITIES = ("content", "emailid")
NAMES = frozenset(
    {
        *("host", "port", "security", "auth", "mailboxes", "master_separator", "scope"),
        *("grant", "subject_field", "identity", "internal_hosts", "ca_pem"),
    }
)
MOST_MAILBOXES = 5_000
LONGEST_FOLDER = 100
LONGEST_LOGIN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``owner``: whose connection it is, in the names of what is cached.  ``passwords``: of
    ``auth`` password only, by lower-cased address.  ``ca_pem``: authorities that vouch for the
    server alone, where they are not public; its token endpoint is another's.
    """

    owner: str
    host: str
    port: int
    security: str = "tls"
    auth: str = "password"
    login: str = ""
    secret: str = field(default="", repr=False)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    mailboxes: tuple[str, ...] = ()
    master_separator: str = "*"
    token_url: str = ""
    scope: str = ""
    grant: str = "client_credentials"
    subject_field: str = ""
    uses_emailid: bool = False
    ca_file: str = ""
    ca_pem: str = ""
    quarantine: str = "Bailey Quarantine"

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def key(self) -> str:
        """What was learnt with one login counts for that login only."""
        told = "\0".join(
            (self.owner, self.server, self.auth, self.login, self.secret, self.token_url)
        )
        return hashlib.sha256(told.encode()).hexdigest()[:24]

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Raises ``Rejected`` with a sentence for the person who set the connection up."""
        given = dict(connection.settings)
        if unknown := sorted(set(given) - NAMES):
            raise Rejected(f"IMAP has no setting {unknown[0]}.", code="bad_setting")
        security = _one_of(given, "security", tuple(SECURITIES))
        auth = _one_of(given, "auth", AUTHS)
        secret = connection.client_secret
        passwords = _passwords(secret) if auth == "password" else {}
        return cls(
            owner=connection.cloud_tenant_id,
            host=_host(given.get("host", "")),
            port=_port(given.get("port", ""), SECURITIES[security]),
            security=security,
            auth=auth,
            login=connection.client_id,
            secret=secret,
            passwords=passwords,
            mailboxes=_mailboxes(given.get("mailboxes", ""), passwords),
            master_separator=given.get("master_separator") or "*",
            token_url=connection.authority_url if auth == "oauth" else "",
            scope=given.get("scope", ""),
            grant=given.get("grant") or "client_credentials",
            subject_field=given.get("subject_field", ""),
            uses_emailid=_one_of(given, "identity", IDENTITIES) == "emailid",
            ca_file=connection.ca_file,
            ca_pem=given.get("ca_pem", ""),
            quarantine=_folder_name(connection.quarantine_folder),
        ).checked()

    def checked(self) -> Self:
        if self.auth != "password" and not self.login:
            what = "The master login" if self.auth == "master" else "OAuth's client id"
            raise Rejected(f"{what} is missing.", code="bad_credentials")
        if self.auth != "password" and not self.secret:
            raise Rejected("The password or secret is missing.", code="bad_credentials")
        if self.auth == "oauth" and not self.token_url:
            raise Rejected("OAuth needs the address of its token endpoint.", code="bad_setting")
        return self


def check_imap(connection: Connection, allowed_hosts: Collection[str]) -> Options:
    """Raises ``Rejected`` for settings that cannot work or lead where nobody allowed it."""
    options = Options.of(connection)
    if options.server not in {entry.lower() for entry in allowed_hosts}:
        raise Rejected(
            f"Outgoing calls to {options.server} are not allowed; the operator of this "
            f"installation adds it to BAILEY_OUTGOING_HOSTS.",
            code="host_not_allowed",
        )
    if options.token_url:
        check_outgoing(options.token_url, allowed_hosts)
    return options


def _one_of(given: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """The first where nothing was given."""
    value = (given.get(name) or allowed[0]).strip().lower()
    if value not in allowed:
        raise Rejected(f"{name} must be {' or '.join(allowed)}.", code="bad_setting")
    return value


def _host(text: str) -> str:
    host = text.strip().lower().rstrip(".")
    if not host or len(host) > 253 or not all(c.isalnum() or c in ".-" for c in host):
        raise Rejected("The server's name is missing or is no host name.", code="bad_setting")
    return host


def _port(text: str, default: int) -> int:
    text = text.strip() or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise Rejected("The port must be a number from 1 to 65535.", code="bad_setting")
    return int(text)


def _passwords(secret: str) -> dict[str, str]:
    try:
        data = json.loads(secret)
    except ValueError:
        data = None
    if not isinstance(data, dict) or not data:
        raise Rejected("Give a password for each mailbox.", code="bad_credentials")
    for address, password in data.items():
        if "@" not in address or not isinstance(password, str) or not password:
            raise Rejected("Give each mailbox as its address and password.", code="bad_credentials")
    return {address.strip().lower(): password for address, password in data.items()}


def _mailboxes(text: str, passwords: Mapping[str, str]) -> tuple[str, ...]:
    """All that were named, each once, in order; with passwords only those that have one."""
    named = [word.strip(",;").lower() for word in text.split()]
    wanted = list(passwords) if passwords else list(dict.fromkeys(filter(None, named)))
    for address in wanted:
        if not _is_login(address):
            raise Rejected(f"“{address[:80]}” is no mailbox address.", code="bad_setting")
    if len(wanted) > MOST_MAILBOXES:
        raise Rejected(f"More than {MOST_MAILBOXES} mailboxes in one connection.", code="too_many")
    return tuple(wanted)


def _is_login(address: str) -> bool:
    local, at, domain = address.rpartition("@")
    is_short = len(address) <= LONGEST_LOGIN
    return (
        bool(at and local and domain)
        and is_short
        and address.isprintable()
        and not set(address) & set(' *"')
    )


def _folder_name(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_FOLDER or not text.isprintable():
        raise Rejected("The quarantine folder's name is empty or too long.", code="bad_setting")
    return text.strip()
