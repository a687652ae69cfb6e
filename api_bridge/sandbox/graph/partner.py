"""Delegated admin relationships of a partner (GDAP), as its own tenant lists them.

Source: learn.microsoft.com/graph/api (tenantrelationship-list-delegatedadminrelationships), read
2026-11.
"""

import json
import sqlite3
from typing import Any

from api_bridge.sandbox.clock import as_graph_time
from api_bridge.sandbox.graph.call import GRAPH, Call, answer
from api_bridge.sandbox.web import Response


def list_relationships(call: Call) -> Response:
    rows = call.cloud.store.rows(
        "SELECT * FROM relationship WHERE partner_id = ? ORDER BY ends_at", call.caller.tenant_id
    )
    context = f"{GRAPH}/$metadata#tenantRelationships/delegatedAdminRelationships"
    return answer(call, {"@odata.context": context, "value": [_shown(row) for row in rows]})


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "displayName": row["display_name"],
        "duration": "P730D",
        "customer": {"tenantId": row["customer_id"], "displayName": row["display_name"]},
        "accessDetails": {
            "unifiedRoles": [{"roleDefinitionId": role} for role in json.loads(row["roles"])]
        },
        "status": row["status"],
        "autoExtendDuration": row["auto_extend"],
        "createdDateTime": as_graph_time(row["created_at"]),
        "activatedDateTime": as_graph_time(row["created_at"]),
        "lastModifiedDateTime": as_graph_time(row["created_at"]),
        "endDateTime": as_graph_time(row["ends_at"]),
    }
