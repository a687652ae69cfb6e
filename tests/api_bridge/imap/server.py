"""A real Dovecot with TLS, a master login and the usual folders, and people who use it."""

from __future__ import annotations

import base64
import datetime as dt
import imaplib
import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.imap import ImapConnector
from api_bridge.imap_setup import ImapSettings
from api_bridge.limits import LocalLimits
from api_bridge.sandbox.certificates import ensure_server_certificate
from tests.gateway_host import DovecotHost

MASTER, MASTER_PASSWORD = "bailey", "the master's"
MORE = """\
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server-key.pem
auth_failure_delay = 0
auth_master_user_separator = *
mail_max_userip_connections = 10
passdb {{
  driver = passwd-file
  master = yes
  args = {folder}/masters
}}
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Archive {{
    special_use = \\Archive
    auto = create
  }}
}}
"""
OAUTH = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = sub
"""
TOKEN_KEY = b"a key that signs tokens for tests"
_numbers = itertools.count(1)


class ImapServer(DovecotHost):
    """``host`` is a name that its certificate has."""

    host = "localhost"

    def __init__(self, more: str = "") -> None:
        super().__init__()
        ensure_server_certificate(self.root, [])
        masters = self.root / "masters"
        masters.write_text(f"{MASTER}:{{PLAIN}}{MASTER_PASSWORD}\n")
        shutil.chown(masters, "dovecot")
        self.ca = self.root / "ca.pem"
        oauth = self.root / "oauth2.conf"
        oauth.write_text(OAUTH.format(folder=self.root))
        key = self.root / "keys" / "default" / "HS256" / "default"
        key.parent.mkdir(parents=True)
        key.write_text(base64.b64encode(TOKEN_KEY).decode())
        self.more = MORE.format(folder=self.root) + more

    @property
    def allowed(self) -> set[str]:
        """Its name, and because that is no public address, the address too."""
        ports = (self.imap_port, self.imaps_port)
        return {f"{host}:{port}" for host in (self.host, "127.0.0.1", "[::1]") for port in ports}

    def settings(self, **changes: str) -> dict[str, str]:
        given = {
            "host": self.host,
            "port": str(self.imaps_port),
            "security": "tls",
            "auth": "master",
        }
        return given | changes

    def connection(self, *mailboxes: str, **changes: str) -> Connection:
        return Connection(
            kind="imap",
            cloud_tenant_id=f"imap-{next(_numbers)}",
            client_id=MASTER,
            client_secret=MASTER_PASSWORD,
            ca_file=str(self.ca),
            settings=tuple(self.settings(mailboxes=" ".join(mailboxes), **changes).items()),
        )

    def connector(self, *mailboxes: str, **changes: str) -> ImapConnector:
        runtime = Runtime(limits=LocalLimits(wait_s=5), allowed_hosts=self.allowed)
        return ImapConnector(self.connection(*mailboxes, **changes), runtime)

    @contextmanager
    def person(self, address: str, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """The owner of a mailbox, in one of its folders."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10) as imap:
            imap.login(address, "secret")
            imap.select(f'"{folder}"')
            yield imap

    def put(
        self,
        address: str,
        raw: bytes,
        *,
        folder: str = "INBOX",
        flags: str = "",
        at: dt.datetime | None = None,
    ) -> None:
        """A mail as it is delivered, or filed by its owner."""
        received = imaplib.Time2Internaldate(at or dt.datetime.now(dt.UTC))
        with self.person(address) as imap:
            typ, said = imap.append(f'"{folder}"', flags, received, raw)
            assert typ == "OK", said

    def move(self, address: str, message_id: str, folder: str, *, source: str = "INBOX") -> None:
        with self.person(address, source) as imap:
            typ, said = imap.uid("MOVE", self._uid(imap, message_id), f'"{folder}"')
            assert typ == "OK", said

    def copy(self, address: str, message_id: str, folder: str, *, source: str = "INBOX") -> None:
        with self.person(address, source) as imap:
            typ, said = imap.uid("COPY", self._uid(imap, message_id), f'"{folder}"')
            assert typ == "OK", said

    def flag(
        self, address: str, message_id: str, *flags: str, folder: str = "INBOX", by: str = "+"
    ) -> None:
        with self.person(address, folder) as imap:
            imap.uid("STORE", self._uid(imap, message_id), f"{by}FLAGS", f"({' '.join(flags)})")

    def expunge(self, address: str, message_id: str, *, folder: str = "INBOX") -> None:
        with self.person(address, folder) as imap:
            imap.uid("STORE", self._uid(imap, message_id), "+FLAGS", "(\\Deleted)")
            imap.expunge()

    def where(self, address: str, message_id: str) -> dict[str, list[tuple[str, ...]]]:
        """Folder → the flags of each copy in it."""
        found: dict[str, list[tuple[str, ...]]] = {}
        with self.person(address) as imap:
            _, listed = imap.list()
            lines = (line.decode() for line in listed if isinstance(line, bytes))
            names = [line.rpartition(' "/" ')[2].strip('"') for line in lines]
            for name in names:
                imap.select(f'"{name}"', readonly=True)
                for uid in self._uids(imap, message_id):
                    _, said = imap.uid("FETCH", uid, "(FLAGS)")
                    flags = imaplib.ParseFlags(said[0])
                    words = sorted(flag.decode() for flag in flags)
                    found.setdefault(name, []).append(
                        tuple(word for word in words if word != "\\Recent")
                    )
        return found

    def remake(self, address: str, folder: str) -> None:
        """The folder is another one of the same name; its mail was moved over."""
        with self.person(address, "INBOX") as imap:
            imap.rename(f'"{folder}"', '"Old"')
            imap.create(f'"{folder}"')
            _, count = imap.select('"Old"')
            if int(count[0] or b"0"):
                assert imap.uid("MOVE", "1:*", f'"{folder}"')[0] == "OK"
            imap.select("INBOX")
            assert imap.delete('"Old"')[0] == "OK"

    def _uids(self, imap: imaplib.IMAP4, message_id: str) -> list[str]:
        key = "HEADER Message-ID" if message_id.startswith("<") else "SUBJECT"
        _, found = imap.uid("SEARCH", f'{key} "{message_id}"')
        return [str(uid, "ascii") for uid in found[0].split()]

    def _uid(self, imap: imaplib.IMAP4, message_id: str) -> str:
        (uid,) = self._uids(imap, message_id)
        return uid


