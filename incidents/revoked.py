"""An exception that somebody takes back: what it had let be is looked at as if it never had.

One that only comes to its end lets later mail be no longer; what came while it stood stays so.
"""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from incidents.holding import hold_intake
from incidents.models import AllowedCopy
from incidents.opening import assess_messages
from tenants.audit import Actor
from tenants.models import Person, Tenant


def stop_allowing(tenant: Tenant, rule_id: UUID, actor: Person | Actor) -> int:
    """Answers how many copies were let be by it.  Needs the client's scope."""
    mine = AllowedCopy.objects.filter(tenant=tenant, rule_id=rule_id, ended_at=None)
    if not mine.exists():
        return 0
    # Before any incident is held (incidents/holding.py).
    hold_intake(tenant.id)
    ids = list(mine.values_list("id", flat=True))
    mine.filter(id__in=ids).update(ended_at=timezone.now(), ended_by=actor.name)
    rows = AllowedCopy.objects.filter(id__in=ids)
    assess_messages(tenant, set(rows.values_list("delivery__message_id", flat=True)))
    return len(ids)
