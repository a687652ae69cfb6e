"""Which groups of a client's directory decide something, whichever room lets them.

The room that follows the directory reads the members of these with each list; of others it takes
its time.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

_asked: list[Callable[[int], set[UUID]]] = []


def register_governing(which: Callable[[int], set[UUID]]) -> None:
    """``which(tenant_id)``: groups that something of this room names.  Rooms register when they are
    ready.
    """
    _asked.append(which)


def governing_groups(tenant_id: int) -> set[UUID]:
    """Needs the client's scope."""
    return {group_id for which in _asked for group_id in which(tenant_id)}