NAMES = ("ana", "bo", "cfo")


class Office:
    """The people of one client, on a server that others use too."""

    def __init__(self, server: ImapServer, domain: str) -> None:
        self.server = server
        self.domain = domain

    def mail(self, name: str) -> str:
        return f"{name}@{self.domain}"

    def settings(self) -> ImapSettings:
        return ImapSettings(
            host=self.server.host,
            port=self.server.imaps_port,
            auth="master",
            login=MASTER,
            secret=MASTER_PASSWORD,
            ca_file=str(self.server.ca),
        )

    def receive(
        self,
        name: str,
        *,
        raw: bytes = b"",
        folder: str = "INBOX",
        subject: str = "Numbers",
        has_id: bool = True,
    ) -> str:
        """The Message-ID of a new mail, "" if it has none."""
        message_id = f"<m{next(_numbers)}@sender.example>" if has_id else ""
        raw = raw or mail(message_id, to=self.mail(name), Subject=subject)
        self.server.put(self.mail(name), raw, folder=folder)
        return message_id


def mail(message_id: str = "", *, to: str = "ana@delta.example", **headers: str) -> bytes:
    """A plain mail that no other equals; ``message_id`` "" leaves the header out."""
    lines = {
        "From": "Kim <kim@sender.example>",
        "To": to,
        "Subject": "Numbers",
        "Date": "Sun, 29 Nov 2026 10:00:00 +0000",
        **({"Message-ID": message_id} if message_id else {}),
        "X-Number": str(next(_numbers)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{head}\r\nGood morning. {lines['Subject']}.\r\n".encode()
