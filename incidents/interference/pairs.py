"""What gateway and mailbox layer have on record of one copy, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from incidents.bulk import fetch
from incidents.words import LET_THROUGH, Direction

Links = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One inbound copy that the gateway let through.

    ``is_shown``       its mailbox has shown it, and the mailbox layer has read it; only then do
                       ``trace_state``, ``first_place``, ``host_auth`` and the links say something.
    ``trace_state``    "" where no trace was expected.
    ``gateway_auth``   method → result as the gateway found it; {} where its facts are not kept.
    ``host_auth``      the same as the mail host found it, with ``ip``, whom it took for the sender.
    ``has_links``      the gateway's copy has links, and both layers' facts are kept.
    ``gateway_links``, ``mailbox_links``  as in ``MailFacts.as_json()``; () where all are written as
                       they were at the gateway.
    """

    id: UUID
    received_at: datetime
    recipient: str
    outcome: str
    match: str
    gateway_verdict: str = ""
    mailbox_verdict: str = ""
    person_verdict: str = ""
    was_released: bool = False
    is_shown: bool = False
    trace_state: str = ""
    first_place: str = ""
    client_ip: str = ""
    gateway_auth: Mapping[str, str]
    host_auth: Mapping[str, str]
    has_links: bool = False
    gateway_links: Links = ()
    mailbox_links: Links = ()


def pairs_of(tenant_id: int, since: datetime, until: datetime, most: int) -> list[Pair]:
    """The newest ``most`` copies of the period, newest first.  Needs the client's scope."""
    let_through = [str(outcome) for outcome in LET_THROUGH]
    period = [tenant_id, since, until, str(Direction.INBOUND), let_through, most]
    ids = [row[0] for row in fetch(_NEWEST, period)]
    return [
        _pair(row)
        for chunk in (ids[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK))
        for row in fetch(_PAIRS, [tenant_id, chunk, tenant_id, chunk])
    ]


def _pair(row: Sequence[Any]) -> Pair:
    *plain, auth, host_auth, gateway_links, mailbox_links = row
    return Pair(
        **dict(zip(_PLAIN, plain, strict=True)),
        gateway_auth=_results(auth),
        host_auth={k: str(v) for k, v in host_auth.items()} if isinstance(host_auth, dict) else {},
        gateway_links=_links(gateway_links),
        mailbox_links=_links(mailbox_links),
    )


def _results(auth: Any) -> dict[str, str]:
    found = [each for each in auth if isinstance(each, dict)] if isinstance(auth, list) else []
    return {str(each.get("method", "")): str(each.get("result", "")) for each in found}


def _links(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        return ()
    return tuple(each for each in value if isinstance(each, dict))


_PLAIN = (
    *("id", "received_at", "recipient", "outcome", "match", "gateway_verdict", "mailbox_verdict"),
    *("person_verdict", "was_released", "is_shown", "trace_state", "first_place", "client_ip"),
    "has_links",
)
# So many copies at once: the database holds their links for as long as it compares them.
_CHUNK = 1_000
_NEWEST = """
SELECT id FROM incidents_delivery
WHERE tenant_id = %s AND received_at >= %s AND received_at <= %s AND direction = %s
    AND outcome = ANY(%s) AND gateway_at IS NOT NULL
ORDER BY received_at DESC, id DESC LIMIT %s
"""
# The first account of each layer that has the mail's facts.  Its time prunes partitions, and the
# LIMIT keeps it one look-up by the key for each, whatever the planner believes of the tables.
# Links are given back only where they are not written alike: of most copies nothing but that is.
_PAIRS = """
WITH seen AS MATERIALIZED (
    SELECT DISTINCT ON (s.delivery_id, o.layer) s.delivery_id, o.layer, o.trace_state, o.place,
        o.mail->'auth' AS auth, o.mail->'links' AS links, o.detail->'host_auth' AS host_auth,
        o.detail->>'client_ip' AS client_ip,
        jsonb_path_query_array(o.mail, '$.links[*].seen') AS written
    FROM incidents_sighting s CROSS JOIN LATERAL (
        SELECT * FROM incidents_observation o WHERE o.tenant_id = s.tenant_id
            AND o.id = s.observation_id AND o.observed_at = s.observed_at LIMIT 1
    ) o
    WHERE s.tenant_id = %s AND s.delivery_id = ANY(%b) AND o.layer IN ('gateway', 'mailbox')
        AND o.mail <> '{}'
    ORDER BY s.delivery_id, o.layer, o.observed_at
)
SELECT d.id, d.received_at, d.recipient, d.outcome, d.match, d.gateway_verdict, d.mailbox_verdict,
    d.person_verdict, d.was_released, b.layer IS NOT NULL, coalesce(b.trace_state, ''),
    coalesce(b.place, ''), coalesce(g.client_ip, ''),
    coalesce(jsonb_array_length(g.written), 0) > 0 AND b.layer IS NOT NULL,
    g.auth, b.host_auth,
    CASE WHEN g.written <> b.written THEN g.links END,
    CASE WHEN g.written <> b.written THEN b.links END
FROM incidents_delivery d
LEFT JOIN seen g ON g.delivery_id = d.id AND g.layer = 'gateway'
LEFT JOIN seen b ON b.delivery_id = d.id AND b.layer = 'mailbox'
WHERE d.tenant_id = %s AND d.id = ANY(%b)
ORDER BY d.received_at DESC, d.id DESC
"""
