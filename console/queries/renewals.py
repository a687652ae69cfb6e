"""Renewed rehearsals: what waited for access, what was found of it, and what asks for a yes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from console.queries.blindness import Blind, Blindness
from incidents.layers import why_not_acting
from incidents.models import Incident, Job, Renewal, RenewalCopy
from tenants.models import Tenant

SHOWN = 5
COPIES_SHOWN = 500
TONES = {"done": "good", "there": "info", "moved": "info", "new": "high", "unseen": "warn"}
STATES = {"asked": "high", "looking": "info", "went_on": "good"}


@dataclass(frozen=True, slots=True)
class Shown:
    """``then``: where it lay when it was asked for, "" where nobody noted it."""

    copy: RenewalCopy
    tone: str

    @property
    def then(self) -> str:
        intent = self.copy.intent
        return str(intent.get_asked_place_display()) if intent and intent.asked_place else ""


@dataclass(frozen=True, slots=True)
class JobPart:
    """One job that waited.  ``asks``: it waits for the answer, or did."""

    job: Job
    copies: list[Shown]
    found: list[tuple[str, int]]
    asks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPage:
    """``acts_not``: why a yes is not possible now, "" where it is.  ``more``: copies not shown."""

    renewal: Renewal
    client: Tenant
    blind: Blind
    tone: str
    parts: list[JobPart]
    found: list[tuple[str, int]]
    approved: int
    beyond: int
    more: int
    acts_not: str

    @property
    def is_asking(self) -> bool:
        return self.renewal.state == Renewal.State.ASKED

    @property
    def asking_jobs(self) -> int:
        return sum(part.asks for part in self.parts)


def renewal_page(renewal: Renewal) -> RenewalPage:
    rows = RenewalCopy.objects.filter(tenant=renewal.tenant_id, renewal=renewal)
    copies = list(
        rows.select_related("job__incident", "delivery", "intent").order_by(
            "job_id", "-differs", "delivery__recipient", "id"
        )
    )
    by_job: dict[Job, list[RenewalCopy]] = {}
    for copy in copies:
        by_job.setdefault(copy.job, []).append(copy)
    left = COPIES_SHOWN
    parts = []
    for job, theirs in by_job.items():
        shown, left = theirs[:left], max(0, left - len(theirs))
        parts.append(_part(job, theirs, shown))
    parts.sort(key=lambda part: (not part.asks, part.job.created_at))
    beyond = sum(bool(copy.differs) for copy in copies)
    return RenewalPage(
        renewal=renewal,
        client=renewal.tenant,
        blind=Blindness([renewal.tenant_id]).of(renewal.tenant_id),
        tone=STATES.get(renewal.state, "calm"),
        parts=parts,
        found=_counted(copies),
        approved=sum(len(theirs) for theirs in _approved(by_job)),
        beyond=beyond,
        more=max(0, len(copies) - COPIES_SHOWN),
        acts_not=why_not_acting(renewal.tenant_id),
    )


def _part(job: Job, copies: list[RenewalCopy], shown: list[RenewalCopy]) -> JobPart:
    return JobPart(
        job,
        [Shown(copy, TONES.get(copy.found, "calm")) for copy in shown],
        _counted(copies),
        asks=any(copy.differs for copy in copies),
    )


def _approved(by_job: dict[Job, list[RenewalCopy]]) -> Iterator[list[RenewalCopy]]:
    """Of the jobs that ask."""
    for copies in by_job.values():
        if any(copy.differs for copy in copies):
            yield [copy for copy in copies if copy.intent_id is not None]


def _counted(copies: Iterable[RenewalCopy]) -> list[tuple[str, int]]:
    n = Counter(copy.found for copy in copies)
    known = [(str(each.label), n[each.value]) for each in RenewalCopy.Found if n[each.value]]
    return [*known, ("Not read yet", n[""])] if n[""] else known


@dataclass(frozen=True, slots=True)
class RenewalRow:
    renewal: Renewal
    tone: str
    jobs: int
    copies: int
    beyond: int


def newest_renewals(client: Tenant) -> list[RenewalRow]:
    """Of one client, the newest first."""
    return _rows(Renewal.objects.filter(tenant=client))


def renewals_of(incident: Incident) -> list[RenewalRow]:
    """Of a health incident: those of its client since it opened; of one about mail: those that ask
    about its jobs.
    """
    rows = Renewal.objects.filter(tenant=incident.tenant_id)
    if incident.finding:
        return _rows(rows.filter(began_at__gte=incident.first_seen_at))
    asking = RenewalCopy.objects.filter(tenant=incident.tenant_id, job__incident=incident)
    return _rows(rows.filter(state=Renewal.State.ASKED, id__in=asking.values("renewal_id")))


def waits_in(job: Job) -> Renewal | None:
    """The one that asks about this job now."""
    rows = RenewalCopy.objects.filter(tenant=job.tenant_id, job=job).exclude(differs="")
    return Renewal.objects.filter(
        tenant=job.tenant_id, state=Renewal.State.ASKED, id__in=rows.values("renewal_id")
    ).first()


def _rows(found: QuerySet[Renewal]) -> list[RenewalRow]:
    rows = found.annotate(
        n=Count("copies"),
        n_jobs=Count("copies__job_id", distinct=True),
        n_beyond=Count("copies", filter=~Q(copies__differs="")),
    ).order_by("-began_at")[:SHOWN]
    return [
        RenewalRow(row, STATES.get(row.state, "calm"), row.n_jobs, row.n, row.n_beyond)
        for row in rows
    ]
