"""Directory and Alert Center: users, groups, and Google's own warnings.

Source: discovery documents admin.directory_v1 (20261104) and alertcenter.v1beta1 (20261030).
"""

import json
import re
import sqlite3
from typing import Any

from api_bridge.sandbox import directory, groups
from api_bridge.sandbox.clock import as_graph_time, now_s, read_graph_time
from api_bridge.sandbox.google.call import Call, GoogleError, answer, bad_request, not_found
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

LARGEST_PAGE = 500
_ALERT_TERM = re.compile(
    r'(create_time|createTime|type)\s*(>=|<=|>|<|=)\s*"([^"]*)"', re.IGNORECASE
)


def user_id(user: sqlite3.Row) -> str:
    """21 digits, as Google's."""
    return f"1{user['number']:020d}"


def customer_of(call: Call) -> sqlite3.Row:
    """The caller's customer; only an administrator's token may look into the directory."""
    row = call.cloud.store.row(
        "SELECT * FROM google_customer WHERE tenant_id = ?", call.caller.tenant_id
    )
    if row is None or row["admin"].lower() != call.caller.subject.lower():
        raise GoogleError(403, "forbidden", "Not Authorized to access this resource/api")
    return row


def list_users(call: Call) -> Response:
    customer = customer_of(call)
    asked = call.request.first("customer")
    if asked not in ("my_customer", customer["customer_id"]):
        raise bad_request("Bad Request", "badRequest")
    token = call.request.first("pageToken") or "0"
    if not token.isdigit():
        raise bad_request("Invalid pageToken")
    size = call.number("maxResults", 100, LARGEST_PAGE)
    rows = call.cloud.store.rows(
        "SELECT * FROM user WHERE tenant_id = ? AND number > ? ORDER BY number LIMIT ?",
        call.caller.tenant_id, int(token), size + 1,
    )  # fmt: skip
    content: dict[str, Any] = {"kind": "admin#directory#users"}
    if rows:
        content["users"] = [user_json(call.cloud.store, row, customer) for row in rows[:size]]
    if len(rows) > size:
        content["nextPageToken"] = str(rows[size - 1]["number"])
    return answer(content)


def get_user(call: Call) -> Response:
    customer, user = customer_of(call), user_of(call, call.values["key"])
    return answer(user_json(call.cloud.store, user, customer))


def user_of(call: Call, key: str) -> sqlite3.Row:
    """A user of the caller's customer by address or id.  Raises GoogleError."""
    user = directory.user_in(call.cloud.store, call.caller.tenant_id, key)
    if user is None and len(key) == 21 and key.isdigit():
        user = call.cloud.store.row(
            "SELECT * FROM user WHERE tenant_id = ? AND number = ?",
            call.caller.tenant_id, int(key[1:]),
        )  # fmt: skip
    if user is None:
        raise not_found()
    return user


def list_groups(call: Call) -> Response:
    customer = customer_of(call)
    if call.request.first("customer") not in ("my_customer", customer["customer_id"]):
        raise bad_request("Bad Request", "badRequest")
    size, after = call.number("maxResults", 200, 200), call.request.first("pageToken") or ""
    rows = groups.groups_after(call.cloud.store, call.caller.tenant_id, after, size + 1)
    content: dict[str, Any] = {"kind": "admin#directory#groups"}
    if rows:
        content["groups"] = [
            {"kind": "admin#directory#group", "id": row["id"], "email": row["mail"] or "",
             "name": row["name"]}
            for row in rows[:size]
        ]  # fmt: skip
    if len(rows) > size:
        content["nextPageToken"] = rows[size - 1]["id"]
    return answer(content)


def list_members(call: Call) -> Response:
    """With ``includeDerivedMembership`` the people in inner groups too, each once."""
    customer_of(call)
    store = call.cloud.store
    group = groups.group_in(store, call.caller.tenant_id, call.values["key"])
    if group is None:
        raise not_found()
    is_derived = call.request.first("includeDerivedMembership") == "true"
    below = groups.inner_groups(store, group["id"]) if is_derived else []
    people = groups.people_in(store, [group["id"], *(row["id"] for row in below)])
    members: list[dict[str, Any]] = [
        {"kind": "admin#directory#member", "id": user_id(row), "email": row["mail"],
         "role": "MEMBER", "type": "USER"}
        for row in people
    ]  # fmt: skip
    if group["is_everyone"]:
        members.append({"kind": "admin#directory#member", "role": "MEMBER", "type": "CUSTOMER"})
    size = call.number("maxResults", 200, 200)
    token = call.request.first("pageToken") or "0"
    start = int(token) if token.isdigit() else 0
    content: dict[str, Any] = {"kind": "admin#directory#members"}
    if page := members[start : start + size]:
        content["members"] = page
    if start + size < len(members):
        content["nextPageToken"] = str(start + size)
    return answer(content)


