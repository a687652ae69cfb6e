"""Message traces of a tenant.

Source: learn.microsoft.com/graph/api (messagetracingroot-list-messagetraces, January 2026), read
2026-11-30.
"""

import re
import sqlite3
from typing import Any

from api_bridge.sandbox.clock import as_graph_time, now_s, read_graph_time
from api_bridge.sandbox.graph.call import GRAPH, Call, GraphError, answer, bad_request
from api_bridge.sandbox.odata import Column, read_filter
from api_bridge.sandbox.web import Response

PAGE = 1_000
LARGEST_PAGE = 5_000
LONGEST_S = 10 * 86_400
REACH_S = 90 * 86_400
DEFAULT_S = 48 * 3600
CLOCKS_DIFFER_S = 300
MOST_REQUESTS, WITHIN_S = 100, 300
COLUMNS = {
    "id": Column("id"),
    "senderaddress": Column("sender"),
    "recipientaddress": Column("recipient"),
    "messageid": Column("internet_message_id"),
    "fromip": Column("from_ip"),
    "status": Column("status"),
    "subject": Column("subject"),
    "receiveddatetime": Column("received_at", "time"),
}
_BOUND = re.compile(r"receivedDateTime\s+(?P<side>[gl]e)\s+(?P<at>[^\s)]+)", re.IGNORECASE)


def list_traces(call: Call) -> Response:
    _count(call)
    text = call.option("filter") or ""
    since, until = _period(text)
    where = f"tenant_id = ? AND received_at BETWEEN {since} AND {until}"
    values: list[Any] = [call.caller.tenant_id]
    if text:
        read = read_filter(text, COLUMNS)
        where, values = f"{where} AND ({read.sql})", [*values, *read.values]
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    skip = call.number("skiptoken", 0, (0, 10_000_000))
    found = call.cloud.store.rows(
        f"SELECT * FROM trace WHERE {where} ORDER BY received_at DESC, number DESC "  # noqa: S608 - texts of odata.py
        "LIMIT ? OFFSET ?",
        *values, top + 1, skip,
    )  # fmt: skip
    content: dict[str, Any] = {
        "@odata.context": f"{GRAPH}/$metadata#admin/exchange/tracing/messageTraces",
        "value": [_shown(row) for row in found[:top]],
    }
    if len(found) > top:
        content["@odata.nextLink"] = call.link(skiptoken=skip + top)
    return answer(call, content)


def _count(call: Call) -> None:
    """100 requests in five minutes, for each application and tenant.  Raises GraphError."""
    asked = call.cloud.traces_asked.setdefault((call.caller.tenant_id, call.caller.client_id), [])
    now = now_s()
    asked[:] = [at for at in asked if at > now - WITHIN_S]
    if len(asked) >= MOST_REQUESTS:
        raise GraphError(429, "TooManyRequests", "Too many message traces were asked for.",
                         retry_after=str(asked[0] + WITHIN_S - now))  # fmt: skip
    asked.append(now)


def _period(text: str) -> tuple[int, int]:
    """Both ends of the time that is asked for.  Raises GraphError."""
    now = now_s()
    bounds = {found["side"].lower(): found["at"] for found in _BOUND.finditer(text)}
    if not bounds:
        return now - DEFAULT_S, now
    if set(bounds) != {"ge", "le"}:
        raise bad_request("Both the start and the end of receivedDateTime must be given.")
    try:
        since, until = (int(read_graph_time(bounds[side])) for side in ("ge", "le"))
    except ValueError as error:
        raise bad_request("receivedDateTime is no time.") from error
    if since < now - REACH_S or until > now + CLOCKS_DIFFER_S:
        raise bad_request("The time must be within the last 90 days.")
    if until - since > LONGEST_S:
        raise bad_request("The time must not be longer than 10 days.")
    return since, until


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "senderAddress": row["sender"],
        "recipientAddress": row["recipient"],
        "messageId": row["internet_message_id"],
        "receivedDateTime": as_graph_time(row["received_at"]),
        "subject": row["subject"],
        "size": row["size"],
        "fromIP": row["from_ip"],
        "toIP": "",
        "status": row["status"],
    }
