"""Accounts: rules one by one, grants, ways to sign in, sign-ins, audits, risk, and the response.

Source: learn.microsoft.com/graph/api (mailfolder-post-messagerules, messagerule-update,
messagerule-delete, user-list-oauth2permissiongrants, oauth2permissiongrant-delete,
authentication-list-methods, serviceprincipal-get, signin-list, directoryaudit-list,
riskyuser-list, user-revokesigninsessions, user-update), read 2026-11.
"""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from api_bridge.sandbox.clock import as_graph_time, now_s, read_graph_time
from api_bridge.sandbox.directory import BadDirectory
from api_bridge.sandbox.graph.call import (
    GRAPH,
    Call,
    GraphError,
    answer,
    bad_request,
    item_not_found,
    nothing,
    paged,
)
from api_bridge.sandbox.odata import EVERYTHING, Column, Columns, read_filter, read_orderby
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

GRANT, METHOD, PRINCIPAL, ACCOUNT = "grant", "method", "principal", "account"
SIGN_IN, AUDIT, RISK = "sign_in", "audit", "risk"
LARGEST_PAGE = 1000
_TIME = {SIGN_IN: "createdDateTime", AUDIT: "activityDateTime", RISK: "riskLastUpdatedDateTime"}
_COLUMNS: dict[str, Columns] = {
    SIGN_IN: {"createddatetime": Column("at", "time"), "userid": Column("user_id"),
              "id": Column("id")},
    AUDIT: {"activitydatetime": Column("at", "time"), "loggedbyservice": Column("said"),
            "id": Column("id")},
    RISK: {"risklastupdateddatetime": Column("at", "time"), "riskstate": Column("said"),
           "id": Column("id")},
}  # fmt: skip
_SAID = {AUDIT: "loggedByService", RISK: "riskState"}


def put_record(
    store: Store, tenant_id: str, kind: str, content: Mapping[str, Any], user_id: str = ""
) -> str:
    """Keeps a record in Graph's own shape; answers its id.  Raises ValueError for a bad time."""
    kept = {"id": str(uuid.uuid4()), **content}
    at = now_s()
    if name := _TIME.get(kind):
        kept.setdefault(name, as_graph_time(at))
        at = int(read_graph_time(str(kept[name])))
    store.execute(
        "INSERT OR REPLACE INTO account_record VALUES (?, ?, ?, ?, ?, ?, ?)",
        tenant_id, kind, kept["id"], user_id or str(kept.get("userId", "")), at,
        str(kept.get(_SAID.get(kind, ""), "")), json.dumps(kept),
    )  # fmt: skip
    return str(kept["id"])


def records(store: Store, tenant_id: str, kind: str, user_id: str = "") -> list[dict[str, Any]]:
    rows = store.rows(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? "
        "AND (? = '' OR user_id = ?) ORDER BY at, id",
        tenant_id, kind, user_id, user_id,
    )  # fmt: skip
    return [json.loads(row["content"]) for row in rows]


def account_of(store: Store, user: sqlite3.Row) -> dict[str, Any]:
    """What the directory keeps of a user's sessions and password."""
    found = records(store, user["tenant_id"], ACCOUNT, user["id"])
    return found[0] if found else {
        "id": user["id"],
        "signInSessionsValidFromDateTime": as_graph_time(user["created_at"]),
        "passwordProfile": {"forceChangePasswordNextSignIn": False},
    }  # fmt: skip


def list_grants(call: Call) -> Response:
    return _all_of(call, GRANT, "oauth2PermissionGrants")


def list_methods(call: Call) -> Response:
    user = call.user()
    password = {"@odata.type": "#microsoft.graph.passwordAuthenticationMethod",
                "id": "28c10230-6103-485e-b985-444c60001490", "password": None,
                "createdDateTime": as_graph_time(user["created_at"])}  # fmt: skip
    return _all_of(call, METHOD, f"users('{user['id']}')/authentication/methods", password)


def _all_of(call: Call, kind: str, context: str, *first: Mapping[str, Any]) -> Response:
    found = records(call.cloud.store, call.caller.tenant_id, kind, call.user()["id"])
    return paged(call, context, [*first, *found], skip=0, has_more=False)


def get_principal(call: Call) -> Response:
    return answer(call, {"@odata.context": f"{GRAPH}/$metadata#servicePrincipals/$entity",
                         **_record(call, PRINCIPAL, "principal")})  # fmt: skip


