"""The blind-spot meter of one client, as its page and the API say it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from api_bridge.blindspots import (
    WORDS,
    Counts,
    DomainSight,
    Fate,
    Hour,
    copies_of,
    last_hours,
    reconcile,
    total,
)
from api_bridge.conservation import (
    LayerCount,
    Unaccounted,
    conservation_of,
    unaccounted_of,
)
from api_bridge.models import TracedMail
from api_bridge.trace_sight import (
    TRACE_WORDS,
    TraceFate,
    TraceSight,
    trace_sight,
    traced_of,
)
from console.lib.cursor import newest_first
from console.lib.period import read_period
from console.queries.blindness import Blind, Blindness
from incidents.ledger import Period
from incidents.models import Delivery, Incident
from incidents.opening import open_bypass
from tenants.errors import NotThere, WrongInput
from tenants.models import Tenant

PERIODS = {"1": timedelta(hours=24), "7": timedelta(days=7)}
LONGEST = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One hour in the strip of a domain.  ``text`` says it in full."""

    tone: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRow:
    sight: DomainSight
    bars: list[Bar]
    odd: list[Hour]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``query``: the period, for the address of a list.  ``bypass``: the open incident.
    ``exchange``: the mail host's own record, None where it keeps none.  ``layers``: what each has
    taken in, ``unaccounted``: the oldest of which no outcome is known.
    """

    client: Tenant
    blind: Blind
    period: Period
    query: str
    counts: Counts
    rows: list[DomainRow]
    bypass: Incident | None
    exchange: TraceSight | None
    layers: list[LayerCount]
    unaccounted: list[Unaccounted]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    client: Tenant
    blind: Blind
    period: Period
    words: str
    domain: str
    copies: list[Delivery]
    older: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedPage:
    client: Tenant
    blind: Blind
    period: Period
    words: str
    traced: list[TracedMail]
    older: str


def read_asked(days: str, since: str, until: str) -> Period:
    """The last 1 or 7 days, or a stated period.  Raises ``WrongInput``."""
    if not (since or until):
        return last_hours(PERIODS.get(days, PERIODS["1"]))
    period = read_period(since, until)
    if period.until - period.since > LONGEST:
        raise WrongInput(f"Blind spots are counted over at most {LONGEST.days} days.")
    return period


def blindspots_page(client: Tenant, period: Period) -> Page:
    sights = reconcile(client, period)
    layers = conservation_of(client, period)
    return Page(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        period=period,
        query=urlencode({"from": period.since.isoformat(), "to": period.until.isoformat()}),
        counts=total(sight.counts for sight in sights),
        rows=[_row(sight, period) for sight in sights],
        bypass=open_bypass(client),
        exchange=trace_sight(client, period),
        layers=[layer for layer in layers if layer.taken_in],
        unaccounted=unaccounted_of(client, period) if any(e.unaccounted for e in layers) else [],
    )


def blindspots_list(
    client: Tenant, period: Period, fate: str, domain: str, cursor: str
) -> ListPage:
    """Raises ``NotThere`` for a fate that there is not, ``WrongInput`` for a wrong cursor."""
    if fate not in WORDS:
        raise NotThere
    found = copies_of(client, period, Fate(fate), domain)
    copies, older = newest_first(
        found.select_related("message", "tenant"), cursor, at="received_at"
    )
    return ListPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        period=period,
        words=WORDS[Fate(fate)],
        domain=domain,
        copies=copies,
        older=older,
    )


def traced_list(client: Tenant, period: Period, fate: str, cursor: str) -> TracedPage:
    """Raises ``NotThere`` for a fate that there is not, ``WrongInput`` for a wrong cursor."""
    if fate not in TRACE_WORDS:
        raise NotThere
    found = traced_of(client, period, TraceFate(fate))
    traced, older = newest_first(found, cursor, at="received_at")
    return TracedPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        period=period,
        words=TRACE_WORDS[TraceFate(fate)],
        traced=traced,
        older=older,
    )


def _row(sight: DomainSight, period: Period) -> DomainRow:
    odd = [hour for hour in sight.hours if hour.counts.lost or hour.counts.around]
    by_hour = {hour.at: hour.counts for hour in sight.hours}
    at = period.since.replace(minute=0, second=0, microsecond=0)
    bars = []
    while at < period.until:
        bars.append(_bar(f"{at:%-d %b %H:%M} UTC", by_hour.get(at, Counts())))
        at += timedelta(hours=1)
    return DomainRow(sight=sight, bars=bars, odd=odd)


def _bar(when: str, counts: Counts) -> Bar:
    """Lost or around is red, not known is amber, all seen is green, no mail has no colour."""
    if counts.lost or counts.around:
        tone = "high"
    elif counts.unlooked or counts.unread:
        tone = "warn"
    else:
        tone = "good" if counts.delivered or counts.shown else ""
    said = [
        f"{counts.delivered} delivered" if counts.delivered else "",
        *(
            f"{n} {WORDS[fate]}"
            for fate, n in (
                (Fate.LOST, counts.lost),
                (Fate.UNLOOKED, counts.unlooked),
                (Fate.UNREAD, counts.unread),
                (Fate.AROUND, counts.around),
            )
            if n
        ),
    ]
    return Bar(tone=tone, text=f"{when}: {', '.join(filter(None, said)) or 'no mail'}")
