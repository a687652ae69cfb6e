"""How a mail came: from inside, through the gateway with a genuine trace, or past it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from api_bridge.connectors import Item
from api_bridge.detect.context import TraceState
from api_bridge.inside import is_from_inside
from api_bridge.known import Profile, header_of
from api_bridge.scan.shapes import Seat
from incidents.mail.authres import parse_auth_results
from incidents.mail.facts import MailFacts
from incidents.mail.trace import TRACE_HEADER, Trace, check_trace, hash_message_id
from incidents.words import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    direction: Direction
    state: TraceState
    trace: Trace | None = None


def arrival_of(item: Item, profile: Profile, seat: Seat) -> Arrival:
    if is_from_inside(item, seat.kind, seat.internal_hosts):
        return Arrival(direction=Direction.INTERNAL, state="none_expected")
    value = header_of(item, TRACE_HEADER)
    trace = check_trace(value, profile.keys) if value else None
    state: TraceState = "valid"
    if not value:
        since = profile.protected_since
        is_expected = since is not None and item.received_at >= since
        state = "missing" if is_expected else "none_expected"
    elif trace is None:
        state = "invalid"
    elif trace.tenant_id != profile.tenant_id:
        state, trace = "foreign", None
    return Arrival(direction=Direction.INBOUND, state=state, trace=trace)


def gate_names(item: Item, arrival: Arrival) -> list[str]:
    """The authserv-id of the gate that set the trace: it writes trace, Authentication-Results and
    its Received line with the same ulid on top of what came, so these three stand together.
    """
    at = _gate_block(item, arrival)
    if at is None:
        return []
    results = parse_auth_results(item.headers[at + 1][1])
    return [results[0].authserv_id] if results else []


def gate_line(item: Item, arrival: Arrival) -> str:
    """The Received line of the gate, "" where none stands with a genuine trace."""
    at = _gate_block(item, arrival)
    return item.headers[at + 2][1] if at is not None else ""


def _gate_block(item: Item, arrival: Arrival) -> int | None:
    """Where trace, results and Received line of the gate stand together; None: nowhere."""
    if arrival.trace is None:
        return None
    names = [name.lower() for name, _ in item.headers]
    at = names.index(TRACE_HEADER.lower())
    together = ["authentication-results", "received"]
    if names[at + 1 : at + 3] != together or arrival.trace.ulid not in item.headers[at + 2][1]:
        return None
    return at


def _fits(trace: Trace, facts: MailFacts) -> bool:
    """Bodies and ids change on the way, but not both."""
    same_id = trace.message_id_hash in ("", hash_message_id(facts.internet_message_id))
    return same_id or (bool(trace.fingerprint) and trace.fingerprint == facts.fingerprint)


def settled(facts: MailFacts, arrival: Arrival) -> tuple[MailFacts, Arrival]:
    """A genuine trace that was taken from another mail proves nothing of this one."""
    if arrival.trace is None or _fits(arrival.trace, facts):
        return facts, arrival
    return replace(facts, auth_results=()), replace(arrival, state="invalid", trace=None)
