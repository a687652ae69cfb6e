"""Taking in what a shipper brings: lines of JSON, each an observation or an acknowledgement.

A batch may come twice, in another order, or again after half of it was stored: rows are unique and
the first acknowledgement counts.  A line that can never be taken is *refused* and named, so that it
does not stop the ones behind it.  Each client's lines go in by a short scope of its own.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from django.db import DataError, IntegrityError, OperationalError
from django.utils import timezone

from incidents.intake import record
from incidents.observations import Observation
from incidents.words import Direction, Layer
from seg_bridge.commands import Acknowledgement, acknowledge, clients_of_commands
from seg_bridge.outbound.stopping import ToldStop, note_stop
from seg_bridge.snapshot import KnownGate
from tenants.scope import Role, tenant_scope

# Longest value of each text in bytes.  The first four stand in indexes, which take 2,700 a row.
_LONGEST = {
    "source": 100,
    "source_key": 500,
    "trace_ulid": 26,
    "recipient": 400,
    "fingerprint": 64,
    "evidence": 64,
    "trace_state": 10,
    "engine": 200,
    "engine_version": 200,
    "policy_version": 200,
    "internet_message_id": 4000,
    "mailbox_item_id": 1000,
    "rule": 4000,
}
_NUMBERS = ("score", "score_limit", "confidence")
_EVIDENCE = re.compile(r"([0-9a-f]{64})?\Z")
_FIRST_TIME = datetime(2020, 1, 1, tzinfo=UTC)
_CLOCK_AHEAD = timedelta(days=1)
_MAY_NEVER_FIT = (
    *(DataError, IntegrityError, OperationalError, ValueError, TypeError, RecursionError),
)
_TOO_COMPLEX = "54"  # the class of SQLSTATEs for what is too large or too deep for the server


class LineRefused(ValueError):
    """This line can never be stored; the words say why."""


@dataclass(slots=True)
class Taken:
    """The answer to a batch.  ``refused``: number of the line in the batch, from 0, and why."""

    stored: int = 0
    duplicates: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, line: int, error: object) -> None:
        self.refused.append({"line": line, "error": str(error)[:300]})

    def count(self, *, is_new: bool) -> None:
        self.stored += is_new
        self.duplicates += not is_new

    def as_json(self) -> dict[str, Any]:
        refused = sorted(self.refused, key=lambda each: int(each["line"]))
        return {"stored": self.stored, "duplicates": self.duplicates, "refused": refused}


@dataclass(slots=True)
class _Share:
    """One client's lines, each with its number in the batch."""

    seen: list[tuple[int, Observation]] = field(default_factory=list)
    done: list[tuple[int, Acknowledgement]] = field(default_factory=list)
    stopped: list[tuple[int, ToldStop]] = field(default_factory=list)


def take_in(gate: KnownGate, body: bytes) -> Taken:
    """Store a batch.  A database that goes away half-way raises; what is committed stays, and the
    same batch may come again.
    """
    taken = Taken()
    shares: dict[int, _Share] = defaultdict(_Share)
    done: list[tuple[int, Acknowledgement]] = []
    for number, line in enumerate(body.splitlines()):
        try:
            item = _read_line(line, gate)
        except LineRefused as error:
            taken.refuse(number, error)
            continue
        if isinstance(item, Observation):
            shares[item.tenant_id].seen.append((number, item))
        elif isinstance(item, ToldStop):
            shares[item.tenant_id].stopped.append((number, item))
        else:
            done.append((number, item))
    _share_out(gate, done, shares, taken)
    for tenant_id in sorted(shares):
        _take_share(gate, tenant_id, shares[tenant_id], taken)
    return taken


def _share_out(
    gate: KnownGate,
    done: Sequence[tuple[int, Acknowledgement]],
    shares: dict[int, _Share],
    taken: Taken,
) -> None:
    if not done:
        return
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        clients = clients_of_commands(gate, [each.command_id for _, each in done])
    for number, each in done:
        if each.command_id in clients:
            shares[clients[each.command_id]].done.append((number, each))
        else:
            taken.refuse(number, "this gate was given no such command")


def _take_share(gate: KnownGate, tenant_id: int, share: _Share, taken: Taken) -> None:
    try:
        with tenant_scope(Role.WORKER, [tenant_id], provider_id=gate.provider_id):
            recorded = record(seen for _, seen in share.seen)
            is_new = [acknowledge(gate, each) for _, each in share.done]
            is_new += [note_stop(gate.name, each) for _, each in share.stopped]
    except _MAY_NEVER_FIT as error:
        if _may_fit_later(error):
            raise
        _take_one_by_one(gate, tenant_id, share, taken)
        return
    taken.stored += recorded.stored
    taken.duplicates += recorded.duplicates
    for each in is_new:
        taken.count(is_new=each)


