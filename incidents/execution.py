"""Carries out intents on mailboxes.  Serves the queue ``remediate``.

For each intent (docs/remediation.md):
1. claim it with a lease and a growing fence, commit;
2. read where the copy is; what is already so, or gone, is settled without a call;
3. store the undo record, commit;
4. call;
5. read back: only what was seen is *verified*; an unclear answer is *unknown* and read again;
6. look again after 5 and 60 minutes; what moved back is removed again.
No scope is open while the mail host is called; an outcome with an older fence is refused.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min, Q
from django.utils import timezone

from incidents.client_words import settle_released
from incidents.evidence import store_evidence
from incidents.intake import record
from incidents.layers import (
    Copy,
    CopyState,
    LayerBlind,
    LayerError,
    OutcomeUnknown,
    gateway_layer,
    mailbox_layer,
)
from incidents.looks import plan_look
from incidents.models import Delivery, Intent, Message
from incidents.observations import Observation
from incidents.releases import settle_unknown_releases
from incidents.remediation import LATER_CHECKS_S, settle_job
from incidents.renewals import ACTIONS, renew
from incidents.taking_back import cameback_words, stopped_words
from incidents.words import Layer, Place
from tenants.audit import Actor
from tenants.doors import ClaimedWork
from tenants.work import work_scope

log = logging.getLogger(__name__)

BUDGET_S = 30.0
LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 8
_WAITING = Q(state__in=(Intent.State.PENDING, Intent.State.UNKNOWN))
_ABANDONED = Q(state=Intent.State.CALLING)
_RECHECK = Q(state=Intent.State.VERIFIED) & ~Q(checks_left=[])


class Superseded(Exception):
    """Another worker claimed the intent meanwhile: our outcome does not count."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``stopped_by``: who stopped the job, "" for nobody: nothing is called for it any more."""

    intent_id: UUID
    fence: int
    action: str
    was_verified: bool
    has_called: bool
    undo: dict[str, Any]
    attempts: int
    stopped_by: str
    copy: Copy


def serve_remediation(claimed: ClaimedWork) -> datetime | None:
    until = time.monotonic() + BUDGET_S
    renew_at = renew(claimed)
    while time.monotonic() < until:
        claim = _claim(claimed)
        if claim is None:
            times = (renew_at, _next_due(claimed), settle_unknown_releases(claimed))
            return min((at for at in times if at), default=None)
        try:
            _carry_out(claimed, claim)
        except Superseded:
            log.info("intent %s was taken over", claim.intent_id)
        except LayerError as error:
            _after_error(claimed, claim, error)
    return timezone.now()


def _mailbox_intents() -> Any:
    """What waits for access is not among them: incidents/renewals.py."""
    rows = Intent.objects.exclude(action="release").filter(waits_since=None)
    return rows.filter(_WAITING | _ABANDONED | _RECHECK)


def _next_due(claimed: ClaimedWork) -> datetime | None:
    with work_scope(claimed):
        due: datetime | None = _mailbox_intents().aggregate(due=Min("due_at"))["due"]
    return due


def _claim(claimed: ClaimedWork) -> Claim | None:
    now = timezone.now()
    with work_scope(claimed):
        due = (
            _mailbox_intents()
            .filter(due_at__lte=now)
            .select_related("delivery__message", "job")
            .select_for_update(of=("self",), skip_locked=True)
            .order_by("due_at", "id")
        )
        # What a killed worker left may be half done: it is not to wait behind a large job's checks
        # that fell due earlier.  Two statements, so that each reads its index in order.
        intent = due.filter(_ABANDONED).first() or due.first()
        if intent is None:
            return None
        was_verified = intent.state == Intent.State.VERIFIED
        intent.state = Intent.State.CALLING
        intent.fence += 1
        intent.attempts += 1
        # The lease is the due time: an abandoned intent comes round when it has run out.
        intent.due_at = now + LEASE
        intent.save(update_fields=["state", "fence", "attempts", "due_at"])
        return Claim(
            intent_id=intent.id,
            fence=intent.fence,
            action=intent.action,
            was_verified=was_verified,
            has_called=bool(intent.undo),
            undo=intent.undo,
            attempts=intent.attempts,
            stopped_by=intent.job.detail.get("stopped_by", ""),
            copy=Copy.of(intent.delivery),
        )


