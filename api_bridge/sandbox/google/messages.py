"""Messages of Gmail: list, get, modify, trash, insert, delete.

Source: discovery document gmail.v1, revision 20261005, and developers.google.com/gmail/api
(guides/filtering), read 2026-11.
"""

import asyncio
import base64
import binascii
import hashlib
import re
import sqlite3
from email.message import Message
from typing import Any

from api_bridge.sandbox import mailboxes, mime
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.google.call import Call, answer, bad_request, not_found, nothing
from api_bridge.sandbox.google.labels import changed_labels
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

ID_BASE = 0x1900_0000_0000_0000
HISTORY_BASE = 1000
LARGEST_PAGE = 500
LARGEST_BATCH = 1000
FORMATS = ("minimal", "full", "raw", "metadata")
_ID = re.compile(r"[0-9a-f]{16}")
_TERM = re.compile(r'(?:(\w+):)?("[^"]*"|\S+)')
_waiting: set[asyncio.Task[None]] = set()


def message_id(number: int) -> str:
    return f"{ID_BASE + number:016x}"


def find_message(store: Store, mailbox: int, wanted: str) -> sqlite3.Row | None:
    if not _ID.fullmatch(wanted):
        return None
    number = int(wanted, 16) - ID_BASE
    if not 0 < number < 1 << 62:
        return None
    return store.row("SELECT * FROM message WHERE mailbox = ? AND number = ?", mailbox, number)


def thread_id(message: sqlite3.Row) -> str:
    key = f"{message['mailbox']} {message['conversation']}"
    return f"19{hashlib.sha256(key.encode()).hexdigest()[:14]}"


def history_id(store: Store, mailbox: int) -> str:
    seq = store.value("SELECT coalesce(max(seq), 0) FROM change WHERE mailbox = ?", mailbox)
    return str(HISTORY_BASE + seq)


def get_profile(call: Call) -> Response:
    mailbox, store = call.mailbox(), call.cloud.store
    messages = store.rows("SELECT * FROM message WHERE mailbox = ?", mailbox["number"])
    return answer({
        "emailAddress": mailbox["mail"], "messagesTotal": len(messages),
        "threadsTotal": len({thread_id(each) for each in messages}),
        "historyId": history_id(store, mailbox["number"]),
    })  # fmt: skip


def list_messages(call: Call) -> Response:
    """Newest first; spam and trash only where they are asked for."""
    mailbox, store = call.mailbox(), call.cloud.store
    where, values = _query(call.request.first("q") or "")
    labels = set(call.texts("labelIds"))
    with_all = (call.request.first("includeSpamTrash") or "").lower() == "true"
    token = call.request.first("pageToken")
    if token is not None and not token.isdigit():
        raise bad_request("Invalid pageToken")
    offset, size = int(token or 0), call.number("maxResults", 100, LARGEST_PAGE)
    found = []
    for row in store.rows(
        f"SELECT * FROM message WHERE mailbox = ? {where} "  # noqa: S608 - our own words
        "ORDER BY received_at DESC, number DESC",
        mailbox["number"], *values,
    ):  # fmt: skip
        has = set(mailboxes.labels_of(store, row))
        if labels <= has and (
            with_all or labels & {"SPAM", "TRASH"} or not has & {"SPAM", "TRASH"}
        ):
            found.append(row)
    content: dict[str, Any] = {"resultSizeEstimate": len(found)}
    page = found[offset : offset + size]
    if page:
        content["messages"] = [_short(row) for row in page]
    if offset + size < len(found):
        content["nextPageToken"] = str(offset + size)
        if token and call.cloud.faults.take("repeated_link", call.request.path):
            content["nextPageToken"] = token
    return answer(content)


def _short(row: sqlite3.Row) -> dict[str, str]:
    return {"id": message_id(row["number"]), "threadId": thread_id(row)}


def _query(text: str) -> tuple[str, list[Any]]:
    """The words of Gmail's search that the sandbox knows.  Raises GoogleError for others."""
    parts: list[str] = []
    values: list[Any] = []
    for word, value in _TERM.findall(text):
        term = value.strip('"')
        match word:
            case "rfc822msgid":
                parts.append("AND trim(internet_message_id, '<>') = ?")
                values.append(term.strip("<>"))
            case "after" | "before" if term.isdigit():
                parts.append(f"AND received_at {'>=' if word == 'after' else '<'} ?")
                values.append(int(term))
            case "in" if term == "anywhere":
                pass
            case _:
                raise bad_request(f"The sandbox does not know the search word {word or term!r}")
    return " ".join(parts), values


def get_message(call: Call) -> Response:
    row = _message(call)
    shape = (call.request.first("format") or "full").lower()
    if shape not in FORMATS:
        raise bad_request(f"Invalid value at 'format': {shape}")
    return answer(_message_json(call, row, shape))


