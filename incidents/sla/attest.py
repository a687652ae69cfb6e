"""What was kept of what was agreed, computed anew from the incidents' own times; and what will not.

A target of an incident is *kept* if the clock had run at most the agreed time when it was reached,
*missed* if it had run longer, reached or not, and *open* otherwise.  Nothing else counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from incidents.models import Incident, Pause, Quiet, SlaPlan
from incidents.sla import clock
from incidents.sla.plan import TARGETS, Plan, built_in, read_plan
from incidents.sla.reckoning import STANDING_STILL, pause_spans, targets_of
from tenants.groups import of_clients

STATES = ("kept", "missed", "open")
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One target of one incident.

    ``ran``: how long its clock ran until it was reached, or until now.  ``reached_at`` None: not
    yet then.
    """

    incident_id: UUID
    tenant_id: int
    severity: str
    target: str
    state: str
    agreed: timedelta
    ran: timedelta
    plan: str
    reached_at: datetime | None


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


def opened_between(since: datetime, until: datetime, client: str = "") -> QuerySet[Incident]:
    """Without those that were merged into another: that one counts.  ``client`` as ``of_clients``
    takes it.
    """
    found = Incident.objects.filter(opened_at__gte=since, opened_at__lt=until, merged_into=None)
    return of_clients(found, client)


def kept_targets(opened: QuerySet[Incident], now: datetime | None = None) -> list[Kept]:
    """Every target of these incidents as it stood at ``now``; four statements however many.

    Needs a scope of their clients that names the provider.
    """
    now = now or timezone.now()
    incidents = list(opened)
    plans, pauses = Plans(incidents), standstills(opened)
    return [
        kept
        for incident in incidents
        for kept in _kept(
            incident,
            plans.of(incident),
            [(still.since, still.until) for still in pauses.get(incident.id, ())],
            now,
        )
    ]


def _kept(
    incident: Incident, plan: Plan, pauses: Sequence[clock.Pause], now: datetime
) -> Iterator[Kept]:
    for name, target, at in targets_of(incident, plan):
        reached_at = at if at is not None and at <= now else None
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
            reached_at,
        )


def lines_of(kept: Sequence[Kept]) -> list[Line]:
    """For each severity and target how many were kept, missed and are open."""
    counts = Counter((each.severity, each.target, each.state) for each in kept)
    return [
        Line(severity, target, *(counts[severity, target, state] for state in STATES))
        for severity in Incident.Severity.values
        for target in TARGETS
        if any(counts[severity, target, state] for state in STATES)
    ]


class Plans:
    """What was agreed for each of these incidents when it opened, by one statement."""

    def __init__(self, incidents: Sequence[Incident]) -> None:
        rows = SlaPlan.objects.filter(
            tenant__in={incident.tenant_id for incident in incidents}
        ) | SlaPlan.objects.filter(tenant=None)
        self._of: defaultdict[int | None, list[SlaPlan]] = defaultdict(list)
        for row in rows.order_by("-valid_from", "-id"):
            self._of[row.tenant_id].append(row)

    def row_of(self, incident: Incident) -> SlaPlan | None:
        """None: nothing was agreed then, and Bailey's own times hold."""
        for owner in (incident.tenant_id, None):
            for row in self._of.get(owner, ()):
                if row.valid_from <= incident.opened_at:
                    return row
        return None

    def of(self, incident: Incident) -> Plan:
        row = self.row_of(incident)
        return read_plan(row) if row else built_in()


@dataclass(frozen=True, slots=True)
class Standstill:
    """The clocks of an incident stood still; ``until`` None: they do.

    ``why`` can be read by anybody; ``said`` are the words of whoever stopped them, and
    ``is_for_client`` says whether the client reads those.
    """

    since: datetime
    until: datetime | None
    why: str
    said: str
    is_for_client: bool


def standstills(opened: QuerySet[Incident]) -> dict[UUID, list[Standstill]]:
    """Incident → when its clocks stood still, oldest first; by two statements."""
    wanted = opened.order_by().values("id")
    found: defaultdict[UUID, list[Standstill]] = defaultdict(list)
    for pause in Pause.objects.filter(incident__in=wanted):
        for since, until in pause_spans([pause], []):
            still = Standstill(
                since, until, pause.get_cause_display(), pause.asked, pause.is_for_client
            )
            found[pause.incident_id].append(still)
    for quiet in Quiet.objects.filter(incident__in=wanted, kind__in=STANDING_STILL):
        for since, until in pause_spans([], [quiet]):
            still = Standstill(since, until, quiet.get_kind_display(), quiet.reason, False)
            found[quiet.incident_id].append(still)
    return {key: sorted(each, key=lambda still: still.since) for key, each in found.items()}
