"""Is a released mail still where it was put?  Serves the queue ``look``.

1. ``plan_look`` writes the look in the transaction that learns of the delivery: a release that the
   gate has carried out, or a copy that was read back where it belongs.
2. When it is due a worker claims it under a lease with a growing fence, and commits.
3. It reads from the mailbox, with no scope open, and compares what was delivered with the original.
4. What was read is an observation like any other; the outcome stands on the look.
5. What was not seen, or could not be looked at, is looked at again a few times, then left so.

An outcome with an older fence is refused.  Whoever released is told where it did not stay.
docs/held-mail.md.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from incidents.announce import announce_incident, announce_job
from incidents.intake import record
from incidents.layers import (
    Copy,
    CopyState,
    LayerError,
    NoMailbox,
    NotThereYet,
    blind_layers,
    mailbox_layer,
)
from incidents.looks_proof import compare
from incidents.looks_words import Found, outcome_of, words_of
from incidents.models import Intent, ReleaseLook
from incidents.notices import tell_not_kept
from incidents.observations import Observation
from incidents.words import Direction, Layer, Place
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import Conflict
from tenants.models import Person, Tenant
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

QUEUE = "look"
BUDGET_S = 30.0
LEASE = timedelta(seconds=120)
Outcome = ReleaseLook.Outcome
# After the first look, seconds until the next; the last one's outcome stands.
AGAIN_AFTER_S = {Outcome.NOT_SEEN: (600, 1800), Outcome.BLIND: (600, 1800, 7200, 21600)}
ASKED = "incidents.release.look_asked"
FOUND = "incidents.release.looked_at"


class Superseded(Exception):
    """Another worker looks meanwhile: our outcome does not count."""


@dataclass(frozen=True, slots=True)
class Claim:
    look_id: UUID
    fence: int
    copy: Copy
    put_in: str
    evidence: str


def plan_look(intent: Intent, *, put_in: str, at: datetime) -> None:
    """Once for each release: in the transaction that learns that the copy was delivered."""
    delivery, job = intent.delivery, intent.job
    if delivery.direction == Direction.OUTBOUND:
        return  # it went to a mailbox that is nobody's to look into
    due_at = at + timedelta(seconds=settings.RELEASE_LOOK_AFTER_S)
    _, is_new = ReleaseLook.objects.get_or_create(
        tenant_id=intent.tenant_id,
        intent=intent,
        defaults={
            "delivery": delivery,
            "rule_id": job.detail.get("exception"),
            "released_by_id": job.requested_by_id,
            "released_by": job.requested_by,
            "delivered_at": at,
            "put_in": put_in,
            "due_at": due_at,
        },
    )
    if is_new:
        want_work(intent.tenant_id, QUEUE, at=due_at)


@transaction.atomic
def ask_look(*, look: ReleaseLook, actor: Person | Actor) -> None:
    """Look again now.  Raises ``Conflict`` where somebody looks at this moment."""
    changed = ReleaseLook.objects.filter(id=look.id, fence=look.fence).update(
        due_at=timezone.now(), done_at=None, tries=0
    )
    if not changed:
        raise Conflict("It is being looked at just now.")
    write_audit(
        ASKED,
        actor=actor,
        provider_id=Tenant.objects.get(id=look.tenant_id).provider_id,
        tenant_id=look.tenant_id,
        object_kind="release_look",
        object_id=look.id,
    )
    want_work(look.tenant_id, QUEUE)


def serve_looks(claimed: ClaimedWork) -> datetime | None:
    """For a bounded time; answers when the next look is due, None: none waits."""
    until = time.monotonic() + BUDGET_S
    while time.monotonic() < until:
        claim = _claim(claimed)
        if claim is None:
            return _next_due(claimed)
        try:
            _look(claimed, claim)
        except Superseded:
            log.info("look %s was taken over", claim.look_id)
    return timezone.now()


def _next_due(claimed: ClaimedWork) -> datetime | None:
    with work_scope(claimed):
        waiting = ReleaseLook.objects.filter(tenant=claimed.tenant_id, done_at=None)
        due: datetime | None = waiting.aggregate(due=Min("due_at"))["due"]
    return due


def _claim(claimed: ClaimedWork) -> Claim | None:
    now = timezone.now()
    with work_scope(claimed):
        due = ReleaseLook.objects.filter(tenant=claimed.tenant_id, done_at=None, due_at__lte=now)
        look = (
            due.select_related("delivery__message", "intent")
            .select_for_update(of=("self",), skip_locked=True)
            .order_by("due_at", "id")
            .first()
        )
        if look is None:
            return None
        look.fence += 1
        # The lease is the due time: a look that was abandoned comes round when it has run out.
        look.due_at = now + LEASE
        look.save(update_fields=["fence", "due_at"])
        delivery = look.delivery
        return Claim(
            look_id=look.id,
            fence=look.fence,
            put_in=look.put_in,
            evidence=delivery.message.evidence if look.intent.action == "release" else "",
            copy=Copy.of(delivery),
        )


def _look(claimed: ClaimedWork, claim: Claim) -> None:
    try:
        state = mailbox_layer().read_state(claim.copy)
    except LayerError as error:
        _after_error(claimed, claim, error)
        return
    proof = ""
    if state.exists and claim.evidence:
        proof = compare(claim.copy, claim.evidence, scope=lambda: work_scope(claimed))
    with work_scope(claimed):
        look = _fenced(claim)
        _record_place(look, claim, state)
        found = Found(outcome_of(state, claim.put_in), state.place)
        look.proof = proof or look.proof
        _settle(look, found, words_of(look, found))


def _after_error(claimed: ClaimedWork, claim: Claim, error: LayerError) -> None:
    with work_scope(claimed):
        look = _fenced(claim)
        outcome = Outcome.BLIND
        if isinstance(error, NoMailbox):
            outcome = Outcome.NO_LAYER
        elif isinstance(error, NotThereYet):
            outcome = Outcome.NOT_SEEN
        blind = [each for each in blind_layers(look.tenant_id) if each.layer == Layer.MAILBOX]
        why = blind[0].sentence if blind and outcome == Outcome.BLIND else error.sentence
        found = Found(outcome, None)
        _settle(look, found, words_of(look, found, why))


def _fenced(claim: Claim) -> ReleaseLook:
    """Raises ``Superseded``."""
    rows = ReleaseLook.objects.select_related(
        "delivery__message", "delivery__tenant", "intent__job"
    )
    look: ReleaseLook = rows.select_for_update(of=("self",)).get(id=claim.look_id)
    if look.fence != claim.fence:
        raise Superseded
    return look


def _settle(look: ReleaseLook, found: Found, words: str) -> None:
    now = timezone.now()
    look.outcome, look.place, look.words = found.outcome, found.place or "", words
    look.looked_at = now
    # Counted here: one over which a worker died takes none of the others away.
    look.tries += 1
    pauses = AGAIN_AFTER_S.get(Outcome(found.outcome), ())
    if look.tries <= len(pauses):
        look.due_at = now + timedelta(seconds=pauses[look.tries - 1])
    else:
        look.done_at = now
    look.save()
    _tell(look)


def _tell(look: ReleaseLook) -> None:
    """Whoever looks at the pages now, the log, and who released it."""
    announce_incident(look.tenant_id, look.delivery_id)
    announce_job(look.tenant_id, look.intent.job_id)
    if look.done_at is None:
        return
    write_audit(
        FOUND,
        actor=Actor("Bailey"),
        provider_id=look.delivery.tenant.provider_id,
        tenant_id=look.tenant_id,
        object_kind="release_look",
        object_id=look.id,
        outcome=look.outcome,
        place=look.place,
        proof=look.proof,
        delivery=str(look.delivery_id),
        job=str(look.intent.job_id),
    )
    if look.outcome not in (Outcome.KEPT, Outcome.NO_LAYER):
        tell_not_kept(look)


def _record_place(look: ReleaseLook, claim: Claim, state: CopyState) -> None:
    """What was read is an observation like any other; of a copy that the mailbox layer has not met
    yet it tells itself when it does.
    """
    delivery = look.delivery
    if not delivery.mailbox_item_id:
        return
    record(
        [
            Observation(
                tenant_id=look.tenant_id,
                layer=Layer.MAILBOX,
                source="check",
                source_key=f"{claim.look_id}/{claim.fence}",
                observed_at=timezone.now(),
                recipient=delivery.recipient,
                direction=delivery.direction,
                mailbox_item_id=delivery.mailbox_item_id,
                place=state.place if state.exists else Place.GONE,
                is_read=state.is_read,
                detail={"look": str(look.id)},
            )
        ]
    )
