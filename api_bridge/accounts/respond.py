"""Carries out steps of account responses, each exactly once and read back.

1. claim it with a lease and a growing fence, commit;
2. read how it is; what is already so is settled without a call;
3. keep what was there, commit;
4. call;
5. read back: only what was seen is *verified*; an unclear answer is *unknown* and read again, what
   a host shows later is read until then and not ordered twice;
6. after the last try nothing is called any more, and one more reading says what came of it.
No scope is open while the host is called; an outcome with an older fence is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.models import Purpose
from api_bridge.accounts.acting import LATE_S, Hand, Sight, Task
from api_bridge.accounts.behind import connection_behind
from api_bridge.accounts.google_act import GoogleHand
from api_bridge.accounts.google_opened import google_of
from api_bridge.accounts.graph_act import GraphHand
from api_bridge.accounts.models import AccountStep
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.errors import (
    AuthExpired,
    BridgeError,
    NotFound,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from api_bridge.models import Connection
from api_bridge.runtime import NotGranted, shared_runtime, wire_connection
from incidents.announce import announce_incident
from incidents.models import Incident
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import is_passing_trouble
from tenants.models import Mailbox
from tenants.work import work_scope

log = logging.getLogger(__name__)

FINISHED = "api_bridge.account_step.finished"
BUDGET_S = 20.0
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 6
# After those, only to see what came of them.
LAST_LOOKS = 3
BLIND_AGAIN_S = 300.0
# An order is of its hour: what nobody could begin in a day is for a person to decide anew.
WAITS = timedelta(days=1)
TOO_OLD = "Nothing was done: it waited for a day. Order it again if it is still wanted."
READ_AGAIN_S = 3.0
NOT_READ = "The mail host's answer could not be made sense of."


class Superseded(Exception):
    """Another worker claimed the step meanwhile: our outcome does not count."""


@dataclass(frozen=True, slots=True)
class Wired:
    """``acting``: for account response.  ``reading``: at Google the connection's own account, by
    which the directory and mailboxes are read; None at Microsoft, where the one does both.
    """

    acting: connectors.Connection
    reading: connectors.Connection | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    step_id: UUID
    fence: int
    task: Task
    asked_at: datetime
    attempts: int
    wired: Wired | None
    trouble: str = ""

    @property
    def has_called(self) -> bool:
        return self.task.called_at is not None

    @property
    def only_looks(self) -> bool:
        return self.attempts > MOST_ATTEMPTS


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
        except Exception as error:
            if is_passing_trouble(error):
                raise  # the step has its lease, and is taken up again
            # An answer of which nobody thought holds up neither the other steps nor the looks.
            log.exception("account step %s", claim.step_id)
            _after_error(claimed, claim, Unexpected(NOT_READ))
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
        wired, trouble = _wired(step.mailbox)
        task = Task(
            kind=step.kind,
            user_id=step.mailbox.external_id,
            target=step.target,
            called_at=step.called_at,
            before=step.before,
        )
        return _Claim(step.id, step.fence, task, step.asked_at, step.attempts, wired, trouble)


def _wired(mailbox: Mailbox) -> tuple[Wired | None, str]:
    row = connection_behind(mailbox)
    if row is None:
        return None, "No mail host with accounts is connected that has this mailbox."
    try:
        acting = wire_connection(row, Purpose.RESPOND, must_be_granted=True)
        is_google = row.kind == Connection.Kind.GOOGLE
        return Wired(acting, wire_connection(row) if is_google else None), ""
    except (NotGranted, AuthExpired) as error:
        return None, str(error)


@contextmanager
def opened_hand(wired: Wired) -> Iterator[Hand]:
    """Raises ``Rejected`` for settings that cannot work."""
    if wired.reading is not None:
        _, calls = google_of(wired.reading, wired.acting)
        yield GoogleHand(calls)
        return
    with closing(GraphClient(wired.acting, shared_runtime())) as graph:
        yield GraphHand(graph)


def _carry_out(claimed: ClaimedWork, claim: _Claim) -> None:
    if not claim.has_called and claim.asked_at < timezone.now() - WAITS:
        _finish(claimed, claim, AccountStep.State.FAILED, f"{TOO_OLD} {claim.trouble}".strip())
        return
    if claim.wired is None:
        raise NotGranted(claim.trouble)
    task = claim.task
    with opened_hand(claim.wired) as hand:
        seen = hand.read(task)
        if _is_settled(claimed, claim, seen):
            return
        task = _note_call(claimed, claim, task.before or seen.content)
        _call(claimed, claim, hand, task)
        seen = hand.read(task)
    if seen.is_done:
        _finish(claimed, claim, AccountStep.State.VERIFIED, seen.words)
    elif seen.is_late:
        _wait(claimed, claim, seen.words)
    else:
        raise Temporary(
            f"The mail host said yes, and reading back says: {seen.words}",
            retry_after_s=READ_AGAIN_S,
        )


def _is_settled(claimed: ClaimedWork, claim: _Claim, seen: Sight) -> bool:
    """By what was read, before anything is called; False: it is to be called."""
    if seen.is_done:
        state = AccountStep.State.VERIFIED if claim.has_called else AccountStep.State.ALREADY
        _finish(claimed, claim, state, seen.words)
    elif seen.is_over:
        _finish(claimed, claim, AccountStep.State.UNPROVEN, seen.words)
    elif seen.is_late:
        _wait(claimed, claim, seen.words)
    elif claim.only_looks:
        words = f"Tried {MOST_ATTEMPTS} times; read once more: {seen.words}"
        _finish(claimed, claim, AccountStep.State.FAILED, words)
    else:
        return False
    return True


def _call(claimed: ClaimedWork, claim: _Claim, hand: Hand, task: Task) -> None:
    """Raises ``BridgeError``."""
    try:
        # Gone already, it may be by a call of ours whose answer was lost: reading decides.
        with suppress(NotFound):
            hand.call(task)
    except BridgeError as error:
        is_certain = isinstance(error, RateLimited | Rejected | AuthExpired)
        if is_certain and not claim.has_called:
            _note_not_called(claimed, claim)
        raise


def _fenced(claim: _Claim) -> AccountStep:
    step = AccountStep.objects.select_for_update(of=("self",)).get(id=claim.step_id)
    if step.fence != claim.fence:
        raise Superseded
    return step


def _note_call(claimed: ClaimedWork, claim: _Claim, before: dict[str, Any]) -> Task:
    """What was there, and that we call, is on disk before the call; else nothing is sent."""
    with work_scope(claimed):
        step = _fenced(claim)
        step.before, step.called_at = before, step.called_at or timezone.now()
        step.save(update_fields=["before", "called_at"])
        return replace(claim.task, before=before, called_at=step.called_at)


def _note_not_called(claimed: ClaimedWork, claim: _Claim) -> None:
    """The host refused the call, so nothing of it can show later."""
    with work_scope(claimed):
        step = _fenced(claim)
        step.called_at, step.before = None, claim.task.before
        step.save(update_fields=["called_at", "before"])


def _wait(claimed: ClaimedWork, claim: _Claim, words: str) -> None:
    """The host shows later what came of the call: that is no attempt."""
    with work_scope(claimed):
        step = _fenced(claim)
        step.state, step.words = AccountStep.State.UNKNOWN, words
        step.attempts = max(0, step.attempts - 1)
        step.due_at = timezone.now() + timedelta(seconds=LATE_S)
        step.save(update_fields=["state", "words", "attempts", "due_at"])
        tenant_id, incident_id = step.tenant_id, step.incident_id
    announce_incident(tenant_id, incident_id)


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
    words, wait_s = str(error), _wait_s(error)
    is_blind = isinstance(error, NotGranted | AuthExpired)
    if is_blind:
        words = f"{words} It waits until the client has consented again."
    if isinstance(error, NotFound):
        words = f"The mail host does not know this account any more: {words}"
    try:
        if wait_s is None:
            _finish(claimed, claim, AccountStep.State.FAILED, words)
            return
        if not is_blind and (state := _spent(claimed, claim)):
            said = f"{words} It may have happened all the same: look at the account."
            is_unclear = state == AccountStep.State.UNPROVEN
            _finish(claimed, claim, state, said if is_unclear else words)
            return
        with work_scope(claimed):
            step = _fenced(claim)
            if is_blind:
                step.attempts -= 1  # nothing was sent
            unclear = step.called_at is not None
            step.state = AccountStep.State.UNKNOWN if unclear else AccountStep.State.PENDING
            pause_s = max(wait_s, min(2.0 ** (step.attempts - 1), BLIND_AGAIN_S))
            step.words, step.due_at = words, timezone.now() + timedelta(seconds=pause_s)
            step.save(update_fields=["state", "words", "due_at", "attempts"])
    except Superseded:
        log.info("account step %s was taken over", claim.step_id)


def _wait_s(error: BridgeError) -> float | None:
    """None: trying again brings nothing."""
    if isinstance(error, NotGranted | AuthExpired):
        return BLIND_AGAIN_S
    if isinstance(error, Temporary):
        return error.retry_after_s
    return READ_AGAIN_S if isinstance(error, Unexpected) or error.may_have_happened else None


def _spent(claimed: ClaimedWork, claim: _Claim) -> str:
    """The state in which it ends, "": it does not yet.  What may have happened by a call of ours is
    looked at a few times more.
    """
    with work_scope(claimed):
        step = AccountStep.objects.get(id=claim.step_id)
    has_called = step.called_at is not None
    if step.attempts < MOST_ATTEMPTS + (LAST_LOOKS if has_called else 0):
        return ""
    return AccountStep.State.UNPROVEN if has_called else AccountStep.State.FAILED
