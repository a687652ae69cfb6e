"""Reading messages: lists, one message, its bytes and its attachments.

Source: learn.microsoft.com/graph/api (user-list-messages, message-get, message-list-attachments,
outlook-get-mime-message), read 2026-11.
"""

import base64
import sqlite3
from typing import Any

from api_bridge.sandbox import ids, mailboxes, mime
from api_bridge.sandbox.clock import as_graph_time
from api_bridge.sandbox.graph.call import (
    GRAPH,
    Call,
    GraphError,
    answer,
    bad_request,
    item_not_found,
    malformed_id,
    paged,
)
from api_bridge.sandbox.graph.message_json import (
    COLUMNS,
    DEFAULT,
    PROPERTIES,
    message_json,
)
from api_bridge.sandbox.mime import Attached
from api_bridge.sandbox.odata import (
    EVERYTHING,
    check_efficient,
    read_filter,
    read_orderby,
    read_select,
)
from api_bridge.sandbox.web import Response

PAGE = 10
LARGEST_PAGE = 1000
BODIES = frozenset({"body", "bodyPreview", "uniqueBody"})  # not for Mail.ReadBasic.All
# /users/{id}/messages covers every folder below the root, hidden ones too; not the dumpster.
IN_TREE = (
    "folder NOT IN (SELECT number FROM folder WHERE mailbox = message.mailbox "
    "AND well_known = 'recoverableitemsdeletions')"
)


def list_messages(call: Call) -> Response:
    mailbox = call.mailbox()
    if "folder" in call.values:
        number = folder_in(call, mailbox["number"], call.values["folder"])["number"]
        scope, values = "mailbox = ? AND folder = ?", [mailbox["number"], number]
    else:
        scope, values = f"mailbox = ? AND {IN_TREE}", [mailbox["number"]]
    selected = selected_properties(call)
    filter_text, order_text = call.option("filter"), call.option("orderby")
    where = read_filter(filter_text, COLUMNS) if filter_text else EVERYTHING
    order = read_orderby(order_text, COLUMNS) if order_text else []
    check_efficient(where, order)
    if call.option("search"):
        raise bad_request("$search is not offered by the sandbox.", "ErrorInvalidUrlQuery")
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    skip = call.number("skip", 0, (0, 10_000_000))
    by = ", ".join([sql for _, sql in order] or ["received_at DESC"])
    found = call.cloud.store.rows(
        f"SELECT * FROM message WHERE {scope} AND ({where.sql}) "  # noqa: S608 - texts of odata.py and our own
        f"ORDER BY {by}, number LIMIT ? OFFSET ?",
        *values, *where.values, top + 1, skip,
    )  # fmt: skip
    count = None
    if (call.option("count") or "").lower() == "true":
        count = call.cloud.store.value(
            f"SELECT count(*) FROM message WHERE {scope} AND ({where.sql})",  # noqa: S608 - as above
            *values, *where.values,
        )  # fmt: skip
    shown = [message_json(call, message, selected) for message in found[:top]]
    if shown and call.cloud.faults.take("late_item", call.request.path):
        shown.pop()  # it is there, and this answer does not know it yet
    context = f"users('{mailbox['id']}')/messages"
    return paged(call, context, shown, skip=skip, has_more=len(found) > top, count=count)


def get_message(call: Call) -> Response:
    message = message_in_address(call)
    shown = message_json(call, message, selected_properties(call))
    if (call.option("expand") or "").lower().startswith("attachments"):
        shown["attachments"] = [
            _attachment_json(message, index, part, with_content=True)
            for index, part in enumerate(_attachments(call, message))
        ]
    return answer(call, {"@odata.context": _context(call, "messages/$entity"), **shown})


def get_bytes(call: Call) -> Response:
    """``$value``: the mail's own bytes."""
    raw = mailboxes.raw_mail(call.cloud.store, message_in_address(call))
    return Response(200, raw, {"content-type": "text/plain"})


