"""Copies of mail: the list of all, of held ones, and of those that a layer settled alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from console.lib.cursor import read_cursor, read_id, read_time, write_cursor
from incidents.models import Delivery, IncidentMessage, Job, Message
from incidents.models.mail import Outcome, Place, Verdict
from tenants.models import Mailbox
from tenants.scope import current_scope

PAGE = 50
MOST_FOUND = 1_000
MOST_BOXES = 100
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
PERIODS = {
    "1": timedelta(days=1),
    "7": timedelta(days=7),
    "30": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """ "" means any; ``days`` bounds every list and every search; ``replay`` is a job's id."""

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
    found = _narrow(Delivery.objects.filter(place=Place.HOLD), filters)
    return page_of(found, cursor, {})


def outcome_counts(copies: QuerySet[Delivery]) -> dict[str, int]:
    """In = delivered + held + rejected + deferred (+ not known), by what the gateway did."""
    rows = copies.order_by().values_list("outcome").annotate(n=Count("*"))
    return {str(outcome): n for outcome, n in rows}


def _membership() -> QuerySet[IncidentMessage]:
    return IncidentMessage.objects.filter(tenant=OuterRef("tenant"), message=OuterRef("message"))


def _narrow(copies: QuerySet[Delivery], filters: Filters) -> QuerySet[Delivery]:
    since = timezone.now() - PERIODS.get(filters.days, PERIODS["7"])
    copies = copies.filter(received_at__gte=since)
    if filters.client:
        copies = copies.filter(tenant__slug=filters.client)
    if filters.verdict in Verdict.values:
        said = Q(gateway_verdict=filters.verdict) | Q(mailbox_verdict=filters.verdict)
        copies = copies.filter(said)
    if filters.replay:
        copies = copies.filter(message__trace_ulid__in=_replayed(filters.replay))
    q = filters.q.strip()
    return copies.filter(id__in=_found(copies, q, since)) if q else copies


def _found(copies: QuerySet[Delivery], q: str, since: datetime) -> set[UUID]:
    """The newest ``MOST_FOUND`` copies with these words in sender or subject, and as many to such
    recipients: a full address, or part of that of a mailbox.

    One after the other, each by its index: as one condition over copies and mails, every copy of
    the period was joined.
    """
    if q.startswith("<"):
        mails = Message.objects.filter(internet_message_id=q)
    elif _ADDRESS.fullmatch(q):
        mails = Message.objects.filter(sender_address=q.lower(), last_seen_at__gte=since)
    else:
        words = Q(sender_address__icontains=q) | Q(subject__icontains=q)
        mails = Message.objects.filter(words, first_seen_at__gte=since)
    ids = list(mails.order_by("-first_seen_at").values_list("id", flat=True)[:MOST_FOUND])
    boxes = Mailbox.objects.filter(address__icontains=q).values_list("address", flat=True)
    to = copies.filter(recipient__in={q.lower(), *boxes[:MOST_BOXES]})
    scope = current_scope().tenant_ids
    of_mails = copies.filter(tenant__in=scope, message__in=ids)
    return {
        *of_mails.values_list("id", flat=True),
        *to.order_by("-received_at").values_list("id", flat=True)[:MOST_FOUND],
    }


def _replayed(job_id: str) -> list[str]:
    """The trace ulids of the mails that this replay sent; none for an id that is no replay's."""
    try:
        job = Job.objects.filter(id=UUID(job_id), kind=Job.Kind.REPLAY).first()
    except ValueError:
        return []
    return list(job.detail["ulids"]) if job else []


def page_of(copies: QuerySet[Delivery], cursor: str, counts: dict[str, int]) -> Page:
    """Newest first, 50 to a page.  Raises ``WrongInput`` for a cursor that is none."""
    after = read_cursor(cursor, str, str)
    if after:
        at, last_id = read_time(after[0]), read_id(after[1])
        copies = copies.filter(Q(received_at__lt=at) | Q(received_at=at, id__lt=last_id))
    # Without joins, so that the index gives them in order and the first page is all that is read.
    ordered = copies.order_by("-received_at", "-id").prefetch_related("message", "tenant")
    rows = list(ordered[: PAGE + 1])
    older = ""
    if len(rows) > PAGE:
        older = write_cursor(rows[PAGE - 1].received_at.isoformat(), rows[PAGE - 1].id)
    rows = rows[:PAGE]
    return Page(rows, older, counts, _incidents_of(rows))


def _incidents_of(copies: list[Delivery]) -> dict[UUID, UUID]:
    """Message → incident, for those that have one."""
    rows = IncidentMessage.objects.filter(
        tenant__in={copy.tenant_id for copy in copies},
        message__in={copy.message_id for copy in copies},
    )
    return dict(rows.values_list("message_id", "incident_id"))
