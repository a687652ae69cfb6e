"""What the mail host says that it delivered, against what this layer saw: the blind-spot meter's
second source, beside the gateway.

A figure and its list come from the same conditions (``traced_of``).  Unlike the gateway's figures
these are of all mail to the client, internal mail too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When

from api_bridge.connectors.traces import TraceStatus
from api_bridge.models import Connection, TracedMail
from api_bridge.seen import DOMAIN_OF_RECIPIENT, unseen_cases, with_reading
from incidents.findings import Trouble
from incidents.ledger import Period
from incidents.models import Delivery
from tenants.models import Tenant

NEVER_READ = "It was not read yet; that is done once an hour."


class TraceFate(StrEnum):
    """What became of a copy that the host has on record.  ``seen``, ``lost``, ``unlooked`` and
    ``unread`` as in ``blindspots.Fate``, of what it delivered; ``filtered``: it kept it back.
    """

    SEEN = "seen"
    LOST = "lost"
    UNLOOKED = "unlooked"
    UNREAD = "unread"
    FILTERED = "filtered"


TRACE_WORDS = {
    TraceFate.SEEN: "delivered by Exchange and seen",
    TraceFate.LOST: "delivered by Exchange and never seen",
    TraceFate.UNLOOKED: "delivered by Exchange, and their mailboxes not read since",
    TraceFate.UNREAD: "delivered by Exchange to addresses whose mailboxes nobody reads",
    TraceFate.FILTERED: "that Exchange filtered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceCounts:
    """Copies by ``TraceFate``."""

    seen: int = 0
    lost: int = 0
    unlooked: int = 0
    unread: int = 0
    filtered: int = 0

    @property
    def delivered(self) -> int:
        return self.seen + self.lost + self.unlooked + self.unread

    @property
    def seen_share(self) -> float | None:
        """Of what was delivered to mailboxes that were read since, 0 to 1; None: there was none."""
        return self.seen / known if (known := self.seen + self.lost) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSight:
    """``off``: why the record is not read, a sentence, "": it is.  ``until``: up to when it was."""

    counts: TraceCounts
    off: str
    until: datetime | None


def trace_sight(tenant: Tenant, period: Period) -> TraceSight | None:
    """None: the client has no mail host that keeps such a record.  Needs the client's scope."""
    connection = (
        Connection.objects.filter(tenant=tenant, kind=Connection.Kind.GRAPH)
        .order_by("created_at")
        .only("id", "tenant_id", "traced_until", "trace_error")
        .first()
    )
    if connection is None:
        return None
    off = connection.trace_error or ("" if connection.traced_until else NEVER_READ)
    rows = _fates(tenant, period).order_by().values_list("fate").annotate(n=Count("*"))
    counts = TraceCounts(**dict(rows))
    return TraceSight(counts=counts, off=off, until=connection.traced_until)


def traced_of(tenant: Tenant, period: Period, fate: TraceFate) -> QuerySet[TracedMail]:
    """The copies behind a figure."""
    return _fates(tenant, period).filter(fate=fate)


def trace_troubles(
    tenant: Tenant, period: Period, *, code: str, fewest: int, share: float
) -> list[Trouble]:
    """Domains of whose delivered mail too much was never seen."""
    rows = (
        _fates(tenant, period)
        .annotate(domain=DOMAIN_OF_RECIPIENT)
        .order_by()
        .values_list("domain", "fate")
        .annotate(n=Count("*"))
    )
    found: dict[str, dict[str, int]] = {}
    for domain, fate, n in rows:
        found.setdefault(domain, {})[fate] = n
    return [
        Trouble(
            code=code,
            key=f"exchange/{domain}"[:120],
            words=f"{domain}: {counts.lost} of {counts.delivered} mails that Exchange says it"
            " delivered within 24 hours were never seen in their mailboxes.",
        )
        for domain, counts in _counted(found.items())
        if counts.lost >= fewest and counts.lost >= share * (counts.seen + counts.lost)
    ]


def _counted(found: Iterable[tuple[str, dict[str, int]]]) -> list[tuple[str, TraceCounts]]:
    return [(domain, TraceCounts(**counts)) for domain, counts in sorted(found)]


def _fates(tenant: Tenant, period: Period) -> QuerySet[Any]:
    """The order of the cases matters: only what was not seen is looked up in the mailboxes."""
    copies = Delivery.objects.filter(
        tenant=OuterRef("tenant"),
        message__tenant=OuterRef("tenant"),
        message__internet_message_id=OuterRef("internet_message_id"),
        mailbox=OuterRef("mailbox"),
        mailbox_at__isnull=False,
    )
    fate = Case(
        When(~Q(status=TraceStatus.DELIVERED), then=Value(TraceFate.FILTERED.value)),
        When(Q(Exists(copies)), then=Value(TraceFate.SEEN.value)),
        *unseen_cases(unread=TraceFate.UNREAD.value, lost=TraceFate.LOST.value),
        default=Value(TraceFate.UNLOOKED.value),
        output_field=CharField(),
    )
    rows = TracedMail.objects.filter(
        tenant=tenant, received_at__gte=period.since, received_at__lt=period.until
    )
    found: QuerySet[Any] = with_reading(rows).annotate(fate=fate)
    return found
