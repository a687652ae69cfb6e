"""Accounts at Google: what the Reports API logged, applications let in, and changes of a user.

Source: discovery documents admin.reports_v1 (20260929) and admin.directory_v1 (20261104);
developers.google.com/workspace/admin/reports (activities.list, appendix of events), read 2026-11.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from api_bridge.sandbox.clock import as_graph_time, now_s, read_graph_time
from api_bridge.sandbox.directory import BadDirectory, user_in
from api_bridge.sandbox.google import settings
from api_bridge.sandbox.google.call import (
    Call,
    GoogleError,
    answer,
    bad_request,
    not_found,
    nothing,
)
from api_bridge.sandbox.google.directory import customer_of, user_id, user_json, user_of
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

ACTIVITY, TOKEN, STATE = "google_activity", "google_token", "google_state"
LARGEST_PAGE = 1000
APPLICATIONS = frozenset({
    "access_evaluation", "access_transparency", "admin", "admin_data_action", "assignments",
    "calendar", "chat", "chrome", "chrome_sync", "classroom", "cloud_search", "contacts",
    "context_aware_access", "data_migration", "data_studio", "directory_sync", "drive", "gcp",
    "gemini_in_workspace_apps", "gemini_notebook", "gmail", "gplus", "graduation", "groups",
    "groups_enterprise", "jamboard", "keep", "ldap", "login", "meet", "meet_hardware", "mobile",
    "profile", "rules", "saml", "takeout", "tasks", "token", "user_accounts", "vault", "voice",
    "workspace_studio",
})  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)")
_TERM = re.compile(r"([A-Za-z0-9_. ]+?)(==|<>|>=|<=|>|<)([^,]*)(?:,|\Z)")
_KNOWN_QUERY = frozenset({
    "actorIpAddress", "customerId", "endTime", "eventName", "filters", "maxResults", "pageToken",
    "startTime",
})  # fmt: skip
# What an account response changes; the rest of a user is no matter of this sandbox.
_CHANGEABLE = frozenset({"suspended", "changePasswordAtNextLogin"})
_TELLS = {("suspended", True): "SUSPEND_USER", ("suspended", False): "UNSUSPEND_USER",
          ("changePasswordAtNextLogin", True): "CHANGE_PASSWORD_ON_NEXT_LOGIN",
          ("changePasswordAtNextLogin", False): "CHANGE_PASSWORD_ON_NEXT_LOGIN"}  # fmt: skip


def list_activities(call: Call) -> Response:
    """Newest first, as Google lists them; what is late is not shown yet."""
    customer, query = customer_of(call), call.request
    application, person = call.values["application"], call.values["key"]
    if application not in APPLICATIONS:
        raise bad_request(f"Invalid value for applicationName: {application}", "invalid")
    if unknown := {name for name, _ in query.query} - _KNOWN_QUERY - {"alt", "prettyPrint"}:
        raise bad_request(f"Unknown name: {sorted(unknown)[0]}", "badRequest")
    if query.first("customerId") not in (None, "my_customer", customer["customer_id"]):
        raise GoogleError(401, "authError", "Access denied. You are not authorized to read activity"
                          " records.")  # fmt: skip
    start, end = _span(call)
    if application == "gmail":
        _check_gmail(call, start, end)
    token, size = query.first("pageToken") or "0", call.number("maxResults", 1000, LARGEST_PAGE)
    if not token.isdigit():
        raise bad_request("Invalid pageToken", "invalid")
    whose = "" if person == "all" else user_of(call, person)["id"]
    rows = call.cloud.store.rows(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? AND said = ? "
        "AND at >= ? AND at < ? AND (? = '' OR user_id = ?) ORDER BY at DESC, id DESC",
        call.caller.tenant_id, ACTIVITY, application, start, end, whose, whose,
    )  # fmt: skip
    kept = [json.loads(row["content"]) for row in rows]
    found = [each for each in _shown(kept) if _fits(each, query)]
    offset = int(token)
    content: dict[str, Any] = {"kind": "admin#reports#activities"}
    if page := found[offset : offset + size]:
        content["items"] = page
    if offset + size < len(found):
        content["nextPageToken"] = str(offset + size)
    return answer(content)


def _span(call: Call) -> tuple[int, int]:
    """Unix seconds.  Raises GoogleError for a span that begins after its end, or after now."""
    now, times = now_s(), []
    for name in ("startTime", "endTime"):
        text = call.request.first(name)
        if text is not None and not _TIME.fullmatch(text):
            raise bad_request(f"Invalid value for {name}: {text}", "invalid")
        times.append(None if text is None else int(read_graph_time(text)))
    start, end = times[0] or now - 180 * 86_400, times[1] if times[1] is not None else now + 1
    if start >= end or start > now:
        raise bad_request("Start time must be before end time.", "invalid")
    return start, end


def _check_gmail(call: Call, start: int, end: int) -> None:
    """Both ends are needed, 30 days apart at most (…/appendix/activity/gmail)."""
    is_given = all(call.request.first(name) for name in ("startTime", "endTime"))
    if not is_given or end - start > 30 * 86_400:
        raise bad_request("startTime and endTime are required, at most 30 days apart.", "invalid")


def _shown(kept: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    now = now_s()
    for each in kept:
        if each.pop("_shown_at", 0) <= now:
            yield each


def _fits(activity: Mapping[str, Any], query: Any) -> bool:
    ip, name = query.first("actorIpAddress"), query.first("eventName")
    if ip and activity.get("ipAddress") != ip:
        return False
    events = [each for each in activity["events"] if name in (None, each["name"])]
    text = query.first("filters") or ""
    terms = _TERM.findall(text)
    if text and (not terms or _TERM.sub("", text)):
        raise bad_request(f"Invalid filters: {text}", "invalid")
    return any(all(_holds(each, *term) for term in terms) for each in events)


def _holds(event: Mapping[str, Any], name: str, relation: str, value: str) -> bool:
    """A parameter that the event does not have fits nothing."""
    head, _, inner = name.partition(".")
    for each in event.get("parameters", []):
        if each["name"] != head:
            continue
        if inner:
            below = {"parameters": each.get("messageValue", {}).get("parameter", [])}
            return _holds(below, inner, relation, value)
        if "boolValue" in each:
            said = str(each["boolValue"]).lower()
        else:
            said = str(each.get("value", each.get("intValue", "")))
        if relation in ("==", "<>"):
            return (said.lower() == value.lower()) == (relation == "==")
        if not said.lstrip("-").isdigit() or not value.lstrip("-").isdigit():
            return False
        left, right = int(said), int(value)
        return {">": left > right, "<": left < right, ">=": left >= right,
                "<=": left <= right}[relation]  # fmt: skip
    return False


def list_tokens(call: Call) -> Response:
    """An empty list lacks its key, as at Google."""
    customer_of(call)
    found = _tokens(call.cloud.store, user_of(call, call.values["key"]))
    kind = {"kind": "admin#directory#tokenList"}
    return answer({**kind, "items": found} if found else kind)


def get_token(call: Call) -> Response:
    return answer(_token(call)[1])


def delete_token(call: Call) -> Response:
    user, token = _token(call)
    call.cloud.store.execute(
        "DELETE FROM account_record WHERE tenant_id = ? AND kind = ? AND id = ?",
        user["tenant_id"], TOKEN, f"{user['id']}/{token['clientId']}",
    )  # fmt: skip
    return nothing()


def _token(call: Call) -> tuple[sqlite3.Row, dict[str, Any]]:
    customer_of(call)
    user = user_of(call, call.values["key"])
    for each in _tokens(call.cloud.store, user):
        if each["clientId"] == call.values["client"]:
            return user, each
    raise not_found()


def _tokens(store: Store, user: sqlite3.Row) -> list[dict[str, Any]]:
    rows = store.rows(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? AND user_id = ? "
        "ORDER BY id", user["tenant_id"], TOKEN, user["id"],
    )  # fmt: skip
    return [json.loads(row["content"]) for row in rows]


def update_user(call: Call) -> Response:
    """PUT and PATCH alike keep what is not named."""
    customer, user, wanted = customer_of(call), user_of(call, call.values["key"]), call.body()
    if not wanted or not wanted.keys() <= _CHANGEABLE:
        raise bad_request("Only suspended and changePasswordAtNextLogin can be changed here.")
    if not all(isinstance(value, bool) for value in wanted.values()):
        raise bad_request("Invalid value: a boolean is wanted.", "invalid")
    store = call.cloud.store
    if "suspended" in wanted:
        store.execute("UPDATE user SET is_enabled = ? WHERE number = ?",
                      not wanted["suspended"], user["number"])  # fmt: skip
    put_state(store, user, wanted)
    for name, value in wanted.items():
        _log_admin(call, user, _TELLS[name, value])
    changed = store.one("SELECT * FROM user WHERE number = ?", user["number"])
    return answer(user_json(store, changed, customer))


def sign_out(call: Call) -> Response:
    """Of all web and device sessions; what is left of it stands in the administrator's log."""
    customer_of(call)
    _log_admin(call, user_of(call, call.values["key"]), "RESET_SIGNIN_COOKIES")
    return nothing()


