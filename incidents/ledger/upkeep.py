"""Keeps the ledger equal to the history: one statement for any number of mails.

1. All words ever said about the mails' copies, and each source's standing (latest) word.
2. What people decided: the classification of a closed incident, else the latest person's word.
3. The name under which each mail is counted.
4. Rows and the sums of their days, changed by the difference.

Nothing here depends on what the ledger said before, nor on the order in which the history arrived.
Sums are written as differences, so that nobody who closes an incident waits for who takes in mail;
intake, one at a time for each client, adds them up when they have become many.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from incidents.assessment import WORST_FIRST
from incidents.bulk import fetch
from incidents.campaigns.nights import next_night
from incidents.holding import hold_intake
from incidents.models import Incident, IncidentMessage, LedgerEntry, Message
from incidents.warnings import leave_marks
from incidents.words import THREATS
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tenants.work import want_work

CHUNK = 2_000
# So many rows of one client and day are added up to one for each name.
MOST_DIFFERENCES = 64


@dataclass(frozen=True, slots=True)
class Recomputed:
    """``differing``: rows that were other than the history says."""

    mails: int
    rows: int
    differing: int


def note_messages(tenant: Tenant, message_ids: Collection[UUID]) -> None:
    """Bring the ledger's rows of these mails up to date.  Needs the client's scope."""
    ids = _worth_a_row(tenant.id, list(message_ids))
    _write(tenant.id, ids)
    leave_marks(tenant, ids)


def note_touched(tenant: Tenant, touched: Collection[UUID], *, condemned: Collection[UUID]) -> None:
    """The same after a batch of observations, most of them of harmless mail.

    ``condemned``: mails of which the batch said something bad; of the other touched ones only those
    that have a row can change.
    """
    ids = list({*condemned, *(row[0] for row in fetch(_NOTED, [tenant.id, list(touched)]))})
    if not ids:
        return
    _write(tenant.id, ids)
    leave_marks(tenant, ids)
    add_up(tenant)
    want_work(tenant.id, "ledger", at=next_night(timezone.now()))


_NOTED = """
SELECT message_id FROM incidents_ledgerentry WHERE tenant_id = %s AND message_id = ANY(%b)
"""


def add_up(tenant: Tenant) -> int:
    """Make one row for each name of the days that have many; answers how many days.

    Only intake calls it, of which there is one at a time for each client.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MANY, [tenant.id, MOST_DIFFERENCES])
        days = [row[0] for row in cursor.fetchall()]
        if days:
            cursor.execute(_ADD_UP, {"tenant": tenant.id, "days": days})
    return len(days)


def _worth_a_row(tenant_id: int, ids: list[UUID]) -> list[UUID]:
    """Those that somebody condemned, now or before."""
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_TO_NOTE, {"tenant": tenant_id, "ids": ids, "threats": list(THREATS)})
        return [row[0] for row in cursor.fetchall()]


def _write(tenant_id: int, ids: list[UUID]) -> None:
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, {"tenant": tenant_id, "ids": ids})
        cursor.execute(
            _NOTE,
            {
                "tenant": tenant_id,
                "ids": ids,
                "threats": list(THREATS),
                "worst_first": [verdict.value for verdict in WORST_FIRST],
            },
        )


def note_mails(tenant_id: int, message_ids: Collection[UUID]) -> None:
    """After mails went from one incident to another, of which one may be closed."""
    _write(tenant_id, _worth_a_row(tenant_id, list(message_ids)))


def note_incident(incident: Incident) -> None:
    """After an incident was closed or opened again: what people decided holds for all its mails."""
    ids = IncidentMessage.objects.filter(tenant=incident.tenant_id, incident=incident)
    note_mails(incident.tenant_id, ids.values_list("message_id", flat=True))


def _say_nothing(done: Recomputed) -> None:
    pass


def recompute(
    tenant: Tenant,
    *,
    since: datetime,
    until: datetime,
    note: Callable[[Recomputed], None] = _say_nothing,
) -> Recomputed:
    """Make the rows of mails first seen in this time anew from the history.

    Rows of mails that do not exist any more go.  Opens scopes of its own, one for each chunk of
    mails: intake of this client waits no longer than that.  ``note`` is told of each chunk in which
    something differed, in its transaction.
    """
    mails = rows = differing = 0
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        chunks = list(_in_chunks(tenant, since, until))
    for ids in chunks:
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            hold_intake(tenant.id)
            before = _rows_of(tenant, ids, since, until)
            note_messages(tenant, ids)
            after = _rows_of(tenant, ids, since, until)
            differs = [key for key in before | after if before.get(key) != after.get(key)]
            if differs:
                note(Recomputed(len(ids), len(after), len(differs)))
        mails += len(ids)
        rows += len(after)
        differing += len(differs)
    return Recomputed(mails, rows, differing)


