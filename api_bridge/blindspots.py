"""The blind-spot meter: what the gateway delivered against what the mailboxes showed, and back.

Counted by domain and hour of receipt, over inbound mail, from what both layers have on record.
A figure and its list come from the same conditions (``copies_of``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from django.db.models import Case, CharField, Count, QuerySet, Value, When
from django.db.models.functions import TruncHour
from django.utils import timezone

from api_bridge.seen import DOMAIN_OF_RECIPIENT, GRACE, unseen_cases, with_reading
from api_bridge.trace_sight import trace_troubles
from incidents.findings import Trouble, note_findings
from incidents.ledger import Period
from incidents.models import Delivery, Finding, Incident
from incidents.words import LET_THROUGH, Direction
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.work import work_scope

HOURS = timedelta(hours=24)
# A person deletes a mail before it is looked at now and then; that is no loss of sight.
LOST = "lost"
FEWEST_LOST, LOST_SHARE = 3, 0.01
# What was noticed is looked at again for so long; the host's own record is kept a day longer.
LONGEST = timedelta(days=7)


class Fate(StrEnum):
    """What became of a copy.  The first four are of what the gateway delivered: it was ``seen`` in
    its mailbox; ``lost``: its mailbox was read since, without it; ``unlooked``: its mailbox was not
    read since; ``unread``: it went to an address whose mailbox nobody reads.  The other two are of
    what mailboxes showed: it came ``through`` the gateway, or ``around`` it.
    """

    SEEN = "seen"
    LOST = "lost"
    UNLOOKED = "unlooked"
    UNREAD = "unread"
    THROUGH = "through"
    AROUND = "around"


OF_GATEWAY = (Fate.SEEN, Fate.LOST, Fate.UNLOOKED, Fate.UNREAD)
WORDS = {
    Fate.SEEN: "seen in their mailboxes",
    Fate.LOST: "delivered and never seen",
    Fate.UNLOOKED: "delivered, and their mailboxes not read since",
    Fate.UNREAD: "delivered to addresses whose mailboxes nobody reads",
    Fate.THROUGH: "in mailboxes, through the gateway",
    Fate.AROUND: "in mailboxes, around the gateway",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Copies by ``Fate``."""

    seen: int = 0
    lost: int = 0
    unlooked: int = 0
    unread: int = 0
    through: int = 0
    around: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            **{
                each.name: getattr(self, each.name) + getattr(other, each.name)
                for each in fields(self)
            }
        )

    @property
    def delivered(self) -> int:
        return self.seen + self.lost + self.unlooked + self.unread

    @property
    def shown(self) -> int:
        """Inbound copies in mailboxes."""
        return self.through + self.around

    @property
    def seen_share(self) -> float | None:
        """Of what was delivered to mailboxes that were read since, 0 to 1; None: there was none."""
        return self.seen / known if (known := self.seen + self.lost) else None

    @property
    def through_share(self) -> float | None:
        return self.through / self.shown if self.shown else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """``at``: when it begins."""

    at: datetime
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSight:
    """``hours``: those with mail, oldest first."""

    domain: str
    counts: Counts
    hours: list[Hour]


def last_hours(hours: timedelta = HOURS, *, now: datetime | None = None) -> Period:
    """Up to ``GRACE`` before ``now``: what came later may still become visible."""
    until = (now or timezone.now()).replace(second=0, microsecond=0) - GRACE
    return Period(until - hours, until)


def reconcile(tenant: Tenant, period: Period) -> list[DomainSight]:
    """By name of the domain.  Needs the client's scope."""
    found: dict[str, dict[datetime, dict[str, int]]] = {}
    for fates in (_of_gateway(tenant, period), _of_mailboxes(tenant, period)):
        rows = (
            fates.annotate(domain=DOMAIN_OF_RECIPIENT, hour=TruncHour("received_at"))
            .order_by()
            .values_list("domain", "hour", "fate")
            .annotate(n=Count("*"))
        )
        for domain, hour, fate, n in rows:
            found.setdefault(domain, {}).setdefault(hour, {})[fate] = n
    return [_domain(name, hours) for name, hours in sorted(found.items())]


