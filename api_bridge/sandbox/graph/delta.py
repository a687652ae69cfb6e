"""Delta of one folder's messages.

A token is the whole state of a walk, so nothing is kept between calls: first the messages that
are there, then the rows of ``change``.  Source: learn.microsoft.com/graph (delta-query-overview,
delta-query-messages), read 2026-11.
"""

import base64
import binascii
import json
import sqlite3
from dataclasses import asdict, dataclass, replace
from typing import Any

from api_bridge.sandbox import ids, mailboxes
from api_bridge.sandbox.graph.call import GRAPH, Call, GraphError, answer, bad_request
from api_bridge.sandbox.graph.message_json import COLUMNS, message_json
from api_bridge.sandbox.graph.messages import folder_in, selected_properties
from api_bridge.sandbox.odata import BadQuery, read_filter
from api_bridge.sandbox.store import marks
from api_bridge.sandbox.web import Response

PAGE = 10
LARGEST_PAGE = 1000
KINDS = (mailboxes.CREATED, mailboxes.UPDATED, mailboxes.DELETED)


@dataclass(frozen=True, slots=True)
class Walk:
    """``after``: the message up to which the first walk has come, None once it is over.
    ``seq``: the change up to which this walk has told.  ``filter`` stays as it was at the start.
    """

    generation: str
    folder: int
    seq: int
    after: int | None
    selected: list[str] | None
    filter: str | None
    kinds: list[str]

    def as_token(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()


def list_changes(call: Call) -> Response:
    mailbox = call.mailbox()
    folder = folder_in(call, mailbox["number"], call.values["folder"])
    token = call.request.first("$skiptoken") or call.request.first("$deltatoken")
    walk = _continued(call, token, folder) if token else _begun(call, folder)
    size = _page_size(call)
    if walk.after is not None:
        return _first_walk(call, walk, mailbox, size)
    return _changes(call, walk, mailbox, size)


def _begun(call: Call, folder: sqlite3.Row) -> Walk:
    for option in ("search", "expand", "skip"):
        if call.request.first(f"${option}") is not None:
            raise bad_request(f"The query parameter '${option}' is not supported with change "
                              "tracking.", "ErrorInvalidUrlQuery")  # fmt: skip
    kinds = (call.request.first("changeType") or ",".join(KINDS)).lower().split(",")
    if not set(kinds) <= set(KINDS):
        raise bad_request("changeType is created, updated or deleted.", "ErrorInvalidUrlQuery")
    if (call.option("orderby") or "receivedDateTime desc").lower() != "receiveddatetime desc":
        raise bad_request("Only 'receivedDateTime desc' is supported with change tracking.",
                          "ErrorInvalidUrlQuery")  # fmt: skip
    filter_text = call.option("filter")
    if filter_text is not None:
        where = read_filter(filter_text, COLUMNS)
        if where.properties != ("receiveddatetime",) or "> " not in where.sql.replace(">=", ">"):
            raise BadQuery("Only receivedDateTime with ge or gt is supported with change tracking.")
    return Walk(
        generation=call.cloud.store.generation,
        folder=folder["number"],
        seq=call.cloud.store.value("SELECT coalesce(max(seq), 0) FROM change"),
        after=0,
        selected=selected_properties(call),
        filter=filter_text,
        kinds=kinds,
    )


def _continued(call: Call, token: str, folder: sqlite3.Row) -> Walk:
    if call.cloud.faults.take("expired_delta", call.request.path):
        raise _expired(call)
    try:
        walk = Walk(**json.loads(base64.urlsafe_b64decode(token)))
    except (ValueError, TypeError, binascii.Error) as error:
        raise bad_request("Badly formed token.", "ErrorInvalidSyncStateData") from error
    if walk.generation != call.cloud.store.generation:
        raise _expired(call)
    if walk.folder != folder["number"]:
        raise bad_request("The token belongs to another folder.", "ErrorInvalidSyncStateData")
    return walk


def _expired(call: Call) -> GraphError:
    afresh = f"{call.request.base_url}{call.request.path}?$deltatoken="
    return GraphError(410, "syncStateNotFound",
                      "The sync state generation is not found; start a full synchronization.",
                      location=afresh)  # fmt: skip


def _first_walk(call: Call, walk: Walk, mailbox: sqlite3.Row, size: int) -> Response:
    found = call.cloud.store.rows(
        "SELECT * FROM message WHERE mailbox = ? AND folder = ? AND number > ? ORDER BY number "
        "LIMIT ?",
        mailbox["number"], walk.folder, walk.after, size,
    )  # fmt: skip
    # A page is cut before the filter, so pages that come out empty have a next link too.
    shown = [message_json(call, row, walk.selected) for row in _passing(call, walk, found)]
    if mailboxes.CREATED not in walk.kinds:
        shown = []
    if len(found) == size:
        return _page(call, mailbox, shown, "next", replace(walk, after=found[-1]["number"]))
    return _page(call, mailbox, shown, "delta", replace(walk, after=None))


def _changes(call: Call, walk: Walk, mailbox: sqlite3.Row, size: int) -> Response:
    rows = call.cloud.store.rows(
        "SELECT message, max(seq) AS seq, group_concat(kind) AS kinds, "
        "max(CASE kind WHEN 'deleted' THEN serial ELSE 0 END) AS old_serial FROM change "
        "WHERE mailbox = ? AND folder = ? AND seq > ? GROUP BY message ORDER BY max(seq) LIMIT ?",
        mailbox["number"], walk.folder, walk.seq, size,
    )  # fmt: skip
    shown = []
    for row in rows:
        item = _changed(call, walk, mailbox["number"], row)
        if item is not None:
            shown.append(item)
    seq = rows[-1]["seq"] if rows else walk.seq
    link = "next" if len(rows) == size else "delta"
    return _page(call, mailbox, shown, link, replace(walk, seq=seq))


def _changed(call: Call, walk: Walk, mailbox: int, row: sqlite3.Row) -> dict[str, Any] | None:
    """What a walk tells of one changed message.  None: nothing that it was asked for."""
    message = mailboxes.message_numbered(call.cloud.store, row["message"])
    if message is not None and message["folder"] == walk.folder:
        kinds = set(row["kinds"].split(",")) & {mailboxes.CREATED, mailboxes.UPDATED}
        if not kinds & set(walk.kinds) or not _passing(call, walk, [message]):
            return None
        return message_json(call, message, walk.selected)
    if mailboxes.DELETED not in walk.kinds:
        return None
    gone_id = (
        ids.immutable_id(mailbox, row["message"])
        if call.wants_immutable
        else ids.normal_id(mailbox, row["old_serial"])
    )
    return {
        "@odata.type": "#microsoft.graph.message",
        "id": gone_id,
        "@removed": {"reason": "deleted" if message is None else "changed"},
    }


def _passing(call: Call, walk: Walk, messages: list[sqlite3.Row]) -> list[sqlite3.Row]:
    if walk.filter is None or not messages:
        return messages
    where = read_filter(walk.filter, COLUMNS)
    numbers = [message["number"] for message in messages]
    passing = call.cloud.store.rows(
        f"SELECT number FROM message WHERE number IN ({marks(numbers)}) "  # noqa: S608 - question marks and a text of odata.py
        f"AND ({where.sql})",
        *numbers, *where.values,
    )  # fmt: skip
    kept = {row["number"] for row in passing}
    return [message for message in messages if message["number"] in kept]


def _page_size(call: Call) -> int:
    preferred = call.preferences.get("odata.maxpagesize", "")
    if preferred.isascii() and preferred.isdigit():
        return max(1, min(int(preferred), LARGEST_PAGE))
    return call.number("top", PAGE, (1, LARGEST_PAGE))


def _page(
    call: Call, mailbox: sqlite3.Row, shown: list[dict[str, Any]], kind: str, walk: Walk
) -> Response:
    option = "skiptoken" if kind == "next" else "deltatoken"
    base = f"{call.request.base_url}{call.request.path}"
    return answer(call, {
        "@odata.context": f"{GRAPH}/$metadata#users('{mailbox['id']}')/mailFolders/messages",
        "value": shown,
        f"@odata.{kind}Link": f"{base}?${option}={walk.as_token()}",
    })  # fmt: skip
