"""Serves the queue ``accounts``: steps that people ordered first, then the look at accounts."""

from __future__ import annotations

from datetime import datetime

from api_bridge.accounts.look import look_at_accounts
from api_bridge.accounts.respond import carry_out_steps
from tenants.doors import ClaimedWork

QUEUE = "accounts"


def serve_accounts(claimed: ClaimedWork) -> datetime | None:
    """One client; answers when it is to be called again."""
    times = (carry_out_steps(claimed), look_at_accounts(claimed))
    return min((at for at in times if at), default=None)
