"""Reads from the database what is known of the mails that a batch may speak of.

Every statement serves the whole batch; which index it goes by stands with the models.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from incidents.bulk import fetch
from incidents.known import SAME_MAIL_WINDOW, Copy, Known, Mail, Seen
from incidents.words import Layer
from tenants.ids import as_uuid
from tenants.models import Tenant

# A Message-ID that everybody uses is no name: so many of its mails are looked at, among the latest
# so many that have it.
MOST_OF_ONE_ID = 50
LATEST_OF_ONE_ID = 1_000

_SEEN = (
    *("id", "observed_at", "recorded_at", "layer", "recipient", "direction", "internet_message_id"),
    *("fingerprint", "trace_ulid", "trace_state", "mailbox_item_id", "verdict", "action", "place"),
    *("is_read", "evidence"),
)
_MAIL = (
    *("id", "trace_ulid", "internet_message_id", "fingerprint", "subject", "sender_address"),
    *("direction", "first_seen_at", "last_seen_at", "evidence"),
)
COPY = (
    *("id", "mailbox_id", "recipient", "direction", "outcome", "place", "first_place", "is_read"),
    *("was_exposed", "is_bypass", "was_released", "match", "match_reason", "mailbox_item_id"),
    *("conversation", "gateway_verdict", "mailbox_verdict", "gateway_at", "mailbox_at"),
    *("received_at", "verified_at"),
)


def _of(alias: str, names: Iterable[str]) -> str:
    return ", ".join(f'{alias}."{name}"' for name in names)


# --- reading


def next_batch(tenant_id: int, now: datetime, size: int) -> list[Seen]:
    """The oldest observations of the backlog that need not wait, which are in it no more."""
    read_facts = partial(_read_facts, tenant_id)
    return [
        Seen(
            **dict(zip(_SEEN, row, strict=False)),
            received_at=datetime.fromisoformat(received_at) if received_at else row[1],
            delivery_id=delivery_id or "",
            conversation=conversation or "",
            allowed_by=allowed_by or "",
            clicked_at=datetime.fromisoformat(clicked_at) if clicked_at else None,
            wait_until=wait_until,
            read_facts=read_facts,
            facts_text=facts,
        )
        for (
            *row,
            received_at,
            delivery_id,
            conversation,
            allowed_by,
            clicked_at,
            facts,
            wait_until,
        ) in fetch(_TAKE, [tenant_id, now, size, tenant_id])
    ]


def next_ids(tenant_id: int, now: datetime, size: int) -> list[UUID]:
    """Which observations ``next_batch`` would take, without taking them."""
    return [row[0] for row in fetch(_NEXT, [tenant_id, now, size])]


_NEXT = """
SELECT observation_id FROM incidents_backlog
WHERE tenant_id = %s AND (wait_until IS NULL OR wait_until <= %s)
ORDER BY observation_id LIMIT %s
"""
# An array and a LIMIT: it stays one look-up by the key for each, though the planner believes
# that the backlog is empty, as it is most of the time.
# The gateway is the first to tell of a mail, as a rule: its facts are wanted at once.
_TAKE = """
WITH taken AS (
    DELETE FROM incidents_backlog WHERE observation_id = ANY(ARRAY({next}))
    RETURNING observation_id, observed_at, wait_until
)
SELECT {columns}, o.detail->>'received_at', o.detail->>'delivery_id', o.detail->>'conversation',
    CASE WHEN o.detail->'decided'->>'by' = 'allow' THEN o.detail->'decided'->>'rule_id' END,
    CASE WHEN o.layer = 'vendor' THEN o.detail->>'clicked_at' END,
    CASE WHEN o.layer = 'gateway' THEN o.mail::text END, taken.wait_until
