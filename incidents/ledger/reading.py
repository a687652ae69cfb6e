"""Reading the ledger: figures of a period, their lists, and how much later the second was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Aggregate, Count, FloatField, QuerySet, Sum

from incidents.ledger.figures import FIGURES, sums
from incidents.models import LedgerDay, LedgerEntry
from tenants.groups import of_clients

_LAGS = {
    "both_gateway_first": "the mailbox layer after the gateway",
    "both_mailbox_first": "the gateway after the mailbox layer",
    "person_only": "the report after the first sight of the mail",
    "person_first": "the report after the first sight of the mail",
}


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` up to and without ``until``; both aware."""

    since: datetime
    until: datetime

    @property
    def is_whole_days(self) -> bool:
        """Does it begin and end at midnight UTC, as the sums by day do?"""
        ends = (self.since.utctimetuple(), self.until.utctimetuple())
        return all(end[3:6] == (0, 0, 0) for end in ends) and not (
            self.since.microsecond or self.until.microsecond
        )


class _Percentile(Aggregate):
    """The smallest ``lag_s`` that at least this share of the rows does not exceed."""

    function = "percentile_disc"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, share: float) -> None:
        super().__init__("lag_s", share=share)


@dataclass(frozen=True, slots=True)
class Lag:
    """By how much the later one was later, over ``mails`` mails; seconds."""

    words: str
    mails: int
    median_s: float
    p95_s: float


def figures_of(period: Period, *, client: str = "") -> dict[str, int]:
    """Every figure of ``figures.FIGURES``; ``client`` as ``tenants.groups.of_clients`` takes it."""
    if period.is_whole_days:
        days = LedgerDay.objects.filter(day__gte=period.since.date(), day__lt=period.until.date())
        summed = (
            of_clients(days, client).order_by().values_list("counted_as").annotate(n=Sum("mails"))
        )
        return sums({str(name): int(n) for name, n in summed})
    entries = _entries(period, client).order_by().values_list("counted_as")
    return sums({str(name): int(n) for name, n in entries.annotate(n=Count("*"))})


def list_of(figure: str, period: Period, *, client: str = "") -> QuerySet[LedgerEntry]:
    """The mails behind a figure; as many as the figure says.  Raises ``KeyError``: no such."""
    return _entries(period, client).filter(counted_as__in=FIGURES[figure].counts)


def lags_of(period: Period, *, client: str = "") -> dict[str, Lag]:
    """Median and 95th percentile for the figures in which somebody was later."""
    rows = (
        _entries(period, client)
        .filter(counted_as__in=_LAGS, lag_s__isnull=False)
        .order_by("counted_as")
        .values_list("counted_as")
        .annotate(n=Count("*"), median=_Percentile(0.5), p95=_Percentile(0.95))
    )
    return {name: Lag(_LAGS[name], n, half, p95) for name, n, half, p95 in rows}


def _entries(period: Period, client: str) -> QuerySet[LedgerEntry]:
    found = LedgerEntry.objects.filter(seen_at__gte=period.since, seen_at__lt=period.until)
    return of_clients(found, client)
