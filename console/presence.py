"""Who is looking at an incident now.  Kept in the cache for a minute; losing it harms nobody.

Whoever comes is announced, so that the pages of those who were there show her at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import sleep, time
from uuid import UUID

from django.core.cache import cache
from redis.exceptions import RedisError

from incidents.announce import announce_looking
from incidents.models import Incident
from tenants.models import Person

log = logging.getLogger(__name__)

SEEN_FOR_S = 60
_WAIT_S, _TRIES, _LOCKED_FOR_S = 0.005, 40, 1


def _key(incident: Incident) -> str:
    return f"tenant.{incident.tenant_id}.looking.{incident.id}"


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """Two who come at once write one after the other, or one of them were not there.

    After 0.2 s it goes on all the same: nobody waits longer for what is so little.
    """
    lock = f"{key}.locked"
    is_mine = False
    for _ in range(_TRIES):
        if is_mine := cache.add(lock, 1, timeout=_LOCKED_FOR_S):
            break
        sleep(_WAIT_S)
    try:
        yield
    finally:
        if is_mine:
            cache.delete(lock)


def look_at(incident: Incident, person: Person) -> list[str]:
    """Say that this person looks at it; answers who else does."""
    key, now = _key(incident), time()
    try:
        with _alone(key):
            seen = {
                known: (name, at)
                for known, (name, at) in cache.get(key, {}).items()
                if at > now - SEEN_FOR_S
            }
            is_new = str(person.id) not in seen
            seen[str(person.id)] = (person.name, now)
            cache.set(key, seen, timeout=SEEN_FOR_S)
    except RedisError:
        log.warning("who looks at incidents is not known: the cache does not answer")
        return []
    if is_new:
        announce_looking(incident.tenant_id, incident.id)
    return [name for known, (name, _) in seen.items() if known != str(person.id)]


def who_looks(incidents: Iterable[Incident], *, but: Person) -> dict[UUID, list[str]]:
    """Incident → names of those who look at it now, but for this person."""
    keys = {_key(incident): incident.id for incident in incidents}
    try:
        found = cache.get_many(keys)
    except RedisError:
        return {}
    now = time()
    return {
        keys[key]: [
            name
            for person_id, (name, at) in seen.items()
            if at > now - SEEN_FOR_S and person_id != str(but.id)
        ]
        for key, seen in found.items()
    }
