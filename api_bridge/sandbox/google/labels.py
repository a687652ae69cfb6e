"""Labels of a mailbox, and the labels of its messages as requests change them.

Source: discovery document gmail.v1 (users.labels, users.messages.modify), revision 20261005.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from api_bridge.sandbox import mailboxes
from api_bridge.sandbox.google.call import (
    Call,
    GoogleError,
    answer,
    bad_request,
    not_found,
    nothing,
)
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

SYSTEM = ("CHAT", "SENT", "INBOX", "IMPORTANT", "TRASH", "DRAFT", "SPAM", "STARRED", "UNREAD",
          "CATEGORY_FORUMS", "CATEGORY_UPDATES", "CATEGORY_PERSONAL", "CATEGORY_PROMOTIONS",
          "CATEGORY_SOCIAL")  # fmt: skip
# Nobody can put these on or take them off.
FIXED = frozenset({"SENT", "DRAFT", "CHAT"})
HEAD = "Label_"


def label_id(number: int) -> str:
    return f"{HEAD}{number}"


def _label_json(row: sqlite3.Row) -> dict[str, Any]:
    return {"id": label_id(row["number"]), "name": row["name"], "type": "user",
            "labelListVisibility": row["list_visibility"],
            "messageListVisibility": row["message_visibility"]}  # fmt: skip


def own_label(store: Store, mailbox: int, wanted: str) -> sqlite3.Row | None:
    """A label that a person or program made, by its id."""
    number = wanted.removeprefix(HEAD)
    if not wanted.startswith(HEAD) or not number.isascii() or not number.isdigit():
        return None
    return store.row(
        "SELECT * FROM google_label WHERE mailbox = ? AND number = ?", mailbox, int(number)
    )


def list_labels(call: Call) -> Response:
    mailbox = call.mailbox()
    system: list[dict[str, Any]] = [{"id": name, "name": name, "type": "system"} for name in SYSTEM]
    own = call.cloud.store.rows(
        "SELECT * FROM google_label WHERE mailbox = ? ORDER BY number", mailbox["number"]
    )
    return answer({"labels": system + [_label_json(row) for row in own]})


def get_label(call: Call) -> Response:
    mailbox, wanted = call.mailbox(), call.values["label"]
    if wanted in SYSTEM:
        return answer({"id": wanted, "name": wanted, "type": "system"})
    row = own_label(call.cloud.store, mailbox["number"], wanted)
    if row is None:
        raise not_found()
    return answer(_label_json(row))


def create_label(call: Call) -> Response:
    mailbox, wanted, store = call.mailbox(), call.body(), call.cloud.store
    name = str(wanted.get("name", "")).strip()
    if not name or name.upper() in SYSTEM:
        raise bad_request("Invalid label name")
    shown = str(wanted.get("labelListVisibility", "labelShow"))
    listed = str(wanted.get("messageListVisibility", "show"))
    if shown not in ("labelShow", "labelShowIfUnread", "labelHide") or listed not in (
        "show", "hide",
    ):  # fmt: skip
        raise bad_request("Invalid visibility")
    try:
        number = store.execute(
            "INSERT INTO google_label (mailbox, name, list_visibility, message_visibility) "
            "VALUES (?, ?, ?, ?)",
            mailbox["number"], name, shown, listed,
        )  # fmt: skip
    except sqlite3.IntegrityError as error:
        raise GoogleError(409, "aborted", "Label name exists or conflicts") from error
    return answer(_label_json(store.one("SELECT * FROM google_label WHERE number = ?", number)))


def delete_label(call: Call) -> Response:
    """The label goes from every message that had it."""
    mailbox, store = call.mailbox(), call.cloud.store
    row = own_label(store, mailbox["number"], call.values["label"])
    if row is None:
        raise not_found()
    name = label_id(row["number"])
    for message in store.rows(
        "SELECT message.* FROM message JOIN labelled ON labelled.message = message.number "
        "WHERE mailbox = ? AND label = ?",
        mailbox["number"], name,
    ):  # fmt: skip
        left = set(mailboxes.labels_of(store, message)) - {name}
        mailboxes.set_labels(store, message["number"], left)
    store.execute("DELETE FROM google_label WHERE number = ?", row["number"])
    return nothing()


def changed_labels(
    call: Call, mailbox: int, now: Iterable[str], *, add: Iterable[str], remove: Iterable[str]
) -> set[str]:
    """The labels after a request.  Raises GoogleError for one that the mailbox does not have."""
    adding, removing = set(add), set(remove)
    for label in adding | removing:
        is_known = label in SYSTEM or own_label(call.cloud.store, mailbox, label) is not None
        if not is_known or label in FIXED:
            raise bad_request(f"Invalid label: {label}")
    if adding & removing:
        raise bad_request("Cannot both add and remove the same label")
    return (set(now) | adding) - removing
