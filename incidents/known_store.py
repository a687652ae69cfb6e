"""Writes what was decided about a batch: messages, deliveries, sightings, each kind at once.

Facts never pass through: the message takes them from the observation's row inside the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from incidents.bulk import by_column, run, with_rows
from incidents.campaigns.ledger import say_of_another
from incidents.known import Copy, Known, Mail
from incidents.known_rows import COPY
from tenants.ids import new_id


def store_known(known: Known) -> None:
    """Writes what is new or changed: messages, deliveries, sightings.  Needs no answer."""
    mails = known.mails.values()
    _insert_mails(known.tenant_id, [mail for mail in mails if mail.is_new])
    changed = [mail for mail in mails if mail.is_changed and not mail.is_new]
    _fill_mails(known.tenant_id, [mail for mail in changed if mail.facts_from])
    _touch_mails(known.tenant_id, [mail for mail in changed if not mail.facts_from])
    copies = known.copies.values()
    # One that gave way goes first: a mail has one copy for each recipient.
    _update_copies(
        known.tenant_id, [copy for copy in copies if copy.is_changed and not copy.is_new]
    )
    _insert_copies(known.tenant_id, [copy for copy in copies if copy.is_new])
    _insert_sights(known)


_MAIL_ROWS = (
    "id uuid, trace_ulid text, internet_message_id text, fingerprint text, subject text,"
    " sender_address text, sender_name text, sender_domain text, direction text,"
    " size_bytes bigint, evidence text, sent_at timestamptz, first_seen_at timestamptz,"
    " last_seen_at timestamptz, observation_id uuid, observed_at timestamptz"
)
_MAIL_COLUMNS = (
    "id, trace_ulid, internet_message_id, fingerprint, subject, sender_address, sender_name,"
    " sender_domain, direction, size_bytes, evidence, sent_at, first_seen_at, last_seen_at"
)
# A scalar subquery on purpose: always one look-up by the key, whatever the planner believes.
_FACTS = (
    "(SELECT o.mail FROM incidents_observation o WHERE o.tenant_id = %s"
    " AND o.id = s.observation_id AND o.observed_at = s.observed_at)"
)
_INSERT_MAILS = with_rows(
    "INSERT INTO incidents_message (tenant_id, {columns}, facts)"
    " SELECT %s, {columns}, {facts} FROM {rows}",
    _MAIL_ROWS,
    columns=_MAIL_COLUMNS,
    facts=_FACTS,
)
_MAIL_VALUES = ", ".join(f"{name} = s.{name}" for name in _MAIL_COLUMNS.split(", ")[1:])
_FILL_MAILS = with_rows(
    "UPDATE incidents_message m SET {values}, facts = {facts} FROM {rows}"
    " WHERE m.tenant_id = %s AND m.id = s.id",
    _MAIL_ROWS,
    values=_MAIL_VALUES,
    facts=_FACTS,
)


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
    if mails:
        run(_INSERT_MAILS, [tenant_id, tenant_id, *by_column(map(_mail_row, mails))])


def _fill_mails(tenant_id: int, mails: Sequence[Mail]) -> None:
    if mails:
        run(_FILL_MAILS, [tenant_id, *by_column(map(_mail_row, mails)), tenant_id])


def _touch_mails(tenant_id: int, mails: Sequence[Mail]) -> None:
    if not mails:
        return
    rows = ((mail.id, mail.trace_ulid, mail.evidence, mail.last_seen_at) for mail in mails)
    run(_TOUCH_MAILS, [*by_column(rows), tenant_id])


_TOUCH_MAILS = with_rows(
    "UPDATE incidents_message m SET trace_ulid = s.trace_ulid, evidence = s.evidence,"
    " last_seen_at = s.last_seen_at FROM {rows} WHERE m.tenant_id = %s AND m.id = s.id",
    "id uuid, trace_ulid text, evidence text, last_seen_at timestamptz",
)


_COPY_ROWS = (
    "message_id uuid, id uuid, mailbox_id uuid, recipient text, direction text, outcome text,"
    " place text, first_place text, is_read boolean, was_exposed boolean, is_bypass boolean,"
    ' was_released boolean, "match" text, match_reason text, mailbox_item_id text,'
    " conversation text, gateway_verdict text, mailbox_verdict text, gateway_at timestamptz,"
    " mailbox_at timestamptz, received_at timestamptz, verified_at timestamptz"
)
_COPY_COLUMNS = ", ".join(["message_id", *(f'"{name}"' for name in COPY)])
_INSERT_COPIES = with_rows(
    "INSERT INTO incidents_delivery (tenant_id, {columns}) SELECT %s, {columns} FROM {rows}",
    _COPY_ROWS,
    columns=_COPY_COLUMNS,
)
_KEPT = ("id", "mailbox_id", "recipient", "direction", "received_at")
_COPY_VALUES = ", ".join(f'"{name}" = s."{name}"' for name in COPY if name not in _KEPT)
_UPDATE_COPIES = with_rows(
    "UPDATE incidents_delivery d SET message_id = s.message_id, {values} FROM {rows}"
    " WHERE d.tenant_id = %s AND d.id = s.id",
    _COPY_ROWS,
    values=_COPY_VALUES,
)


_copy_row: Callable[[Copy], tuple[Any, ...]] = attrgetter("mail.id", *COPY)


def _insert_copies(tenant_id: int, copies: Sequence[Copy]) -> None:
    if copies:
        run(_INSERT_COPIES, [tenant_id, *by_column(map(_copy_row, copies))])


def _update_copies(tenant_id: int, copies: Sequence[Copy]) -> None:
    if copies:
        run(_UPDATE_COPIES, [*by_column(map(_copy_row, copies)), tenant_id])


def _insert_sights(known: Known) -> None:
    if not known.sights:
        return
    rows = ((new_id(), seen.id, seen.observed_at, copy.id) for seen, copy in known.sights)
    run(_INSERT_SIGHTS, [known.tenant_id, *by_column(rows)])


_INSERT_SIGHTS = with_rows(
    "INSERT INTO incidents_sighting (tenant_id, id, observation_id, observed_at, delivery_id)"
    " SELECT %s, s.* FROM {rows}",
    "id uuid, observation_id uuid, observed_at timestamptz, delivery_id uuid",
)


def leave_empty(known: Known) -> None:
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
            say_of_another(known.tenant_id, mail.id, other.id)
