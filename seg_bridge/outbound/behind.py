"""Behind an account's incident at the gateway: its stops, and the logins that its mails came by."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from incidents.models import Delivery
from incidents.sightings import history_of
from incidents.words import Direction
from seg_bridge.outbound.models import SenderStop, SubmissionLogin

_LOGIN = "login "


def stops_of(tenant_id: int, incident_ids: Collection[UUID]) -> QuerySet[SenderStop]:
    """Oldest first."""
    rows = SenderStop.objects.filter(tenant=tenant_id, incident__in=incident_ids)
    return rows.order_by("stopped_at", "id")


def logins_behind(tenant_id: int, incident_ids: Collection[UUID]) -> list[SubmissionLogin]:
    """Also those that have ended.  Empty where a host on the client's list sent."""
    copies = Delivery.objects.filter(
        tenant=tenant_id,
        direction=Direction.OUTBOUND,
        message__memberships__incident__in=incident_ids,
    )
    names = {
        str((one.detail.get("sent_by") or {}).get("by") or "").removeprefix(_LOGIN)
        for seen in history_of(copies).values()
        for one in seen
    }
    rows = SubmissionLogin.objects.filter(tenant=tenant_id, name__in=names - {""})
    return list(rows.order_by("name"))
