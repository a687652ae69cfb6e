"""Groups and who is in them at any depth.

Source: learn.microsoft.com/graph/api (group-list, group-list-transitivemembers); of the group's
properties only those that were asked for or are shown without being asked for here.
"""

import sqlite3
from typing import Any

from api_bridge.sandbox import groups
from api_bridge.sandbox.graph.call import GRAPH, Call, GraphError, answer
from api_bridge.sandbox.odata import read_select
from api_bridge.sandbox.web import Response

PAGE, LARGEST_PAGE = 100, 999
SHOWN = ("id", "displayName", "mail", "mailEnabled", "securityEnabled", "groupTypes")


def list_groups(call: Call) -> Response:
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    after = call.option("skiptoken") or ""
    found = groups.groups_after(call.cloud.store, call.caller.tenant_id, after, top + 1)
    text = call.option("select")
    names = read_select(text, SHOWN, "microsoft.graph.group") if text else list(SHOWN)
    value = [{name: _group(row)[name] for name in names} for row in found[:top]]
    content: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#groups", "value": value}
    if len(found) > top:
        content["@odata.nextLink"] = call.link(skiptoken=found[top - 1]["id"])
    return answer(call, content)


def list_members(call: Call) -> Response:
    """People and groups, each with its kind; every page may mix them."""
    store, tenant_id = call.cloud.store, call.caller.tenant_id
    group = groups.group_in(store, tenant_id, call.values["group"])
    if group is None:
        raise GraphError(404, "Request_ResourceNotFound",
                         f"Resource '{call.values['group']}' does not exist.")  # fmt: skip
    below = groups.inner_groups(store, group["id"])
    people = groups.people_in(store, [group["id"], *(row["id"] for row in below)])
    members = [{"@odata.type": "#microsoft.graph.group", "id": row["id"]} for row in below]
    members += [{"@odata.type": "#microsoft.graph.user", "id": row["id"]} for row in people]
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    skip = call.number("skiptoken", 0, (0, 1_000_000))
    content: dict[str, Any] = {
        "@odata.context": f"{GRAPH}/$metadata#directoryObjects(id)",
        "value": members[skip : skip + top],
    }
    if skip + top < len(members):
        content["@odata.nextLink"] = call.link(skiptoken=skip + top)
    return answer(call, content)


def _group(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "displayName": row["name"],
        "mail": row["mail"],
        "mailEnabled": row["mail"] is not None,
        "securityEnabled": True,
        "groupTypes": [],
    }