def _rows_of(
    tenant: Tenant, ids: list[UUID], since: datetime, until: datetime
) -> dict[UUID, tuple[Any, ...]]:
    rows = LedgerEntry.objects.filter(tenant=tenant, seen_at__gte=since, seen_at__lt=until)
    return {row[0]: row for row in rows.filter(message_id__in=ids).values_list()}


def _in_chunks(tenant: Tenant, since: datetime, until: datetime) -> Iterator[list[UUID]]:
    messages = Message.objects.filter(tenant=tenant, last_seen_at__gte=since)
    entries = LedgerEntry.objects.filter(tenant=tenant, seen_at__gte=since, seen_at__lt=until)
    ids = sorted(
        {
            *messages.filter(first_seen_at__lt=until).values_list("id", flat=True),
            *entries.values_list("message_id", flat=True),
        }
    )
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


# What a client sends is no mail that a layer let in or kept out: it is not counted here.
# Most mail is harmless and never had a row: it is told from the rest before anything is computed.
_TO_NOTE = """
SELECT d.message_id
FROM incidents_delivery d
JOIN incidents_sighting s ON s.tenant_id = d.tenant_id AND s.delivery_id = d.id
JOIN incidents_observation o ON o.tenant_id = s.tenant_id AND o.id = s.observation_id
    AND o.observed_at = s.observed_at
WHERE d.tenant_id = %(tenant)s AND d.message_id = ANY(%(ids)s)
    AND d.direction <> 'outbound' AND o.verdict = ANY(%(threats)s)
UNION
SELECT message_id FROM incidents_ledgerentry
WHERE tenant_id = %(tenant)s AND message_id = ANY(%(ids)s)
"""

