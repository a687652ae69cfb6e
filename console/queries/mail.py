"""Copies of mail: the list of all, of held ones, and of those that a layer settled alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from console.lib.cursor import newest_first
from console.queries.find import copies_named, copies_with
from incidents.models import Delivery, IncidentMessage, Job
from incidents.models.mail import Outcome, Place, Verdict
from tenants.groups import clients_among

MOST_EXPORTED = 10_000
PERIODS = {
    "1": timedelta(days=1),
    "7": timedelta(days=7),
    "30": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """ "" means any; ``days`` bounds every list and search, but not that for an id; ``replay`` is
    a job's id.
    """

    q: str = ""
    client: str = ""
    outcome: str = ""
    verdict: str = ""
    replay: str = ""
    days: str = "7"


@dataclass(frozen=True, slots=True)
class Page:
    copies: list[Delivery]
    older: str
    counts: dict[str, int]
    incidents: dict[UUID, UUID]


def copies_page(filters: Filters, cursor: str, *, is_settled: bool = False) -> Page:
    """Newest first.  ``is_settled``: only what a layer settled alone, without an incident."""
    found = _narrow(Delivery.objects.all(), filters)
    if is_settled:
        # A scalar on purpose: as NOT EXISTS the planner joined all memberships of all clients.
        found = found.annotate(incident=Subquery(_membership().values("id")[:1])).filter(
            Q(incident=None),
            Q(outcome__in=(Outcome.HELD, Outcome.REJECTED)) | Q(place=Place.QUARANTINE),
        )
    counts = outcome_counts(found)
    if filters.outcome:
        found = found.filter(outcome=filters.outcome)
    return page_of(found, cursor, counts)


def held_page(filters: Filters, cursor: str) -> Page:
    """What the gateway holds now, newest first."""
    return page_of(_held(filters), cursor, {})


def copies_to_export(filters: Filters, *, is_held: bool = False) -> list[Delivery]:
    """The rows of a list with their mails and clients, the newest ``MOST_EXPORTED``."""
    found = _held(filters) if is_held else _narrow(Delivery.objects.all(), filters)
    if filters.outcome:
        found = found.filter(outcome=filters.outcome)
    ordered = found.order_by("-received_at", "-id").prefetch_related("message", "tenant")
    return list(ordered[:MOST_EXPORTED])


def _held(filters: Filters) -> QuerySet[Delivery]:
    return _narrow(Delivery.objects.filter(place=Place.HOLD), filters)


def outcome_counts(copies: QuerySet[Delivery]) -> dict[str, int]:
    """In = delivered + held + rejected + deferred (+ not known), by what the gateway did."""
    rows = copies.order_by().values_list("outcome").annotate(n=Count("*"))
    return {str(outcome): n for outcome, n in rows}


def _membership() -> QuerySet[IncidentMessage]:
    return IncidentMessage.objects.filter(tenant=OuterRef("tenant"), message=OuterRef("message"))


def _narrow(copies: QuerySet[Delivery], filters: Filters) -> QuerySet[Delivery]:
    q, among = filters.q.strip(), clients_among(filters.client)
    named = copies_named(q, among) if q else None
    since = timezone.now() - PERIODS.get(filters.days, PERIODS["7"])
    if named is not None:
        copies = copies.filter(id__in=named)
    else:
        copies = copies.filter(received_at__gte=since)
    if filters.client:
        copies = copies.filter(tenant__in=among)
    if filters.verdict in Verdict.values:
        said = Q(gateway_verdict=filters.verdict) | Q(mailbox_verdict=filters.verdict)
        copies = copies.filter(said)
    if filters.replay:
        copies = copies.filter(message__trace_ulid__in=_replayed(filters.replay))
    return copies.filter(id__in=copies_with(q, since, among)) if q and named is None else copies


def _replayed(job_id: str) -> list[str]:
    """The trace ulids of the mails that this replay sent; none for an id that is no replay's."""
    try:
        job = Job.objects.filter(id=UUID(job_id), kind=Job.Kind.REPLAY).first()
    except ValueError:
        return []
    return list(job.detail["ulids"]) if job else []


def page_of(copies: QuerySet[Delivery], cursor: str, counts: dict[str, int]) -> Page:
    """Newest first, 50 to a page.  Raises ``WrongInput`` for a cursor that is none."""
    # Without joins, so that the index gives them in order and the first page is all that is read.
    rows, older = newest_first(
        copies.prefetch_related("message", "tenant"), cursor, at="received_at"
    )
    return Page(rows, older, counts, _incidents_of(rows))


def _incidents_of(copies: list[Delivery]) -> dict[UUID, UUID]:
    """Message → incident, for those that have one."""
    rows = IncidentMessage.objects.filter(
        tenant__in={copy.tenant_id for copy in copies},
        message__in={copy.message_id for copy in copies},
    )
    return dict(rows.values_list("message_id", "incident_id"))
