"""The observations that say what a scan found."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from api_bridge.connectors import Item
from api_bridge.detect import Judgement
from api_bridge.host_auth import host_auth
from api_bridge.host_filter import filtered, sender_ip
from api_bridge.scan.arrival import Arrival, gate_line
from api_bridge.scan.shapes import Scanned, Seat
from incidents.mail.facts import MailFacts
from incidents.observations import Observation, Reason
from incidents.words import Layer

ENGINE = "detect"
FILTER = "exchange-online-protection"


def observation_of(
    item: Item,
    facts: MailFacts,
    arrival: Arrival,
    judgement: Judgement,
    seat: Seat,
    observed_at: datetime,
) -> Observation:
    told = host_auth(item, seat.kind)
    by_filter = filtered(item, seat.kind)
    from_ip = sender_ip(
        item,
        seat.kind,
        gate_line=gate_line(item, arrival),
        internal_hosts=seat.internal_hosts,
    )
    known = {
        "host_auth": told,
        "host_filter": by_filter.as_json() if by_filter else {},
        "client_ip": from_ip,
    }
    return Observation(
        tenant_id=seat.tenant_id,
        layer=Layer.MAILBOX,
        source=seat.source,
        source_key=f"{item.ref.item_id}/scan",
        observed_at=observed_at,
        recipient=seat.address,
        direction=str(arrival.direction),
        internet_message_id=facts.internet_message_id or item.internet_message_id,
        fingerprint=facts.fingerprint,
        trace_ulid=arrival.trace.ulid if arrival.trace else "",
        trace_state="" if arrival.state == "none_expected" else arrival.state,
        mailbox_item_id=item.ref.item_id,
        verdict=judgement.verdict,
        score=judgement.score,
        confidence=judgement.confidence,
        reasons=judgement.reasons,
        engine=ENGINE,
        engine_version=judgement.version,
        place=item.place,
        is_read=item.is_read,
        mail=facts.as_json(),
        detail=detail_of(item) | {name: value for name, value in known.items() if value},
    )


def beside(item: Item, seen: Observation, seat: Seat) -> list[Observation]:
    """The word of the host's filter, where it condemns; its "harmless" weighs nothing, and stands
    in the detail of ours.
    """
    told = filtered(item, seat.kind)
    if told is None or told.verdict is None or not told.verdict.is_threat:
        return []
    text = f"Microsoft's filter called this mail {told.words} when it came in."
    value = told.category or f"SCL {told.scl}"
    return [
        replace(
            seen,
            layer=Layer.VENDOR,
            source=f"vendor:{seat.kind}",
            source_key=f"{item.ref.item_id}/filter",
            trace_state="",
            verdict=told.verdict,
            score=None,
            confidence=None,
            reasons=(Reason("vendor_verdict", text, value),),
            engine=FILTER,
            engine_version="",
            rule="",
            place=None,
            is_read=None,
            mail={},
            detail={"host_filter": told.as_json()},
        )
    ]


def moved(item: Item, seat: Seat, *, observed_at: datetime) -> Scanned:
    """A mail that was judged before lies elsewhere now, or was read."""
    observation = Observation(
        tenant_id=seat.tenant_id,
        layer=Layer.MAILBOX,
        source=seat.source,
        source_key=f"{item.ref.item_id}/place",
        observed_at=observed_at,
        recipient=seat.address,
        internet_message_id=item.internet_message_id,
        mailbox_item_id=item.ref.item_id,
        place=item.place,
        is_read=item.is_read,
        detail=detail_of(item),
    )
    return Scanned(item=item, observation=observation)


def detail_of(item: Item) -> dict[str, Any]:
    """What only the mail host knows; ``conversation`` is its own name of it, "" without one."""
    return {
        "received_at": item.received_at.isoformat(),
        "folder": item.folder_id,
        "conversation": item.conversation_id[:500],
    }
