"""The one door for observations: bulk, idempotent, in any order.

COPY cannot go into a table with row-level security, so rows go to a temporary table first and from
there in one statement into history and into the backlog of what is to be made sense of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from django.db import connection

from incidents.observations import Observation
from tenants.ids import new_id
from tenants.scope import current_scope
from tenants.work import want_work

_TEXTS = (
    *("source", "source_key", "recipient", "direction", "internet_message_id", "fingerprint"),
    *("trace_ulid", "trace_state", "mailbox_item_id", "engine", "engine_version"),
    *("policy_version", "rule", "evidence"),
)
_COLUMNS = [
    *("id", "tenant_id", "observed_at", "layer", "verdict", "score", "score_limit", "confidence"),
    *("action", "place", "is_read", "reasons", "mail", "detail"),
    *_TEXTS,
]
_LIST = ", ".join(_COLUMNS)
_NUL = "\x00"


@dataclass(frozen=True, slots=True)
class Recorded:
    stored: int
    duplicates: int


class ForeignObservation(ValueError):
    """An observation of a client that this scope does not hold."""


def _text(value: str) -> str:
    """PostgreSQL keeps no NUL and no half of a surrogate pair; hostile mail has both."""
    if _NUL in value:
        value = value.replace(_NUL, "\ufffd")
    return value if value.isascii() else _whole(value)


def _whole(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _json(value: Any) -> str:
    """As JSON, with a visible mark for what PostgreSQL does not take in a text."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        # Half of a surrogate pair, a number of more than 64 bits, deeper than 254 levels.  Where
        # orjson writes null for an infinite number, this writes what the database refuses.
        text = _whole(json.dumps(value, ensure_ascii=False, default=asdict))
    return text.replace("\\u0000", "\\ufffd")


def _row(observation: Observation) -> tuple[Any, ...]:
    texts = [_text(getattr(observation, name)) for name in _TEXTS]
    return (
        new_id(),
        observation.tenant_id,
        observation.observed_at,
        observation.layer,
        observation.verdict,
        observation.score,
        observation.score_limit,
        observation.confidence,
        observation.action,
        observation.place,
        observation.is_read,
        _json(observation.reasons),
        _json(observation.mail),
        _json(observation.detail),
        *texts,
    )


def record(observations: Iterable[Observation]) -> Recorded:
    """Store what is new, and want the work that makes sense of it.

    Must run in a scope that holds the clients of all observations; commits with it.  A duplicate
    (same client, source, key and time) changes nothing.  Raises ``ForeignObservation``.
    """
    seen = list(observations)
    if not seen:
        return Recorded(0, 0)
    tenants = {each.tenant_id for each in seen}
    if not tenants.issubset(current_scope().tenant_ids):
        raise ForeignObservation(f"clients {sorted(tenants)} are not all in this scope")
    stored = _copy(seen)
    if stored:
        for tenant_id in sorted(tenants):
            want_work(tenant_id, "intake")
    return Recorded(stored, len(seen) - stored)


def _copy(seen: Sequence[Observation]) -> int:
    # Each role has a table of its own: one role may not touch another's temporary table.
    scratch = f"pg_temp.intake_{current_scope().role}"
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_SCRATCH.format(scratch=scratch, columns=_LIST))
        # Django leaves errors of COPY as they are: callers know its own only.
        with (
            connection.wrap_database_errors,
            cursor.copy(f"COPY {scratch} ({_LIST}) FROM STDIN") as copy,
        ):
            # Row by row: the server reads the first ones while we write out the next.
            for each in seen:
                copy.write_row(_row(each))
        cursor.execute(_MOVE.format(scratch=scratch, columns=_LIST))
        return int(cursor.rowcount)


# As a rule the commit has emptied it: the DELETE is for an earlier call in this transaction, and
# finds nothing at once where a TRUNCATE would make new files.
_MAKE_SCRATCH = """
CREATE TEMPORARY TABLE IF NOT EXISTS {scratch} ON COMMIT DELETE ROWS
    AS SELECT {columns} FROM incidents_observation WITH NO DATA;
DELETE FROM {scratch}
"""
_MOVE = """
WITH new AS (
    INSERT INTO incidents_observation ({columns}) SELECT {columns} FROM {scratch}
    ON CONFLICT (tenant_id, source, source_key, observed_at) DO NOTHING
    RETURNING id, tenant_id, observed_at
)
INSERT INTO incidents_backlog (observation_id, tenant_id, observed_at)
SELECT id, tenant_id, observed_at FROM new
"""
