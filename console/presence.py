"""Who is looking at an incident now.  Kept in the cache for a minute; losing it harms nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import time
from uuid import UUID

from django.core.cache import cache
from redis.exceptions import RedisError

from incidents.models import Incident
from tenants.models import Person

log = logging.getLogger(__name__)

SEEN_FOR_S = 60


def _key(incident: Incident) -> str:
    return f"tenant.{incident.tenant_id}.looking.{incident.id}"


def look_at(incident: Incident, person: Person) -> list[str]:
    """Say that this person looks at it; answers who else does."""
    now = time()
    try:
        seen = {
            key: (name, at)
            for key, (name, at) in cache.get(_key(incident), {}).items()
            if at > now - SEEN_FOR_S
        }
        seen[str(person.id)] = (person.name, now)
        cache.set(_key(incident), seen, timeout=SEEN_FOR_S)
    except RedisError:
        log.warning("who looks at incidents is not known: the cache does not answer")
        return []
    return [name for key, (name, _) in seen.items() if key != str(person.id)]


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
