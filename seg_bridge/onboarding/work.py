"""The worker's share: DNS is asked and test mails are sent outside any scope, each for one client.

1. read what is wanted, and claim each test mail (``waiting`` → ``sending``), so that none is sent
   twice;
2. ask and send;
3. write what came of it.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from seg_bridge.engines.embedded.resolver import Lookup, Resolver
from seg_bridge.gate.ways import split_hop
from seg_bridge.models import DomainCheck, GateClient, TrialMail
from seg_bridge.onboarding.look import look_at
from seg_bridge.onboarding.probe import Trial, send_trial_mail, smtp_address, write_trial
from tenants.doors import ClaimedWork
from tenants.scope import Role, tenant_scope

# Records spread slowly: what is not there yet is looked for again by itself.
LOOK_AGAIN = timedelta(minutes=10)
LOOK_FOR = timedelta(days=7)
TRIALS_AT_ONCE = 5


def serve_onboarding(claimed: ClaimedWork) -> datetime | None:
    """What waits for this client; answers when it is to be looked at again."""
    looked = {one.id: _look(one) for one in _domains(claimed)}
    for trial in _claim_trials(claimed):
        _keep_trial(claimed, trial.id, _send(trial))
    return _keep_looks(claimed, looked)


def _scope(claimed: ClaimedWork) -> Any:
    return tenant_scope(Role.WORKER, [claimed.tenant_id], provider_id=claimed.provider_id)


class _Wanted:
    """A domain to look at, free of the database."""

    def __init__(self, check: DomainCheck, gates: list[str]) -> None:
        self.id, self.name, self.token = check.id, check.domain.name, check.token
        self.gates = gates


def _domains(claimed: ClaimedWork) -> list[_Wanted]:
    with _scope(claimed):
        gates = list(
            GateClient.objects.filter(tenant_id=claimed.tenant_id)
            .order_by("gate__hostname")
            .values_list("gate__hostname", flat=True)
        )
        due = DomainCheck.objects.filter(
            tenant_id=claimed.tenant_id, wanted_at__lte=timezone.now()
        ).select_related("domain")
        return [_Wanted(check, gates) for check in due]


def _look(wanted: _Wanted) -> dict[str, Any]:
    return look_at(resolver(), wanted.name, wanted.token, wanted.gates)


def resolver() -> Lookup:
    """A fresh one for each look: the last answer was perhaps that there is nothing."""
    server = os.environ.get("BAILEY_DNS", "")
    return Resolver(split_hop(server) if server else None)


def _keep_looks(claimed: ClaimedWork, looked: dict[UUID, dict[str, Any]]) -> datetime | None:
    now = timezone.now()
    with _scope(claimed):
        for check in DomainCheck.objects.filter(id__in=looked):
            found = looked[check.id]
            is_done = all(found[each]["state"] == "seen" for each in ("owner", "mx"))
            is_over = is_done or now - check.created_at > LOOK_FOR
            DomainCheck.objects.filter(id=check.id).update(
                found=found, looked_at=now, wanted_at=None if is_over else now + LOOK_AGAIN
            )
        due = DomainCheck.objects.filter(tenant_id=claimed.tenant_id).exclude(wanted_at=None)
        return due.order_by("wanted_at").values_list("wanted_at", flat=True).first()


class _Claimed:
    """A test mail that this worker alone sends."""

    def __init__(self, trial: TrialMail) -> None:
        self.id, self.recipient = trial.id, trial.recipient
        self.server = smtp_address(trial.gate.name, trial.gate.hostname)
        self.raw = write_trial(
            hostname=trial.gate.hostname,
            recipient=trial.recipient,
            client=trial.tenant.name,
            message_id=trial.internet_message_id,
        )


def _claim_trials(claimed: ClaimedWork) -> list[_Claimed]:
    state = TrialMail.State
    with _scope(claimed):
        waiting = TrialMail.objects.filter(tenant_id=claimed.tenant_id, state=state.WAITING)
        found = []
        for trial in waiting.select_related("gate", "tenant").order_by("id")[:TRIALS_AT_ONCE]:
            if waiting.filter(id=trial.id).update(state=state.SENDING, sent_at=timezone.now()):
                found.append(_Claimed(trial))
        return found


def _send(trial: _Claimed) -> Trial:
    return send_trial_mail(trial.server, recipient=trial.recipient, raw=trial.raw)


def _keep_trial(claimed: ClaimedWork, trial_id: UUID, result: Trial) -> None:
    with _scope(claimed):
        TrialMail.objects.filter(id=trial_id, state=TrialMail.State.SENDING).update(
            state=result.state, reply=result.reply
        )