def user_json(store: Store, user: sqlite3.Row, customer: sqlite3.Row) -> dict[str, Any]:
    rows = store.rows("SELECT address FROM address WHERE mailbox = ?", user["number"])
    aliases = sorted({row["address"] for row in rows} - {user["mail"]})
    given, _, family = user["display_name"].partition(" ")
    content: dict[str, Any] = {
        "kind": "admin#directory#user", "id": user_id(user), "primaryEmail": user["mail"],
        "name": {"givenName": given, "familyName": family, "fullName": user["display_name"]},
        "isAdmin": user["mail"].lower() == customer["admin"].lower(),
        "suspended": not user["is_enabled"], "isMailboxSetup": bool(user["has_mailbox"]),
        "customerId": customer["customer_id"], "creationTime": as_graph_time(user["created_at"]),
        "isEnrolledIn2Sv": False, "isEnforcedIn2Sv": False, "changePasswordAtNextLogin": False,
        **_state_of(store, user),
    }  # fmt: skip
    if content["suspended"]:
        content["suspensionReason"] = "ADMIN"
    if aliases:
        content["aliases"] = aliases
    if user["job_title"]:
        content["organizations"] = [{"title": user["job_title"], "primary": True}]
    return content


def _state_of(store: Store, user: sqlite3.Row) -> dict[str, Any]:
    """What google/accounts.py keeps of her."""
    kept = store.value(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = 'google_state' "
        "AND id = ?", user["tenant_id"], user["id"],
    )  # fmt: skip
    found: dict[str, Any] = json.loads(kept) if kept else {}
    return found


def put_alert(store: Store, tenant_id: str, alert: dict[str, Any]) -> str:
    """Google warns: ``alert`` in the Alert Center's own shape.  Returns its id."""
    customer = store.value("SELECT customer_id FROM google_customer WHERE tenant_id = ?", tenant_id)
    if customer is None:
        raise directory.BadDirectory("this tenant is no Google customer")
    now = now_s()
    alert_id = str(alert.get("alertId") or directory.new_guid())
    times = dict.fromkeys(("createTime", "startTime", "updateTime"), as_graph_time(now))
    content = {
        **times, "source": "Gmail phishing", **alert, "alertId": alert_id,
        "customerId": str(customer).removeprefix("C"),
    }  # fmt: skip
    store.execute("INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?)",
                  alert_id, tenant_id, int(read_graph_time(content["createTime"])),
                  json.dumps(content))  # fmt: skip
    return alert_id


def list_alerts(call: Call) -> Response:
    """Oldest first; ``filter`` knows ``create_time`` and ``type`` joined by AND."""
    customer_of(call)
    found = [
        json.loads(row["content"])
        for row in call.cloud.store.rows(
            "SELECT content FROM alert WHERE tenant_id = ? ORDER BY created_at, id",
            call.caller.tenant_id,
        )
    ]
    text = call.request.first("filter") or ""
    terms = _ALERT_TERM.findall(text)
    left = _ALERT_TERM.sub("", text)
    if left.replace("AND", "").strip():
        raise bad_request(f"Invalid filter: {text}")
    found = [alert for alert in found if all(_fits(alert, *term) for term in terms)]
    token = call.request.first("pageToken") or "0"
    offset, size = int(token) if token.isdigit() else 0, call.number("pageSize", 50, 100)
    content: dict[str, Any] = {}
    if page := found[offset : offset + size]:
        content["alerts"] = page
    if offset + size < len(found):
        content["nextPageToken"] = str(offset + size)
    return answer(content)


def _fits(alert: dict[str, Any], name: str, relation: str, value: str) -> bool:
    if name == "type":
        return (alert.get("type") == value) == (relation == "=")
    try:
        at, limit = read_graph_time(alert["createTime"]), read_graph_time(value)
    except ValueError as error:
        raise bad_request(f"Invalid time: {value}") from error
    return {">=": at >= limit, "<=": at <= limit, ">": at > limit, "<": at < limit,
            "=": at == limit}[relation]  # fmt: skip
