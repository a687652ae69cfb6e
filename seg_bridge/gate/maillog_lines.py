"""One line of Postfix's log, read strictly: senders choose a part of its words.

``read_line`` gives what the gate follows, None for everything else:
``Traced``     a mail in the queue is this mail of ours (trace_checks of postfix_texts.py)
``Attempted``  the next hop's answer for one recipient, or that none was to be had
``Expired``    Postfix gave up, the sender gets a notice
``Removed``    it is in the queue no more; ``by_hand`` if an operator took it out
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

State = Literal["sent", "deferred", "bounced"]

_LINE = re.compile(
    r"(?P<at>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9-]{5}T[0-9:.]+(?:Z|[+-][0-9:]{5}))"
    r" \S+ [\w-]+/(?:[\w-]+/)*(?P<program>[\w-]+)\[[0-9]+\]:"
    r" (?P<queue_id>[0-9A-Za-z]{5,20}): (?P<text>.+)\Z"
)
_TRACED = re.compile(
    r"(?:milter-header-info|info): header X-Bailey-(?:Trace: v1; |Sent: t=).*"
    r": bailey t=(?P<tenant>[0-9]{1,18}) u=(?P<ulid>[0-9A-HJKMNP-TV-Z]{26})(?P<out> outbound)?\Z"
)
_ATTEMPTED = re.compile(
    r"to=<(?P<recipient>[^>]*)>, (?:orig_to=<[^>]*>, )?relay=(?P<relay>[^,]*), (?:conn_use=\d+, )?"
    r"delay=(?P<delay>[0-9.]+), delays=[0-9./e+-]+, dsn=(?P<dsn>[245]\.\d+\.\d+),"
    r" status=(?P<status>sent|deferred|bounced) \((?P<reply>.*)\)\Z"
)
_EXPIRED = re.compile(r"from=<[^>]*>, status=(?:force-)?expired, returned to sender\Z")
_TRADITIONAL = re.compile(r"([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2})\Z")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905  one line
# A line of that form has no year: one that seems to lie ahead is of the last one.
_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Traced:
    queue_id: str
    tenant_id: int
    ulid: str
    is_outbound: bool = False


@dataclass(frozen=True, slots=True)
class Attempted:
    """``relay`` is the host that was asked, "none" without one; ``reply`` its words or why not."""

    queue_id: str
    at: datetime
    recipient: str
    state: State
    relay: str
    dsn: str
    reply: str


@dataclass(frozen=True, slots=True)
class Expired:
    queue_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Removed:
    queue_id: str
    at: datetime
    by_hand: bool


Event = Traced | Attempted | Expired | Removed


def is_of_interest(line: bytes) -> bool:
    """False: ``read_line`` would give None, as for two of three lines."""
    return b" status=" in line or line.endswith(b": removed") or b"info: header X-Bailey-" in line


def read_line(line: str, now: datetime) -> Event | None:
    """``now`` is aware; times without a zone are UTC (our Postfix runs so)."""
    match = _LINE.match(line)
    if match is None:
        return None
    queue_id, text, program = match["queue_id"], match["text"], match["program"]
    if program == "cleanup":
        traced = _TRACED.match(text)
        if traced is None:
            return None
        is_outbound = traced["out"] is not None
        return Traced(queue_id, int(traced["tenant"]), traced["ulid"], is_outbound)
    is_removed = text == "removed"
    is_told_by_queue = program == "qmgr" and not is_removed
    told = (_EXPIRED if is_told_by_queue else _ATTEMPTED).match(text)
    at = _time(match["at"], now) if told or is_removed else None
    if at is None:
        return None
    if is_removed:
        return Removed(queue_id, at, by_hand=program == "postsuper")
    if is_told_by_queue:
        return Expired(queue_id, at)
    assert told is not None
    state: State = told["status"]  # type: ignore[assignment]
    return Attempted(
        queue_id,
        at,
        told["recipient"],
        state,
        told["relay"],
        told["dsn"],
        told["reply"],
    )


def _time(text: str, now: datetime) -> datetime | None:
    try:
        if text[0].isdigit():
            return datetime.fromisoformat(text).astimezone(UTC)
        found = _TRADITIONAL.match(text)
        if found is None:
            return None
        day, hour, minute, second = map(int, found.groups()[1:])
        month = _MONTHS.index(found[1]) + 1
        at = datetime(now.year, month, day, hour, minute, second, tzinfo=UTC)
        return at if at <= now + _AHEAD else at.replace(year=now.year - 1)
    except ValueError:  # 29 February of a year that has none, 25 o'clock
        return None
