"""The report “Found in your mailboxes” as the client reads it: the document as it was made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api_bridge.scanback.wording import kind_label, now_label
from console.queries.portal import reports_for_client
from incidents.models import Report
from tenants.errors import NotThere

FOUND_SHOWN = 300


@dataclass(frozen=True, slots=True)
class FoundReport:
    """The report “Found in your mailboxes” as it was made: its document, and the mails of one kind
    ("": of all kinds), with the labels in the reader's language.
    """

    report: Report
    head: dict[str, Any]
    kinds: list[tuple[str, str, dict[str, Any]]]
    mailboxes: list[dict[str, Any]]
    mails: list[dict[str, Any]]
    kind: str
    kind_label: str
    more: bool


def found_in_mailboxes(report_id: UUID, kind: str) -> FoundReport:
    """Raises ``NotThere`` for any other report, and for a kind that it does not have."""
    report = reports_for_client().filter(kind=Report.Kind.FOUND, id=report_id).first()
    if report is None:
        raise NotThere
    document: dict[str, Any] = report.document
    lines = {line["kind"]: line for line in document["lines"]}
    if kind and kind not in lines:
        raise NotThere
    findings = [each for each in document["findings"] if not kind or each["kind"] == kind]
    mails = [
        each
        | {
            "received_at": datetime.fromisoformat(each["received_at"]),
            "label": kind_label(each["kind"]),
            "now": now_label(each["state"]),
        }
        for each in findings[:FOUND_SHOWN]
    ]
    return FoundReport(
        report=report,
        head=_with_times(document["found"]),
        kinds=[(each, kind_label(each), line) for each, line in lines.items()],
        mailboxes=[
            box | {"reached_at": datetime.fromisoformat(box["reached_at"])}
            for box in document["mailboxes"]
        ],
        mails=mails,
        kind=kind,
        kind_label=kind_label(kind) if kind else "",
        more=len(findings) > FOUND_SHOWN,
    )


def _with_times(head: dict[str, Any]) -> dict[str, Any]:
    times = ("since", "until", "facts_as_of")
    return head | {name: datetime.fromisoformat(head[name]) for name in times}
