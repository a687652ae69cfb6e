"""The report “Found in your mailboxes” as one JSON document: what was looked at, what could not be
read and why, what was found, and where each of it is now.

It never says that nothing was found where the layer could not look: ``sentence`` says how much of
what was to be looked at the answer covers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils import timezone

from api_bridge.scanback.figures import KINDS, Figures, figures_of
from api_bridge.scanback.models import ScanBack, ScanBackMailbox
from api_bridge.scanback.pulling import Found, found_of
from api_bridge.scanback.services import run_of
from incidents.models import Job, Report
from incidents.models.mail import Verdict as Kind
from incidents.reports.builders import FOUND_SCHEMA
from incidents.reports.services import ask_about
from incidents.words import Verdict
from tenants.errors import NotThere
from tenants.models import Person

MOST_LISTED = 20_000
NOW = {
    "removed": "removed by Bailey",
    "gone": "no longer in the mailbox",
    "reach": "still in the mailbox",
    "pending": "being looked at",
}
HOW = (
    "Looked at is mail that was received before the mailboxes were watched; later mail was judged"
    " as it came.",
    "Each mail is judged by what is known today. It was found when it was looked at, not when it"
    " came.",
    "“Now” is where the copy was seen last.",
    "A mail that could not be read is counted by itself and is no finding.",
)


def ask_found(*, run: ScanBack, actor: Person, audience: str = "internal") -> Job:
    """The job that makes the report, as everything stands when it is made."""
    detail = {"scan_back": str(run.id)}
    return ask_about(
        tenant_id=run.tenant_id,
        kind=Report.Kind.FOUND,
        actor=actor,
        audience=audience,
        detail=detail,
    )


def build_found(job: Job, audience: str) -> dict[str, Any]:
    """``incidents.reports.builders``.  Raises ``NotThere`` where the run is not there any more."""
    run = run_of(job.tenant_id, UUID(job.detail["scan_back"]))
    if run is None:
        raise NotThere
    figures = figures_of(run)
    found = found_of(run, most=MOST_LISTED)
    document = {
        "schema": FOUND_SCHEMA,
        "audience": audience,
        "found": _head(job, run, figures),
        "lines": _lines(found),
        "mailboxes": [_mailbox(row, figures) for row in figures.rows],
        "findings": [_finding(each) for each in found],
        "how": list(HOW),
        "blind": [blind.sentence for blind in figures.blind],
    }
    return document | {"inputs_sha256": _digest(document)}


def _head(job: Job, run: ScanBack, figures: Figures) -> dict[str, Any]:
    return {
        "client": job.tenant.name,
        "tenant": job.tenant.slug,
        "since": _iso(run.since),
        "until": _iso(run.until),
        "days": run.days,
        "facts_as_of": _iso(timezone.now()),
        "created_by": job.requested_by,
        "state": run.state,
        "ended_by": run.ended_by,
        "mailboxes": len(figures.rows),
        "mailboxes_done": figures.done,
        "mails": figures.mails,
        "unread": figures.unread,
        "skipped": figures.skipped,
        "found": figures.total_found,
        "is_whole": figures.is_whole,
        "sentence": sentence(figures),
    }


def sentence(figures: Figures) -> str:
    """What was found, and of how much that can be said."""
    read = f"{_n(figures.mails, 'mail')} in {_n(len(figures.rows), 'mailbox', 'mailboxes')}"
    if figures.total_found:
        said = f"{_n(figures.total_found, 'harmful mail')} found among {read}."
    elif figures.is_whole:
        said = f"Nothing harmful was found among {read}."
    else:
        said = f"No harmful mail is known so far among {read}; not everything could be looked at."
    gaps = _gaps(figures)
    return f"{said} {gaps}".strip()


def _gaps(figures: Figures) -> str:
    parts = []
    if figures.left:
        parts.append(_n(len(figures.left), "mailbox", "mailboxes") + " not read to the end")
    if figures.unread:
        parts.append(_n(figures.unread, "mail") + " that could not be read")
    if figures.skipped:
        parts.append(_n(figures.skipped, "entry", "entries") + " that the mail host did not show")
    return f"Not looked at: {', '.join(parts)}." if parts else ""


def _n(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _lines(found: Sequence[Found]) -> list[dict[str, Any]]:
    """A line for each kind that was found; its numbers add up to ``found``."""
    lines = []
    for kind in KINDS:
        states = Counter(each.state for each in found if each.finding.verdict == kind)
        if states:
            lines.append(
                {
                    "kind": str(kind),
                    "label": str(Kind(kind).label),
                    "found": states.total(),
                    **{state: states[state] for state in NOW},
                }
            )
    return lines


def _mailbox(row: ScanBackMailbox, figures: Figures) -> dict[str, Any]:
    return {
        "address": row.mailbox.address,
        "state": row.state,
        "state_label": str(row.get_state_display()),
        "mails": row.mails,
        "found": figures.found_in.get(str(row.mailbox_id), 0),
        "unread": row.unread,
        "skipped": row.skipped,
        "reached_at": _iso(row.reached_at),
        "why": row.last_error,
    }


def _finding(each: Found) -> dict[str, Any]:
    finding, copy = each.finding, each.copy
    return {
        "recipient": finding.mailbox.address,
        "sender": copy.message.sender_address if copy else "",
        "kind": finding.verdict,
        "label": str(Kind(finding.verdict).label),
        "received_at": _iso(finding.received_at),
        "found_at": _iso(finding.found_at),
        "state": each.state,
        "now": NOW[each.state],
        "is_read": copy.is_read if copy else None,
        "was_exposed": copy.was_exposed if copy else None,
        "is_finding": finding.verdict != Verdict.UNSCANNABLE,
    }


def _digest(document: dict[str, Any]) -> str:
    inputs = {name: document[name] for name in ("lines", "mailboxes", "findings")}
    return sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