def _log_admin(call: Call, user: sqlite3.Row, name: str) -> None:
    """``late_log`` shows it so many seconds later, as Google's log is late."""
    late = call.cloud.faults.take("late_log", name)
    event = {"type": "USER_SETTINGS", "name": name,
             "parameters": [{"name": "USER_EMAIL", "value": user["mail"]}]}  # fmt: skip
    store = call.cloud.store
    admin = user_in(store, call.caller.tenant_id, call.caller.subject)
    assert admin is not None  # her token was taken
    put_activity(store, admin, {"id": {"applicationName": "admin"}, "events": [event]},
                 late_s=int(late.seconds) if late else 0)  # fmt: skip


def put_activity(
    store: Store, actor: sqlite3.Row, content: Mapping[str, Any], *, late_s: int = 0
) -> None:
    """Logs an activity in Google's own shape; time, number and actor are filled in.

    Raises BadDirectory.
    """
    named = content.get("id")
    said = dict(named) if isinstance(named, dict) else {}
    application, events = str(said.get("applicationName", "")), content.get("events")
    if application not in APPLICATIONS or not isinstance(events, list) or not events:
        raise BadDirectory("an activity has id.applicationName and a list of events")
    customer = store.value("SELECT customer_id FROM google_customer WHERE tenant_id = ?",
                           actor["tenant_id"])  # fmt: skip
    at = int(read_graph_time(str(said["time"]))) if "time" in said else now_s()
    number = store.next_serial()
    kept = {
        "kind": "admin#reports#activity",
        "actor": {"email": actor["mail"], "profileId": user_id(actor)},
        **content,
        "id": {"time": as_graph_time(at).replace("Z", ".000Z"), "uniqueQualifier": str(number),
               "applicationName": application, "customerId": customer},
        "_shown_at": now_s() + late_s if late_s else 0,
    }  # fmt: skip
    store.execute(
        "INSERT INTO account_record VALUES (?, ?, ?, ?, ?, ?, ?)",
        actor["tenant_id"], ACTIVITY, f"{number:020d}", actor["id"], at, application,
        json.dumps(kept),
    )  # fmt: skip