def _carry_out(claimed: ClaimedWork, claim: Claim) -> None:
    if claim.action == "acquire":
        _acquire(claimed, claim)
        return
    layer = mailbox_layer()
    state = layer.read_state(claim.copy)
    if _settled_by_reading(claimed, claim, state):
        return
    if claim.stopped_by and not state.is_held_too:
        _leave(claimed, claim, state)
        return
    if claim.action == "pull":
        # Always anew: the copy is not removed, so an older record may tell of an older state.
        undo = layer.prepare(claim.copy)
        _keep_undo(claimed, claim, undo)
        layer.pull(claim.copy, undo, key=str(claim.intent_id))
    else:
        undo = _undo_of_pull(claimed, claim)
        _keep_undo(claimed, claim, undo)
        layer.restore(claim.copy, undo, key=str(claim.intent_id))
    state = layer.read_state(claim.copy)
    if _is_done(claim.action, state):
        _finish(claimed, claim, Intent.State.VERIFIED, state)
        return
    raise LayerError("The mail host said yes, but the mail has not moved.", again_after_s=5)


def _is_done(action: str, state: CopyState) -> bool:
    if action == "look":
        return state.exists
    removed = state.place == Place.QUARANTINE
    return state.exists and (removed if action == "pull" else not removed)


def _settled_by_reading(claimed: ClaimedWork, claim: Claim, state: CopyState) -> bool:
    if not state.exists:
        _finish(claimed, claim, Intent.State.GONE, state)
        return True
    if claim.action == "restore" and claim.has_called and state.is_held_too:
        return False  # a worker died when it had put the mail back and not yet taken it out
    if _is_done(claim.action, state):
        ours = claim.has_called or claim.was_verified or claim.action == "look"
        _finish(claimed, claim, Intent.State.VERIFIED if ours else Intent.State.ALREADY, state)
        return True
    return False


def _fenced(claim: Claim) -> Intent:
    intent = (
        Intent.objects.select_related("job", "delivery")
        .select_for_update(of=("self",))
        .get(id=claim.intent_id)
    )
    if intent.fence != claim.fence:
        raise Superseded
    return intent


def _keep_undo(claimed: ClaimedWork, claim: Claim, undo: dict[str, Any]) -> None:
    """The undo record is on disk before the call; without it nothing is sent."""
    with work_scope(claimed):
        intent = _fenced(claim)
        intent.undo = undo
        intent.save(update_fields=["undo"])


def _undo_of_pull(claimed: ClaimedWork, claim: Claim) -> dict[str, Any]:
    with work_scope(claimed):
        pulled = (
            Intent.objects.filter(delivery_id=claim.copy.delivery_id, action="pull")
            .exclude(undo={})
            .order_by("-created_at")
            .first()
        )
    if pulled is None:
        raise LayerError("There is no undo record of this copy: it was not removed by Bailey.")
    undo: dict[str, Any] = pulled.undo
    return undo


def _finish(claimed: ClaimedWork, claim: Claim, outcome: str, state: CopyState) -> None:
    now = timezone.now()
    with work_scope(claimed):
        intent = _fenced(claim)
        intent.state = outcome
        intent.error = ""
        intent.finished_at = intent.finished_at or now
        if claim.action == "pull" and outcome == Intent.State.VERIFIED:
            _plan_next_check(intent, claim, now)
        else:
            intent.checks_left = []
        if claim.action == "restore":
            Intent.objects.filter(delivery=intent.delivery, action="pull").update(checks_left=[])
            if outcome != Intent.State.GONE:
                who = Actor(intent.job.requested_by, intent.job.requested_by_id)
                settle_released(intent.delivery, who)
        intent.save()
        if claim.action == "restore" and state.exists:
            plan_look(intent, put_in=state.place, at=now)
        _record_place(intent.delivery, claim, state, now)
        settle_job(intent.job)


