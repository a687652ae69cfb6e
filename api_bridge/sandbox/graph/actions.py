"""What changes a message: move, copy, mark, delete, purge, and a mail put back from its bytes.

Source: learn.microsoft.com/graph/api (message-move, message-copy, message-update, message-delete,
message-permanentdelete, user-post-messages), read 2026-11.
"""

import asyncio
import base64
import binascii
import json
import sqlite3
from typing import Any

from api_bridge.sandbox import ids, mailboxes, mime
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.graph.call import GRAPH, Call, answer, bad_request, malformed_id, nothing
from api_bridge.sandbox.graph.message_json import message_json
from api_bridge.sandbox.graph.messages import folder_in, message_in_address
from api_bridge.sandbox.web import Response

LARGEST_TRANSLATION = 1000
_waiting_moves: set[asyncio.Task[None]] = set()


def move_message(call: Call) -> Response:
    message = message_in_address(call)
    target = _destination(call, message)
    subject = f"{call.request.method} {call.request.path}"
    if call.cloud.faults.take("lying_move", subject):
        pretended = dict(message) | {"folder": target["number"]}
        return _answer(call, pretended, 201)
    mailboxes.move_message(call.cloud.store, message["number"], target["number"])
    back = call.cloud.faults.take("move_back", subject)
    if back is not None:
        task = asyncio.create_task(
            _move_back(call.cloud, message["number"], message["folder"], back.seconds)
        )
        _waiting_moves.add(task)
        task.add_done_callback(_waiting_moves.discard)
    return _changed(call, message["number"], 201)


def copy_message(call: Call) -> Response:
    message = message_in_address(call)
    target = _destination(call, message)
    number = mailboxes.copy_message(call.cloud.store, message, target["number"])
    return _changed(call, number, 201)


def change_message(call: Call) -> Response:
    message = message_in_address(call)
    changes: dict[str, Any] = {}
    for name, value in call.body().items():
        if not name.startswith("@odata."):
            column, stored = _change(name, value)
            changes[column] = stored
    if changes:
        mailboxes.update_message(call.cloud.store, message["number"], changes)
    return _changed(call, message["number"], 200)


def delete_message(call: Call) -> Response:
    mailboxes.discard_message(call.cloud.store, message_in_address(call))
    call.cloud.notifier.wake()
    return nothing()


def purge_message(call: Call) -> Response:
    mailboxes.purge_message(call.cloud.store, message_in_address(call))
    call.cloud.notifier.wake()
    return nothing()


def create_message(call: Call) -> Response:
    """A mail put into a mailbox from its bytes (base64, Content-Type text/plain): a draft."""
    mailbox = call.mailbox()
    name = call.values.get("folder", "drafts")
    folder_in(call, mailbox["number"], name)
    if not call.request.headers.get("content-type", "").startswith("text/plain"):
        raise bad_request("The sandbox makes messages from MIME content (text/plain) only.")
    try:
        raw = base64.b64decode(call.request.body, validate=False)
    except binascii.Error as error:
        raise bad_request("Invalid base64 string for MIME content.",
                          "ErrorMimeContentInvalidBase64String") from error  # fmt: skip
    made = mailboxes.deliver(
        call.cloud.store, raw=raw, mail=mime.read_mail(raw), copies=[(mailbox["number"], name)],
        is_read=True, is_draft=True,
    )  # fmt: skip
    return _changed(call, made[0], 201)


def translate_ids(call: Call) -> Response:
    mailbox = call.mailbox()
    wanted = call.parameters()
    inputs, target = wanted.get("inputids"), str(wanted.get("targetidtype", "")).lower()
    if not isinstance(inputs, list) or not 0 < len(inputs) <= LARGEST_TRANSLATION:
        raise bad_request(f"inputIds must be a list of 1 to {LARGEST_TRANSLATION} ids.")
    shown = []
    for source in inputs:
        message = mailboxes.find_message(call.cloud.store, mailbox["number"], str(source))
        if message is None:
            raise malformed_id()
        make, number = (
            (ids.immutable_id, message["number"])
            if "immutable" in target
            else (ids.normal_id, message["serial"])
        )
        shown.append({"sourceId": source, "targetId": make(mailbox["number"], number)})
    context = f"{GRAPH}/$metadata#Collection(microsoft.graph.convertIdResult)"
    return answer(call, {"@odata.context": context, "value": shown})


async def _move_back(cloud: Cloud, number: int, folder: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    mailboxes.move_message(cloud.store, number, folder)
    cloud.notifier.wake()


def _destination(call: Call, message: sqlite3.Row) -> sqlite3.Row:
    name = call.parameters().get("destinationid")
    if not isinstance(name, str) or not name:
        raise bad_request("The parameter 'DestinationId' is required.", "ErrorInvalidParameter")
    return folder_in(call, message["mailbox"], name)


def _change(name: str, value: Any) -> tuple[str, Any]:
    """The column and the value that a property of a PATCH means.  Raises GraphError."""
    match name, value:
        case "isRead", bool():
            return "is_read", value
        case "importance", "low" | "normal" | "high":
            return "importance", value
        case "inferenceClassification", "focused" | "other":
            return "inference", value
        case "categories", list() if all(isinstance(item, str) for item in value):
            return "categories", json.dumps(value)
        case "flag", {"flagStatus": "notFlagged" | "flagged" | "complete" as status}:
            return "flag", status
        case "subject", str():
            return "subject", value
    raise bad_request(f"The property '{name}' can't be changed, or not to this value.",
                      "ErrorInvalidPropertySet")  # fmt: skip


def _changed(call: Call, number: int, status: int) -> Response:
    call.cloud.notifier.wake()
    message = call.cloud.store.one("SELECT * FROM message WHERE number = ?", number)
    return _answer(call, dict(message), status)


def _answer(call: Call, message: Any, status: int) -> Response:
    context = f"{GRAPH}/$metadata#users('{call.values['user']}')/messages/$entity"
    return answer(call, {"@odata.context": context, **message_json(call, message, None)}, status)
