"""Taken in = sum of outcomes, for each layer and hour of a client (PROMISES 3).

*Taken in* is counted from what a layer told, *outcomes* from what was made of it, so that the two
can differ:

- gateway: a copy is a trace and a recipient, in the hour of its first account; its outcome is that
  of the delivery that the account belongs to.  *Passed* is an outcome: Postfix's queue has it.
- mailbox layer: an item that a list showed, in the hour in which it was found.  It is *judged*
  where its observation is stored and was made sense of, *noted* where there is nothing to judge
  (sent mail, Bailey's own quarantine, mail from before the connection).

The rest is *unaccounted*: no outcome is known, or none yet.  After half an hour it is 0 where
nothing is stuck or lost; where it is not, the client has a health incident until it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from api_bridge.seen import GRACE
from incidents.bulk import fetch
from incidents.findings import Trouble, note_findings
from incidents.ledger import Period
from incidents.models import Finding
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.work import work_scope

UNACCOUNTED = "unaccounted"
LOOKED_BACK, LONGEST = timedelta(hours=24), timedelta(days=7)
HOURS_NAMED = 3
MOST_LISTED = 100
LAYERS = ("gateway", "mailbox")
NAMES = {"gateway": "Gateway", "mailbox": "Mailbox layer"}

# Columns: name of the copy, recipient, the hour's time, outcome.
_GATEWAY = """
SELECT told.trace_ulid, told.recipient, told.at, coalesce(nullif(d.outcome, 'unknown'), %(lost)s)
FROM (
    SELECT trace_ulid, recipient, min(observed_at) AS at, array_agg(id) AS ids
    FROM incidents_observation o
    WHERE tenant_id = %(tenant)s AND observed_at >= %(since)s AND observed_at < %(until)s
      AND layer = 'gateway' AND action IS NOT NULL AND trace_ulid <> ''
      AND NOT EXISTS (
        SELECT FROM incidents_observation e
        WHERE e.tenant_id = %(tenant)s AND e.trace_ulid = o.trace_ulid
          AND e.recipient = o.recipient AND e.layer = 'gateway' AND e.action IS NOT NULL
          AND e.observed_at < %(since)s)
    GROUP BY trace_ulid, recipient
) told
LEFT JOIN LATERAL (
    SELECT d.outcome FROM incidents_sighting s
    JOIN incidents_delivery d ON d.tenant_id = s.tenant_id AND d.id = s.delivery_id
    WHERE s.tenant_id = %(tenant)s AND s.observation_id = ANY(told.ids) LIMIT 1
) d ON true
"""
_MAILBOX = """
SELECT i.item_id, m.address, i.found_at, CASE
    WHEN i.place = '' THEN %(lost)s
    WHEN NOT i.is_judged THEN 'noted'
    WHEN o.id IS NULL OR b.observation_id IS NOT NULL THEN %(lost)s
    ELSE 'judged' END
FROM api_bridge_seenitem i
JOIN tenants_mailbox m ON m.tenant_id = i.tenant_id AND m.id = i.mailbox_id
LEFT JOIN LATERAL (
    SELECT o.id FROM api_bridge_mailboxsync y
    JOIN api_bridge_connection c ON c.tenant_id = y.tenant_id AND c.id = y.connection_id
    JOIN incidents_observation o ON o.tenant_id = y.tenant_id
     AND o.source = c.kind || ':' || m.address AND o.source_key = i.item_id || '/scan'
    WHERE y.tenant_id = %(tenant)s AND y.mailbox_id = i.mailbox_id LIMIT 1
) o ON true
LEFT JOIN incidents_backlog b ON b.tenant_id = i.tenant_id AND b.observation_id = o.id
WHERE i.tenant_id = %(tenant)s AND i.found_at >= %(since)s AND i.found_at < %(until)s
"""
_HOURS = (
    "SELECT date_trunc('hour', f.at), f.outcome, count(*) FROM ({0}) f (name, whom, at, outcome)"
)
_LIST = (
    "SELECT f.name, f.whom, f.at FROM ({0}) f (name, whom, at, outcome) WHERE f.outcome = %(lost)s"
)
_OF = {"gateway": _GATEWAY, "mailbox": _MAILBOX}


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCount:
    """``at``: when it begins.  ``taken_in`` = sum of ``outcomes`` + ``unaccounted``."""

    at: datetime
    outcomes: Mapping[str, int]
    unaccounted: int

    @property
    def taken_in(self) -> int:
        return sum(self.outcomes.values()) + self.unaccounted


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCount:
    """``hours``: those in which something was taken in, oldest first."""

    layer: str
    hours: list[HourCount]

    @property
    def outcomes(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for hour in self.hours:
            found.update(hour.outcomes)
        return dict(sorted(found.items()))

    @property
    def unaccounted(self) -> int:
        return sum(hour.unaccounted for hour in self.hours)

    @property
    def taken_in(self) -> int:
        return sum(hour.taken_in for hour in self.hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unaccounted:
    """``name``: the gateway's trace id, or the mail host's id of the item."""

    layer: str
    name: str
    recipient: str
    at: datetime


def conservation_of(client: Tenant, period: Period) -> list[LayerCount]:
    """One for each of ``LAYERS``.  Needs the client's scope."""
    return [_count(layer, fetch(*_ask(layer, _HOURS, client, period))) for layer in LAYERS]


