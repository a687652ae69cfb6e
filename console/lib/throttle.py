"""At most so many tries in a window, counted in the cache."""

from __future__ import annotations

import logging
from datetime import timedelta
from hashlib import sha256

from django.core.cache import cache
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from tenants.errors import TooManyRequests

log = logging.getLogger(__name__)


def count_try(what: str, whose: str, *, limit: int, window: timedelta) -> None:
    """Raises ``TooManyRequests`` from the try after ``limit``.

    A cache that is away refuses nobody: it is no reason to lock all people out.
    """
    key = f"tries:{what}:{sha256(whose.encode()).hexdigest()}"
    try:
        cache.add(key, 0, timeout=int(window.total_seconds()))
        tries = cache.incr(key)
    except (RedisError, ValueError):
        log.warning("tries of %s are not counted: the cache does not answer", what)
        return
    if tries > limit:
        minutes = max(1, round(window.total_seconds() / 60))
        said = _("Too many tries. Please wait %(minutes)d minutes and try again.")
        raise TooManyRequests(said % {"minutes": minutes})
