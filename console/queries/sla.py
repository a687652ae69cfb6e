"""What was kept of what was agreed, and what will be missed, at the clients in sight."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import timezone
from redis.exceptions import RedisError

from console.lib.cursor import PAGE, read_cursor, write_cursor
from incidents.models import Incident, Report, SlaPlan
from incidents.sla.attest import MOST, STATES, Kept, Line, kept_targets, lines_of, opened_between
from incidents.sla.plan import BUILT_IN_TARGETS, WORKING_WEEK, newest_plan
from tenants.errors import NotThere, WrongInput
from tenants.groups import of_clients
from tenants.models import Tenant
from tenants.scope import current_scope

AHEAD_H = 8
# More take longer than a page may.
_MANY = 2_000
KNOWN_FOR_S = 60
_MOST_AHEAD_H = 24 * 31


class TooMany(WrongInput):
    """More incidents than are reckoned at once."""


@dataclass(frozen=True, slots=True)
class Attested:
    """``incidents``: how many opened in the period; ``kept``: every target of each."""

    incidents: int
    lines: list[Line]
    kept: list[Kept]


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers alone, as they stood at ``as_of``."""

    incidents: int
    lines: list[Line]
    as_of: datetime


def summary(since: datetime, until: datetime, client: str = "") -> Summary:
    """The numbers of ``attestation``, at most ``KNOWN_FOR_S`` old where many incidents make them.

    They are kept for exactly the clients in sight.  Raises ``WrongInput`` beyond ``MOST``.
    """
    scope = current_scope()
    said = f"{scope.provider_id} {scope.tenant_ids} {since} {until} {client}"
    key = f"sla.summary.{sha256(said.encode()).hexdigest()}"
    try:
        known: Summary | None = cache.get(key)
    except RedisError:
        known = None
    if known is not None:
        return known
    as_of = timezone.now()
    found = attestation(since, until, client)
    made = Summary(found.incidents, found.lines, as_of)
    if made.incidents > _MANY:
        with suppress(RedisError):
            cache.set(key, made, timeout=KNOWN_FOR_S)
    return made


def summary_or_why(
    since: datetime, until: datetime, client: str = ""
) -> tuple[Summary | None, str]:
    """The numbers, or in a sentence why they are too many to be reckoned at once."""
    try:
        return summary(since, until, client), ""
    except TooMany as error:
        return None, error.sentence


def attestation(since: datetime, until: datetime, client: str = "", severity: str = "") -> Attested:
    """Computed anew from the incidents' own times.  Raises ``WrongInput`` beyond ``MOST``."""
    opened = (
        opened_between(since, until, client)
        .only(
            *("tenant_id", "severity", "kind", "opened_at", "triaged_at", "contained_at"),
            "resolved_at",
        )
        .order_by("opened_at", "id")
    )
    if severity:
        opened = opened.filter(severity=severity)
    n = opened.count()
    if n > MOST:
        raise TooMany(f"More than {MOST} incidents opened then: choose a client or fewer days.")
    kept = kept_targets(opened)
    return Attested(n, lines_of(kept), kept)


def forecast() -> QuerySet[Incident]:
    """Open incidents whose next agreed time is over or ends within ``AHEAD_H`` hours."""
    return due_within(Incident.objects.select_related("tenant"))


def due_within(rows: QuerySet[Incident], hours: str = "") -> QuerySet[Incident]:
    """Those whose next agreed time is over or ends within so many hours.  Raises ``WrongInput``."""
    if hours and not (hours.isascii() and hours.isdigit() and int(hours[:6]) <= _MOST_AHEAD_H):
        raise WrongInput(f"hours is a number up to {_MOST_AHEAD_H}.")
    until = timezone.now() + timedelta(hours=int(hours) if hours else AHEAD_H)
    return rows.filter(due_at__lt=until)


def targets_behind(
    attested: Attested, state: str, *, severity: str = "", target: str = ""
) -> list[Kept]:
    """The targets behind one number, by when their incidents opened.  Raises ``NotThere``."""
    if state not in STATES:
        raise NotThere
    return [
        each
        for each in attested.kept
        if each.state == state and severity in ("", each.severity) and target in ("", each.target)
    ]


@dataclass(frozen=True, slots=True)
class TargetsPage:
    """``n`` targets in all; ``rows``: those of this page with their incidents."""

    rows: list[tuple[Kept, Incident]]
    older: str
    n: int


def targets_page(behind: Sequence[Kept], cursor: str) -> TargetsPage:
    """Raises ``WrongInput`` for a cursor that is none."""
    after = read_cursor(cursor, int)
    start = max(0, after[0]) if after else 0
    shown = behind[start : start + PAGE]
    incidents = Incident.objects.select_related("tenant").in_bulk(
        {each.incident_id for each in shown}
    )
    older = write_cursor(start + PAGE) if start + PAGE < len(behind) else ""
    rows = [(each, incidents[each.incident_id]) for each in shown]
    return TargetsPage(rows, older, len(behind))


def statements(client: str = "") -> list[Report]:
    """The latest statements of agreed times at the clients in sight, or at this one."""
    found = of_clients(Report.objects.filter(kind=Report.Kind.AGREED_TIMES), client)
    related = found.select_related("tenant", "incident").defer("document")
    return list(related.order_by("-created_at")[:20])


def plans_in_force() -> list[SlaPlan]:
    """The provider's default, then each client's own; not what is agreed for later."""
    rows = (
        SlaPlan.objects.filter(valid_from__lte=timezone.now())
        .select_related("tenant")
        .order_by("tenant_id", "-valid_from", "-id")
        .distinct("tenant_id")
    )
    return sorted(rows, key=lambda plan: plan.tenant.name if plan.tenant else "")


def form_of(tenant: Tenant | None) -> dict[str, Any]:
    """What holds now, as the form's fields; Bailey's default where nothing was agreed."""
    row = next((plan for plan in plans_in_force() if plan.tenant == tenant), None)
    newest = newest_plan(tenant)
    targets = row.targets if row else BUILT_IN_TARGETS
    found: dict[str, Any] = {
        "seen": str(newest.id) if newest else "",
        "name": row.name if row else f"{tenant.name if tenant else 'Our'} agreement",
        "time_zone": row.time_zone if row else (tenant.time_zone if tenant else "UTC"),
        "holidays": "\n".join(row.holidays if row else []),
    }
    for number, day in enumerate(row.weekly if row else WORKING_WEEK):
        found[f"day_{number}"] = " ".join("-".join(span) for span in day)
    for severity, agreed in targets.items():
        found |= {f"{severity}_{name}": value for name, value in agreed.items()}
    return found
