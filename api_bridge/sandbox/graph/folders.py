"""Mail folders.  Source: learn.microsoft.com/graph/api (user-list-mailfolders,
user-post-mailfolders, mailfolder-list-childfolders), read 2026-11.
"""

import sqlite3
from typing import Any

from api_bridge.sandbox import ids, mailboxes
from api_bridge.sandbox.graph.call import (
    GRAPH,
    Call,
    GraphError,
    answer,
    bad_request,
    nothing,
    paged,
)
from api_bridge.sandbox.graph.messages import folder_in
from api_bridge.sandbox.odata import EVERYTHING, Column, read_filter, read_select
from api_bridge.sandbox.web import Response

PROPERTIES = ("id", "displayName", "parentFolderId", "childFolderCount", "unreadItemCount",
              "totalItemCount", "isHidden")  # fmt: skip
COLUMNS = {"displayname": Column("display_name")}
PAGE = 10
LARGEST_PAGE = 1000


def list_folders(call: Call) -> Response:
    """Folders directly below the root, or below the folder in the address."""
    mailbox = call.mailbox()
    parent = folder_in(call, mailbox["number"], call.values.get("folder", "msgfolderroot"))
    has_hidden = (call.request.first("includeHiddenFolders") or "").lower() == "true"
    filter_text = call.option("filter")
    where = read_filter(filter_text, COLUMNS) if filter_text else EVERYTHING
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    skip = call.number("skip", 0, (0, 1_000_000))
    found = call.cloud.store.rows(
        f"SELECT * FROM folder WHERE parent = ? AND is_hidden <= ? AND ({where.sql}) "  # noqa: S608 - a text of odata.py
        "ORDER BY display_name, number LIMIT ? OFFSET ?",
        parent["number"], has_hidden, *where.values, top + 1, skip,
    )  # fmt: skip
    selected = _selected(call)
    shown = [folder_json(call, folder, selected) for folder in found[:top]]
    context = f"users('{mailbox['id']}')/mailFolders"
    return paged(call, context, shown, skip=skip, has_more=len(found) > top)


def get_folder(call: Call) -> Response:
    folder = folder_in(call, call.mailbox()["number"], call.values["folder"])
    return _answer(call, folder)


def create_folder(call: Call) -> Response:
    mailbox = call.mailbox()
    parent = folder_in(call, mailbox["number"], call.values.get("folder", "msgfolderroot"))
    body = call.body()
    try:
        made = mailboxes.create_folder(
            call.cloud.store, mailbox=mailbox["number"], parent=parent["number"],
            display_name=_display_name(body), is_hidden=body.get("isHidden") is True,
        )  # fmt: skip
    except mailboxes.FolderExists as error:
        raise _exists(error) from error
    return _answer(call, made, 201)


def change_folder(call: Call) -> Response:
    folder = folder_in(call, call.mailbox()["number"], call.values["folder"])
    _check_own(folder)
    try:
        mailboxes.rename_folder(call.cloud.store, folder["number"], _display_name(call.body()))
    except mailboxes.FolderExists as error:
        raise _exists(error) from error
    return get_folder(call)


def delete_folder(call: Call) -> Response:
    folder = folder_in(call, call.mailbox()["number"], call.values["folder"])
    _check_own(folder)
    mailboxes.discard_folder(call.cloud.store, folder)
    return nothing()


def folder_json(call: Call, folder: sqlite3.Row, selected: list[str] | None) -> dict[str, Any]:
    store, number = call.cloud.store, folder["number"]
    total, unread = store.rows(
        "SELECT count(*), coalesce(sum(NOT is_read), 0) FROM message WHERE folder = ?", number
    )[0]
    parent = folder["parent"]
    shown: dict[str, Any] = {
        "id": ids.folder_id(folder["mailbox"], number),
        "displayName": folder["display_name"],
        "parentFolderId": ids.folder_id(folder["mailbox"], parent or 0),
        "childFolderCount": store.value("SELECT count(*) FROM folder WHERE parent = ?", number),
        "unreadItemCount": unread,
        "totalItemCount": total,
        "isHidden": bool(folder["is_hidden"]),
    }
    if selected is None:
        return shown
    return {name: value for name, value in shown.items() if name == "id" or name in selected}


def _answer(call: Call, folder: sqlite3.Row, status: int = 200) -> Response:
    context = f"{GRAPH}/$metadata#users('{call.values['user']}')/mailFolders/$entity"
    shown = folder_json(call, folder, _selected(call))
    return answer(call, {"@odata.context": context, **shown}, status)


def _selected(call: Call) -> list[str] | None:
    text = call.option("select")
    return None if text is None else read_select(text, PROPERTIES, "microsoft.graph.mailFolder")


def _display_name(body: dict[str, Any]) -> str:
    name = body.get("displayName")
    if not isinstance(name, str) or not name.strip():
        raise bad_request("The folder needs a displayName.", "ErrorInvalidRequest")
    return name.strip()


def _check_own(folder: sqlite3.Row) -> None:
    if folder["well_known"]:
        raise GraphError(403, "ErrorDeleteDistinguishedFolder",
                         "Distinguished folders cannot be changed.")  # fmt: skip


def _exists(error: mailboxes.FolderExists) -> GraphError:
    return GraphError(409, "ErrorFolderExists",
                      f"A folder with the specified name already exists., {error}")  # fmt: skip
