"""A message as Graph shows it, property by property, so that $select costs only what it asks."""

import base64
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from api_bridge.sandbox import ids, mailboxes, mime
from api_bridge.sandbox.clock import as_graph_time
from api_bridge.sandbox.graph.call import Call
from api_bridge.sandbox.odata import Column
from api_bridge.sandbox.store import Store

Row = sqlite3.Row


def message_id(call: Call, message: Row) -> str:
    if call.wants_immutable:
        return ids.immutable_id(message["mailbox"], message["number"])
    return ids.normal_id(message["mailbox"], message["serial"])


def change_key(number: int, version: int) -> str:
    return base64.b64encode(f"CQAAABYAAAC{number:08d}{version:06d}".encode()).decode()


def message_json(call: Call, message: Row, selected: Sequence[str] | None) -> dict[str, Any]:
    """``selected`` None: what Graph shows when nothing is selected."""
    names = DEFAULT if selected is None else ["id", *selected]
    key = change_key(message["number"], message["version"])
    shown: dict[str, Any] = {"@odata.etag": f'W/"{key}"'}
    for name in names:
        shown[name] = PROPERTIES[name](call, message)
    return shown


def _body(call: Call, message: Row) -> dict[str, str]:
    kind, content = message["body_type"], message["body"]
    if kind == "html" and "outlook.allow-unsafe-html" not in call.preferences:
        content = mime.safe_html(content)
    if kind == "html" and call.preferences.get("outlook.body-content-type", "").lower() == "text":
        kind, content = "text", mime.text_of_html(content)
    return {"contentType": kind, "content": content}


def _person(name: str, address: str) -> dict[str, Any]:
    return {"emailAddress": {"name": name or address, "address": address}}


def _people(header: str) -> Callable[[Call, Row], list[dict[str, Any]]]:
    def read(_call: Call, message: Row) -> list[dict[str, Any]]:
        return [_person(*pair) for pair in json.loads(message["people"]).get(header, ())]

    return read


def _first(*headers: str) -> Callable[[Call, Row], dict[str, Any] | None]:
    def read(_call: Call, message: Row) -> dict[str, Any] | None:
        people = json.loads(message["people"])
        pairs = next((people[header] for header in headers if people.get(header)), None)
        return _person(*pairs[0]) if pairs else None

    return read


def _column(name: str) -> Callable[[Call, Row], Any]:
    return lambda _call, message: message[name]


def _flag(name: str) -> Callable[[Call, Row], bool]:
    return lambda _call, message: bool(message[name])


def _time(name: str) -> Callable[[Call, Row], str]:
    return lambda _call, message: as_graph_time(message[name])


# Exchange keeps headers of mail that has travelled; what a mailbox wrote itself has none.
_OF_TRAVELLED = {"received", "x-ms-exchange-organization-authas"}


def _headers(call: Call, message: Row) -> list[dict[str, str]]:
    return headers_of(call.cloud.store, message)


def headers_of(store: Store, message: Row) -> list[dict[str, str]]:
    fields = mime.header_fields(mailboxes.raw_mail(store, message))
    if not any(name.lower() in _OF_TRAVELLED for name, _ in fields):
        return []
    return [{"name": name, "value": mime.decoded(value)} for name, value in fields]


def _web_link(call: Call, message: Row) -> str:
    item = quote(message_id(call, message), safe="")
    return f"https://outlook.office365.com/owa/?ItemID={item}&exvsurl=1&viewmodel=ReadMessageItem"


PROPERTIES: dict[str, Callable[[Call, Row], Any]] = {
    "id": message_id,
    "createdDateTime": _time("created_at"),
    "lastModifiedDateTime": _time("modified_at"),
    "changeKey": lambda _call, m: change_key(m["number"], m["version"]),
    "categories": lambda _call, m: json.loads(m["categories"]),
    "receivedDateTime": _time("received_at"),
    "sentDateTime": _time("sent_at"),
    "hasAttachments": _flag("has_attachments"),
    "internetMessageId": _column("internet_message_id"),
    "subject": _column("subject"),
    "bodyPreview": _column("preview"),
    "importance": _column("importance"),
    "parentFolderId": lambda _call, m: ids.folder_id(m["mailbox"], m["folder"]),
    "conversationId": lambda _call, m: f"AAQkAD{m['conversation']}=",
    "conversationIndex": lambda _call, m: base64.b64encode(
        bytes.fromhex(m["conversation"])
    ).decode(),
    "isDeliveryReceiptRequested": lambda _call, _message: False,
    "isReadReceiptRequested": lambda _call, _message: False,
    "isRead": _flag("is_read"),
    "isDraft": _flag("is_draft"),
    "webLink": _web_link,
    "inferenceClassification": _column("inference"),
    "body": _body,
    "sender": _first("sender", "from"),
    "from": _first("from"),
    "toRecipients": _people("to"),
    "ccRecipients": _people("cc"),
    "bccRecipients": _people("bcc"),
    "replyTo": _people("reply-to"),
    "flag": lambda _call, m: {"flagStatus": m["flag"]},
    "uniqueBody": _body,
    "internetMessageHeaders": _headers,
}
DEFAULT = [n for n in PROPERTIES if n not in ("uniqueBody", "internetMessageHeaders")]

COLUMNS = {
    "createddatetime": Column("created_at", "time"),
    "lastmodifieddatetime": Column("modified_at", "time"),
    "receiveddatetime": Column("received_at", "time"),
    "sentdatetime": Column("sent_at", "time"),
    "hasattachments": Column("has_attachments", "flag"),
    "internetmessageid": Column("internet_message_id"),
    "subject": Column("subject"),
    "importance": Column("importance"),
    "isread": Column("is_read", "flag"),
    "isdraft": Column("is_draft", "flag"),
    "from/emailaddress/address": Column("from_address"),
    "from/emailaddress/name": Column("from_name"),
    "sender/emailaddress/address": Column("from_address"),
    "inferenceclassification": Column("inference"),
    "flag/flagstatus": Column("flag"),
    "categories": Column("categories", "list"),
}
