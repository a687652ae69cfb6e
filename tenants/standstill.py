"""An old backup never acts: a database that is older than what was done from it stands still.

1. Every few seconds the database counts one *tick* further, and witnesses outside of it are told
   (tenants/witness.py).  A gate is a witness too: it knows the number of its last command.
2. Whoever is about to act asks ``may_act``.  Where a witness is ahead of the database, or where
   none knows a database that has ticked, it *stands still*: no queue hands out work, no gate is
   given commands or policies.  What gates report is taken in as ever.
3. A person looks, and says ``manage.py restored``: what had been ordered is called off, or goes on
   where nothing was restored.  docs/install.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db import connection, transaction
from django.utils.dateparse import parse_datetime
from redis.exceptions import RedisError

from tenants.doors import ask
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.witness import last_seen, tell

log = logging.getLogger(__name__)

TICK_S = 5.0
CALLED_OFF = "Called off: it was ordered in a database that was restored from a backup."
# (client, time) → how many of its things it has called off.  Runs in a worker's scope.
CallOff = Callable[[int, datetime], int]
_waiting: dict[str, CallOff] = {}
# Told the highest number of a command that a gate has shown.
_numbers: list[Callable[[int], None]] = []
_SHOWN = "stands-still"


@dataclass(frozen=True, slots=True)
class Standstill:
    """``is_older``: something is known that this database does not know; else: nobody knows it."""

    since: datetime
    is_older: bool


def register_waiting(words: str, call_off: CallOff) -> None:
    """``words`` name in the plural what would be carried out, as *pulls and restores*."""
    _waiting[words] = call_off


def register_numbers(go_on: Callable[[int], None]) -> None:
    """Runs as the owner, outside any scope, when work goes on."""
    _numbers.append(go_on)


class _Ticker:
    """What this process found when it last looked."""

    def __init__(self) -> None:
        self.fresh_until = 0.0
        self.may_act = False
        self.said: Standstill | None = None

    def look(self) -> bool:
        if time.monotonic() >= self.fresh_until:
            found = _tick()
            if found is not None and self.said != found:
                log.error("Bailey stands still since %s. See manage.py restored.", found.since)
            self.said, self.may_act = found, found is None
            self.fresh_until = time.monotonic() + TICK_S
        return self.may_act


_ticker = _Ticker()


def may_act() -> bool:
    """False: the database stands still.  Asks it at most every ``TICK_S`` in a process."""
    return _ticker.look()


def forget_tick() -> None:
    """This process looks again at once."""
    _ticker.fresh_until = 0.0


def _tick() -> Standstill | None:
    known = ask("door_installation")
    now = ask("door_tick", last_seen(known["id"]) if known else None)
    if now["stands_since"] is None:
        tell(now["id"], now["tick"])
        return None
    found = _read(now)
    _show(found)
    return found


def note_gate_ahead(command: int) -> None:
    """A gate has done a command whose number this database has not given yet."""
    ask("door_gate_is_ahead", command)
    forget_tick()


def standstill() -> Standstill | None:
    """For people: what stands in the database now."""
    known = ask("door_installation")
    return _read(known) if known and known["stands_since"] else None


def shown_standstill() -> Standstill | None:
    """For every page, without a statement: as whoever ticks has told the broker."""
    try:
        shown: Standstill | None = cache.get(_SHOWN)
    except (RedisError, OSError):
        return None
    return shown


def _show(found: Standstill | None) -> None:
    try:
        if found:
            cache.set(_SHOWN, found, timeout=12 * TICK_S)
        else:
            cache.delete(_SHOWN)
    except (RedisError, OSError) as error:
        log.warning("the broker is not told whether Bailey stands still: %s", error)


def begin_again(now: datetime, *, is_called_off: bool) -> dict[str, int]:
    """A person has looked: work goes on.  Answers how many were called off, by their words.

    All in one transaction: half a restored database never acts.
    """
    counted = dict.fromkeys(_waiting, 0)
    with transaction.atomic():
        with maintenance_scope(), connection.cursor() as cursor:
            if is_called_off:
                cursor.execute("SELECT id, provider_id FROM tenants_tenant ORDER BY id")
                for tenant_id, provider_id in cursor.fetchall():
                    with tenant_scope(Role.WORKER, [tenant_id], provider_id=provider_id):
                        for words, call_off in _waiting.items():
                            counted[words] += call_off(tenant_id, now)
            installation, tick, commands = _tick_on(cursor)
        # The sequence is the owner's own: no scope may set it.
        for go_on in _numbers:
            go_on(commands)
    tell(installation, tick)
    _show(None)
    return counted


def _tick_on(cursor: Any) -> tuple[str, int, int]:
    """Ahead of every witness: the installation, its tick, the highest command a gate has shown."""
    cursor.execute("INSERT INTO tenants_installation DEFAULT VALUES ON CONFLICT DO NOTHING")
    cursor.execute("SELECT id FROM tenants_installation FOR UPDATE")
    installation = str(cursor.fetchone()[0])
    cursor.execute(
        "UPDATE tenants_installation SET tick = greatest(tick, %s) + 1, stands_since = NULL,"
        " why = '' RETURNING tick, commands",
        [last_seen(installation) or 0],
    )
    tick, commands = cursor.fetchone()
    return installation, tick, commands


def _read(known: dict[str, str]) -> Standstill:
    since = parse_datetime(known["stands_since"])
    assert since is not None
    return Standstill(since, known["why"] == "older")
