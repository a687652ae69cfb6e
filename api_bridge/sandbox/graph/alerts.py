"""What Defender warns of: ``/security/alerts_v2``.

Source: learn.microsoft.com/graph/api (security-list-alerts_v2), checked against Microsoft's
metadata of 2026-08-20.
"""

import json
import re
from typing import Any

from api_bridge.sandbox import directory
from api_bridge.sandbox.clock import as_graph_time, now_s, read_graph_time
from api_bridge.sandbox.graph.call import GRAPH, Call, answer, bad_request
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Response

PAGE, LARGEST_PAGE = 100, 2000
_FILTER = re.compile(r"\s*createdDateTime\s+(ge|gt)\s+(\S+)\s*", re.IGNORECASE)


def put_alert(store: Store, tenant_id: str, alert: dict[str, Any]) -> str:
    """Defender warns: ``alert`` in its own shape.  Returns its id."""
    if store.row("SELECT 1 FROM tenant WHERE id = ?", tenant_id) is None:
        raise directory.BadDirectory("no such tenant")
    now = now_s()
    alert_id = str(alert.get("id") or directory.new_guid())
    times = dict.fromkeys(("createdDateTime", "lastUpdateDateTime"), as_graph_time(now))
    content = {
        **times, "severity": "informational", "status": "new",
        "serviceSource": "microsoftDefenderForOffice365", "evidence": [], **alert, "id": alert_id,
    }  # fmt: skip
    store.execute("INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?)",
                  alert_id, tenant_id, int(read_graph_time(content["createdDateTime"])),
                  json.dumps(content))  # fmt: skip
    return alert_id


def list_alerts(call: Call) -> Response:
    """Newest first, as there; ``$filter`` knows the time of creation."""
    since = 0.0
    if text := call.option("filter"):
        term = _FILTER.fullmatch(text)
        if term is None:
            raise bad_request(f"Invalid filter clause: {text}")
        try:
            since = read_graph_time(term[2])
        except ValueError as error:
            raise bad_request(f"Invalid time: {term[2]}") from error
    rows = call.cloud.store.rows(
        "SELECT content FROM alert WHERE tenant_id = ? AND created_at >= ? "
        "ORDER BY created_at DESC, id",
        call.caller.tenant_id, int(since),
    )  # fmt: skip
    found = [json.loads(row["content"]) for row in rows]
    top = call.number("top", PAGE, (1, LARGEST_PAGE))
    skip = call.number("skip", 0, (0, 1_000_000))
    content: dict[str, Any] = {
        "@odata.context": f"{GRAPH}/$metadata#security/alerts_v2",
        "value": found[skip : skip + top],
    }
    if skip + top < len(found):
        content["@odata.nextLink"] = call.link(skip=skip + top)
    return answer(call, content)
