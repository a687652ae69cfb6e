"""Commands to gates: written with the action that needs them, offered until acknowledged.

A command's number is its order.  Numbers are drawn before the commit, so a lower one can appear
after a higher one; ``unacknowledged`` therefore does not trust them to be complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, IntegerField, Q, QuerySet, When

from incidents.announce import announce_incident
from incidents.models import Delivery, Intent, Observation, Sighting
from incidents.models.mail import Layer, Outcome
from incidents.remediation import settle_intent
from incidents.words import Direction
from seg_bridge.models import Gate, GateClient, GateCommand, Lesson
from seg_bridge.snapshot import KnownGate

MAX_OFFERED = 200


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a gate says of a command.  ``at``: by the gate's clock."""

    command_id: UUID
    ok: bool
    detail: str
    at: datetime


def unacknowledged(gate: KnownGate, *, after: int | None) -> list[dict[str, Any]]:
    """What the gate still has to do, in order; with ``after`` only what is new to it.  However many
    lessons wait, they leave room for the rest.

    Must run in the gate's worker scope.
    """
    rows = GateCommand.objects.filter(
        tenant_id__in=gate.tenant_ids, gate_id=gate.gate_id, ok=None
    ).order_by(_LINE, "seq")
    if after is not None:
        rows = rows.filter(seq__gt=after)
    return [
        {
            "seq": row.seq,
            "id": str(row.id),
            "kind": row.kind,
            "tenant_id": row.tenant_id,
            "ulid": row.trace_ulid,
            "recipients": row.recipients,
            "evidence": row.evidence,
            "direction": row.direction,
            "released_by": row.released_by,
            "queue_id": row.queue_id,
            **({"terms": row.terms} if row.terms else {}),
        }
        for row in sorted(rows[:MAX_OFFERED], key=lambda row: row.seq)
    ]


# However many orders of a batch wait, a release does not wait for them.
_LINE = Case(
    When(kind=GateCommand.Kind.LEARN, then=2),
    When(batch__isnull=False, then=1),
    default=0,
    output_field=IntegerField(),
)


def clients_of_commands(gate: KnownGate, command_ids: Iterable[UUID]) -> dict[UUID, int]:
    """The client of each of these commands, as far as they are this gate's."""
    rows = GateCommand.objects.filter(
        tenant_id__in=gate.tenant_ids, gate_id=gate.gate_id, id__in=command_ids
    )
    return dict(rows.values_list("id", "tenant_id"))


def acknowledge(gate: KnownGate, done: Acknowledgement) -> bool:
    """Close the command and settle its intent.  False: it was closed before; the first word counts,
    but a gate's beats that of who stopped it.

    Must run in a scope of the command's client.
    """
    rows = GateCommand.objects.filter(id=done.command_id, gate_id=gate.gate_id)
    closed = rows.filter(Q(ok=None) | ~Q(stopped_by="")).update(
        ok=done.ok, done_at=done.at, detail=done.detail, stopped_by=""
    )
    if closed:
        intent_id = rows.values_list("intent_id", flat=True).get()
        if intent_id is not None:
            settle_intent(intent_id, ok=done.ok, detail=done.detail)
        _announce_lesson(done.command_id)
    return bool(closed)


def _announce_lesson(command_id: UUID) -> None:
    """Whoever looks at its incident reads what came of it."""
    lesson = Lesson.objects.filter(command=command_id, incident__isnull=False).first()
    if lesson is not None:
        announce_incident(lesson.tenant_id, lesson.incident_id)


def needs_bytes(gate: KnownGate, *, tenant_id: int, digest: str) -> str:
    """Why the gate may have these bytes: only while it has to release, or to learn from, a mail
    that they are.  "" where it may not.
    """
    waiting = GateCommand.objects.filter(
        tenant_id=tenant_id, gate_id=gate.gate_id, evidence=digest, ok=None
    )
    kinds = set(waiting.values_list("kind", flat=True))
    return next((why for kind, why in _NEEDS_BYTES.items() if kind in kinds), "")


_NEEDS_BYTES = {
    GateCommand.Kind.RELEASE: "to release a held mail",
    GateCommand.Kind.LEARN: "to learn from a mail",
}


def order_releases(
    *, delivery_ids: Iterable[UUID], intent_ids: Iterable[UUID], released_by: str
) -> None:
    """One command a copy, in the caller's transaction; a copy that cannot be released settles its
    intent with the reason.
    """
    intents = {row.delivery_id: row.id for row in Intent.objects.filter(id__in=intent_ids)}
    # Two releases of one copy meet here: the second sees the first one's command.
    copies = Delivery.objects.select_for_update(of=("self",)).filter(id__in=delivery_ids)
    for copy in copies.order_by("id"):
        refusal = _order_release(copy, intents.get(copy.id), released_by)
        if refusal and copy.id in intents:
            settle_intent(intents[copy.id], ok=False, detail=refusal)


