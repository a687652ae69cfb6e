"""What was last known of the database outside of it: a file of this host, and the broker.

A restored database knows nothing of what was done after its backup.  These two do: each time Bailey
ticks (tenants/standstill.py), they are told the tick.  Either may be lost; one is enough.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


def last_seen(installation: str) -> int | None:
    """The highest tick that was told of this installation; None: nobody here knows it."""
    told = [each for each in (_on_disk(installation), _at_the_broker(installation)) if each]
    return max(told, default=None)


def tell(installation: str, tick: int) -> None:
    """What cannot be told is logged: the other one still knows."""
    if (_on_disk(installation) or 0) < tick:
        scratch = _file().with_suffix(f".{os.getpid()}")
        try:
            scratch.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps({"installation": installation, "tick": tick}))
            scratch.replace(_file())
        except OSError as error:
            log.warning("the tick is not written to %s: %s", _file(), error)
    try:
        if (cache.get(_key(installation)) or 0) < tick:
            cache.set(_key(installation), tick, timeout=None)
    except (RedisError, OSError) as error:
        log.warning("the broker is not told the tick: %s", error)


def _on_disk(installation: str) -> int | None:
    try:
        told = json.loads(_file().read_text())
        return int(told["tick"]) if told["installation"] == installation else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _at_the_broker(installation: str) -> int | None:
    try:
        told: int | None = cache.get(_key(installation))
    except (RedisError, OSError):
        return None
    return told


def _file() -> Path:
    return Path(settings.VAR_DIR) / "witness.json"


def _key(installation: str) -> str:
    return f"tick/{installation}"