FROM taken CROSS JOIN LATERAL (
    SELECT * FROM incidents_observation o WHERE o.tenant_id = %s
        AND o.id = taken.observation_id AND o.observed_at = taken.observed_at LIMIT 1
) o ORDER BY o.id
""".format(next=_NEXT, columns=_of("o", _SEEN))  # noqa: S608 - names of our own


def _read_facts(tenant_id: int, observation_id: UUID, observed_at: datetime) -> str:
    """Those of one observation; ``_load_facts`` has read what is wanted as a rule."""
    rows = fetch(_FACTS, [tenant_id, [observation_id], observed_at, observed_at])
    return str(rows[0][1])


_FACTS = """
SELECT o.id, o.mail::text FROM incidents_observation o
WHERE o.tenant_id = %s AND o.id = ANY(%b) AND o.observed_at BETWEEN %s AND %s
"""


def load_known(tenant: Tenant, batch: Sequence[Seen]) -> Known:
    """Whatever any observation of the batch may speak of."""
    known = Known(tenant.id, tenant.protected_since)
    _load_mailboxes(known, {seen.recipient for seen in batch})
    whole, batch = batch, [seen for seen in batch if not seen.is_sent]
    ulids = {seen.trace_ulid for seen in batch} - {""}
    # What the index leaves out is said twice: no planner concludes it from a list.
    traced = _MAILS + " AND m.trace_ulid = ANY(%b) AND m.trace_ulid <> ''"
    for row in fetch(traced, [tenant.id, list(ulids)]):
        known.add_mail(_mail(row))
    names = {
        name
        for seen in batch
        for name in (*known.names_of(seen.recipient), *known.mailboxes_of(seen.recipient))
    }
    _load_second_looks(known, [seen for seen in batch if seen.wait_until])
    _load_copies(
        known,
        "d.message_id = ANY(%b) AND (d.recipient = ANY(%b) OR d.match = 'pending')",
        [list(known.mails), list(names)],
    )
    items = {seen.mailbox_item_id for seen in batch} - {""}
    if items:
        _load_copies(known, "d.mailbox_item_id = ANY(%b)", [list(items)])
    _load_shown(known, batch)
    _load_without_trace(known, batch)
    _load_spoken_of(known, [seen for seen in batch if _is_word(seen)])
    _load_facts(known, whole)
    return known


def _load_facts(known: Known, batch: Sequence[Seen]) -> None:
    """Of those that may become a message: not where the gateway has told of the mail already."""
    wanted = {
        seen.id: seen
        for seen in batch
        if seen.facts_text is None
        and ((mail := known.mail_by_trace(seen.trace_ulid)) is None or not mail.is_gateways)
    }
    if wanted:
        times = [seen.observed_at for seen in wanted.values()]
        rows = fetch(_FACTS, [known.tenant_id, list(wanted), min(times), max(times)])
        for observation_id, text in rows:
            wanted[observation_id].facts_text = text


def _is_word(seen: Seen) -> bool:
    return seen.layer not in (Layer.GATEWAY, Layer.MAILBOX)


def _load_mailboxes(known: Known, addresses: Collection[str]) -> None:
    wanted = list(addresses)
    for mailbox_id, address, aliases in fetch(
        "SELECT id, address, aliases::text FROM tenants_mailbox"
        " WHERE tenant_id = %s AND (address = ANY(%b) OR aliases ?| %b)",
        [known.tenant_id, wanted, wanted],
    ):
        known.mailboxes[address] = (mailbox_id, json.loads(aliases))


# A mail that was read has a size.
_MAILS = """
SELECT {columns}, m.size_bytes > 0 FROM incidents_message m WHERE m.tenant_id = %s
""".format(columns=_of("m", _MAIL))
_COPIES = """
SELECT {columns}, d.message_id FROM incidents_delivery d WHERE d.tenant_id = %s AND
""".format(columns=_of("d", COPY))


def _mail(row: Sequence[Any]) -> Mail:
    values = dict(zip(_MAIL, row, strict=False))
    return Mail(**values, has_facts=row[-1], is_counted=row[-1])


def _load_copies(known: Known, where: str, arguments: Sequence[Any]) -> None:
    """Adds the copies that ``where`` names and their mails, unless they are known already."""
    rows = fetch(_COPIES + where, [known.tenant_id, *arguments])
    rows = [row for row in rows if row[0] not in known.copies]
    missing = {row[-1] for row in rows} - known.mails.keys()
    if missing:
        for mail in fetch(_MAILS + " AND m.id = ANY(%b)", [known.tenant_id, list(missing)]):
            known.add_mail(_mail(mail))
    for row in rows:
        values = dict(zip(COPY, row, strict=False))
        known.add_copy(Copy(mail=known.mails[row[-1]], **values))


def _load_second_looks(known: Known, waiting: Sequence[Seen]) -> None:
    """The copies that these were found to speak of at their first look, and all copies beside."""
    if not waiting:
        return
    known.delivery_of_sight = dict(
        fetch(
            "SELECT observation_id, delivery_id FROM incidents_sighting"
            " WHERE tenant_id = %s AND observation_id = ANY(%b)",
            [known.tenant_id, [seen.id for seen in waiting]],
        )
    )
    copies = list(known.delivery_of_sight.values())
    _load_copies(known, "d.id = ANY(%b)", [copies])
    messages = {known.copies[copy].mail.id for copy in copies}
    _load_copies(known, "d.message_id = ANY(%b) AND d.gateway_at IS NOT NULL", [list(messages)])


def _load_shown(known: Known, batch: Sequence[Seen]) -> None:
    """What mailboxes had shown without a trace as the copies that traces of this batch name."""
    ulids = {seen.trace_ulid for seen in batch if seen.layer == Layer.MAILBOX} - {""}
    taken = [
        copy.id
        for copy in known.copies.values()
        if copy.mail.trace_ulid in ulids
        and copy.mailbox_item_id
        and copy.match in ("weak", "ambiguous")
    ]
    if taken:
        read_facts = partial(_read_facts, known.tenant_id)
        for *row, received_at, copy_id in fetch(_SHOWN, [known.tenant_id, taken]):
            values = dict(zip(_SEEN, row, strict=True))
            at = datetime.fromisoformat(received_at) if received_at else values["observed_at"]
            seen = Seen(**values, received_at=at, read_facts=read_facts)
            known.shown.setdefault(copy_id, seen)


_SHOWN = """
SELECT {columns}, o.detail->>'received_at', s.delivery_id
FROM incidents_sighting s JOIN incidents_observation o
    ON o.tenant_id = s.tenant_id AND o.id = s.observation_id AND o.observed_at = s.observed_at
