"""Folders and messages of one mailbox: the verbs that SMTP, Graph and the admin share.

Every verb writes a row into ``change``: delta answers and notifications are made from it alone.
A move is ``deleted`` in the old folder and ``created`` in the new one, as subscribers of a whole
mailbox see it on Microsoft's side.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from api_bridge.sandbox import ids
from api_bridge.sandbox.clock import now_s
from api_bridge.sandbox.mime import ReadMail
from api_bridge.sandbox.store import Store, marks

WELL_KNOWN = "SELECT * FROM folder WHERE mailbox = ? AND well_known = ?"
CREATED, UPDATED, DELETED = "created", "updated", "deleted"
# What a Gmail label means as a folder; of several, the first counts.
FOLDER_OF = {
    "TRASH": "deleteditems", "SPAM": "junkemail", "DRAFT": "drafts", "INBOX": "inbox",
    "SENT": "sentitems",
}  # fmt: skip
LABEL_OF = {folder: label for label, folder in FOLDER_OF.items()}


class FolderExists(Exception):
    """A folder of that name is already there."""


def own_folder(store: Store, mailbox: int, name: str) -> sqlite3.Row:
    """A well-known folder.  Every mailbox has each of them; raises LookupError for others."""
    return store.one(WELL_KNOWN, mailbox, name)


def find_folder(store: Store, mailbox: int, name: str) -> sqlite3.Row | None:
    """A folder by id or well-known name."""
    found = ids.read_id(name, mailbox, ids.FOLDER_HEAD)
    if found is None:
        return store.row(WELL_KNOWN, mailbox, name.lower())
    return store.row("SELECT * FROM folder WHERE mailbox = ? AND number = ?", mailbox, found[1])


def create_folder(
    store: Store, *, mailbox: int, parent: int, display_name: str, is_hidden: bool
) -> sqlite3.Row:
    """Raises FolderExists."""
    with store.transaction():
        if store.row(
            "SELECT 1 FROM folder WHERE parent = ? AND display_name = ? COLLATE NOCASE",
            parent, display_name,
        ):  # fmt: skip
            raise FolderExists(display_name)
        number = store.execute(
            "INSERT INTO folder (mailbox, parent, display_name, is_hidden) VALUES (?, ?, ?, ?)",
            mailbox, parent, display_name, is_hidden,
        )  # fmt: skip
    return store.one("SELECT * FROM folder WHERE number = ?", number)


def rename_folder(store: Store, number: int, display_name: str) -> None:
    """Raises FolderExists."""
    with store.transaction():
        if store.row(
            "SELECT 1 FROM folder WHERE number != ? AND display_name = ? COLLATE NOCASE AND "
            "parent = (SELECT parent FROM folder WHERE number = ?)",
            number, display_name, number,
        ):  # fmt: skip
            raise FolderExists(display_name)
        store.execute("UPDATE folder SET display_name = ? WHERE number = ?", display_name, number)


def discard_folder(store: Store, folder: sqlite3.Row) -> None:
    """What Outlook does with a deleted folder: it goes below Deleted Items with its mail."""
    trash = own_folder(store, folder["mailbox"], "deleteditems")
    with store.transaction():
        store.execute(
            "UPDATE folder SET parent = ? WHERE number = ?", trash["number"], folder["number"]
        )


def deliver(
    store: Store,
    *,
    raw: bytes,
    mail: ReadMail,
    copies: Sequence[tuple[int, str]],
    is_read: bool = False,
    is_draft: bool = False,
    received_at: int | None = None,
) -> list[int]:
    """Put one mail into folders, all or none; committed when this returns.

    ``received_at``: the time of receipt that somebody gives it, in Unix seconds; None: now.
    ``copies``: pairs of mailbox and well-known folder or folder id.  Returns message numbers.
    """
    made = []
    with store.transaction():
        mime = store.execute("INSERT INTO mime (raw) VALUES (?)", raw)
        for mailbox, name in copies:
            folder = find_folder(store, mailbox, name) or own_folder(store, mailbox, name)
            values = _columns(mail) | {
                "mailbox": mailbox, "folder": folder["number"], "mime": mime, "version": 1,
                "serial": store.next_serial(), "is_read": is_read, "is_draft": is_draft,
            }  # fmt: skip
            if received_at is not None:
                values["received_at"] = received_at
            columns = ", ".join(values)
            number = store.execute(
                f"INSERT INTO message ({columns}) VALUES ({marks(list(values))})",  # noqa: S608 - our own column names
                *values.values(),
            )
            _record_change(store, number, CREATED)
            made.append(number)
    return made


def find_message(store: Store, mailbox: int, message_id: str) -> sqlite3.Row | None:
    """A message by its normal or its immutable id.  A normal id from before a move finds none."""
    found = ids.read_id(message_id, mailbox, ids.NORMAL_HEAD, ids.IMMUTABLE_HEAD)
    if found is None:
        return None
    head, number = found
    column = "number" if head == ids.IMMUTABLE_HEAD else "serial"
    return store.row(
        f"SELECT * FROM message WHERE mailbox = ? AND {column} = ?",  # noqa: S608 - one of two names
        mailbox, number,
    )  # fmt: skip


def message_numbered(store: Store, number: int) -> sqlite3.Row | None:
    return store.row("SELECT * FROM message WHERE number = ?", number)


def raw_mail(store: Store, message: sqlite3.Row) -> bytes:
    raw = store.value("SELECT raw FROM mime WHERE number = ?", message["mime"])
    return bytes(raw)


def move_message(store: Store, number: int, folder: int) -> None:
    """Move within the mailbox.  Into the folder it is in already: nothing happens."""
    with store.transaction():
        message = message_numbered(store, number)
        if message is None or message["folder"] == folder:
            return
        _record_change(store, number, DELETED)
        store.execute(
            "UPDATE message SET folder = ?, serial = ?, version = version + 1, modified_at = ? "
            "WHERE number = ?",
            folder, store.next_serial(), now_s(), number,
        )  # fmt: skip
        _record_change(store, number, CREATED)


def copy_message(store: Store, message: sqlite3.Row, folder: int) -> int:
    """Returns the number of the copy."""
    with store.transaction():
        values = dict(message) | {"folder": folder, "serial": store.next_serial()}
        del values["number"]
        columns = ", ".join(values)
        number = store.execute(
            f"INSERT INTO message ({columns}) VALUES ({marks(list(values))})",  # noqa: S608 - our own column names
            *values.values(),
        )
        _record_change(store, number, CREATED)
    return number


def update_message(store: Store, number: int, changes: dict[str, Any]) -> None:
    """Set columns of a message; their names are the caller's own."""
    assignments = "".join(f"{column} = ?, " for column in changes)
    with store.transaction():
        store.execute(
            f"UPDATE message SET {assignments} version = version + 1, modified_at = ? "  # noqa: S608 - our own column names
            "WHERE number = ?",
            *changes.values(), now_s(), number,
        )  # fmt: skip
        _record_change(store, number, UPDATED)


