"""The worker's share: DNS is asked and test mails are sent outside any scope, each for one client.

1. read what is wanted, and claim a test mail (``waiting`` → ``sending``), so that none is sent
   twice; one at a time, so that a worker that dies over it takes no other with it;
2. ask and send;
3. write what came of it.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from incidents.findings import Trouble, note_findings
from seg_bridge.engines.embedded.resolver import Lookup, Resolver
from seg_bridge.gate.ways import split_hop
from seg_bridge.models import DomainCheck, GateClient, SigningKey, TrialMail
from seg_bridge.onboarding.look import look_at
from seg_bridge.onboarding.probe import Trial, send_trial_mail, smtp_address, write_trial
from seg_bridge.onboarding.standing import look_for_keys, stand_now
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.work import work_scope

# Records spread slowly: what is not there yet is looked for again by itself.
LOOK_AGAIN = timedelta(minutes=10)
LOOK_FOR = timedelta(days=7)
STANDING_AGAIN = timedelta(minutes=50)


def serve_onboarding(claimed: ClaimedWork) -> datetime | None:
    """What waits for this client; answers when it is to be looked at again."""
    looked = {one.id: (_look(one), _keys(one)) for one in _domains(claimed)}
    while trial := _claim_trial(claimed):
        _keep_trial(claimed, trial.id, _send(trial))
    return _keep_looks(claimed, looked)


class _Wanted:
    """A domain to look at, free of the database."""

    def __init__(self, check: DomainCheck, gates: list[str], selectors: list[str]) -> None:
        self.id, self.name, self.token = check.id, check.domain.name, check.token
        self.gates, self.selectors = gates, selectors


def _domains(claimed: ClaimedWork) -> list[_Wanted]:
    with work_scope(claimed):
        gates = list(
            GateClient.objects.filter(tenant_id=claimed.tenant_id)
            .order_by("gate__hostname")
            .values_list("gate__hostname", flat=True)
        )
        now = timezone.now()
        by_itself = Q(wanted_at=None, looked_at__lte=now - STANDING_AGAIN)
        due = DomainCheck.objects.filter(
            Q(wanted_at__lte=now) | by_itself, tenant_id=claimed.tenant_id
        ).select_related("domain")
        signing = SigningKey.objects.filter(state=SigningKey.State.SIGNING)
        ours: dict[UUID, list[str]] = {}
        for domain_id, selector in signing.values_list("domain_id", "selector"):
            ours.setdefault(domain_id, []).append(selector)
        return [_Wanted(check, gates, ours.get(check.domain_id, [])) for check in due]


def _look(wanted: _Wanted) -> dict[str, Any]:
    return look_at(resolver(), wanted.name, wanted.token, wanted.gates)


def _keys(wanted: _Wanted) -> dict[str, str] | None:
    return look_for_keys(resolver(), wanted.name, wanted.selectors)


def resolver() -> Lookup:
    """A fresh one for each look: the last answer was perhaps that there is nothing."""
    server = os.environ.get("BAILEY_DNS", "")
    return Resolver(split_hop(server) if server else None)


_Looked = tuple[dict[str, Any], dict[str, str] | None]


def _keep_looks(claimed: ClaimedWork, looked: dict[UUID, _Looked]) -> datetime | None:
    now = timezone.now()
    with work_scope(claimed):
        for check in DomainCheck.objects.filter(id__in=looked).select_related("domain"):
            found, keys = looked[check.id]
            standing = stand_now(
                check.standing, domain=check.domain.name, mx=found["mx"], keys=keys, now=now
            )
            is_done = all(found[each]["state"] == "seen" for each in ("owner", "mx"))
            is_over = is_done or now - check.created_at > LOOK_FOR
            DomainCheck.objects.filter(id=check.id).update(
                found=found,
                standing=standing,
                looked_at=now,
                wanted_at=None if is_over else now + LOOK_AGAIN,
            )
        if looked:
            _tell(claimed)
        due = DomainCheck.objects.filter(tenant_id=claimed.tenant_id).exclude(wanted_at=None)
        return due.order_by("wanted_at").values_list("wanted_at", flat=True).first()


def _tell(claimed: ClaimedWork) -> None:
    """What is wrong with any of the client's domains.  Must run in the client's scope."""
    checks = DomainCheck.objects.filter(tenant_id=claimed.tenant_id, domain__is_active=True)
    troubles = [
        Trouble(code=code, key=key[:120], words=words)
        for standing in checks.values_list("standing", flat=True)
        for code, key, words in standing.get("troubles", [])
    ]
    tenant = Tenant.objects.get(id=claimed.tenant_id)
    note_findings(tenant, ("mx", "dkim"), troubles)


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


def _claim_trial(claimed: ClaimedWork) -> _Claimed | None:
    """The oldest that waits."""
    state = TrialMail.State
    with work_scope(claimed):
        waiting = TrialMail.objects.filter(tenant_id=claimed.tenant_id, state=state.WAITING)
        for trial in waiting.select_related("gate", "tenant").order_by("id"):
            if waiting.filter(id=trial.id).update(state=state.SENDING, sent_at=timezone.now()):
                return _Claimed(trial)
        return None


def _send(trial: _Claimed) -> Trial:
    return send_trial_mail(trial.server, recipient=trial.recipient, raw=trial.raw)


def _keep_trial(claimed: ClaimedWork, trial_id: UUID, result: Trial) -> None:
    with work_scope(claimed):
        TrialMail.objects.filter(id=trial_id, state=TrialMail.State.SENDING).update(
            state=result.state, reply=result.reply
        )