_NOTE = """
WITH words AS (
    SELECT d.message_id, o.layer, o.observed_at, o.verdict,
        o.verdict = ANY(%(threats)s) AS is_threat,
        -- People and the mail host speak of a mail; a layer speaks of each copy.
        row_number() OVER (
            PARTITION BY d.message_id, o.layer, o.verdict IS NULL,
                CASE WHEN o.layer IN ('gateway', 'mailbox') THEN d.id END
            ORDER BY o.observed_at DESC, o.id DESC
        ) = 1 AS is_standing
    FROM incidents_delivery d
    JOIN incidents_sighting s ON s.tenant_id = d.tenant_id AND s.delivery_id = d.id
    JOIN incidents_observation o ON o.tenant_id = s.tenant_id AND o.id = s.observation_id
        AND o.observed_at = s.observed_at
    WHERE d.tenant_id = %(tenant)s AND d.message_id = ANY(%(ids)s)
    AND d.direction <> 'outbound'
), heard AS (
    SELECT message_id, min(observed_at) AS seen_at,
        bool_or(layer = 'gateway') AS gateway_saw,
        bool_or(layer = 'mailbox') AS mailbox_saw,
        min(observed_at) FILTER (WHERE is_threat AND layer = 'gateway') AS gateway_at,
        min(observed_at) FILTER (WHERE is_threat AND layer = 'mailbox') AS mailbox_at,
        min(observed_at) FILTER (WHERE is_threat AND layer = 'person') AS person_at,
        min(observed_at) FILTER (WHERE is_threat AND layer = 'vendor') AS vendor_at,
        coalesce(bool_or(is_standing AND is_threat AND layer = 'gateway'), false) AS gateway_stands,
        coalesce(bool_or(is_standing AND is_threat AND layer = 'mailbox'), false) AS mailbox_stands,
        coalesce(bool_or(is_standing AND is_threat AND layer = 'person'), false) AS person_stands,
        coalesce(bool_or(is_standing AND is_threat AND layer = 'vendor'), false) AS vendor_stands,
        coalesce(bool_or(is_standing AND NOT is_threat AND layer = 'person'), false) AS cleared,
        min(array_position(%(worst_first)s::text[], verdict)) FILTER (WHERE is_threat) AS rank
    FROM words GROUP BY message_id
), judged AS (
    SELECT heard.*, i.classification,
        gateway_stands OR mailbox_stands OR person_stands OR vendor_stands AS is_held_up
    FROM heard
    LEFT JOIN incidents_incidentmessage m
        ON m.tenant_id = %(tenant)s AND m.message_id = heard.message_id
    LEFT JOIN incidents_incident i
        ON i.tenant_id = m.tenant_id AND i.id = m.incident_id AND i.state = 'resolved'
    WHERE coalesce(gateway_at, mailbox_at, person_at, vendor_at) IS NOT NULL
), caught AS (
    -- A word that was taken back counts only where all were.
    SELECT message_id, seen_at, rank, gateway_saw, mailbox_saw,
        CASE WHEN gateway_stands OR NOT is_held_up THEN gateway_at END AS gateway_at,
        CASE WHEN mailbox_stands OR NOT is_held_up THEN mailbox_at END AS mailbox_at,
        CASE WHEN person_stands OR NOT is_held_up THEN person_at END AS person_at,
        CASE WHEN vendor_stands OR NOT is_held_up THEN vendor_at END AS vendor_at,
        CASE
            WHEN classification = 'benign' THEN 'benign'
            WHEN classification = 'false_positive' THEN 'false_'
            WHEN classification = 'true_positive' THEN ''
            WHEN cleared OR NOT is_held_up THEN 'false_'
            ELSE ''
        END AS judgement
    FROM judged
), named AS (
    SELECT caught.*,
        CASE
            WHEN person_at < coalesce(least(gateway_at, mailbox_at), 'infinity')
                THEN CASE WHEN coalesce(gateway_at, mailbox_at) IS NULL
                    THEN 'person_only' ELSE 'person_first' END
            WHEN gateway_at < mailbox_at THEN 'both_gateway_first'
            WHEN gateway_at > mailbox_at THEN 'both_mailbox_first'
            WHEN gateway_at = mailbox_at THEN 'both_at_once'
            WHEN gateway_at IS NOT NULL
                THEN CASE WHEN mailbox_saw THEN 'gateway_only_passed'
                    ELSE 'gateway_only_unseen' END
            WHEN mailbox_at IS NOT NULL
                THEN CASE WHEN gateway_saw THEN 'mailbox_only_passed'
                    ELSE 'mailbox_only_around' END
            ELSE 'vendor_only'
        END AS atom
    FROM caught
), new AS (
    INSERT INTO incidents_ledgerentry (message_id, tenant_id, counted_as, verdict, seen_at,
        gateway_at, mailbox_at, person_at, vendor_at, lag_s)
    SELECT message_id, %(tenant)s,
        CASE judgement WHEN 'benign' THEN 'benign' ELSE judgement || atom END,
        (%(worst_first)s::text[])[rank], seen_at, gateway_at, mailbox_at, person_at, vendor_at,
        extract(epoch FROM CASE
            WHEN atom LIKE 'both%%' THEN greatest(gateway_at, mailbox_at)
                - least(gateway_at, mailbox_at)
            WHEN atom LIKE 'person%%' THEN person_at - seen_at END)
    FROM named
    ON CONFLICT (message_id) DO UPDATE SET
        counted_as = excluded.counted_as, verdict = excluded.verdict, seen_at = excluded.seen_at,
        gateway_at = excluded.gateway_at, mailbox_at = excluded.mailbox_at,
        person_at = excluded.person_at, vendor_at = excluded.vendor_at, lag_s = excluded.lag_s
    RETURNING message_id, seen_at, counted_as
), gone AS (
    DELETE FROM incidents_ledgerentry
    WHERE tenant_id = %(tenant)s AND message_id = ANY(%(ids)s)
        AND message_id NOT IN (SELECT message_id FROM named)
), changed AS (
    -- The table as it was before this statement, and the rows as they are now.
    SELECT seen_at, counted_as, -1 AS n FROM incidents_ledgerentry
    WHERE tenant_id = %(tenant)s AND message_id = ANY(%(ids)s)
    UNION ALL
    SELECT seen_at, counted_as, 1 FROM new
)
INSERT INTO incidents_ledgerday (id, tenant_id, day, counted_as, mails)
SELECT gen_random_uuid(), %(tenant)s, (seen_at AT TIME ZONE 'UTC')::date, counted_as, sum(n)
FROM changed GROUP BY 3, 4 HAVING sum(n) <> 0
"""

# Whoever else notes one of these mails waits here, and sees in the next statement what we did.
_HOLD = """
SELECT FROM incidents_ledgerentry WHERE tenant_id = %(tenant)s AND message_id = ANY(%(ids)s)
ORDER BY message_id FOR UPDATE
"""

_MANY = """
SELECT day FROM incidents_ledgerday WHERE tenant_id = %s GROUP BY day HAVING count(*) > %s
"""
_ADD_UP = """
WITH gone AS (
    DELETE FROM incidents_ledgerday WHERE tenant_id = %(tenant)s AND day = ANY(%(days)s)
    RETURNING day, counted_as, mails
)
INSERT INTO incidents_ledgerday (id, tenant_id, day, counted_as, mails)
SELECT gen_random_uuid(), %(tenant)s, day, counted_as, sum(mails)
FROM gone GROUP BY day, counted_as HAVING sum(mails) <> 0
"""
