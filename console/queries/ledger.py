"""The ledger's page: figures with their parts, each with the address of its list."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.urls import reverse

from console.lib.cursor import newest_first
from console.lib.period import Asked
from console.queries.blindness import BlindClients, blind_clients
from incidents.ledger import FALSE, FIGURES, Figure, Lag, figures_of, lags_of, list_of
from incidents.models import IncidentMessage, LedgerEntry
from tenants.errors import NotThere


@dataclass(frozen=True, slots=True)
class Number:
    """``href`` opens the list, which is as long as ``n``; ``share`` of the total in percent."""

    n: int
    href: str
    share: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: the same figure among threats and among false alarms."""

    figure: Figure
    is_part: bool
    threats: Number
    false: Number
    lag: Lag | None


@dataclass(frozen=True, slots=True)
class LedgerPage:
    first_day: str
    last_day: str
    lines: list[Line]
    threats: Number
    false: Number
    benign: Number
    blind: BlindClients


@dataclass(frozen=True, slots=True)
class ListPage:
    figure: Figure
    entries: list[LedgerEntry]
    older: str
    n: int
    incidents: dict[UUID, UUID]


def ledger_page(asked: Asked) -> LedgerPage:
    """Raises ``WrongInput`` for a period that is none."""
    period = asked.period
    numbers = figures_of(period, client=asked.client)
    lags = lags_of(period, client=asked.client)

    def number(name: str, total: str) -> Number:
        n, whole = numbers[name], numbers[total]
        href = reverse("ledger_figure", args=[name]) + (f"?{asked.query}" if asked.query else "")
        return Number(n, href, round(100 * n / whole) if whole else 0)

    def line(name: str, *, is_part: bool) -> Line:
        threats, false = number(name, "threats"), number(FALSE + name, "false_positives")
        return Line(FIGURES[name], is_part, threats, false, lags.get(name))

    return LedgerPage(
        first_day=asked.first_day,
        last_day=asked.last_day,
        lines=[
            each
            for group in FIGURES["threats"].parts
            for each in (
                line(group, is_part=False),
                *(line(part, is_part=True) for part in FIGURES[group].parts),
            )
        ],
        threats=number("threats", "condemned"),
        false=number("false_positives", "condemned"),
        benign=number("benign", "condemned"),
        blind=blind_clients(asked.client),
    )


def list_page(name: str, asked: Asked, cursor: str) -> ListPage:
    """Newest first.  Raises ``NotThere`` for a name that no figure has, or ``WrongInput``."""
    if name not in FIGURES:
        raise NotThere
    period = asked.period
    found = list_of(name, period, client=asked.client)
    entries, older = newest_first(
        found.prefetch_related("message", "tenant"), cursor, key="message_id"
    )
    numbers = figures_of(period, client=asked.client)
    return ListPage(FIGURES[name], entries, older, numbers[name], _incidents_of(entries))


def _incidents_of(entries: list[LedgerEntry]) -> dict[UUID, UUID]:
    rows = IncidentMessage.objects.filter(
        tenant__in={entry.tenant_id for entry in entries},
        message__in=[entry.message_id for entry in entries],
    )
    return dict(rows.values_list("message_id", "incident_id"))
