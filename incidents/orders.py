"""Standing orders: what a person wants done with later copies of an incident.

A pull leaves an order behind: copies that arrive while it stands join the incident and are pulled
too, by her order.  It ends by itself, is listed, and can be withdrawn; restoring withdraws it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from incidents.campaigns.moving import lineage
from incidents.models import Incident, StandingOrder
from tenants.audit import Actor, write_audit
from tenants.models import Person, Tenant

GIVEN = "incidents.order.given"
WITHDRAWN = "incidents.order.withdrawn"
LATE_COPIES = timedelta(days=7)


def orders_in_force() -> Q:
    """For ``StandingOrder.objects.filter``: neither withdrawn nor ended."""
    return Q(withdrawn_at=None, expires_at__gt=timezone.now())


def give_order(
    *,
    incident: Incident,
    kind: str,
    actor: Person | Actor,
    reason: str = "",
    lasts: timedelta = LATE_COPIES,
) -> StandingOrder:
    """The incident's one order, in place of an earlier one."""
    now = timezone.now()
    StandingOrder.objects.filter(incident=incident, withdrawn_at=None).update(
        withdrawn_at=now, withdrawn_by=actor.name
    )
    order: StandingOrder = StandingOrder.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        kind=kind,
        owner_id=actor.id,
        owner_name=actor.name,
        reason=reason,
        expires_at=now + lasts,
    )
    _audit(GIVEN, order, actor, reason, kind=kind, until=order.expires_at.isoformat())
    return order


def withdraw_order(*, order: StandingOrder, actor: Person | Actor, reason: str = "") -> None:
    """Withdrawing it twice changes nothing."""
    changed = StandingOrder.objects.filter(id=order.id, withdrawn_at=None).update(
        withdrawn_at=timezone.now(), withdrawn_by=actor.name
    )
    if changed:
        _audit(WITHDRAWN, order, actor, reason)


def withdraw_orders_of(incident: Incident, actor: Person | Actor, reason: str) -> None:
    """What is put back or let be is not pulled by an earlier wish, of those merged into it too."""
    whole = lineage(incident)
    for order in StandingOrder.objects.filter(incident__in=whole, withdrawn_at=None):
        withdraw_order(order=order, actor=actor, reason=reason)


def _audit(
    action: str, order: StandingOrder, actor: Person | Actor, reason: str, **detail: Any
) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=Tenant.objects.get(id=order.tenant_id).provider_id,
        tenant_id=order.tenant_id,
        object_kind="standing_order",
        object_id=order.id,
        reason=reason,
        incident=str(order.incident_id),
        **detail,
    )