def list_attachments(call: Call) -> Response:
    message = message_in_address(call)
    selected = call.option("select")
    with_content = selected is None or "contentbytes" in selected.lower()
    parts = _attachments(call, message)
    shown = [_attachment_json(message, i, p, with_content=with_content)
             for i, p in enumerate(parts)]  # fmt: skip
    context = _context(call, f"messages('{call.values['message']}')/attachments")
    return answer(call, {"@odata.context": context, "value": shown})


def get_attachment(call: Call) -> Response:
    message = message_in_address(call)
    index, part = _attachment_in_address(call, message)
    context = _context(call, f"messages('{call.values['message']}')/attachments/$entity")
    shown = _attachment_json(message, index, part, with_content=True)
    return answer(call, {"@odata.context": context, **shown})


def get_attachment_bytes(call: Call) -> Response:
    _, part = _attachment_in_address(call, message_in_address(call))
    return Response(200, part.content, {"content-type": "application/octet-stream"})


def message_in_address(call: Call) -> sqlite3.Row:
    """Raises GraphError."""
    mailbox = call.mailbox()
    message = mailboxes.find_message(call.cloud.store, mailbox["number"], call.values["message"])
    if message is None:
        is_id = ids.looks_like_id(call.values["message"])
        raise item_not_found() if is_id else malformed_id()
    if "folder" in call.values:
        folder = folder_in(call, mailbox["number"], call.values["folder"])
        if folder["number"] != message["folder"]:
            raise item_not_found()
    return message


def folder_in(call: Call, mailbox: int, name: str) -> sqlite3.Row:
    """Raises GraphError."""
    folder = mailboxes.find_folder(call.cloud.store, mailbox, name)
    if folder is None:
        raise item_not_found() if ids.looks_like_id(name) else malformed_id()
    return folder


def selected_properties(call: Call) -> list[str] | None:
    """Raises BadQuery, GraphError."""
    text = call.option("select")
    may_read_bodies = bool(call.caller.roles & {"Mail.Read", "Mail.ReadWrite"})
    if text is None:
        return None if may_read_bodies else [name for name in DEFAULT if name not in BODIES]
    selected = read_select(text, list(PROPERTIES), "microsoft.graph.message")
    if not may_read_bodies and BODIES.intersection(selected):
        raise GraphError(403, "ErrorAccessDenied",
                         "Access is denied. Check credentials and try again.")  # fmt: skip
    return selected


def _context(call: Call, rest: str) -> str:
    return f"{GRAPH}/$metadata#users('{call.values['user']}')/{rest}"


def _attachments(call: Call, message: sqlite3.Row) -> list[Attached]:
    return mime.attachments(mailboxes.raw_mail(call.cloud.store, message))


def _attachment_id(message: sqlite3.Row, index: int) -> str:
    stem = ids.immutable_id(message["mailbox"], message["number"])
    return f"{stem[:-4]}BEgAQA{index:04d}="


def _attachment_in_address(call: Call, message: sqlite3.Row) -> tuple[int, Attached]:
    for index, part in enumerate(_attachments(call, message)):
        if _attachment_id(message, index) == call.values["attachment"]:
            return index, part
    raise item_not_found()


def _attachment_json(
    message: sqlite3.Row, index: int, part: Attached, *, with_content: bool
) -> dict[str, Any]:
    kind = "itemAttachment" if part.is_message else "fileAttachment"
    shown: dict[str, Any] = {
        "@odata.type": f"#microsoft.graph.{kind}",
        "@odata.mediaContentType": part.content_type,
        "id": _attachment_id(message, index),
        "lastModifiedDateTime": as_graph_time(message["created_at"]),
        "name": part.name,
        "contentType": None if part.is_message else part.content_type,
        "size": len(part.content),
        "isInline": part.is_inline,
    }
    if not part.is_message:
        shown["contentId"] = part.content_id
        shown["contentLocation"] = None
        if with_content:
            shown["contentBytes"] = base64.b64encode(part.content).decode()
    return shown