def _take_one_by_one(gate: KnownGate, tenant_id: int, share: _Share, taken: Taken) -> None:
    """One of the lines does not fit the database: find out which, and store the others."""

    def take(number: int, work: Callable[[], bool]) -> None:
        try:
            with tenant_scope(Role.WORKER, [tenant_id], provider_id=gate.provider_id):
                is_new = work()
        except _MAY_NEVER_FIT as error:
            if _may_fit_later(error):
                raise
            taken.refuse(number, f"the database refuses it: {error}")
        else:
            taken.count(is_new=is_new)

    for number, seen in share.seen:
        take(number, lambda seen=seen: bool(record([seen]).stored))  # type: ignore[misc]
    for number, done in share.done:
        take(number, lambda done=done: acknowledge(gate, done))  # type: ignore[misc]
    for number, stop in share.stopped:
        take(number, lambda stop=stop: note_stop(gate.name, stop))  # type: ignore[misc]


def _may_fit_later(error: Exception) -> bool:
    """A server that is away, restarts or has no room comes back; a row that is too deep stays."""
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    return isinstance(error, OperationalError) and not sqlstate.startswith(_TOO_COMPLEX)


def _read_line(line: bytes, gate: KnownGate) -> Observation | Acknowledgement | ToldStop:
    try:
        data = json.loads(line, parse_constant=_no_constant)
        match data["kind"]:
            case "observation":
                seen = Observation.from_json(data["observation"])
                _check_observation(seen, gate)
                return seen
            case "command_done":
                return _acknowledgement(data)
            case "sender_stopped":
                stop = ToldStop.from_json(data)
                if stop.tenant_id not in gate.tenant_ids:
                    raise LineRefused("this gate does not speak for that client")
                _check_time("at", stop.at)
                return stop
            case kind:
                raise LineRefused(f"nothing is known of the kind {kind!r}")
    except LineRefused:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LineRefused(f"not a line of a shipper: {error!r}") from error


def _no_constant(name: str) -> NoReturn:
    raise LineRefused(f"{name} is not a number in JSON")


def _acknowledgement(data: dict[str, Any]) -> Acknowledgement:
    at = datetime.fromisoformat(data["at"])
    if at.tzinfo is None or not isinstance(data["ok"], bool):
        raise LineRefused("an acknowledgement needs a time with zone, and ok true or false")
    detail = str(data.get("detail", "")).replace("\x00", "\ufffd")
    detail = detail.encode("utf-8", "replace").decode()
    return Acknowledgement(UUID(str(data["command_id"])), data["ok"], detail[:2000], at)


def _check_observation(seen: Observation, gate: KnownGate) -> None:
    """A gate speaks as itself, for its clients; and every value has its type and size."""
    if type(seen.tenant_id) is not int or seen.tenant_id not in gate.tenant_ids:
        raise LineRefused("this gate does not speak for that client")
    if seen.layer is not Layer.GATEWAY or seen.source != f"gate:{gate.name}":
        raise LineRefused("a gate speaks for itself only")
    for name, longest in _LONGEST.items():
        _check_text(name, getattr(seen, name), longest)
    if not seen.source_key or not seen.recipient:
        raise LineRefused("an observation needs source_key and recipient")
    if seen.direction not in list(Direction):
        raise LineRefused(f"direction is one of {', '.join(Direction)}")
    if not _EVIDENCE.match(seen.evidence):
        raise LineRefused("evidence is a SHA-256 in hex, or nothing")
    _check_time("observed_at", seen.observed_at)
    _check_shapes(seen)


def _check_time(name: str, at: datetime) -> None:
    if not _FIRST_TIME <= at <= timezone.now() + _CLOCK_AHEAD:
        raise LineRefused(f"{name} lies in the future or in the far past")


def _check_text(name: str, value: object, longest: int) -> None:
    if not isinstance(value, str) or len(value.encode("utf-8", "replace")) > longest:
        raise LineRefused(f"{name} is a text of at most {longest} bytes")


def _check_shapes(seen: Observation) -> None:
    for name in _NUMBERS:
        value = getattr(seen, name)
        if value is not None and not _is_number(value):
            raise LineRefused(f"{name} is a number or null")
    if seen.is_read not in (None, True, False):
        raise LineRefused("is_read is true, false or null")
    if not isinstance(seen.mail, dict) or not isinstance(seen.detail, dict):
        raise LineRefused("mail and detail are objects")
    for reason in seen.reasons:
        if not all(isinstance(each, str) for each in (reason.code, reason.text, reason.value)):
            raise LineRefused("code, text and value of a reason are texts")
        if not _is_number(reason.weight):
            raise LineRefused("the weight of a reason is a number")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
