"""Serves the queue ``access``: what came back from Microsoft, and hourly whether all stands.

The beat wants it hourly of every client, for one without a connection takes in mail, too.
"""

from __future__ import annotations

from datetime import datetime

from api_bridge.access.gdap import look_at_relationships
from api_bridge.access.hosts import try_hosts
from api_bridge.access.proof import prove_returned
from api_bridge.access.watching import look
from api_bridge.blindspots import watch_sight
from api_bridge.conservation import watch_conservation
from tenants.doors import ClaimedWork
from tenants.work import want_work, work_scope


def serve_access(claimed: ClaimedWork) -> datetime | None:
    """One client; answers when it is to be called again."""
    again = prove_returned(claimed)
    try_hosts(claimed)
    look_at_relationships(claimed)
    due = look(claimed)
    watch_sight(claimed)
    watch_conservation(claimed)
    with work_scope(claimed):
        want_work(claimed.tenant_id, "accounts")
    return min((at for at in (again, due) if at), default=None)
