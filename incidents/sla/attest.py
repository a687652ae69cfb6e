"""What was kept of what was agreed, computed anew from the incidents' own times; and what will not.

A target of an incident is *kept* if the clock had run at most the agreed time when it was reached,
*missed* if it had run longer, reached or not, and *open* otherwise.  Nothing else counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from incidents.models import Incident, Pause, Quiet, SlaPlan
from incidents.sla import clock
from incidents.sla.plan import Plan, built_in, read_plan
from incidents.sla.reckoning import STANDING_STILL, pause_spans, targets_of

STATES = ("kept", "missed", "open")
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One target of one incident.  ``ran``: how long its clock ran until it was reached, or now."""

    incident_id: UUID
    tenant_id: int
    severity: str
    target: str
    state: str
    agreed: timedelta
    ran: timedelta
    plan: str


@dataclass(frozen=True, slots=True)
class Line:
    """``share`` of the decided ones that were kept, None where none is decided."""

    severity: str
    target: str
    kept: int
    missed: int
    open: int

    @property
    def share(self) -> float | None:
        decided = self.kept + self.missed
        return self.kept / decided if decided else None

    @property
    def percent(self) -> int | None:
        """Rounded down: 99.6 % kept is not all of it."""
        return None if self.share is None else int(self.share * 100)


def kept_targets(incidents: Sequence[Incident], now: datetime | None = None) -> list[Kept]:
    """Every target of these incidents; three statements however many they are.

    Needs a scope of their clients that names the provider.
    """
    now = now or timezone.now()
    plans, pauses = Plans(incidents), _pauses(incidents)
    return [
        kept
        for incident in incidents
        for kept in _kept(incident, plans.of(incident), pauses[incident.id], now)
    ]


def _kept(
    incident: Incident, plan: Plan, pauses: Sequence[clock.Pause], now: datetime
) -> Iterator[Kept]:
    for name, target, reached_at in targets_of(incident, plan):
        ran = clock.running_time(target.hours, incident.opened_at, reached_at or now, pauses)
        state = "missed" if ran > target.length else "kept" if reached_at else "open"
        yield Kept(
            incident.id,
            incident.tenant_id,
            incident.severity,
            name,
            state,
            target.length,
            ran,
            plan.name,
        )


def lines_of(kept: Sequence[Kept]) -> list[Line]:
    """For each severity and target how many were kept, missed and are open."""
    counts: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(STATES, 0)
    )
    for each in kept:
        counts[each.severity, each.target][each.state] += 1
    severities, targets = Incident.Severity.values, ("triage", "contain", "resolve")
    return [
        Line(severity, target, **counts[severity, target])
        for severity in severities
        for target in targets
        if (severity, target) in counts
    ]


class Plans:
    """What was agreed for each of these incidents when it opened, by one statement."""

    def __init__(self, incidents: Sequence[Incident]) -> None:
        rows = SlaPlan.objects.filter(
            tenant__in={incident.tenant_id for incident in incidents}
        ) | SlaPlan.objects.filter(tenant=None)
        self._of: defaultdict[int | None, list[tuple[datetime, Plan]]] = defaultdict(list)
        for row in rows.order_by("-valid_from", "-id"):
            self._of[row.tenant_id].append((row.valid_from, read_plan(row)))

    def of(self, incident: Incident) -> Plan:
        for owner in (incident.tenant_id, None):
            for valid_from, plan in self._of.get(owner, ()):
                if valid_from <= incident.opened_at:
                    return plan
        return built_in()


def _pauses(incidents: Sequence[Incident]) -> defaultdict[UUID, list[clock.Pause]]:
    wanted = {
        "tenant__in": {incident.tenant_id for incident in incidents},
        "incident__in": [incident.id for incident in incidents],
    }
    found: defaultdict[UUID, list[clock.Pause]] = defaultdict(list)
    for pause in Pause.objects.filter(**wanted):
        found[pause.incident_id] += pause_spans([pause], [])
    for quiet in Quiet.objects.filter(**wanted, kind__in=STANDING_STILL):
        found[quiet.incident_id] += pause_spans([], [quiet])
    return found
