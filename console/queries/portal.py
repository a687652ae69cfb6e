"""What a client sees of itself: one sentence, what was shared with it, who opened its mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone

from api_bridge.models import Connection
from console.queries.incident import CopyRow, copy_row
from incidents.models import ContentAccess, Delivery, Incident, Report
from incidents.models.mail import Outcome, Place
from incidents.story import exposure
from tenants.errors import NotThere

MONTH = timedelta(days=30)
_KINDS = {
    "spam": "Unwanted mail",
    "phish": "A mail that wanted passwords",
    "bec": "A mail that wanted money or pretended to be somebody",
    "malware": "A mail with a dangerous file or link",
    "suspicious": "A mail that looked suspicious",
    "unscannable": "A mail that nobody could check",
    "account": "An account that may be in other hands",
    "health": "Mail that came around the protection",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The first sentence.  ``since``: since when the protection is partly blind."""

    text: str
    detail: str
    tone: str
    icon: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SharedIncident:
    incident: Incident
    plain: str
    exposure: str


@dataclass(frozen=True, slots=True)
class Month:
    """The last 30 days in copies: what came, and who stopped what."""

    came: int
    stopped_at_gateway: int
    removed_afterwards: int


@dataclass(frozen=True, slots=True)
class Overview:
    standing: Standing
    open_incidents: list[SharedIncident]
    month: Month
    accesses: list[ContentAccess]
    reports: list[Report]


def overview() -> Overview:
    """Needs the portal's scope: one client."""
    shared = shared_incidents(only_open=True)
    return Overview(
        standing=standing(shared),
        open_incidents=shared,
        month=month(),
        accesses=accesses()[:5],
        reports=reports()[:5],
    )


def standing(shared: list[SharedIncident]) -> Standing:
    # Only the columns that the portal's role may read.
    blind = (
        Connection.objects.only("tenant_id", "blind_since")
        .filter(blind_since__isnull=False)
        .order_by("blind_since")
        .first()
    )
    if blind is not None:
        return Standing(
            "Partly blind",
            "The mailboxes cannot be read now. Your provider has been told.",
            "high",
            "eye-off",
            blind.blind_since,
        )
    exposed = [each for each in shared if each.incident.counts.get("in_inbox")]
    if exposed:
        n = len(exposed)
        return Standing(
            "Action is under way",
            f"{'One incident' if n == 1 else f'{n} incidents'} with mail that people can reach.",
            "crit",
            "shield-alert",
        )
    return Standing("You are protected", "Nothing needs you now.", "good", "shield")


def shared_incidents(*, only_open: bool = False) -> list[SharedIncident]:
    """Only what was shared; latest first."""
    found = Incident.objects.filter(shared_at__isnull=False).order_by("-last_seen_at")
    if only_open:
        found = found.exclude(state=Incident.State.RESOLVED)
    return [
        SharedIncident(incident, _KINDS[incident.kind], exposure(incident.counts))
        for incident in found[:200]
    ]


def access_shared_incident(incident_id: UUID) -> SharedIncident:
    """Raises ``NotThere`` also for an incident of this client that was not shared."""
    found = (
        Incident.objects.select_related("tenant")
        .filter(id=incident_id, shared_at__isnull=False)
        .first()
    )
    if found is None:
        raise NotThere
    return SharedIncident(found, _KINDS[found.kind], exposure(found.counts))


def month() -> Month:
    since = timezone.now() - MONTH
    counted = Delivery.objects.filter(received_at__gte=since).aggregate(
        came=Count("id"),
        stopped=Count("id", filter=Q(outcome__in=(Outcome.HELD, Outcome.REJECTED))),
        removed=Count("id", filter=Q(place=Place.QUARANTINE)),
    )
    return Month(counted["came"], counted["stopped"], counted["removed"])


def accesses() -> list[ContentAccess]:
    """Who of the provider opened whose mail and why, the last 30 days."""
    since = timezone.now() - MONTH
    return list(
        ContentAccess.objects.filter(at__gte=since)
        .select_related("message")
        .prefetch_related("message__deliveries")
        .order_by("-at")[:500]
    )


def reports() -> list[Report]:
    """Finished reports that were made for the client, of incidents that are shared."""
    return list(
        Report.objects.filter(audience="client", incident__shared_at__isnull=False)
        .defer("document")
        .select_related("incident")
        .order_by("-created_at")[:100]
    )


def copies_of_shared(shared: SharedIncident) -> list[CopyRow]:
    copies = Delivery.objects.filter(message__memberships__incident=shared.incident)
    return [copy_row(copy) for copy in copies.order_by("recipient", "id")[:500]]
