"""Ids that sort by the time they were made, so that indexes grow at one end."""

from __future__ import annotations

import os
import time
from threading import Lock
from uuid import UUID

_RANDOM_BITS = 80
_lock = Lock()
_last = 0


def new_id() -> UUID:
    """A ULID as UUID: milliseconds, then chance.

    Ids of one process always grow; within a millisecond each is the one before and a little more.
    """
    global _last  # noqa: PLW0603 - the one value that all threads share
    with _lock:
        now = time.time_ns() // 1_000_000 << _RANDOM_BITS
        if now > _last:
            _last = now | int.from_bytes(os.urandom(10))
        else:
            _last += 1 + int.from_bytes(os.urandom(4))
        return UUID(int=_last)


def as_uuid(value: object) -> UUID | None:
    """The id in this text, None where it is none."""
    try:
        return UUID(str(value))
    except ValueError:
        return None