def discard_message(store: Store, message: sqlite3.Row) -> None:
    """Delete as Outlook does: to Deleted Items, and from there to the recoverable items."""
    here = store.value("SELECT well_known FROM folder WHERE number = ?", message["folder"])
    below_trash = here in ("deleteditems", "recoverableitemsdeletions")
    target = "recoverableitemsdeletions" if below_trash else "deleteditems"
    folder = own_folder(store, message["mailbox"], target)
    move_message(store, message["number"], folder["number"])


def purge_message(store: Store, message: sqlite3.Row) -> None:
    """Take a message away for good."""
    with store.transaction():
        _record_change(store, message["number"], DELETED, is_purged=True)
        store.execute("DELETE FROM message WHERE number = ?", message["number"])
        store.execute(
            "DELETE FROM mime WHERE number = ? AND NOT EXISTS "
            "(SELECT 1 FROM message WHERE mime = mime.number)",
            message["mime"],
        )


def set_labels(store: Store, number: int, wanted: set[str]) -> None:
    """Gmail's way to move and mark: the whole new set of labels.  The set it has already: nothing
    happens.
    """
    with store.transaction():
        message = message_numbered(store, number)
        if message is None or set(labels_of(store, message)) == wanted:
            return
        name = next((FOLDER_OF[label] for label in FOLDER_OF if label in wanted), "archive")
        folder = own_folder(store, message["mailbox"], name)["number"]
        has_moved = folder != message["folder"]
        if has_moved:
            _record_change(store, number, DELETED)
            store.execute(
                "UPDATE message SET folder = ?, serial = ? WHERE number = ?",
                folder, store.next_serial(), number,
            )  # fmt: skip
        store.execute(
            "UPDATE message SET is_read = ?, version = version + 1, modified_at = ? "
            "WHERE number = ?",
            "UNREAD" not in wanted, now_s(), number,
        )  # fmt: skip
        store.execute("DELETE FROM labelled WHERE message = ?", number)
        for label in wanted - {"UNREAD", LABEL_OF.get(name, "")}:
            store.execute("INSERT INTO labelled VALUES (?, ?)", number, label)
        _record_change(store, number, CREATED if has_moved else UPDATED)


def labels_of(store: Store, message: sqlite3.Row) -> list[str]:
    """A message's labels as Gmail shows them: its folder, whether it is unread, and the others."""
    well_known = store.value("SELECT well_known FROM folder WHERE number = ?", message["folder"])
    others = store.rows("SELECT label FROM labelled WHERE message = ?", message["number"])
    found = {LABEL_OF.get(well_known, ""), *(row["label"] for row in others)} - {""}
    return sorted(found | (set() if message["is_read"] else {"UNREAD"}))


def _record_change(store: Store, number: int, kind: str, *, is_purged: bool = False) -> None:
    """Graph's side is told of the kind, Gmail's history is made of the labels after it."""
    seq = store.execute(
        "INSERT INTO change (mailbox, folder, message, serial, version, kind, at) "
        "SELECT mailbox, folder, number, serial, version, ?, ? FROM message WHERE number = ?",
        kind, now_s(), number,
    )  # fmt: skip
    labels = None if is_purged else " ".join(
        labels_of(store, store.one("SELECT * FROM message WHERE number = ?", number))
    )  # fmt: skip
    store.execute("INSERT INTO labels_after VALUES (?, ?, ?)", seq, number, labels)


def _columns(mail: ReadMail) -> dict[str, Any]:
    name, address = next(iter(mail.people.get("from", ())), ("", ""))
    now = now_s()
    return {
        "received_at": now, "created_at": now, "modified_at": now, "sent_at": mail.sent_at,
        "has_attachments": mail.has_attachments, "importance": mail.importance,
        "flag": "notFlagged", "inference": "focused", "categories": "[]",
        "internet_message_id": mail.internet_message_id, "conversation": mail.conversation,
        "subject": mail.subject, "from_name": name, "from_address": address,
        "people": json.dumps(mail.people), "preview": mail.preview,
        "body_type": mail.body_type, "body": mail.body,
    }  # fmt: skip