def get_grant(call: Call) -> Response:
    return answer(call, {"@odata.context": f"{GRAPH}/$metadata#oauth2PermissionGrants/$entity",
                         **_record(call, GRANT, "grant")})  # fmt: skip


def delete_grant(call: Call) -> Response:
    _drop(call, GRANT, _record(call, GRANT, "grant")["id"])
    return nothing()


def _record(call: Call, kind: str, name: str) -> dict[str, Any]:
    content = call.cloud.store.value(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? AND id = ?",
        call.caller.tenant_id, kind, call.values[name],
    )  # fmt: skip
    if content is None:
        raise GraphError(404, "Request_ResourceNotFound",
                         f"Resource '{call.values[name]}' does not exist.")  # fmt: skip
    found: dict[str, Any] = json.loads(content)
    return found


def _drop(call: Call, kind: str, record_id: str) -> None:
    call.cloud.store.execute(
        "DELETE FROM account_record WHERE tenant_id = ? AND kind = ? AND id = ?",
        call.caller.tenant_id, kind, record_id,
    )  # fmt: skip


def list_sign_ins(call: Call) -> Response:
    return _log(call, SIGN_IN, "auditLogs/signIns")


def list_audits(call: Call) -> Response:
    return _log(call, AUDIT, "auditLogs/directoryAudits")


def list_risky(call: Call) -> Response:
    return _log(call, RISK, "identityProtection/riskyUsers")


def _log(call: Call, kind: str, context: str) -> Response:
    filter_text, order_text = call.option("filter"), call.option("orderby")
    where = read_filter(filter_text, _COLUMNS[kind]) if filter_text else EVERYTHING
    order = [sql for _, sql in read_orderby(order_text, _COLUMNS[kind])] if order_text else []
    top = call.number("top", 100, (1, LARGEST_PAGE))
    skip = call.number("skip", 0, (0, 1_000_000))
    rows = call.cloud.store.rows(
        "SELECT content FROM account_record WHERE tenant_id = ? AND kind = ? "  # noqa: S608 - texts of odata.py
        f"AND ({where.sql}) ORDER BY {', '.join(order) or 'at DESC'}, id LIMIT ? OFFSET ?",
        call.caller.tenant_id, kind, *where.values, top + 1, skip,
    )  # fmt: skip
    found = [json.loads(row["content"]) for row in rows]
    return paged(call, context, found[:top], skip=skip, has_more=len(found) > top)


def revoke_sessions(call: Call) -> Response:
    was = account_of(call.cloud.store, call.user())["signInSessionsValidFromDateTime"]
    # Two within one second are two times all the same.
    at = max(now_s(), int(read_graph_time(was)) + 1)
    _change_account(call, signInSessionsValidFromDateTime=as_graph_time(at))
    context = f"{GRAPH}/$metadata#Edm.Boolean"
    return answer(call, {"@odata.context": context, "value": True})


def change_user(call: Call) -> Response:
    """``accountEnabled`` and ``passwordProfile``: what an account response changes."""
    user, wanted = call.user(), call.body()
    known = {"accountEnabled", "passwordProfile"}
    if not wanted or not wanted.keys() <= known:
        raise bad_request("Only accountEnabled and passwordProfile can be changed here.")
    if "accountEnabled" in wanted:
        _need(call, "User.EnableDisableAccount.All")
        call.cloud.store.execute("UPDATE user SET is_enabled = ? WHERE number = ?",
                                 bool(wanted["accountEnabled"]), user["number"])  # fmt: skip
    profile = wanted.get("passwordProfile")
    if isinstance(profile, dict):
        _need(call, "User-PasswordProfile.ReadWrite.All")
        force = bool(profile.get("forceChangePasswordNextSignIn"))
        _change_account(call, passwordProfile={"forceChangePasswordNextSignIn": force})
    return nothing()


def _need(call: Call, role: str) -> None:
    if not {role, "User.ReadWrite.All", "Directory.ReadWrite.All"} & call.caller.roles:
        raise GraphError(403, "Authorization_RequestDenied",
                         "Insufficient privileges to complete the operation.")  # fmt: skip


def _change_account(call: Call, **changes: Any) -> None:
    user, store = call.user(), call.cloud.store
    content = {**account_of(store, user), **changes}
    put_record(store, user["tenant_id"], ACCOUNT, content, user["id"])


