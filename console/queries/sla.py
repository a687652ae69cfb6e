"""What was kept of what was agreed, and what will be missed, at the clients in sight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from console.queries.kpis import opened_between
from incidents.models import Incident
from incidents.sla.attest import MOST, Kept, Line, kept_targets, lines_of
from tenants.errors import WrongInput

AHEAD_H = 8
_MOST_AHEAD_H = 24 * 31


@dataclass(frozen=True, slots=True)
class Attested:
    """``incidents``: how many opened in the period; ``kept``: every target of each."""

    incidents: int
    lines: list[Line]
    kept: list[Kept]


def attestation(since: datetime, until: datetime, client: str = "") -> Attested:
    """Computed anew from the incidents' own times.  Raises ``WrongInput`` beyond ``MOST``."""
    opened = list(
        opened_between(since, until, client)
        .only(
            *("tenant_id", "severity", "kind", "opened_at", "triaged_at", "contained_at"),
            "resolved_at",
        )
        .order_by("opened_at", "id")[: MOST + 1]
    )
    if len(opened) > MOST:
        raise WrongInput(f"More than {MOST} incidents opened then: choose a client or a month.")
    kept = kept_targets(opened)
    return Attested(len(opened), lines_of(kept), kept)


def forecast(hours: str = "") -> QuerySet[Incident]:
    """Open incidents whose next agreed time is over or ends within so many hours.

    Raises ``WrongInput``.
    """
    if hours and not (hours.isascii() and hours.isdigit() and int(hours[:6]) <= _MOST_AHEAD_H):
        raise WrongInput(f"hours is a number up to {_MOST_AHEAD_H}.")
    until = timezone.now() + timedelta(hours=int(hours) if hours else AHEAD_H)
    return Incident.objects.filter(due_at__lt=until).select_related("tenant")
