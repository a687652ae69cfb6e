"""The tenant, its users, their mailbox settings and inbox rules.

Source: learn.microsoft.com/graph/api (user-list, user-get, organization-get,
user-get-mailboxsettings, mailfolder-list-messagerules), read 2026-11.
"""

import json
import sqlite3
from typing import Any

from api_bridge.sandbox.clock import as_graph_time
from api_bridge.sandbox.graph.accounts import account_of
from api_bridge.sandbox.graph.call import GRAPH, Call, answer, item_not_found
from api_bridge.sandbox.odata import EVERYTHING, Column, read_filter, read_orderby, read_select
from api_bridge.sandbox.web import Response

PAGE = 100
LARGEST_PAGE = 999
DEFAULT = ("businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone",
           "officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id")  # fmt: skip
COLUMNS = {
    "id": Column("id"),
    "mail": Column("mail"),
    "userprincipalname": Column("mail"),
    "displayname": Column("display_name"),
    "jobtitle": Column("job_title"),
    "accountenabled": Column("is_enabled", "flag"),
    "usertype": Column("user_type"),
}
EXCHANGE_SKU = "4b9405b0-7788-4568-add1-99614e613b69"  # Exchange Online (Plan 1)


def list_users(call: Call) -> Response:
    filter_text, order_text = call.option("filter"), call.option("orderby")
    where = read_filter(filter_text, COLUMNS) if filter_text else EVERYTHING
    order = read_orderby(order_text, COLUMNS) if order_text else []
    by = ", ".join([sql for _, sql in order] or ["display_name"])
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    skip = call.number("skiptoken", 0, (0, 1_000_000))
    found = call.cloud.store.rows(
        f"SELECT * FROM user WHERE tenant_id = ? AND ({where.sql}) "  # noqa: S608 - texts of odata.py
        f"ORDER BY {by}, number LIMIT ? OFFSET ?",
        call.caller.tenant_id, *where.values, top + 1, skip,
    )  # fmt: skip
    selected = _selected(call)
    content: dict[str, Any] = {
        "@odata.context": f"{GRAPH}/$metadata#users",
        "value": [_chosen(user_json(call, user), selected) for user in found[:top]],
    }
    if len(found) > top:
        content["@odata.nextLink"] = call.link(skiptoken=skip + top)
    return answer(call, content)


def get_user(call: Call) -> Response:
    shown = _chosen(user_json(call, call.user()), _selected(call))
    return answer(call, {"@odata.context": f"{GRAPH}/$metadata#users/$entity", **shown})


def user_json(call: Call, user: sqlite3.Row) -> dict[str, Any]:
    given, _, surname = user["display_name"].partition(" ")
    addresses = call.cloud.store.rows(
        "SELECT address FROM address WHERE mailbox = ? ORDER BY address", user["number"]
    )
    licences = [{"disabledPlans": [], "skuId": EXCHANGE_SKU}]
    account = account_of(call.cloud.store, user)
    return {
        "signInSessionsValidFromDateTime": account["signInSessionsValidFromDateTime"],
        "passwordProfile": account["passwordProfile"],
        "businessPhones": [],
        "displayName": user["display_name"],
        "givenName": given,
        "jobTitle": user["job_title"],
        "mail": user["mail"],
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": "en-US",
        "surname": surname or None,
        "userPrincipalName": user["mail"],
        "id": user["id"],
        "accountEnabled": bool(user["is_enabled"]),
        "userType": user["user_type"],
        "createdDateTime": as_graph_time(user["created_at"]),
        "mailNickname": user["mail"].split("@")[0],
        "proxyAddresses": [
            ("SMTP:" if row["address"] == user["mail"] else "smtp:") + row["address"]
            for row in addresses
        ],
        "otherMails": [],
        "assignedLicenses": licences if user["has_mailbox"] else [],
    }


def get_organization(call: Call) -> Response:
    shown = _organization(call)
    if "organization" not in call.values:
        content = {"@odata.context": f"{GRAPH}/$metadata#organization", "value": [shown]}
        return answer(call, content)
    if call.values["organization"].lower() != shown["id"]:
        raise item_not_found()
    return answer(call, {"@odata.context": f"{GRAPH}/$metadata#organization/$entity", **shown})


def get_settings(call: Call) -> Response:
    mailbox = call.mailbox()
    settings = {
        "@odata.context": f"{GRAPH}/$metadata#users('{mailbox['id']}')/mailboxSettings",
        "archiveFolder": None,
        "timeZone": "UTC",
        "dateFormat": "yyyy-MM-dd",
        "timeFormat": "HH:mm",
        "userPurpose": mailbox["purpose"],
        "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
        "language": {"locale": "en-US", "displayName": "English (United States)"},
        "automaticRepliesSetting": {
            "status": "disabled", "externalAudience": "all", "internalReplyMessage": "",
            "externalReplyMessage": "",
        },
    }  # fmt: skip
    return answer(call, settings)


def get_purpose(call: Call) -> Response:
    mailbox = call.mailbox()
    context = f"{GRAPH}/$metadata#users('{mailbox['id']}')/mailboxSettings/userPurpose"
    return answer(call, {"@odata.context": context, "value": mailbox["purpose"]})


def list_rules(call: Call) -> Response:
    mailbox = call.mailbox()
    rows = call.cloud.store.rows(
        "SELECT content FROM rule WHERE mailbox = ? ORDER BY number", mailbox["number"]
    )
    context = f"{GRAPH}/$metadata#users('{mailbox['id']}')/mailFolders('inbox')/messageRules"
    content = {"@odata.context": context, "value": [json.loads(row["content"]) for row in rows]}
    return answer(call, content)


def _organization(call: Call) -> dict[str, Any]:
    tenant = call.cloud.store.one("SELECT * FROM tenant WHERE id = ?", call.caller.tenant_id)
    return {
        "id": tenant["id"],
        "displayName": tenant["display_name"],
        "createdDateTime": as_graph_time(tenant["created_at"]),
        "tenantType": "AAD",
        "verifiedDomains": [
            {"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": True,
             "isInitial": True, "name": tenant["domain"], "type": "Managed"},
        ],
    }  # fmt: skip


def _selected(call: Call) -> list[str] | None:
    text = call.option("select")
    if text is None:
        return None
    names = (*DEFAULT, "accountEnabled", "userType", "createdDateTime", "mailNickname",
             "proxyAddresses", "otherMails", "assignedLicenses",
             "signInSessionsValidFromDateTime", "passwordProfile")  # fmt: skip
    return read_select(text, names, "microsoft.graph.user")


def _chosen(user: dict[str, Any], selected: list[str] | None) -> dict[str, Any]:
    return {name: user[name] for name in selected or DEFAULT}
