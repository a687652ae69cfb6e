"""The report “Found in your mailboxes” as one JSON document: what was looked at, what could not be
read and why, what was found, and where each of it is now.

It never says that nothing was found where the layer could not look: ``sentence`` says how much of
what was to be looked at the answer covers.  Words and labels are those of its ``language``
(wording.py); codes beside them are the same in every language.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import override

from api_bridge.scanback.figures import KINDS, Figures, figures_of
from api_bridge.scanback.models import ScanBack, ScanBackMailbox
from api_bridge.scanback.pulling import Found, found_of
from api_bridge.scanback.services import run_of
from api_bridge.scanback.wording import (
    box_label,
    columns,
    fixed_words,
    how_to_read,
    kind_label,
    now_label,
    sentence,
)
from incidents.layers import gateway_layer
from incidents.models import Job, Report
from incidents.reports.builders import FOUND_SCHEMA
from incidents.reports.services import ask_about
from incidents.reports.times import iso
from incidents.words import Verdict
from tenants.errors import NotThere
from tenants.models import Person

MOST_LISTED = 20_000
STATES = ("removed", "gone", "reach", "pending")
ENGLISH = "en"


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
    language = _language_of(job, audience)
    with override(language):
        document = _document(job, run, audience) | {"language": language}
    return document | {"inputs_sha256": _digest(document)}


def _language_of(job: Job, audience: str) -> str:
    """A client reads it in the language of its policy, the provider's people in English."""
    return ENGLISH if audience != "client" else gateway_layer().language_for(job.tenant_id, "")


def _document(job: Job, run: ScanBack, audience: str) -> dict[str, Any]:
    figures = figures_of(run)
    found = found_of(run, most=MOST_LISTED)
    return {
        "schema": FOUND_SCHEMA,
        "audience": audience,
        "words": fixed_words(),
        "columns": columns(),
        "found": _head(job, run, figures),
        "lines": _lines(found),
        "mailboxes": [_mailbox(row, figures) for row in figures.rows],
        "findings": [_finding(each) for each in found],
        "how": how_to_read(),
        "blind": [blind.sentence for blind in figures.blind],
    }


def _head(job: Job, run: ScanBack, figures: Figures) -> dict[str, Any]:
    return {
        "client": job.tenant.name,
        "tenant": job.tenant.slug,
        "since": iso(run.since),
        "until": iso(run.until),
        "days": run.days,
        "facts_as_of": iso(timezone.now()),
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


def _lines(found: Sequence[Found]) -> list[dict[str, Any]]:
    """A line for each kind that was found; its numbers add up to ``found``."""
    lines = []
    for kind in KINDS:
        states = Counter(each.state for each in found if each.finding.verdict == kind)
        if states:
            lines.append(
                {
                    "kind": str(kind),
                    "label": kind_label(kind),
                    "found": states.total(),
                    **{state: states[state] for state in STATES},
                }
            )
    return lines


def _mailbox(row: ScanBackMailbox, figures: Figures) -> dict[str, Any]:
    return {
        "address": row.mailbox.address,
        "state": row.state,
        "state_label": box_label(row.state),
        "mails": row.mails,
        "found": figures.found_in.get(str(row.mailbox_id), 0),
        "unread": row.unread,
        "skipped": row.skipped,
        "reached_at": iso(row.reached_at),
        "why": row.last_error,
    }


def _finding(each: Found) -> dict[str, Any]:
    finding, copy = each.finding, each.copy
    return {
        "recipient": finding.mailbox.address,
        "sender": copy.message.sender_address if copy else "",
        "kind": finding.verdict,
        "label": kind_label(finding.verdict),
        "received_at": iso(finding.received_at),
        "found_at": iso(finding.found_at),
        "state": each.state,
        "now": now_label(each.state),
        "is_read": copy.is_read if copy else None,
        "was_exposed": copy.was_exposed if copy else None,
        "is_finding": finding.verdict != Verdict.UNSCANNABLE,
    }


def _digest(document: dict[str, Any]) -> str:
    inputs = {name: document[name] for name in ("lines", "mailboxes", "findings")}
    return sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
