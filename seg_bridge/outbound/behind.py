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
    """Also those that have ended.  Empty where a host on the client's list sent all of it."""
    ways = _ways(tenant_id, incident_ids)
    names = {way.removeprefix(_LOGIN) for way in ways if way.startswith(_LOGIN)}
    rows = SubmissionLogin.objects.filter(tenant=tenant_id, name__in=names)
    return list(rows.order_by("name"))


def is_all_by_logins(tenant_id: int, incident_ids: Collection[UUID]) -> bool:
    """Whether no host on the client's list, behind which are its mailboxes, sent any of it."""
    ways = _ways(tenant_id, incident_ids)
    return bool(ways) and all(way.startswith(_LOGIN) for way in ways)


def _ways(tenant_id: int, incident_ids: Collection[UUID]) -> set[str]:
    """``login NAME`` or ``host ADDRESS``: by which the incidents' mails came to the gateway."""
    copies = Delivery.objects.filter(
        tenant=tenant_id,
        direction=Direction.OUTBOUND,
        message__memberships__incident__in=incident_ids,
    )
    ways = {
        str((one.detail.get("sent_by") or {}).get("by") or "")
        for seen in history_of(copies).values()
        for one in seen
    }
    return ways - {""}