WHERE s.tenant_id = %s AND s.delivery_id = ANY(%b)
    AND o.layer = 'mailbox' AND o.mail <> '{{}}' ORDER BY o.id
""".format(columns=_of("o", _SEEN))


def _load_without_trace(known: Known, batch: Sequence[Seen]) -> None:
    """What a copy without a trace may be, and what the gateway's account may be of."""
    loose = [seen for seen in batch if seen.layer == Layer.MAILBOX and seen.trace_state != "valid"]
    loose = [seen for seen in loose if seen.internet_message_id or seen.fingerprint]
    passed = [seen for seen in batch if seen.layer == Layer.GATEWAY]
    if loose:
        names = {name for seen in loose for name in known.names_of(seen.recipient)}
        _load_near(known, names, loose, "d.mailbox_item_id = '' AND d.gateway_at IS NOT NULL")
    if passed:
        names = {name for seen in passed for name in known.mailboxes_of(seen.recipient)}
        _load_near(known, names, passed, _ALONE)
    if loose or passed:
        names = {name for seen in loose for name in known.names_of(seen.recipient)}
        names |= {name for seen in passed for name in known.mailboxes_of(seen.recipient)}
        _load_near(known, names, [*loose, *passed], "d.match IN ('weak', 'ambiguous')")
    if loose or passed or known.shown:
        _load_same_content(known, [*loose, *passed, *known.shown.values()])


# Each of the three conditions is an index of its own (incidents/models/mail.py).
_ALONE = "d.match = 'one_layer' AND d.gateway_at IS NULL AND d.direction = 'inbound'"


def _load_near(known: Known, names: Collection[str], of: Sequence[Seen], which: str) -> None:
    times = [seen.received_at for seen in of]
    _load_copies(
        known,
        f"{which} AND d.recipient = ANY(%b) AND d.received_at BETWEEN %s AND %s",
        [list(names), min(times) - SAME_MAIL_WINDOW, max(times) + SAME_MAIL_WINDOW],
    )


def _load_same_content(known: Known, batch: Sequence[Seen]) -> None:
    """Mails of the same Message-ID and day; whether their content agrees is looked at later.

    Bounded: an id that one client got many thousand times costs its latest thousand mails, however
    many there are.

    The time is compared after that, not looked up by: from statistics of yesterday PostgreSQL would
    conclude that hardly anything has come today, and go through all of it.
    """
    named = [seen for seen in batch if seen.internet_message_id and seen.fingerprint]
    ids = {seen.message_id for seen in named}
    if not ids:
        return
    times = [seen.received_at for seen in named]
    first, last = min(times) - SAME_MAIL_WINDOW, max(times) + SAME_MAIL_WINDOW
    of = [list(ids), known.tenant_id, LATEST_OF_ONE_ID, first, last, MOST_OF_ONE_ID]
    found = fetch(_OF_THAT_DAY, of)
    messages = [row[0] for row in found]
    missing = [message for message in messages if message not in known.mails]
    if missing:
        for row in fetch(_MAILS + " AND m.id = ANY(%b)", [known.tenant_id, missing]):
            known.add_mail(_mail(row))
    if messages:
        names = {name for seen in named for name in known.mailboxes_of(seen.recipient)}
        _load_copies(
            known, "d.message_id = ANY(%b) AND d.recipient = ANY(%b)", [messages, list(names)]
        )


_OF_THAT_DAY = """
SELECT m.id FROM unnest(%b::text[]) AS w (message_id)
CROSS JOIN LATERAL (
    SELECT id FROM (
        SELECT id, first_seen_at FROM incidents_message
        WHERE tenant_id = %s AND internet_message_id = w.message_id
        ORDER BY first_seen_at DESC LIMIT %s
    ) latest
    WHERE first_seen_at BETWEEN %s AND %s
    LIMIT %s
) m
"""


def _load_spoken_of(known: Known, words: Sequence[Seen]) -> None:
    """What people and mail hosts may speak of: a copy by its id, or the mails of a Message-ID."""
    named = [as_uuid(seen.delivery_id) for seen in words]
    copies = [copy_id for copy_id in named if copy_id]
    if copies:
        _load_copies(known, "d.id = ANY(%b)", [copies])
    ids = {seen.message_id for seen in words} - {""}
    if ids:
        rows = fetch(_OF_ONE_ID, [list(ids), known.tenant_id, MOST_OF_ONE_ID])
        _load_copies(known, "d.message_id = ANY(%b)", [[row[0] for row in rows]])


_OF_ONE_ID = """
SELECT m.id FROM unnest(%b::text[]) AS w (message_id)
CROSS JOIN LATERAL (
    SELECT id FROM incidents_message
    WHERE tenant_id = %s AND internet_message_id = w.message_id
    ORDER BY first_seen_at DESC LIMIT %s
) m
"""
