"""Relaying the copies of one mail: one outgoing mail for each client and wording.

The trace names the client, and a marked copy differs from an unmarked one and from one with
another mark, so copies are grouped by both.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from incidents.words import MatrixAction, Outcome
from seg_bridge.gate.hop import OutgoingMail
from seg_bridge.gate.outgoing import Stamp, mark_tagged, stamp_mail
from seg_bridge.gate.records import Copy, SeenMail, Transaction
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.spool_entry import SpoolEntry
from seg_bridge.gate.ways import Way

_OUTCOME_OF = {
    "accepted": Outcome.DELIVERED,
    "refused": Outcome.REJECTED,
    "deferred": Outcome.DEFERRED,
    "unknown": Outcome.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Group:
    """Copies that get the same bytes."""

    copies: tuple[Copy, ...]
    outgoing: OutgoingMail


def group_by_wording(mail: SeenMail) -> list[tuple[Copy, ...]]:
    by_wording: dict[tuple[int, str | None], list[Copy]] = {}
    for copy in mail.copies:
        if copy.is_relayed:
            by_wording.setdefault((copy.route.tenant.tenant_id, mark_of(copy)), []).append(copy)
    return [tuple(copies) for copies in by_wording.values()]


def group_by_way(groups: list[tuple[Copy, ...]]) -> list[tuple[Copy, ...]]:
    """Copies that get the same bytes by different next hops go apart."""
    by_way: dict[tuple[int, Way], list[Copy]] = {}
    for number, copies in enumerate(groups):
        for copy in copies:
            by_way.setdefault((number, copy.route.domain.way), []).append(copy)
    return [tuple(copies) for copies in by_way.values()]


def write_group(
    copies: tuple[Copy, ...], mail: SeenMail, transaction: Transaction, hostname: str
) -> Group:
    stamp = make_stamp(mail, copies[0].route.tenant.tenant_id, hostname)
    data = stamp_mail(mail.raw, stamp, transaction.snapshot)
    mark = mark_of(copies[0])
    if mark is not None:
        data = mark_tagged(data, str(mail.result.verdict or "not scanned"), mark)
    outgoing = OutgoingMail(
        mail_from=mail.envelope.mail_from,
        recipients=tuple(copy.route.wire_address for copy in copies),
        data=data,
        is_smtputf8=transaction.is_smtputf8,
        is_8bit=transaction.is_8bit,
        mail_options=transaction.mail_options,
        recipient_options=transaction.recipient_options,
    )
    return Group(copies, outgoing)


def mark_of(copy: Copy) -> str | None:
    """What is put before its subject; None: it is not marked."""
    return copy.route.treatment.mark_subject if copy.action is MatrixAction.TAG else None


async def relay_groups(
    groups: list[Group], relay: Relay, note: Callable[[Group], Awaitable[None]]
) -> None:
    """The groups follow each other: after one that was not taken at all the others are still
    tried, their fate may differ.  ``note`` is told of each one behind which others still come.
    """
    for number, group in enumerate(groups, 1):
        await relay_group(group, relay, group.copies[0].route.domain.way)
        if number < len(groups):
            await note(group)


async def relay_group(group: Group, relay: Relay, way: Way) -> None:
    """Gives each copy the outcome that the next hop gave it."""
    answers = await relay.send(way, group.outgoing)
    for copy in group.copies:
        answer = answers[copy.route.wire_address]
        copy.outcome = _OUTCOME_OF[answer.state]
        copy.hop_reply = answer.text or answer.state
        copy.hop_tls = answer.tls
        copy.hop = answer.hop


def spool_entries(mail: SeenMail, groups: list[Group]) -> list[tuple[SpoolEntry, bytes]]:
    """What the gate must still deliver of this mail, with the bytes to send."""
    entries = []
    for number, group in enumerate(groups):
        spooled = [copy for copy in group.copies if copy.is_spooled]
        left = tuple(copy.route.wire_address for copy in spooled)
        if not left:
            continue
        outgoing = replace(group.outgoing, recipients=left)
        entry = SpoolEntry(
            name=f"{mail.ulid}.{number}",
            ulid=mail.ulid,
            tenant_id=group.copies[0].route.tenant.tenant_id,
            internet_message_id=mail.facts.internet_message_id,
            sha256=mail.sha256,
            mail_from=outgoing.mail_from,
            recipients=left,
            is_smtputf8=outgoing.is_smtputf8,
            is_8bit=outgoing.is_8bit,
            spooled_at_s=time.time(),
            due_at_s=time.time(),
            direction=mail.direction,
            claimed=outgoing.claimed,
            last_reply=spooled[0].hop_reply[:500],
        )
        entries.append((entry, outgoing.data))
    return entries


def make_stamp(mail: SeenMail, tenant_id: int, hostname: str) -> Stamp:
    return Stamp(
        ulid=mail.ulid,
        tenant_id=tenant_id,
        hostname=hostname,
        envelope=mail.envelope,
        internet_message_id=mail.facts.internet_message_id,
        fingerprint=mail.facts.fingerprint,
        auth=mail.result.auth,
    )