def _order_release(copy: Delivery, intent_id: UUID | None, released_by: str) -> str:
    """ "" when the command is written, else why not."""
    held = _held_sight(copy)
    if held is None:
        return "No gate says that it holds this mail."
    if _earlier(copy, held).exists():
        return "It has been released or deleted, or is being so now."
    gate = _gate_for(copy.tenant_id, held.source.removeprefix("gate:"))
    if gate is None:
        return "No gate handles mail for this client any more."
    _command(GateCommand.Kind.RELEASE, copy, gate, held, released_by, intent_id)
    return ""


def order_drop(copy: Delivery, by: str) -> str:
    """The gate that holds this copy throws it away; "" when the command is written, else why not.

    Needs the copy's row locked.
    """
    held = _held_sight(copy)
    if held is None:
        return "No gate says that it holds this mail."
    if _earlier(copy, held).exists():
        return "It has been released or deleted, or is being so now."
    gate = _gate_for(copy.tenant_id, held.source.removeprefix("gate:"))
    if gate is None:
        return "No gate handles mail for this client any more."
    _command(GateCommand.Kind.DROP, copy, gate, held, by)
    return ""


def _earlier(copy: Delivery, held: Observation) -> QuerySet[GateCommand]:
    """Commands about this copy that were carried out, or may still be."""
    return GateCommand.objects.filter(
        tenant_id=copy.tenant_id, trace_ulid=held.trace_ulid, recipients=[copy.recipient]
    ).exclude(ok=False)


def _command(
    kind: str,
    copy: Delivery,
    gate: Gate,
    held: Observation,
    by: str,
    intent_id: UUID | None = None,
) -> None:
    GateCommand.objects.create(
        tenant_id=copy.tenant_id,
        gate=gate,
        seq=next_seq(),
        kind=kind,
        intent_id=intent_id,
        trace_ulid=held.trace_ulid,
        recipients=[copy.recipient],
        evidence=held.evidence,
        direction=copy.direction,
        released_by=by,
        terms=_submitted_from(copy, held),
    )


def _submitted_from(copy: Delivery, held: Observation) -> dict[str, str]:
    """The host that submitted an outbound mail: to another client it comes in by that name."""
    client_ip = str(held.detail.get("client_ip") or "")
    is_outbound = copy.direction == Direction.OUTBOUND
    return {"client_ip": client_ip} if is_outbound and client_ip else {}


def order_lift(*, tenant_id: int, stop_ulid: str, mailbox: str, lifted_by: str) -> int:
    """One command for each gate of the client, in the caller's transaction; answers how many.

    The gate that stopped the sender forgets the stop, the others what they counted of it.
    """
    links = GateClient.objects.filter(tenant_id=tenant_id).select_related("gate")
    gates = [link.gate for link in links.order_by("gate__name")]
    for gate in gates:
        GateCommand.objects.create(
            tenant_id=tenant_id,
            gate=gate,
            seq=next_seq(),
            kind=GateCommand.Kind.LIFT,
            trace_ulid=stop_ulid,
            recipients=[mailbox],
            released_by=lifted_by,
        )
    return len(gates)


def _held_sight(copy: Delivery) -> Observation | None:
    sights = Sighting.objects.filter(tenant_id=copy.tenant_id, delivery=copy)
    rows = Observation.objects.filter(
        tenant_id=copy.tenant_id,
        id__in=sights.values("observation_id"),
        observed_at__in=sights.values("observed_at"),
        layer=Layer.GATEWAY,
        action=Outcome.HELD,
    )
    return rows.order_by("observed_at").last()


def _gate_for(tenant_id: int, name: str) -> Gate | None:
    """The gate that has the bytes; where it is gone, another one that fetches them."""
    serving = GateClient.objects.filter(tenant_id=tenant_id).values("gate_id")
    gates = list(Gate.objects.filter(id__in=serving).order_by("name"))
    return next((gate for gate in gates if gate.name == name), gates[0] if gates else None)


def last_seq() -> int:
    """The highest number that a command was given, 0 for none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(pg_sequence_last_value('seg_bridge_command_seq'), 0)")
        return int(cursor.fetchone()[0])


def next_seq() -> int:
    """The number of a new command."""
    return next_seqs(1)[0]


def next_seqs(count: int) -> list[int]:
    """The same for so many, lowest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval('seg_bridge_command_seq') FROM generate_series(1, %s)", [count]
        )
        return sorted(int(number) for (number,) in cursor.fetchall())
