"""The one SQLite file that holds the whole cloud.

All access is from the event loop's thread; a statement takes microseconds.  WAL with
``synchronous=NORMAL``: what is committed survives SIGKILL of the process (a power cut may take
the last moments, which a sandbox may lose).
"""

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tenant (
    id TEXT PRIMARY KEY, domain TEXT NOT NULL COLLATE NOCASE UNIQUE, display_name TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS app (
    tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE, client_id TEXT NOT NULL,
    secret TEXT, certificate_pem TEXT, roles TEXT NOT NULL, is_consented INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
);
CREATE TABLE IF NOT EXISTS application (
    client_id TEXT PRIMARY KEY, display_name TEXT NOT NULL, secret TEXT, certificate_pem TEXT,
    roles TEXT NOT NULL, redirect_uris TEXT NOT NULL, has_expired INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS relationship (
    id TEXT PRIMARY KEY, partner_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
    customer_id TEXT NOT NULL, display_name TEXT NOT NULL, status TEXT NOT NULL,
    roles TEXT NOT NULL, created_at INTEGER NOT NULL, ends_at INTEGER NOT NULL,
    auto_extend TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS user (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE, id TEXT NOT NULL COLLATE NOCASE,
    mail TEXT NOT NULL COLLATE NOCASE UNIQUE, display_name TEXT NOT NULL,
    job_title TEXT, has_mailbox INTEGER NOT NULL, purpose TEXT NOT NULL,
    is_enabled INTEGER NOT NULL, user_type TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (tenant_id, id)
);
CREATE TABLE IF NOT EXISTS directory_group (
    id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name TEXT NOT NULL, mail TEXT, is_everyone INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS group_user (
    parent TEXT NOT NULL REFERENCES directory_group ON DELETE CASCADE,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, PRIMARY KEY (parent, mailbox)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS group_group (
    parent TEXT NOT NULL REFERENCES directory_group ON DELETE CASCADE, child TEXT NOT NULL,
    PRIMARY KEY (parent, child)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS address (
    address TEXT PRIMARY KEY COLLATE NOCASE,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS folder (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    well_known TEXT, parent INTEGER, display_name TEXT NOT NULL, is_hidden INTEGER NOT NULL,
    UNIQUE (mailbox, well_known)
);
CREATE TABLE IF NOT EXISTS rule (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS account_record (
    tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE, kind TEXT NOT NULL,
    id TEXT NOT NULL, user_id TEXT NOT NULL COLLATE NOCASE, at INTEGER NOT NULL,
    said TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (tenant_id, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mime (number INTEGER PRIMARY KEY, raw BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    folder INTEGER NOT NULL REFERENCES folder ON DELETE CASCADE,
    serial INTEGER NOT NULL UNIQUE, mime INTEGER NOT NULL REFERENCES mime, version INTEGER NOT NULL,
    received_at INTEGER NOT NULL, sent_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL, is_read INTEGER NOT NULL, is_draft INTEGER NOT NULL,
    has_attachments INTEGER NOT NULL, importance TEXT NOT NULL, flag TEXT NOT NULL,
    inference TEXT NOT NULL, categories TEXT NOT NULL, internet_message_id TEXT NOT NULL,
    conversation TEXT NOT NULL, subject TEXT NOT NULL, from_address TEXT NOT NULL COLLATE NOCASE,
    from_name TEXT NOT NULL, people TEXT NOT NULL, preview TEXT NOT NULL,
    body_type TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS message_received ON message (mailbox, received_at, number);
CREATE INDEX IF NOT EXISTS message_folder ON message (folder, received_at, number);
CREATE INDEX IF NOT EXISTS message_internet_id ON message (mailbox, internet_message_id);
CREATE INDEX IF NOT EXISTS message_mime ON message (mime);
CREATE TABLE IF NOT EXISTS change (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, folder INTEGER NOT NULL,
    message INTEGER NOT NULL, serial INTEGER NOT NULL, version INTEGER NOT NULL,
    kind TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS change_mailbox ON change (mailbox, seq);
CREATE INDEX IF NOT EXISTS change_folder ON change (folder, seq);
CREATE TABLE IF NOT EXISTS subscription (
    id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
    client_id TEXT NOT NULL, mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    folder INTEGER, resource TEXT NOT NULL, kinds TEXT NOT NULL, url TEXT NOT NULL,
    lifecycle_url TEXT, client_state TEXT, is_immutable INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, created_at INTEGER NOT NULL, sent_seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sealing (
    subscription_id TEXT PRIMARY KEY REFERENCES subscription ON DELETE CASCADE,
    selected TEXT NOT NULL, certificate TEXT NOT NULL, certificate_id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS trace (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE, id TEXT NOT NULL,
    sender TEXT NOT NULL COLLATE NOCASE, recipient TEXT NOT NULL COLLATE NOCASE,
    internet_message_id TEXT NOT NULL, received_at INTEGER NOT NULL, subject TEXT NOT NULL,
    size INTEGER NOT NULL, from_ip TEXT NOT NULL, status TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS trace_received ON trace (tenant_id, received_at);
CREATE TABLE IF NOT EXISTS service_account (
    client_email TEXT PRIMARY KEY, client_id TEXT NOT NULL, key_id TEXT NOT NULL,
    public_key_pem TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS google_customer (
    tenant_id TEXT PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    customer_id TEXT NOT NULL UNIQUE, admin TEXT NOT NULL COLLATE NOCASE
);
CREATE TABLE IF NOT EXISTS delegation (
    tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
    client_email TEXT NOT NULL REFERENCES service_account ON DELETE CASCADE, scopes TEXT NOT NULL,
    PRIMARY KEY (tenant_id, client_email)
);
CREATE TABLE IF NOT EXISTS google_label (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, name TEXT NOT NULL COLLATE NOCASE,
    list_visibility TEXT NOT NULL, message_visibility TEXT NOT NULL, UNIQUE (mailbox, name)
);
CREATE TABLE IF NOT EXISTS labelled (
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE, label TEXT NOT NULL,
    PRIMARY KEY (message, label)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels_after (
    seq INTEGER PRIMARY KEY REFERENCES change ON DELETE CASCADE, message INTEGER NOT NULL,
    labels TEXT
);
CREATE INDEX IF NOT EXISTS labels_after_message ON labels_after (message, seq);
CREATE TABLE IF NOT EXISTS mail_setting (
    mailbox INTEGER NOT NULL REFERENCES user ON DELETE CASCADE, kind TEXT NOT NULL,
    id TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (mailbox, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert (
    id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant ON DELETE CASCADE,
    created_at INTEGER NOT NULL, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS watch (
    mailbox INTEGER PRIMARY KEY REFERENCES user ON DELETE CASCADE, topic TEXT NOT NULL,
    expires_at INTEGER NOT NULL, sent_seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS pubsub_subscription (
    name TEXT PRIMARY KEY, topic TEXT NOT NULL, owner TEXT NOT NULL, push_url TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS pubsub_message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT NOT NULL REFERENCES pubsub_subscription ON DELETE CASCADE,
    data TEXT NOT NULL, published_at INTEGER NOT NULL, leased_until INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS filter_rule (
    sender TEXT PRIMARY KEY COLLATE NOCASE, category TEXT NOT NULL, scl INTEGER NOT NULL,
    bcl INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS dns_record (
    name TEXT NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (name, type, value)
) WITHOUT ROWID;
"""


class Store:
    """One connection.  ``generation`` names this file's life: a delta token of another life has
    expired.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)
        self.execute("INSERT OR IGNORE INTO meta VALUES ('generation', ?)", uuid.uuid4().hex)
        self.execute("INSERT OR IGNORE INTO meta VALUES ('serial', '0')")
        self.generation: str = self.value("SELECT value FROM meta WHERE key = 'generation'")

    def execute(self, sql: str, *values: Any) -> int:
        """Returns the number of the inserted row, where one was inserted."""
        return self._connection.execute(sql, values).lastrowid or 0

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def one(self, sql: str, *values: Any) -> sqlite3.Row:
        """A row that must be there.  Raises LookupError."""
        found = self.row(sql, *values)
        if found is None:
            raise LookupError(f"no row: {sql}")
        return found

    def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None where there is no row."""
        found = self.row(sql, *values)
        return None if found is None else found[0]

    def next_serial(self) -> int:
        """The next number for a normal id.  Call it inside a transaction."""
        self.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'serial'")
        return int(self.value("SELECT value FROM meta WHERE key = 'serial'"))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end, rolls back on any exception.  Must not contain an ``await``."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def marks(values: Sequence[object]) -> str:
    """``?, ?, ?`` for an IN list."""
    return ", ".join("?" * len(values))
