"""Exchange's message trace.

Contract read 2026-11-30: microsoft-graph-docs ``messagetracingroot-list-messagetraces`` and
``exchangemessagetrace`` (January 2026): both bounds stated, at most 10 days of the last 90, 100
requests in 5 minutes, pages of up to 5,000.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from api_bridge.connectors.graph.client import (
    TRACES,
    GraphClient,
    entries_of,
    next_link_of,
    path,
)
from api_bridge.connectors.graph.mapping import plain_address, text_of, time_of
from api_bridge.connectors.traces import Traced, TracePage, TraceStatus

WINDOW = timedelta(days=10)
# A little less than Microsoft's 90 days: its clock is not ours.
REACH = timedelta(days=89)
PAGE_SIZE = 5_000
STATUS = {
    "delivered": TraceStatus.DELIVERED,
    "filteredasspam": TraceStatus.FILTERED,
    "quarantined": TraceStatus.QUARANTINED,
    "failed": TraceStatus.FAILED,
    "pending": TraceStatus.WAITING,
    "gettingstatus": TraceStatus.WAITING,
    "expanded": TraceStatus.EXPANDED,
}


def trace_page(client: GraphClient, since: datetime, until: datetime, link: str) -> TracePage:
    """Raises ``BridgeError``."""
    data = client.call("GET", link or _first_page(since, until), slot=TRACES).json()
    listed = entries_of(data)
    traced = tuple(each for each in map(trace_of, listed) if each is not None)
    return TracePage(traced=traced, link=next_link_of(data), skipped=len(listed) - len(traced))


def trace_of(data: Mapping[str, Any]) -> Traced | None:
    """None for a row that does not say which mail it is, for whom, or when."""
    received_at = time_of(data, "receivedDateTime")
    recipient = plain_address(text_of(data, "recipientAddress"))
    if not text_of(data, "id") or not recipient or received_at is None:
        return None
    return Traced(
        id=text_of(data, "id"),
        received_at=received_at,
        recipient=recipient,
        status=STATUS.get(text_of(data, "status").lower(), TraceStatus.OTHER),
        sender=plain_address(text_of(data, "senderAddress")),
        internet_message_id=text_of(data, "messageId"),
        subject=text_of(data, "subject"),
    )


def _first_page(since: datetime, until: datetime) -> str:
    return path(
        *("admin", "exchange", "tracing", "messageTraces"),
        filter=f"receivedDateTime ge {_said(since)} and receivedDateTime le {_said(until)}",
        top=str(PAGE_SIZE),
    )


def _said(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