def put_state(store: Store, user: sqlite3.Row, changes: Mapping[str, Any]) -> None:
    """What the directory keeps of a user beside what Microsoft's has, too."""
    was = store.value(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? AND id = ?",
        user["tenant_id"], STATE, user["id"],
    )  # fmt: skip
    content = {**(json.loads(was) if was else {}), **changes}
    content.pop("suspended", None)
    store.execute(
        "INSERT OR REPLACE INTO account_record VALUES (?, ?, ?, ?, 0, '', ?)",
        user["tenant_id"], STATE, user["id"], user["id"], json.dumps(content),
    )  # fmt: skip


# --- the sandbox's own levers


def put_account(store: Store, user: sqlite3.Row, wanted: Mapping[str, Any]) -> None:
    """``activities`` more of them, each in Google's shape, with ``late_s`` shown later; ``tokens``
    and ``state`` in place of what there was.  Raises BadDirectory.
    """
    try:
        with store.transaction():
            for each in wanted.get("activities", []):
                shape = {name: value for name, value in each.items() if name != "late_s"}
                put_activity(store, user, shape, late_s=int(each.get("late_s", 0)))
            if "tokens" in wanted:
                store.execute(
                    "DELETE FROM account_record WHERE tenant_id = ? AND kind = ? AND user_id = ?",
                    user["tenant_id"], TOKEN, user["id"],
                )  # fmt: skip
            for each in wanted.get("tokens", []):
                _put_token(store, user, each)
            if "state" in wanted:
                put_state(store, user, dict(wanted["state"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDirectory(f"records of accounts are lists of objects: {error}") from error


def _put_token(store: Store, user: sqlite3.Row, token: Mapping[str, Any]) -> None:
    kept = {"kind": "admin#directory#token", "userKey": user_id(user), "anonymous": False,
            "nativeApp": False, "scopes": [], "displayText": token["clientId"],
            **token}  # fmt: skip
    store.execute(
        "INSERT OR REPLACE INTO account_record VALUES (?, ?, ?, ?, ?, '', ?)",
        user["tenant_id"], TOKEN, f"{user['id']}/{kept['clientId']}", user["id"], now_s(),
        json.dumps(kept),
    )  # fmt: skip


def show_account(store: Store, user: sqlite3.Row) -> dict[str, Any]:
    customer = store.one("SELECT * FROM google_customer WHERE tenant_id = ?", user["tenant_id"])
    rows = store.rows("SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? "
                      "AND said = 'admin' ORDER BY at, id",
                      user["tenant_id"], ACTIVITY)  # fmt: skip
    number = user["number"]
    return {
        "user": user_json(store, user, customer),
        "tokens": _tokens(store, user),
        "filters": settings.kept(store, number, settings.FILTER),
        "forwarding": settings.kept(store, number, settings.FORWARDING),
        "delegates": settings.kept(store, number, settings.DELEGATE),
        "admin_log": [json.loads(row["content"])["events"][0]["name"] for row in rows],
    }
