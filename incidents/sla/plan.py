"""What was agreed: targets for each severity, and the hours in which their clocks run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from incidents.bulk import run
from incidents.models import Incident, SlaPlan
from incidents.sla.clock import ALWAYS, HORIZON, Hours, due_at
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant
from tenants.people import must_lead

log = logging.getLogger(__name__)

AGREED = "incidents.sla.agreed"

# Each clock starts when the incident opens.
TARGETS = {
    "triage": "somebody has taken it or decided what it is",
    "contain": "nothing of it is within anybody's reach",
    "resolve": "it is closed with a cause",
}
_LONGEST_MINUTES = 60 * 24 * 92


@dataclass(frozen=True, slots=True)
class Target:
    minutes: int
    hours: Hours

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class Plan:
    """``targets``: severity → target name → what was agreed; a name without a target has none."""

    name: str
    targets: Mapping[str, Mapping[str, Target]]


def _always(**minutes: int) -> dict[str, Any]:
    return {**minutes, "hours": "always"}


BUILT_IN_TARGETS = {
    "critical": _always(triage=15, contain=30, resolve=8 * 60),
    "high": _always(triage=30, contain=60, resolve=24 * 60),
    "medium": _always(triage=4 * 60, contain=8 * 60, resolve=3 * 24 * 60),
    "low": _always(triage=24 * 60, contain=2 * 24 * 60, resolve=7 * 24 * 60),
}
WORKING_WEEK: list[list[list[str]]] = [[["09:00", "17:00"]]] * 5 + [[], []]


def plan_for(tenant_id: int, at: datetime) -> Plan:
    """What held for this client at that moment: its own, else its provider's, else Bailey's.

    Needs a scope of the client that names the provider.
    """
    rows = SlaPlan.objects.filter(
        Q(tenant=tenant_id) | Q(tenant=None), valid_from__lte=at
    ).order_by("-valid_from", "-id")
    own = rows.filter(tenant=tenant_id).first()
    found = own or rows.filter(tenant=None).first()
    return read_plan(found) if found else built_in()


@lru_cache(maxsize=1)
def built_in() -> Plan:
    return _plan("Bailey's default", BUILT_IN_TARGETS, ALWAYS)


@lru_cache(maxsize=4_096)
def read_plan(row: SlaPlan) -> Plan:
    """Read once: rows are the same by their id, and never change.

    What was checked when it was agreed can stop making sense only from outside, as when a time
    zone loses its name: no mail waits for that, Bailey's own times hold.
    """
    try:
        hours = read_hours(row.time_zone, row.weekly, row.holidays)
    except WrongInput:
        log.exception("the hours of SLA plan %s cannot be read; Bailey's default holds", row.id)
        return built_in()
    return _plan(row.name, row.targets, hours)


def _plan(name: str, targets: Mapping[str, Mapping[str, Any]], business: Hours) -> Plan:
    return Plan(
        name,
        {
            severity: {
                key: Target(agreed[key], ALWAYS if agreed["hours"] == "always" else business)
                for key in TARGETS
                if agreed.get(key)
            }
            for severity, agreed in targets.items()
        },
    )


def read_hours(zone: str, weekly: Sequence[Any], holidays: Sequence[str]) -> Hours:
    """Raises ``WrongInput`` for hours that make no sense."""
    if len(weekly) != 7:
        raise WrongInput("A week has seven days.")
    try:
        days = tuple(
            tuple(sorted((_minutes(start), _minutes(end)) for start, end in day)) for day in weekly
        )
        free = frozenset(date.fromisoformat(each) for each in holidays)
    except (ValueError, TypeError, AttributeError) as error:
        raise WrongInput("Hours are like 09:00-17:00, holidays like 2026-12-25.") from error
    try:
        found = ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise WrongInput(f"{zone or 'An empty name'} is no time zone.") from error
    for day in days:
        edges = [edge for span in day for edge in span]
        if edges != sorted(edges) or any(start >= end for start, end in day):
            raise WrongInput("Hours of a day end after they begin and do not overlap.")
    return Hours(found, days, free)


def _minutes(text: str) -> int:
    """``09:30`` → 570; ``24:00`` is the end of the day.  Raises ``ValueError``."""
    hour, _, minute = text.partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and len(minute) == 2):
        raise ValueError(text)
    value = int(hour) * 60 + int(minute)
    if int(minute) > 59 or value > 24 * 60:
        raise ValueError(text)
    return value


def check_targets(targets: Mapping[str, Mapping[str, Any]], business: Hours) -> None:
    """Every severity, each target once, in an order that can be kept.  Raises ``WrongInput``."""
    if set(targets) != set(Incident.Severity.values):
        raise WrongInput("Say the times for each severity: critical, high, medium, low.")
    for severity, agreed in targets.items():
        if set(agreed) - set(TARGETS) - {"hours"}:
            raise WrongInput(f"Times are agreed for {', '.join(TARGETS)} only.")
        if agreed.get("hours") not in ("always", "business"):
            raise WrongInput("A clock runs always or in business hours.")
        times = [agreed[key] for key in TARGETS if agreed.get(key)]
        if any(not isinstance(n, int) or not 0 < n <= _LONGEST_MINUTES for n in times):
            raise WrongInput(f"{severity}: a time is a number of minutes up to 92 days.")
        if times != sorted(times):
            raise WrongInput(f"{severity}: triage comes before containing, that before resolving.")
        if agreed["hours"] == "business" and not any(business.weekly):
            raise WrongInput("Business hours without a single hour would never end.")
        if agreed["hours"] == "business" and times and not _comes(business, times[-1]):
            years = HORIZON // timedelta(days=365)
            raise WrongInput(f"{severity}: in hours so rare it would not end within {years} years.")


def _comes(hours: Hours, minutes: int) -> bool:
    """Nothing would ever be due otherwise, and nobody would see that it was missed."""
    return due_at(hours, timezone.now(), timedelta(minutes=minutes)) is not None


LEADS = "A lead agrees times with clients."


@transaction.atomic
def agree(
    *,
    provider_id: int,
    tenant: Tenant | None,
    name: str,
    time_zone: str,
    weekly: Sequence[Any],
    holidays: Sequence[str],
    targets: Mapping[str, Mapping[str, Any]],
    actor: Person | Actor,
    valid_from: datetime | None = None,
    seen: str | None = None,
) -> SlaPlan:
    """A new agreement with this client, or the provider's default; incidents that open later go by
    it.  ``seen``: the id of ``newest_plan`` that the actor had before her, "" for none; None:
    whatever it is now.

    Raises ``NotAllowed`` (a lead agrees), ``WrongInput``: also for a time that has passed, for what
    was promised stays so; or ``Conflict`` that names who agreed another since.
    """
    must_lead(actor, LEADS)
    if not name.strip():
        raise WrongInput("Give the agreement a name.")
    # Looked up on the disk: only here, not whenever a plan is read.
    if time_zone not in available_timezones():
        raise WrongInput(f"{time_zone or 'An empty name'} is no time zone.")
    check_targets(targets, read_hours(time_zone, weekly, holidays))
    _hold_agreements(provider_id)
    newest = newest_plan(tenant)
    if seen is not None and newest is not None and seen != str(newest.id):
        raise Conflict(
            f"{newest.created_by} agreed “{newest.name}” at {newest.created_at:%H:%M} UTC."
            " Nothing of yours was agreed: look at it and decide anew."
        )
    row = SlaPlan.objects.create(
        provider_id=provider_id,
        tenant=tenant,
        name=name.strip(),
        time_zone=time_zone,
        weekly=list(weekly),
        holidays=sorted(holidays),
        targets={severity: dict(agreed) for severity, agreed in targets.items()},
        valid_from=_begin(valid_from),
        created_by=actor.name,
    )
    _audit(row, actor)
    return row


def _hold_agreements(provider_id: int) -> None:
    """One agreement of a provider after the other: each knows the one before."""
    run("SELECT pg_advisory_xact_lock(hashtext('incidents.sla'), %s)", [provider_id])


def newest_plan(tenant: Tenant | None) -> SlaPlan | None:
    """What was agreed last, with this client or by default, also if it holds only later."""
    return SlaPlan.objects.filter(tenant=tenant).order_by("-created_at", "-id").first()


def _begin(wish: datetime | None) -> datetime:
    now = timezone.now()
    if wish is not None and wish < now:
        raise WrongInput("An agreement holds from now on, or from a later day.")
    return wish or now


def _audit(row: SlaPlan, actor: Person | Actor) -> None:
    write_audit(
        AGREED,
        actor=actor,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        object_kind="sla_plan",
        object_id=row.id,
        name=row.name,
        targets=row.targets,
    )
