"""The statement of a client's agreed times as one JSON document: what was agreed, kept and missed.

It is computed from the incidents' own times as they stood at ``as_of``: what was reached later was
not reached then.  ``inputs_sha256`` covers everything that went in: the same inputs give the same
document, and the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from incidents.codes import CAUSES
from incidents.layers import blind_layers
from incidents.models import Incident, SlaPlan
from incidents.reports.times import iso
from incidents.sla.attest import (
    Kept,
    Plans,
    Standstill,
    kept_targets,
    lines_of,
    opened_between,
    standstills,
)
from incidents.sla.clock import ALWAYS
from incidents.sla.plan import TARGETS, Plan
from tenants.errors import WrongInput
from tenants.models import Tenant

SCHEMA = "bailey-agreed-times/1"
MOST = 5_000
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOW = (
    "It counts the incidents that opened in the period; what was merged into another counts there.",
    "Each incident goes by what was agreed when it opened, for its severity.",
    "Each clock starts when the incident opens. It runs in the agreed hours and stands still only"
    " with a cause on record.",
    *(f"“{name}” is reached when {words}." for name, words in TARGETS.items()),
    "Kept: the clock had run at most the agreed time when it was reached. Missed: it had run"
    " longer, reached or not. Open: neither yet.",
    "The share is kept / (kept + missed), rounded down.",
)


def check_period(tenant: Tenant, since: datetime, until: datetime) -> None:
    """Raises ``WrongInput`` where one statement cannot hold the incidents of the period."""
    n = opened_between(since, until, tenant.slug).count()
    if n > MOST:
        raise WrongInput(
            f"{n} incidents opened then, and a statement holds {MOST}: choose a shorter period."
        )


def build_statement(
    tenant: Tenant,
    *,
    since: datetime,
    until: datetime,
    as_of: datetime,
    audience: str,
    created_by: str,
) -> dict[str, Any]:
    """Needs the client's scope with its provider.

    ``audience`` "client" leaves out names of incidents that the client does not see, and what the
    provider's people say among themselves.
    """
    opened = opened_between(since, min(until, as_of), tenant.slug).order_by("opened_at", "number")
    incidents = {incident.id: incident for incident in opened}
    kept, stills = kept_targets(opened, as_of), standstills(opened)
    is_ours = audience == "internal"
    document = {
        "schema": SCHEMA,
        "audience": audience,
        "statement": {
            "client": tenant.name,
            "tenant": tenant.slug,
            "since": iso(since),
            "until": iso(until),
            "facts_as_of": iso(as_of),
            "created_by": created_by,
            "incidents": len(incidents),
        },
        "agreements": _agreements(list(incidents.values())),
        "lines": _lines(kept),
        "misses": [
            _miss(each, incidents[each.incident_id], stills.get(each.incident_id, ()), is_ours)
            for each in kept
            if each.state == "missed"
        ],
        "targets": [_target(each, incidents[each.incident_id]) for each in kept],
        "standstills": _standstills(incidents, stills, is_ours),
        "how": list(HOW),
        "blind": [
            f"{blind.sentence} What it could not see opened no incident."
            for blind in blind_layers(tenant.id)
        ],
    }
    return document | {"inputs_sha256": _digest(document)}


def _digest(document: Mapping[str, Any]) -> str:
    """Over what was computed with, whoever reads it: agreements, times and standstills."""
    inputs = {
        **{name: document["statement"][name] for name in ("tenant", "since", "until")},
        "facts_as_of": document["statement"]["facts_as_of"],
        "agreements": document["agreements"],
        "targets": document["targets"],
        "standstills": [
            {name: each[name] for name in ("number", "since", "until")}
            for each in document["standstills"]
        ],
    }
    return sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())


def _agreements(incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    """Each that one of these incidents goes by, in the order in which they came to hold."""
    plans = Plans(incidents)
    found: dict[UUID | None, tuple[SlaPlan | None, Plan]] = {}
    for incident in incidents:
        row = plans.row_of(incident)
        found.setdefault(row.id if row else None, (row, plans.of(incident)))
    return [_agreement(row, plan) for row, plan in found.values()]


def _agreement(row: SlaPlan | None, plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "agreed_with": _with_whom(row),
        "valid_from": iso(row.valid_from) if row else None,
        "agreed_by": row.created_by if row else "",
        "targets": [
            {
                "severity": severity,
                "target": name,
                "minutes": target.minutes,
                "hours": "always" if target.hours is ALWAYS else "business",
            }
            for severity in Incident.Severity.values
            for name, target in plan.targets.get(severity, {}).items()
        ],
        "calendar": _calendar(row, plan),
    }


def _with_whom(row: SlaPlan | None) -> str:
    if row is None:
        return "nobody: Bailey's own times"
    return "the client" if row.tenant_id else "all clients of the provider"


def _calendar(row: SlaPlan | None, plan: Plan) -> dict[str, Any] | None:
    """The business hours; None where no clock goes by them."""
    hours = {target.hours for each in plan.targets.values() for target in each.values()}
    if row is None or not hours - {ALWAYS}:
        return None
    return {
        "time_zone": row.time_zone,
        "weekly": [
            {"day": day, "hours": ", ".join("–".join(span) for span in spans) or "closed"}
            for day, spans in zip(_WEEKDAYS, row.weekly, strict=True)
        ],
        "days_off": list(row.holidays),
    }


def _lines(kept: Sequence[Kept]) -> list[dict[str, Any]]:
    return [
        {
            "severity": line.severity,
            "target": line.target,
            "kept": line.kept,
            "missed": line.missed,
            "open": line.open,
            "share_percent": line.percent,
        }
        for line in lines_of(kept)
    ]


def _target(each: Kept, incident: Incident) -> dict[str, Any]:
    return {
        "number": incident.number,
        "severity": each.severity,
        "target": each.target,
        "state": each.state,
        "agreed_s": _seconds(each.agreed),
        "ran_s": _seconds(each.ran),
        "opened_at": iso(incident.opened_at),
        "reached_at": iso(each.reached_at),
        "agreement": each.plan,
    }


def _miss(
    each: Kept, incident: Incident, stills: Sequence[Standstill], is_ours: bool
) -> dict[str, Any]:
    may_name = is_ours or incident.shared_at is not None
    return {
        **_target(each, incident),
        "over_s": _seconds(each.ran) - _seconds(each.agreed),
        "title": incident.title if may_name else "",
        "cause": _cause(incident) if is_ours else "",
        "standstills": [_still(still, is_ours) for still in stills],
    }


def _cause(incident: Incident) -> str:
    return " ".join(filter(None, (CAUSES.get(incident.cause_code), incident.cause)))


def _still(still: Standstill, is_ours: bool) -> dict[str, Any]:
    return {
        "since": iso(still.since),
        "until": iso(still.until),
        "why": still.why,
        "said": still.said if is_ours or still.is_for_client else "",
    }


def _standstills(
    incidents: Mapping[UUID, Incident],
    stills: Mapping[UUID, Sequence[Standstill]],
    is_ours: bool,
) -> list[dict[str, Any]]:
    return [
        {"number": incident.number, **_still(still, is_ours)}
        for incident in incidents.values()
        for still in stills.get(incident.id, ())
    ]
