"""An incident's own times, kept up to date: who was when, and what would be missed next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Min
from django.utils import timezone

from incidents.assessment import within_reach
from incidents.models import Incident, Job, Pause, Quiet
from incidents.sla import clock
from incidents.sla.plan import Plan, Target, plan_for
from tenants.ids import new_id

RECKONED = (
    *("triaged_at", "acted_at", "contained_at", "due_at", "due_for"),
    *("waiting_since", "waiting_for"),
)
# On record with reason and end.  A snooze is somebody's order of the day: it stops no clock.
STANDING_STILL = (Quiet.Kind.MUTED, Quiet.Kind.SUPPRESSED)
Row = TypeVar("Row", Pause, Quiet)
_ACTS = (Job.Kind.PULL, Job.Kind.RESTORE, Job.Kind.RELEASE, Job.Kind.BLOCK)


def reckon(incident: Incident, now: datetime | None = None) -> None:
    """Set the fields ``RECKONED`` from state, counts, jobs and pauses; the caller saves them.

    Needs the client's scope with its provider.
    """
    now = now or timezone.now()
    pauses = list(Pause.objects.filter(tenant=incident.tenant_id, incident=incident))
    silences = Quiet.objects.filter(
        tenant=incident.tenant_id, incident=incident, kind__in=STANDING_STILL
    )
    held = next((pause for pause in pauses if pause.ended_at is None), None)
    incident.waiting_since = held.started_at if held else None
    incident.waiting_for = held.cause if held else ""
    _note_steps(incident, now)
    spans = pause_spans(pauses, list(silences))
    incident.due_at, incident.due_for = next_due(
        incident, plan_for(incident.tenant_id, incident.opened_at), spans
    )


def keep_clock(source: Incident, part: Incident) -> None:
    """``part`` was taken out of ``source``: it opened when that did, and stood still when that did.

    What is asked of the client is asked about the part as well.  A silence is the source's own: the
    part's is over.  The steps that were taken are fields of the incident (``moving._INHERITED``).
    """
    Incident.objects.filter(id=part.id).update(opened_at=source.opened_at)
    part.opened_at = source.opened_at
    pauses = Pause.objects.filter(tenant=source.tenant_id, incident=source)
    Pause.objects.bulk_create(_copied(row, part) for row in pauses)
    now = timezone.now()
    silences = Quiet.objects.filter(
        tenant=source.tenant_id, incident=source, kind__in=STANDING_STILL
    )
    Quiet.objects.bulk_create(
        _copied(
            row,
            part,
            suppression_id=None,  # the rule has silenced one incident, not two
            ended_at=min(row.until, row.ended_at or now),
            ended_why=row.ended_why or "It was split off.",
        )
        for row in silences
    )


def _copied(row: Row, part: Incident, **changes: Any) -> Row:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return type(row)(**values | {"id": new_id(), "incident_id": part.id} | changes)


def end_kept_pauses(part: Incident, split_at: datetime, who: str) -> None:
    """The part is undone: what was asked before it was split off is asked of its source alone."""
    asked = Pause.objects.filter(tenant=part.tenant_id, incident=part, ended_at=None)
    asked.filter(started_at__lte=split_at).update(ended_at=timezone.now(), ended_by=who)


def _note_steps(incident: Incident, now: datetime) -> None:
    """When each step was taken first; what is within reach again is not contained any more."""
    if incident.triaged_at is None and _has_somebody_decided(incident):
        incident.triaged_at = now
    if incident.acted_at is None:
        jobs = Job.objects.filter(tenant=incident.tenant_id, incident=incident, kind__in=_ACTS)
        incident.acted_at = jobs.aggregate(first=Min("created_at"))["first"]
    if within_reach(incident.counts) or _is_in_other_hands(incident) or incident.finding:
        incident.contained_at = None  # of a finding there is nothing to contain
    elif incident.contained_at is None:
        incident.contained_at = now


def _is_in_other_hands(incident: Incident) -> bool:
    """An account's incident stands on no mail: that none is within reach contains nothing."""
    contained = (Incident.State.CONTAINED, Incident.State.RESOLVED)
    is_account = incident.kind == Incident.Kind.ACCOUNT and incident.is_without_mail
    return is_account and incident.state not in contained


def _has_somebody_decided(incident: Incident) -> bool:
    """Bailey contains what it pulled by itself: by that nobody has looked at it."""
    if incident.state != Incident.State.CONTAINED or incident.owner_id is not None:
        return incident.state != Incident.State.NEW
    jobs = Job.objects.filter(tenant=incident.tenant_id, incident=incident, kind__in=_ACTS)
    return jobs.filter(requested_by_id__isnull=False).exists()


def pause_spans(pauses: Sequence[Pause], silences: Sequence[Quiet]) -> list[clock.Pause]:
    """When the clocks stood still; ``silences`` are those of ``STANDING_STILL``.

    A silence ends at the time that was said, however late somebody notes that it is over.
    """
    return [
        *((pause.started_at, pause.ended_at) for pause in pauses),
        *(
            (quiet.started_at, min(quiet.until, quiet.ended_at or quiet.until))
            for quiet in silences
        ),
    ]


def targets_of(incident: Incident, plan: Plan) -> Iterator[tuple[str, Target, datetime | None]]:
    """Each target with when it was reached, None: not yet."""
    agreed = plan.targets.get(incident.severity, {})
    reached = {
        "triage": incident.triaged_at or incident.resolved_at,
        "contain": incident.contained_at or incident.resolved_at,
        "resolve": incident.resolved_at,
    }
    for name, target in agreed.items():
        # Mail around the gateway is a matter of routing: there is nothing to take away.
        if name != "contain" or incident.kind != Incident.Kind.HEALTH:
            yield name, target, reached[name]


def next_due(
    incident: Incident, plan: Plan, pauses: Sequence[clock.Pause]
) -> tuple[datetime | None, str]:
    """The earliest target that is not reached; (None, "") while no clock runs."""
    due = []
    for name, target, reached_at in targets_of(incident, plan):
        if reached_at is None:
            at = clock.due_at(target.hours, incident.opened_at, target.length, pauses)
            if at is not None:
                due.append((at, name))
    return min(due, default=(None, ""))
