"""What clients' people reported: the list over all clients in sight, an incident's, the terms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, QuerySet
from django.utils import timezone

from console.lib.cursor import newest_first
from console.queries.blindness import Blind, Blindness
from incidents.campaigns.moving import lineage
from incidents.models import HerdAct, Incident, IncidentMessage, ReportTerms, UserReport
from incidents.userreports.herd import Rehearsed, rehearse_herd
from incidents.userreports.terms import terms_of
from tenants.groups import of_clients
from tenants.models import Mailbox, Tenant

COUNTED = timedelta(days=90)
SHOWN = 100
USUAL_NUMBERS = (3, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Filters:
    """ "" means any."""

    client: str = ""
    said: str = ""
    trust: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """``incident`` None: its original is in none, or was not found."""

    report: UserReport
    incident: Incident | None


@dataclass(frozen=True, slots=True)
class Page:
    """Figures are of the last 90 days, of what the other filters leave."""

    rows: list[Row]
    older: str
    said: list[tuple[str, str, int]]
    trust: list[tuple[str, str, int]]
    states: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Reported:
    """An incident's reports, newest first; ``reporters`` distinct ones that count, ``n`` all."""

    rows: list[UserReport]
    n: int
    reporters: int
    acts: list[HerdAct]

    @property
    def more(self) -> int:
        return self.n - len(self.rows)


@dataclass(frozen=True, slots=True)
class TermsPage:
    """``watched``: mailboxes that the mailbox layer reads, of which one can take reports."""

    client: Tenant
    terms: ReportTerms
    watched: list[str]
    rehearsed: list[Rehearsed]
    acts: list[HerdAct]
    blind: Blind


def reports_page(filters: Filters, cursor: str) -> Page:
    """Newest first.  Raises ``WrongInput`` for a cursor that is none."""
    found = of_clients(UserReport.objects.all(), filters.client)
    # Row-level security and counts over all years do not go together.
    recent = found.filter(reported_at__gte=timezone.now() - COUNTED)
    wish = {
        name: value
        for name, value, known in (
            ("said", filters.said, UserReport.Said.values),
            ("trust", filters.trust, UserReport.Trust.values),
            ("state", filters.state, UserReport.State.values),
        )
        if value in known
    }
    said, trust, states = (
        _counts(recent.filter(**{key: wish[key] for key in wish if key != name}), name, choices)
        for name, choices in (
            ("said", UserReport.Said.choices),
            ("trust", UserReport.Trust.choices),
            ("state", UserReport.State.choices),
        )
    )
    shown = found.filter(**wish).select_related("tenant", "delivery__message").defer("original")
    reports, older = newest_first(shown, cursor, at="reported_at")
    return Page(_rows(reports), older, said, trust, states)


def _counts(
    found: QuerySet[UserReport], name: str, choices: Sequence[tuple[str, str]]
) -> list[tuple[str, str, int]]:
    numbers = dict(found.order_by().values_list(name).annotate(n=Count("id")))
    return [(value, str(label), numbers.get(value, 0)) for value, label in choices]


def _rows(reports: Sequence[UserReport]) -> list[Row]:
    mails = {report.delivery.message_id for report in reports if report.delivery}
    members = IncidentMessage.objects.filter(
        tenant_id__any_of={report.tenant_id for report in reports}, message_id__any_of=list(mails)
    ).select_related("incident")
    incidents = {member.message_id: member.incident for member in members}
    return [
        Row(report, incidents.get(report.delivery.message_id) if report.delivery else None)
        for report in reports
    ]


def reported_in(incident: Incident) -> Reported:
    reports = UserReport.objects.filter(
        tenant=incident.tenant_id, delivery__message__memberships__incident=incident
    )
    counted = reports.aggregate(n=Count("id"), reporters=Count("mailbox", distinct=True))
    rows = reports.defer("original").order_by("-reported_at", "-id")[:SHOWN] if counted["n"] else []
    acts = HerdAct.objects.filter(tenant=incident.tenant_id, incident__in=lineage(incident))
    return Reported(list(rows), counted["n"], counted["reporters"], list(acts.order_by("at")))


def reporters_of(incidents: Iterable[Incident]) -> dict[UUID, int]:
    """Incident → how many people reported it; those that nobody did are not in it."""
    incidents = list(incidents)
    members = IncidentMessage.objects.filter(
        tenant_id__any_of={incident.tenant_id for incident in incidents},
        incident_id__any_of=[incident.id for incident in incidents],
        message__deliveries__user_reports__trust=UserReport.Trust.OWN,
    )
    counted = members.order_by().values_list("incident_id")
    return dict(
        counted.annotate(n=Count("message__deliveries__user_reports__mailbox", distinct=True))
    )


def reporters_words(number: int) -> str:
    """ "" for nobody."""
    if not number:
        return ""
    return "reported by 1 person" if number == 1 else f"reported by {number} people"


def terms_page(client: Tenant) -> TermsPage:
    terms = terms_of(client.id)
    watched = Mailbox.objects.filter(tenant=client, state=Mailbox.State.ACTIVE)
    addresses = list(
        watched.exclude(external_id="").order_by("address").values_list("address", flat=True)
    )
    if terms.mailbox and terms.mailbox.address not in addresses:
        addresses.insert(0, terms.mailbox.address)
    acts = HerdAct.objects.filter(tenant=client).select_related("incident").order_by("-at")
    numbers = sorted({*USUAL_NUMBERS, terms.herd_reporters})
    return TermsPage(
        client=client,
        terms=terms,
        watched=addresses,
        rehearsed=rehearse_herd(client.id, numbers),
        acts=list(acts[:20]),
        blind=Blindness([client.id]).of(client.id),
    )