def _message_json(call: Call, row: sqlite3.Row, shape: str) -> dict[str, Any]:
    store = call.cloud.store
    raw = mailboxes.raw_mail(store, row)
    seq = store.value("SELECT max(seq) FROM labels_after WHERE message = ?", row["number"])
    content: dict[str, Any] = {
        **_short(row), "labelIds": mailboxes.labels_of(store, row), "snippet": row["preview"],
        "historyId": str(HISTORY_BASE + (seq or 0)), "sizeEstimate": len(raw),
        "internalDate": str(row["received_at"] * 1000),
    }  # fmt: skip
    if not content["labelIds"]:
        del content["labelIds"]
    if shape == "raw":
        content["raw"] = base64.urlsafe_b64encode(raw).decode()
    elif shape == "metadata":
        wanted = {name.lower() for name in call.texts("metadataHeaders")}
        content["payload"] = {"mimeType": "text/plain", "headers": _headers(raw, wanted)}
    elif shape == "full":
        content["payload"] = _payload(raw)
    return content


def _headers(raw: bytes, wanted: set[str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": value}
        for name, value in mime.header_fields(raw)
        if not wanted or name.lower() in wanted
    ]


def _payload(raw: bytes) -> dict[str, Any]:
    tree = mime.tree_of(raw)
    headers = _headers(raw, set())
    if tree is None:
        return {"mimeType": "text/plain", "headers": headers, "body": {"size": len(raw)}}
    return _part(tree, "") | {"headers": headers}


def _part(part: Message, number: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "partId": number, "mimeType": part.get_content_type(),
        "filename": part.get_filename() or "",
        "headers": [{"name": name, "value": str(value)} for name, value in part.items()],
    }  # fmt: skip
    inner = part.get_payload()
    if isinstance(inner, list):
        within = [each for each in inner if isinstance(each, Message)]
        found["parts"] = [
            _part(each, f"{number}.{at}".lstrip(".")) for at, each in enumerate(within)
        ]
        found["body"] = {"size": 0}
    else:
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        found["body"] = {"size": len(data), "data": base64.urlsafe_b64encode(data).decode()}
    return found


def _message(call: Call) -> sqlite3.Row:
    mailbox = call.mailbox()
    row = find_message(call.cloud.store, mailbox["number"], call.values["message"])
    if row is None:
        raise not_found()
    return row


def _minimal(call: Call, number: int) -> dict[str, Any]:
    row = call.cloud.store.one("SELECT * FROM message WHERE number = ?", number)
    labels = mailboxes.labels_of(call.cloud.store, row)
    return _short(row) | ({"labelIds": labels} if labels else {})


def modify_message(call: Call) -> Response:
    row, wanted = _message(call), call.body()
    now = mailboxes.labels_of(call.cloud.store, row)
    after = changed_labels(
        call, row["mailbox"], now,
        add=wanted.get("addLabelIds", ()), remove=wanted.get("removeLabelIds", ()),
    )  # fmt: skip
    return _set(call, row, after)


def trash_message(call: Call) -> Response:
    row = _message(call)
    now = set(mailboxes.labels_of(call.cloud.store, row))
    return _set(call, row, (now - {"INBOX", "SPAM"}) | {"TRASH"})


def untrash_message(call: Call) -> Response:
    row = _message(call)
    return _set(call, row, set(mailboxes.labels_of(call.cloud.store, row)) - {"TRASH"})


def _set(call: Call, row: sqlite3.Row, after: set[str]) -> Response:
    subject = f"{call.request.method} {call.request.path}"
    if call.cloud.faults.take("lying_move", subject):
        return answer(_short(row) | {"labelIds": sorted(after)})
    before = set(mailboxes.labels_of(call.cloud.store, row))
    mailboxes.set_labels(call.cloud.store, row["number"], after)
    call.cloud.notifier.wake()
    back = call.cloud.faults.take("move_back", subject)
    if back is not None:
        task = asyncio.create_task(_set_later(call.cloud, row["number"], before, back.seconds))
        _waiting.add(task)
        task.add_done_callback(_waiting.discard)
    return answer(_minimal(call, row["number"]))


async def _set_later(cloud: Cloud, number: int, labels: set[str], seconds: float) -> None:
    await asyncio.sleep(seconds)
    mailboxes.set_labels(cloud.store, number, labels)
    cloud.notifier.wake()


def batch_modify(call: Call) -> Response:
    mailbox, wanted, store = call.mailbox(), call.body(), call.cloud.store
    for row in _several(call, mailbox, wanted):
        now = mailboxes.labels_of(store, row)
        after = changed_labels(
            call, row["mailbox"], now,
            add=wanted.get("addLabelIds", ()), remove=wanted.get("removeLabelIds", ()),
        )  # fmt: skip
        mailboxes.set_labels(store, row["number"], after)
    call.cloud.notifier.wake()
    return nothing()


def batch_delete(call: Call) -> Response:
    mailbox = call.mailbox()
    for row in _several(call, mailbox, call.body()):
        mailboxes.purge_message(call.cloud.store, row)
    call.cloud.notifier.wake()
    return nothing()


def _several(call: Call, mailbox: sqlite3.Row, wanted: dict[str, Any]) -> list[sqlite3.Row]:
    """ "No guarantees that messages existed": what is not there is passed over."""
    named = wanted.get("ids", [])
    if not isinstance(named, list) or not 0 < len(named) <= LARGEST_BATCH:
        raise bad_request(f"ids must name 1 to {LARGEST_BATCH} messages")
    found = (find_message(call.cloud.store, mailbox["number"], str(each)) for each in named)
    return [row for row in found if row is not None]


def delete_message(call: Call) -> Response:
    mailboxes.purge_message(call.cloud.store, _message(call))
    call.cloud.notifier.wake()
    return nothing()


async def insert_message(call: Call) -> Response:
    """Put a mail into the mailbox as it is, with the labels that are asked for."""
    mailbox, wanted, store = call.mailbox(), call.body(), call.cloud.store
    try:
        raw = base64.urlsafe_b64decode(str(wanted.get("raw", "")) + "==")
    except (binascii.Error, ValueError) as error:
        raise bad_request("Invalid value at 'raw'") from error
    if not raw:
        raise bad_request("'raw' RFC822 payload message string or uploading message via /upload/* "
                          "URL required")  # fmt: skip
    labels = changed_labels(call, mailbox["number"], (), add=wanted.get("labelIds", ()), remove=())
    mail = await asyncio.to_thread(mime.read_mail, raw)
    (number,) = mailboxes.deliver(
        store, raw=raw, mail=mail, copies=[(mailbox["number"], "archive")], is_read=True
    )
    if call.request.first("internalDateSource") == "dateHeader":
        store.execute("UPDATE message SET received_at = sent_at WHERE number = ?", number)
    mailboxes.set_labels(store, number, labels)
    call.cloud.notifier.wake()
    return answer(_minimal(call, number))


def list_history(call: Call) -> Response:
    """Changes since an id.  A page is cut before it is filtered: it may be empty and have a next.

    ``history`` is missing where there is nothing to tell, as at Google.
    """
    mailbox, store = call.mailbox(), call.cloud.store
    start = call.request.first("startHistoryId") or ""
    token = call.request.first("pageToken") or start
    if not start.isdigit() or not token.isdigit():
        raise bad_request("Invalid startHistoryId")
    newest = history_id(store, mailbox["number"])
    is_foreign = not HISTORY_BASE <= int(start) <= int(newest)
    if is_foreign or call.cloud.faults.take("expired_history", call.request.path):
        raise not_found()
    kinds = set(call.texts("historyTypes"))
    size = call.number("maxResults", 100, LARGEST_PAGE)
    rows = store.rows(
        "SELECT labels_after.* FROM change JOIN labels_after USING (seq) "
        "WHERE change.mailbox = ? AND seq > ? ORDER BY seq LIMIT ?",
        mailbox["number"], int(token) - HISTORY_BASE, size + 1,
    )  # fmt: skip
    told = [_history_json(store, row, kinds) for row in rows[:size]]
    content: dict[str, Any] = {"historyId": newest}
    records = [each for each in told if each is not None]
    added = [each for each in records if "messagesAdded" in each]
    if added and call.cloud.faults.take("late_item", call.request.path):
        records.remove(added[-1])  # it is there, and history never tells
    if records:
        content["history"] = records
    if len(rows) > size:
        content["nextPageToken"] = str(HISTORY_BASE + rows[size - 1]["seq"])
        if token != start and call.cloud.faults.take("repeated_link", call.request.path):
            content["nextPageToken"] = token
    return answer(content)


def _history_json(store: Store, row: sqlite3.Row, kinds: set[str]) -> dict[str, Any] | None:
    """What one change was, out of the labels before and after it; None: nothing for Gmail."""
    before = store.row(
        "SELECT * FROM labels_after WHERE message = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
        row["message"], row["seq"],
    )  # fmt: skip
    message = store.row("SELECT * FROM message WHERE number = ?", row["message"])
    thread = thread_id(message) if message is not None else message_id(row["message"])
    short: dict[str, Any] = {"id": message_id(row["message"]), "threadId": thread}
    labels = (row["labels"] or "").split()
    shown = short | ({"labelIds": labels} if labels else {})
    record: dict[str, Any] = {"id": str(HISTORY_BASE + row["seq"]), "messages": [short]}
    if row["labels"] is None:
        record["messagesDeleted"] = [{"message": short}]
    elif before is None:
        record["messagesAdded"] = [{"message": shown}]
    else:
        was = set((before["labels"] or "").split())
        for name, changed in (
            ("labelsAdded", set(labels) - was), ("labelsRemoved", was - set(labels)),
        ):  # fmt: skip
            if changed:
                record[name] = [{"message": shown, "labelIds": sorted(changed)}]
    types = {"messagesAdded": "messageAdded", "messagesDeleted": "messageDeleted",
             "labelsAdded": "labelAdded", "labelsRemoved": "labelRemoved"}  # fmt: skip
    for name, kind in types.items():
        if kinds and kind not in kinds:
            record.pop(name, None)
    return record if len(record) > 2 else None
