"""Carries out steps of account responses, each exactly once and read back.

1. claim it with a lease and a growing fence, commit;
2. read how it is; what is already so is settled without a call;
3. keep what was there, commit;
4. call;
5. read back: only what was seen is *verified*; an unclear answer is *unknown* and read again.
No scope is open while the host is called; an outcome with an older fence is refused.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.models import Purpose
from api_bridge.accounts import graph_act
from api_bridge.accounts.models import AccountStep
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.errors import AuthExpired, BridgeError, NotFound, Temporary, Unexpected
from api_bridge.models import Connection
from api_bridge.runtime import NotGranted, shared_runtime, wire_connection
from incidents.announce import announce_incident
from incidents.models import Incident
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

FINISHED = "api_bridge.account_step.finished"
BUDGET_S = 20.0
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 6
BLIND_AGAIN_S = 300.0
# An order is of its hour: what nobody could begin in a day is for a person to decide anew.
WAITS = timedelta(days=1)
TOO_OLD = "Nothing was done: it waited for a day. Order it again if it is still wanted."
READ_AGAIN_S = 3.0


class Superseded(Exception):
    """Another worker claimed the step meanwhile: our outcome does not count."""


@dataclass(frozen=True, slots=True)
class _Claim:
    step_id: UUID
    fence: int
    task: graph_act.Task
    has_called: bool
    wired: connectors.Connection | None
    trouble: str = ""


def carry_out_steps(claimed: ClaimedWork) -> datetime | None:
    """What is due of this client; answers when the next is."""
    until = time.monotonic() + BUDGET_S
    while time.monotonic() < until:
        claim = _claim(claimed)
        if claim is None:
            break
        try:
            _carry_out(claimed, claim)
        except Superseded:
            log.info("account step %s was taken over", claim.step_id)
        except BridgeError as error:
            _after_error(claimed, claim, error)
    with work_scope(claimed):
        due: datetime | None = _open().aggregate(due=Min("due_at"))["due"]
    return due


def _open() -> Any:
    return AccountStep.objects.filter(state__in=AccountStep.OPEN)


def _claim(claimed: ClaimedWork) -> _Claim | None:
    now = timezone.now()
    with work_scope(claimed):
        step = (
            _open()
            .filter(tenant_id=claimed.tenant_id, due_at__lte=now)
            .select_related("mailbox")
            .select_for_update(of=("self",), skip_locked=True)
            .order_by("due_at", "id")
            .first()
        )
        if step is None:
            return None
        step.state = AccountStep.State.CALLING
        step.fence += 1
        step.attempts += 1
        step.due_at = now + LEASE
        step.save(update_fields=["state", "fence", "attempts", "due_at"])
        wired, trouble = _wired(claimed.tenant_id)
        task = graph_act.Task(
            kind=step.kind,
            user_id=step.mailbox.external_id,
            target=step.target,
            asked_at=step.asked_at,
            before=step.before,
        )
        return _Claim(step.id, step.fence, task, step.called_at is not None, wired, trouble)


def _wired(tenant_id: int) -> tuple[connectors.Connection | None, str]:
    row = Connection.objects.filter(tenant_id=tenant_id, kind=Connection.Kind.GRAPH).first()
    if row is None:
        return None, "The client has no Microsoft 365 connection."
    try:
        return wire_connection(row, Purpose.RESPOND, must_be_granted=True), ""
    except (NotGranted, AuthExpired) as error:
        return None, str(error)


def _carry_out(claimed: ClaimedWork, claim: _Claim) -> None:
    if not claim.has_called and claim.task.asked_at < timezone.now() - WAITS:
        _finish(claimed, claim, AccountStep.State.FAILED, f"{TOO_OLD} {claim.trouble}".strip())
        return
    if claim.wired is None:
        raise NotGranted(claim.trouble)
    task = claim.task
    with closing(GraphClient(claim.wired, shared_runtime())) as graph:
        seen = graph_act.read(graph, task)
        if seen.is_done:
            state = AccountStep.State.VERIFIED if claim.has_called else AccountStep.State.ALREADY
            _finish(claimed, claim, state, seen.words)
            return
        _note_call(claimed, claim, task.before or seen.content)
        # Gone already, it may be by a call of ours whose answer was lost: reading decides.
        with suppress(NotFound):
            graph_act.call(graph, task)
        seen = graph_act.read(graph, task)
    if not seen.is_done:
        raise Temporary(
            f"The mail host said yes, and reading back says: {seen.words}",
            retry_after_s=READ_AGAIN_S,
        )
    _finish(claimed, claim, AccountStep.State.VERIFIED, seen.words)


def _fenced(claim: _Claim) -> AccountStep:
    step = AccountStep.objects.select_for_update(of=("self",)).get(id=claim.step_id)
    if step.fence != claim.fence:
        raise Superseded
    return step


def _note_call(claimed: ClaimedWork, claim: _Claim, before: dict[str, Any]) -> None:
    """What was there, and that we call, is on disk before the call; else nothing is sent."""
    with work_scope(claimed):
        step = _fenced(claim)
        step.before, step.called_at = before, step.called_at or timezone.now()
        step.save(update_fields=["before", "called_at"])


def _finish(claimed: ClaimedWork, claim: _Claim, state: str, words: str) -> None:
    with work_scope(claimed):
        step = _fenced(claim)
        step.state, step.words, step.finished_at = state, words, timezone.now()
        step.save(update_fields=["state", "words", "finished_at"])
        if state == AccountStep.State.VERIFIED:
            untouched = Incident.objects.filter(id=step.incident_id, acted_at=None)
            untouched.update(acted_at=step.finished_at)
        write_audit(
            FINISHED,
            actor=Actor(step.asked_by, step.asked_by_id),
            provider_id=claimed.provider_id,
            tenant_id=step.tenant_id,
            object_kind="account_step",
            object_id=step.id,
            reason=words,
            incident=str(step.incident_id),
            kind=step.kind,
            state=state,
        )
        tenant_id, incident_id = step.tenant_id, step.incident_id
    announce_incident(tenant_id, incident_id)


def _after_error(claimed: ClaimedWork, claim: _Claim, error: BridgeError) -> None:
    words = str(error)
    if isinstance(error, NotGranted | AuthExpired):
        wait_s: float | None = BLIND_AGAIN_S
        words = f"{words} It waits until the client has consented again."
    elif isinstance(error, Temporary):
        wait_s = error.retry_after_s
    elif isinstance(error, Unexpected) or error.may_have_happened:
        wait_s = READ_AGAIN_S
    else:
        wait_s = None
    if isinstance(error, NotFound):
        words = f"The mail host does not know this account any more: {words}"
    try:
        if wait_s is None or _is_spent(claimed, claim, error):
            _finish(claimed, claim, AccountStep.State.FAILED, words)
            return
        with work_scope(claimed):
            step = _fenced(claim)
            if isinstance(error, NotGranted | AuthExpired):
                step.attempts -= 1  # nothing was sent
            unclear = step.called_at is not None
            step.state = AccountStep.State.UNKNOWN if unclear else AccountStep.State.PENDING
            pause_s = max(wait_s, min(2.0 ** (step.attempts - 1), BLIND_AGAIN_S))
            step.words, step.due_at = words, timezone.now() + timedelta(seconds=pause_s)
            step.save(update_fields=["state", "words", "due_at", "attempts"])
    except Superseded:
        log.info("account step %s was taken over", claim.step_id)


def _is_spent(claimed: ClaimedWork, claim: _Claim, error: BridgeError) -> bool:
    if isinstance(error, NotGranted | AuthExpired):
        return False
    with work_scope(claimed):
        return AccountStep.objects.get(id=claim.step_id).attempts >= MOST_ATTEMPTS
