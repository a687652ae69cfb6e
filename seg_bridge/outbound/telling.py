"""What an account's incident tells of its stop and its logins (incidents/account_told.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from incidents.account_told import SendingTold
from seg_bridge.outbound.behind import logins_behind, stops_of
from seg_bridge.outbound.models import SenderStop
from tenants.scope import Role, current_scope

# What the portal reads of a stop: the database grants it no more.
_FOR_CLIENT = ("id", "mailbox", "stopped_at", "lifted_at", "lifted_by")


class GatewayTeller:
    """Needs the client's scope.  The portal is told who lifted a stop and when, and no logins."""

    def sending(self, tenant_id: int, incident_ids: Collection[UUID]) -> Sequence[SendingTold]:
        stops = stops_of(tenant_id, incident_ids)
        if current_scope().role is Role.PORTAL:
            return [_lifted(stop) for stop in stops.only(*_FOR_CLIENT) if stop.lifted_at]
        told = [_lifted(stop, stop.lift_reason) for stop in stops if stop.lifted_at]
        if stops:
            told += _ended(tenant_id, incident_ids, stops[0].stopped_at)
        return told


def _lifted(stop: SenderStop, reason: str = "") -> SendingTold:
    assert stop.lifted_at is not None
    words = _("%(by)s let %(mailbox)s send again.")
    return SendingTold(
        source=f"stop:{stop.id}",
        at=stop.lifted_at,
        words=words % {"by": stop.lifted_by, "mailbox": stop.mailbox},
        reason=reason,
    )


def _ended(
    tenant_id: int, incident_ids: Collection[UUID], since: datetime
) -> Iterator[SendingTold]:
    for login in logins_behind(tenant_id, incident_ids):
        if login.ended_at is not None and login.ended_at >= since:
            yield SendingTold(
                source=f"login:{login.id}",
                at=login.ended_at,
                words=f"{login.ended_by} ended the login {login.name}.",
                reason=f"It was made for: {login.purpose}",
            )
