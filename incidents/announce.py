"""Telling open browsers that something changed.  The message names the thing, never its content.

Told once the transaction has committed: what was taken back is told to nobody.  A browser fetches
the changed part again, so that permission is checked in one place.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


def tenant_group(tenant_id: int) -> str:
    """The group of everybody who looks at this client now."""
    return f"tenant.{tenant_id}"


def announce_incident(tenant_id: int, incident_id: Any) -> None:
    transaction.on_commit(partial(_send, tenant_id, "incident", incident_id))


def announce_looking(tenant_id: int, incident_id: Any) -> None:
    """Somebody of the staff has opened the incident: no client hears when that is."""
    transaction.on_commit(partial(_send, tenant_id, "incident", incident_id, is_for_staff=True))


def announce_job(tenant_id: int, job_id: Any) -> None:
    transaction.on_commit(partial(_send, tenant_id, "job", job_id))


def _send(tenant_id: int, what: str, object_id: Any, *, is_for_staff: bool = False) -> None:
    event = {
        "type": "changed",
        "what": what,
        "id": str(object_id),
        "tenant_id": tenant_id,
        "is_for_staff": is_for_staff,
    }
    try:
        async_to_sync(get_channel_layer().group_send)(tenant_group(tenant_id), event)
    except (RedisError, OSError):
        log.warning(
            "could not announce %s %s: the pages show it when they are opened", what, object_id
        )
