"""What an account's incident tells of its stop and its logins (incidents/account_told.py)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from incidents.account_told import SendingTold
from seg_bridge.outbound.behind import logins_behind, stops_of


class GatewayTeller:
    """Needs the client's scope, which is not the portal's: stops and logins are not for it."""

    def sending(self, tenant_id: int, incident_ids: Collection[UUID]) -> Sequence[SendingTold]:
        stops = stops_of(tenant_id, incident_ids)
        if not stops:
            return ()
        lifted = [
            SendingTold(
                source=f"stop:{stop.id}",
                at=stop.lifted_at,
                words=f"{stop.lifted_by} let {stop.mailbox} send again.",
                reason=stop.lift_reason,
            )
            for stop in stops
            if stop.lifted_at is not None
        ]
        ended = [
            SendingTold(
                source=f"login:{login.id}",
                at=login.ended_at,
                words=f"{login.ended_by} ended the login {login.name}.",
                reason=f"It was made for: {login.purpose}",
            )
            for login in logins_behind(tenant_id, incident_ids)
            if login.ended_at is not None and login.ended_at >= stops[0].stopped_at
        ]
        return [*lifted, *ended]
