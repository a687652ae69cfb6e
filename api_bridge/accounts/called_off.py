"""Steps of an account's response that wait, called off after a restore (tenants/standstill.py)."""

from __future__ import annotations

from datetime import datetime

from api_bridge.accounts.models import AccountStep
from tenants.standstill import CALLED_OFF


def call_off_steps(tenant_id: int, now: datetime) -> int:
    """What the mail host was never asked for is withdrawn; of the rest nobody knows."""
    waiting = AccountStep.objects.filter(tenant_id=tenant_id, state__in=AccountStep.OPEN)
    untouched = waiting.filter(state=AccountStep.State.PENDING, called_at=None)
    count = untouched.update(state=AccountStep.State.WITHDRAWN, words=CALLED_OFF, finished_at=now)
    return count + waiting.update(
        state=AccountStep.State.UNPROVEN, words=CALLED_OFF, finished_at=now
    )