def create_rule(call: Call) -> Response:
    mailbox, wanted = call.mailbox(), call.body()
    if not isinstance(wanted.get("displayName"), str) or "actions" not in wanted:
        raise bad_request("A rule needs displayName, sequence and actions.", "ErrorInvalidRequest")
    made = {"sequence": 1, "isEnabled": True, **wanted, "hasError": False, "isReadOnly": False,
            "id": f"AQAA{uuid.uuid4().hex[:12]}="}  # fmt: skip
    call.cloud.store.execute("INSERT INTO rule (mailbox, content) VALUES (?, ?)",
                             mailbox["number"], json.dumps(made))  # fmt: skip
    return answer(call, made, 201)


def get_rule(call: Call) -> Response:
    return answer(call, _rule(call)[1])


def change_rule(call: Call) -> Response:
    number, rule = _rule(call)
    if rule.get("isReadOnly"):
        raise GraphError(403, "ErrorAccessDenied", "The rule is read-only.")
    changed = {**rule, **call.body(), "id": rule["id"]}
    call.cloud.store.execute("UPDATE rule SET content = ? WHERE number = ?",
                             json.dumps(changed), number)  # fmt: skip
    return answer(call, changed)


def delete_rule(call: Call) -> Response:
    number, _ = _rule(call)
    call.cloud.store.execute("DELETE FROM rule WHERE number = ?", number)
    return nothing()


def _rule(call: Call) -> tuple[int, dict[str, Any]]:
    mailbox = call.mailbox()
    for row in call.cloud.store.rows("SELECT * FROM rule WHERE mailbox = ?", mailbox["number"]):
        content = json.loads(row["content"])
        if content["id"] == call.values["rule"]:
            return row["number"], content
    raise item_not_found()


# --- the sandbox's own levers

_LISTS = {"grants": GRANT, "methods": METHOD, "sign_ins": SIGN_IN, "audits": AUDIT, "risk": RISK}


def put_account(store: Store, user: sqlite3.Row, wanted: Mapping[str, Any]) -> None:
    """``grants`` and ``methods`` in place of what there was; of the rest, more.

    Raises BadDirectory.
    """
    tenant_id, user_id = user["tenant_id"], user["id"]
    try:
        with store.transaction():
            for name, kind in _LISTS.items():
                if name not in wanted:
                    continue
                if kind in (GRANT, METHOD):
                    store.execute(
                        "DELETE FROM account_record WHERE tenant_id = ? AND kind = ? "
                        "AND user_id = ?", tenant_id, kind, user_id,
                    )  # fmt: skip
                for each in wanted[name]:
                    put_record(store, tenant_id, kind, {**_whose(kind, user), **each}, user_id)
            for principal, title in dict(wanted.get("applications", {})).items():
                content = {"id": principal, "displayName": title}
                put_record(store, tenant_id, PRINCIPAL, content)
    except (TypeError, ValueError) as error:
        raise BadDirectory(f"records of accounts are lists of objects: {error}") from error


def _whose(kind: str, user: sqlite3.Row) -> dict[str, Any]:
    """What each record of this kind says of the user."""
    match kind:
        case "grant":
            return {"consentType": "Principal", "principalId": user["id"], "resourceId": "graph"}
        case "sign_in":
            return {"userId": user["id"], "userPrincipalName": user["mail"],
                    "userDisplayName": user["display_name"],
                    "status": {"errorCode": 0, "failureReason": None}}  # fmt: skip
        case "audit":
            return {"loggedByService": "Authentication Methods", "result": "success",
                    "category": "UserManagement",
                    "targetResources": [{"id": user["id"], "type": "User",
                                         "userPrincipalName": user["mail"]}]}  # fmt: skip
        case "risk":
            return {"id": user["id"], "riskState": "atRisk", "userPrincipalName": user["mail"]}
    return {}


def show_account(store: Store, user: sqlite3.Row) -> dict[str, Any]:
    tenant_id, user_id = user["tenant_id"], user["id"]
    rules = store.rows("SELECT content FROM rule WHERE mailbox = ?", user["number"])
    return {
        "is_enabled": bool(user["is_enabled"]),
        **account_of(store, user),
        "rules": [json.loads(row["content"]) for row in rules],
        "grants": records(store, tenant_id, GRANT, user_id),
    }