def _domain(name: str, by_hour: dict[datetime, dict[str, int]]) -> DomainSight:
    hours = [Hour(at=at, counts=Counts(**counts)) for at, counts in sorted(by_hour.items())]
    return DomainSight(domain=name, counts=total(hour.counts for hour in hours), hours=hours)


def total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, start=Counts())


def watch_sight(claimed: ClaimedWork) -> None:
    """Hourly: domains of whose delivered mail too much was never seen have one health incident.
    What stands is settled when it was seen, not because a day has passed.
    """
    with work_scope(claimed):
        tenant, now = Tenant.objects.get(id=claimed.tenant_id), timezone.now()
        found = {each.key: each for each in _lost(tenant, last_hours())}
        standing = Finding.objects.filter(tenant=tenant, code=LOST, settled_at=None)
        for row in standing.exclude(incident__state=Incident.State.RESOLVED):
            if row.key in found:
                continue
            if row.since < now - LONGEST:
                # Of hours that are no longer looked at: a person says.
                found[row.key] = Trouble(code=LOST, key=row.key, words=row.words)
                continue
            then = _lost(tenant, last_hours(now=row.since))
            found |= {each.key: each for each in then if each.key == row.key}
        note_findings(tenant, {LOST}, list(found.values()))


def _lost(tenant: Tenant, period: Period) -> list[Trouble]:
    """Of both sources."""
    traced = trace_troubles(tenant, period, code=LOST, fewest=FEWEST_LOST, share=LOST_SHARE)
    return [*_troubles(reconcile(tenant, period)), *traced]


def _troubles(sights: Iterable[DomainSight]) -> list[Trouble]:
    return [
        Trouble(
            code=LOST,
            key=sight.domain[:120],
            words=f"{sight.domain}: {counts.lost} of {counts.delivered} mails that the gateway"
            " delivered within 24 hours were never seen in their mailboxes.",
        )
        for sight in sights
        for counts in [sight.counts]
        if counts.lost >= FEWEST_LOST and counts.lost >= LOST_SHARE * (counts.seen + counts.lost)
    ]


def copies_of(tenant: Tenant, period: Period, fate: Fate, domain: str = "") -> QuerySet[Delivery]:
    """The copies behind a figure; ``domain`` "": of all."""
    copies = (_of_gateway if fate in OF_GATEWAY else _of_mailboxes)(tenant, period)
    found = copies.filter(fate=fate)
    return found.annotate(domain=DOMAIN_OF_RECIPIENT).filter(domain=domain) if domain else found


def _inbound(tenant: Tenant, period: Period) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        tenant=tenant,
        direction=Direction.INBOUND,
        received_at__gte=period.since,
        received_at__lt=period.until,
    )


def _of_mailboxes(tenant: Tenant, period: Period) -> QuerySet[Any]:
    around = When(is_bypass=True, then=Value(Fate.AROUND.value))
    fate = Case(around, default=Value(Fate.THROUGH.value), output_field=CharField())
    return _inbound(tenant, period).filter(mailbox_at__isnull=False).annotate(fate=fate)


def _of_gateway(tenant: Tenant, period: Period) -> QuerySet[Any]:
    """The order of the cases matters: only what was not seen is looked up in the mailboxes."""
    fate = Case(
        When(mailbox_at__isnull=False, then=Value(Fate.SEEN.value)),
        *unseen_cases(unread=Fate.UNREAD.value, lost=Fate.LOST.value),
        default=Value(Fate.UNLOOKED.value),
        output_field=CharField(),
    )
    passed = _inbound(tenant, period).filter(gateway_at__isnull=False, outcome__in=LET_THROUGH)
    found: QuerySet[Any] = with_reading(passed).annotate(fate=fate)
    return found