def unaccounted_of(client: Tenant, period: Period) -> list[Unaccounted]:
    """What is behind the figures ``unaccounted``, the oldest ``MOST_LISTED`` of each layer."""
    return [
        Unaccounted(layer=layer, name=name, recipient=recipient, at=at)
        for layer in LAYERS
        for name, recipient, at in fetch(*_ask(layer, _LIST, client, period))
    ]


def _ask(layer: str, statement: str, client: Tenant, period: Period) -> tuple[str, dict[str, Any]]:
    end = (
        " GROUP BY 1, 2 ORDER BY 1"
        if statement is _HOURS
        else f" ORDER BY f.at LIMIT {MOST_LISTED}"
    )
    arguments = {
        "tenant": client.id,
        "since": period.since,
        "until": period.until,
        "lost": UNACCOUNTED,
    }
    return statement.format(_OF[layer]) + end, arguments


def _count(layer: str, rows: Sequence[Sequence[Any]]) -> LayerCount:
    by_hour: dict[datetime, dict[str, int]] = {}
    for at, outcome, n in rows:
        by_hour.setdefault(at, {})[outcome] = n
    hours = [
        HourCount(at=at, unaccounted=counts.pop(UNACCOUNTED, 0), outcomes=counts)
        for at, counts in by_hour.items()
    ]
    return LayerCount(layer=layer, hours=hours)


def watch_conservation(claimed: ClaimedWork) -> None:
    """Hourly: a layer with copies of which no outcome is known has a line in one health incident,
    from the end of the grace time until they have one.
    """
    with work_scope(claimed):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        standing = Finding.objects.filter(tenant=tenant, code=UNACCOUNTED, settled_at=None)
        rows = {row.key: row for row in standing}
        period = _watched(list(rows.values()))
        troubles = []
        for count in conservation_of(tenant, period):
            row = rows.get(count.layer)
            if count.unaccounted:
                words = _words(count)
            elif row is not None and row.since - LOOKED_BACK < period.since:
                words = row.words  # it may be of hours that are no longer looked at: a person says
            else:
                continue
            troubles.append(Trouble(code=UNACCOUNTED, key=count.layer, words=words))
        note_findings(tenant, {UNACCOUNTED}, troubles)


def _watched(standing: Sequence[Finding]) -> Period:
    """Back to what was noticed first and stands, but not for longer than ``LONGEST``."""
    now = timezone.now()
    first = min([row.since for row in standing], default=now)
    return Period(max(first - LOOKED_BACK, now - LONGEST), now - GRACE)


def _words(count: LayerCount) -> str:
    hours = [hour for hour in count.hours if hour.unaccounted]
    named = [f"{hour.unaccounted} from {hour.at:%-d %b %H:%M} UTC" for hour in hours[:HOURS_NAMED]]
    if more := len(hours) - len(named):
        named.append(f"and in {more} more hour{'s' if more > 1 else ''}")
    return (
        f"{NAMES[count.layer]}: of {count.unaccounted} of {count.taken_in} copies that were taken"
        f" in nobody knows what became: {', '.join(named)}."
    )