def _leave(claimed: ClaimedWork, claim: Claim, state: CopyState) -> None:
    """Its job was stopped: the copy stays where it was seen."""
    now = timezone.now()
    with work_scope(claimed):
        intent = _fenced(claim)
        intent.state, intent.finished_at = Intent.State.FAILED, now
        words = cameback_words if claim.was_verified else stopped_words
        intent.error, intent.checks_left = words(claim.stopped_by), []
        intent.save()
        _record_place(intent.delivery, claim, state, now)
        settle_job(intent.job)


def _plan_next_check(intent: Intent, claim: Claim, now: datetime) -> None:
    checks = intent.checks_left[1:] if claim.was_verified else list(LATER_CHECKS_S)
    intent.checks_left = checks
    if checks:
        intent.due_at = now + timedelta(seconds=checks[0])


def _record_place(delivery: Delivery, claim: Claim, state: CopyState, at: datetime) -> None:
    """What was read is an observation like any other."""
    record(
        [
            Observation(
                tenant_id=delivery.tenant_id,
                layer=Layer.MAILBOX,
                source="check",
                source_key=f"{claim.intent_id}/{claim.fence}",
                observed_at=at,
                recipient=delivery.recipient,
                direction=delivery.direction,
                mailbox_item_id=delivery.mailbox_item_id or state.mailbox_item_id,
                place=state.place if state.exists else Place.GONE,
                is_read=state.is_read,
                detail={"intent": str(claim.intent_id), "action": claim.action},
            )
        ]
    )


def _after_error(claimed: ClaimedWork, claim: Claim, error: LayerError) -> None:
    wait_s = error.again_after_s
    is_unknown = isinstance(error, OutcomeUnknown)
    if is_unknown and wait_s is None:
        wait_s = 1.0
    with work_scope(claimed):
        try:
            intent = _fenced(claim)
        except Superseded:
            return
        intent.error = error.sentence
        if isinstance(error, LayerBlind):
            # Only calls that could have worked count; nothing was sent.
            intent.attempts -= 1
            if claim.action in ACTIONS:
                intent.waits_since, intent.renewal = timezone.now(), None
        if wait_s is None or intent.attempts >= MAX_ATTEMPTS:
            intent.state, intent.finished_at = Intent.State.FAILED, timezone.now()
            intent.checks_left = []
        else:
            intent.state = Intent.State.UNKNOWN if is_unknown else Intent.State.PENDING
            # A growing pause, never shorter than what the mail host asked for.
            pause = max(wait_s, min(2.0 ** (intent.attempts - 1), 300.0))
            intent.due_at = timezone.now() + timedelta(seconds=pause)
        intent.save()
        settle_job(intent.job)
        if claim.action == "acquire" and intent.state == Intent.State.FAILED:
            _fetched(intent, error.sentence)


def _acquire(claimed: ClaimedWork, claim: Claim) -> None:
    raw, method = mailbox_layer().fetch(claim.copy)
    with work_scope(claimed):
        intent = _fenced(claim)
        digest = store_evidence(
            tenant_id=claimed.tenant_id,
            raw=raw,
            source=f"mailbox {claim.copy.recipient}",
            method=method,
        )
        Message.objects.filter(id=intent.delivery.message_id, evidence="").update(evidence=digest)
        intent.state, intent.finished_at = Intent.State.VERIFIED, timezone.now()
        intent.save(update_fields=["state", "finished_at"])
        settle_job(intent.job)
        _fetched(intent)


def _fetched(intent: Intent, problem: str = "") -> None:
    gateway_layer().after_fetching(
        tenant_id=intent.tenant_id, message_id=intent.delivery.message_id, problem=problem
    )
