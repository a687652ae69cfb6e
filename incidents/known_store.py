"""Writes what was decided about a batch: messages, deliveries, sightings, each kind at once.

Facts never pass through: the message takes them from the observation's row inside the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from incidents.bulk import copy_rows, run
from incidents.known import Copy, Known, Mail
from incidents.known_rows import COPY
from tenants.ids import new_id


def store_known(known: Known) -> None:
    """Writes what is new or changed: messages, deliveries, sightings."""
    mails = known.mails.values()
    _insert_mails(known.tenant_id, [mail for mail in mails if mail.is_new])
    changed = [mail for mail in mails if mail.is_changed and not mail.is_new]
    _fill_mails(known.tenant_id, [mail for mail in changed if mail.facts_from])
    _touch_mails(known.tenant_id, [mail for mail in changed if not mail.facts_from])
    copies = known.copies.values()
    _insert_copies(known.tenant_id, [copy for copy in copies if copy.is_new])
    _update_copies(
        known.tenant_id, [copy for copy in copies if copy.is_changed and not copy.is_new]
    )
    _insert_sights(known)
    _leave_empty(known)


_MAIL_SCRATCH = (
    "id uuid, trace_ulid text, internet_message_id text, fingerprint text, subject text,"
    " sender_address text, sender_name text, sender_domain text, direction text,"
    " size_bytes bigint, evidence text, sent_at timestamptz, first_seen_at timestamptz,"
    " last_seen_at timestamptz, observation_id uuid, observed_at timestamptz"
)
_MAIL_COLUMNS = (
    "id, trace_ulid, internet_message_id, fingerprint, subject, sender_address, sender_name,"
    " sender_domain, direction, size_bytes, evidence, sent_at, first_seen_at, last_seen_at"
)
# A scalar subquery on purpose: always one look-up by the key, whatever the planner believes of a
# temporary table that nobody has analysed.
_FACTS = (
    "(SELECT o.mail FROM incidents_observation o WHERE o.tenant_id = %s"
    " AND o.id = s.observation_id AND o.observed_at = s.observed_at)"
)
_INSERT_MAILS = """
INSERT INTO incidents_message (tenant_id, {columns}, facts)
SELECT %s, {columns}, {facts} FROM {scratch} s
"""
_MAIL_VALUES = ", ".join(f"{name} = s.{name}" for name in _MAIL_COLUMNS.split(", ")[1:])
_FILL_MAILS = """
UPDATE incidents_message m SET {values}, facts = {facts} FROM {scratch} s
WHERE m.tenant_id = %s AND m.id = s.id
"""


def _mail_row(mail: Mail) -> tuple[Any, ...]:
    seen = mail.facts_from
    assert seen is not None
    address, name = seen.sender
    sent_at = seen.mail.get("sent_at")
    return (
        *(mail.id, mail.trace_ulid, mail.internet_message_id, mail.fingerprint, mail.subject),
        *(mail.sender_address, name[:400], address.rpartition("@")[2][:255], mail.direction),
        *(int(seen.mail.get("size_bytes", 0)), mail.evidence),
        *(datetime.fromisoformat(sent_at) if sent_at else None, mail.first_seen_at),
        *(mail.last_seen_at, seen.id, seen.observed_at),
    )


def _insert_mails(tenant_id: int, mails: Sequence[Mail]) -> None:
    if not mails:
        return
    scratch = copy_rows("mails", _MAIL_SCRATCH, map(_mail_row, mails))
    statement = _INSERT_MAILS.format(scratch=scratch, columns=_MAIL_COLUMNS, facts=_FACTS)
    run(statement, [tenant_id, tenant_id])


def _fill_mails(tenant_id: int, mails: Sequence[Mail]) -> None:
    if not mails:
        return
    scratch = copy_rows("mails", _MAIL_SCRATCH, map(_mail_row, mails))
    statement = _FILL_MAILS.format(scratch=scratch, values=_MAIL_VALUES, facts=_FACTS)
    run(statement, [tenant_id, tenant_id])


def _touch_mails(tenant_id: int, mails: Sequence[Mail]) -> None:
    if not mails:
        return
    run(
        "UPDATE incidents_message m SET trace_ulid = s.trace_ulid, evidence = s.evidence,"
        " last_seen_at = s.last_seen_at FROM unnest(%s::uuid[], %s::text[], %s::text[],"
        " %s::timestamptz[]) AS s (id, trace_ulid, evidence, last_seen_at)"
        " WHERE m.tenant_id = %s AND m.id = s.id",
        [
            [mail.id for mail in mails],
            [mail.trace_ulid for mail in mails],
            [mail.evidence for mail in mails],
            [mail.last_seen_at for mail in mails],
            tenant_id,
        ],
    )


_COPY_SCRATCH = (
    "message_id uuid, id uuid, mailbox_id uuid, recipient text, direction text, outcome text,"
    " place text, first_place text, is_read boolean, was_exposed boolean, is_bypass boolean,"
    ' was_released boolean, "match" text, match_reason text, mailbox_item_id text,'
    " conversation text, gateway_verdict text, mailbox_verdict text, gateway_at timestamptz,"
    " mailbox_at timestamptz, received_at timestamptz, verified_at timestamptz"
)
_COPY_COLUMNS = ", ".join(["message_id", *(f'"{name}"' for name in COPY)])
_INSERT_COPIES = """
INSERT INTO incidents_delivery (tenant_id, {columns}) SELECT %s, {columns} FROM {scratch}
"""
_KEPT = ("id", "mailbox_id", "recipient", "direction", "received_at")
_COPY_VALUES = ", ".join(f'"{name}" = s."{name}"' for name in COPY if name not in _KEPT)
_UPDATE_COPIES = """
UPDATE incidents_delivery d SET message_id = s.message_id, {values} FROM {scratch} s
WHERE d.tenant_id = %s AND d.id = s.id
"""


def _copy_row(copy: Copy) -> tuple[Any, ...]:
    return (copy.mail.id, *(getattr(copy, name) for name in COPY))


def _insert_copies(tenant_id: int, copies: Sequence[Copy]) -> None:
    if not copies:
        return
    scratch = copy_rows("copies", _COPY_SCRATCH, map(_copy_row, copies))
    run(_INSERT_COPIES.format(scratch=scratch, columns=_COPY_COLUMNS), [tenant_id])


def _update_copies(tenant_id: int, copies: Sequence[Copy]) -> None:
    if not copies:
        return
    scratch = copy_rows("copies", _COPY_SCRATCH, map(_copy_row, copies))
    run(_UPDATE_COPIES.format(scratch=scratch, values=_COPY_VALUES), [tenant_id])


def _insert_sights(known: Known) -> None:
    if not known.sights:
        return
    run(
        "INSERT INTO incidents_sighting (id, tenant_id, observation_id, observed_at, delivery_id)"
        " SELECT id, %s, observation_id, observed_at, delivery_id FROM unnest(%s::uuid[],"
        " %s::uuid[], %s::timestamptz[], %s::uuid[])"
        " AS s (id, observation_id, observed_at, delivery_id)",
        [
            known.tenant_id,
            [new_id() for _ in known.sights],
            [seen.id for seen, _ in known.sights],
            [seen.observed_at for seen, _ in known.sights],
            [copy.id for _, copy in known.sights],
        ],
    )


def _leave_empty(known: Known) -> None:
    """A message whose last copy turned out to be another's only points there from now on.

    Its place in an incident is the other's, unless that one has a place already.
    """
    for mail, other in known.moved:
        emptied = run(
            "UPDATE incidents_message m SET same_as_id = %s WHERE m.tenant_id = %s AND m.id = %s"
            " AND NOT EXISTS (SELECT FROM incidents_delivery d WHERE d.tenant_id = m.tenant_id"
            " AND d.message_id = m.id)",
            [other.id, known.tenant_id, mail.id],
        )
        if emptied:
            run(
                "UPDATE incidents_incidentmessage i SET message_id = %s WHERE i.tenant_id = %s"
                " AND i.message_id = %s AND NOT EXISTS (SELECT FROM incidents_incidentmessage o"
                " WHERE o.tenant_id = i.tenant_id AND o.message_id = %s)",
                [other.id, known.tenant_id, mail.id, other.id],
            )
