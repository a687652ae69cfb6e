"""Jobs and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from console.lib.cursor import newest_first
from console.lib.words import JOBS, Word
from console.queries.blindness import Blind, Blindness
from console.queries.looks import LookRow, looks_of_jobs
from incidents.models import Intent, Job
from incidents.taking_back import STOPPABLE
from tenants.errors import NotThere
from tenants.groups import of_clients

# What an action changed is on record a little after it: the gate tells of a release by its journal.
_SETTLES_IN = timedelta(minutes=1)
_OVER = ("verified", "already", "gone", "failed")
INTENT_TONES = {"verified": "good", "already": "good", "gone": "calm", "failed": "crit"}


@dataclass(frozen=True, slots=True)
class JobRow:
    """``report``: the id of the report that it made, "" where it made none.

    ``is_settling``: it runs, or what it changed is just being learned by the lists of copies.
    """

    job: Job
    state: Word
    done: int
    total: int
    blind: Blind
    report: str

    @property
    def is_settling(self) -> bool:
        finished_at = self.job.finished_at
        return finished_at is None or timezone.now() - finished_at < _SETTLES_IN

    @property
    def can_stop(self) -> bool:
        is_under_way = not self.job.is_over and "stopped_by" not in self.job.detail
        return is_under_way and self.job.kind in STOPPABLE


@dataclass(frozen=True, slots=True)
class Step:
    intent: Intent
    word: Word


def job_rows(client: str, cursor: str) -> tuple[list[JobRow], str]:
    """Newest first, and the cursor of the next page ("" at the end)."""
    jobs = of_clients(Job.objects.select_related("tenant", "incident"), client)
    found, older = newest_first(jobs, cursor, at="created_at")
    blindness = Blindness(job.tenant_id for job in found)
    return [job_row(job, blindness) for job in found], older


def job_row(job: Job, blindness: Blindness) -> JobRow:
    counts: dict[str, Any] = job.counts
    return JobRow(
        job=job,
        state=JOBS[job.state],
        done=sum(counts.get(state, 0) for state in _OVER),
        total=int(counts.get("copies", 0)),
        blind=blindness.of(job.tenant_id),
        report=str(job.detail.get("report", "")),
    )


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One order over several clients: its jobs, and how far all of them are."""

    group_id: UUID
    title: str
    rows: list[JobRow]
    clients: int
    done: int
    total: int
    is_over: bool
    looks: list[LookRow]


def group_page(group_id: UUID) -> GroupPage:
    """Raises ``NotThere`` where no job in sight belongs to it."""
    found = list(
        Job.objects.filter(group_id=group_id)
        .select_related("tenant", "incident")
        .order_by("tenant__name", "id")
    )
    if not found:
        raise NotThere
    blindness = Blindness(job.tenant_id for job in found)
    rows = [job_row(job, blindness) for job in found]
    return GroupPage(
        group_id=group_id,
        title=found[0].get_kind_display(),
        rows=rows,
        clients=len({job.tenant_id for job in found}),
        done=sum(row.done for row in rows),
        total=sum(row.total for row in rows),
        is_over=all(job.is_over for job in found),
        looks=looks_of_jobs(found),
    )


def steps_of(job: Job) -> list[Step]:
    intents = Intent.objects.filter(tenant=job.tenant_id, job=job).select_related("delivery")
    return [
        Step(intent, Word(intent.get_state_display(), INTENT_TONES.get(intent.state, "info")))
        for intent in intents.order_by("delivery__recipient")[:1000]
    ]
