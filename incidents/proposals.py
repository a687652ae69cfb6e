"""Pulls that nobody has asked for: prepared, and then told, asked for or done by mode.

``follow_condemned``  keeps an incident's proposal up to its facts, in the transaction that made
                      sense of them
``propose_whole``     proposes every copy of an incident (the herd rule)
``answer_proposals``  the worker: acts where the mode lets it, and counts what waits for a person
``approve``, ``decline``  what a person says

What the mailbox layer condemns as grave and is sure of may be pulled without a person; what it is
not sure of always asks.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from incidents.allowed import without_allowed
from incidents.announce import announce_incident
from incidents.assessment import copies_within_reach
from incidents.campaigns.moving import lineage
from incidents.layers import why_not_acting
from incidents.models import Delivery, Incident, Job, LateVerdicts, PullProposal
from incidents.models.disagreement import StandingOrder
from incidents.models.mail import Verdict
from incidents.modes import QUEUE, Mode, modes_of, wish_of
from incidents.orders import orders_in_force
from incidents.remediation import check_may_pull, copies_of, never_pulled, pullable, start_job
from incidents.sightings import history_of
from incidents.words import GRAVE, HARMLESS, Layer
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, WrongInput, is_passing_trouble
from tenants.models import Person, Tenant
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

ACTOR = Actor("Bailey, by its mode")
APPROVED = "incidents.pull_proposal.approved"
DECLINED = "incidents.pull_proposal.declined"
SURE = 0.8
AT_ONCE = 50
State = PullProposal.State


def condemned(copies: Sequence[Delivery]) -> list[Delivery]:
    """Copies within reach that the mailbox layer holds to be grave, and no person harmless."""
    return [
        copy
        for copy in copies_within_reach(copies)
        if copy.mailbox_verdict in GRAVE and copy.person_verdict not in HARMLESS
    ]


def follow_condemned(incident: Incident, copies: Sequence[Delivery]) -> None:
    """``copies`` are the incident's but for those that an exception lets be."""
    found = never_pulled(condemned(copies)) if incident.is_open else []
    row = PullProposal.objects.filter(tenant=incident.tenant_id, incident=incident).first()
    if row is None and not found:
        return
    if row is None:
        row = PullProposal(tenant_id=incident.tenant_id, incident=incident)
    if row.state == State.DECLINED or (row.is_whole and row.state == State.OPEN and found):
        return
    if not found:
        if row.state == State.OPEN and not (row.is_whole and never_pulled(pullable(copies))):
            row.state, row.waiting = State.SETTLED, 0
            row.save(update_fields=["state", "waiting"])
        return
    if row.state == State.OPEN and row.seen == len(found) and not row._state.adding:
        return
    _open(row, _words(found), len(found), is_whole=False)


def _open(row: PullProposal, why: str, seen: int, *, is_whole: bool) -> None:
    if row.state != State.OPEN:
        row.asked_at, row.job_id, row.reason = timezone.now(), None, ""
        row.decided_at, row.decided_by, row.decided_by_id = None, "", None
    row.state, row.why, row.seen, row.is_whole = State.OPEN, why, seen, is_whole
    row.looked_at = None
    row.save()
    want_work(row.tenant_id, QUEUE)


def _words(copies: Sequence[Delivery]) -> str:
    names = sorted({str(Verdict(copy.mailbox_verdict).label).lower() for copy in copies})
    return f"The mailbox layer condemns it as {' and '.join(names)}."


def propose_whole(incident: Incident, *, why: str) -> None:
    """Every copy of the incident, as if the layer had condemned each.  What a person declined
    stays so.
    """
    row = PullProposal.objects.filter(tenant=incident.tenant_id, incident=incident).first()
    row = row or PullProposal(tenant_id=incident.tenant_id, incident=incident)
    copies = never_pulled(without_allowed(pullable(copies_of(incident))))
    if row.state != State.DECLINED and copies:
        _open(row, why, len(copies), is_whole=True)


def copies_of_proposal(row: PullProposal) -> list[Delivery]:
    """Which it is about now, whatever their modes."""
    copies = without_allowed(copies_of(row.incident))
    return never_pulled(pullable(copies) if row.is_whole else condemned(copies))


def look_anew(tenant_id: int) -> None:
    """The modes of some mailboxes are others now: what waits may be wanted, or no longer."""
    rows = PullProposal.objects.filter(tenant=tenant_id, state=State.OPEN)
    if rows.update(looked_at=None):
        want_work(tenant_id, QUEUE)


def waiting_for_a_yes() -> Q:
    """For ``PullProposal.objects.filter``: what a person is to decide."""
    is_over = Q(incident__state=Incident.State.RESOLVED)
    return Q(state=State.OPEN, waiting__gt=0) & ~is_over


# --- the worker


def answer_proposals(claimed: ClaimedWork) -> bool:
    """All of one client that are to be looked at; True: more of them wait."""
    with work_scope(claimed):
        modes, wish = modes_of(claimed.tenant_id), wish_of(claimed.tenant_id)
        rows = PullProposal.objects.filter(tenant=claimed.tenant_id, state=State.OPEN)
        since = [at for at in (modes.changed_at, wish.stopped_at) if at]
        anew = Q(looked_at=None) | (Q(looked_at__lt=max(since)) if since else Q())
        ids = list(rows.filter(anew).order_by("asked_at").values_list("id", flat=True)[:AT_ONCE])
    for row_id in ids:
        try:
            with work_scope(claimed):
                _answer(row_id)
        except Exception as error:
            if is_passing_trouble(error):
                raise  # no proposal's fault
            log.exception("pull proposal %s is left to a person", row_id)
            with work_scope(claimed):
                PullProposal.objects.filter(id=row_id).update(
                    looked_at=timezone.now(), left="Bailey failed at it; its log says how."
                )
    return len(ids) == AT_ONCE


def _answer(row_id: UUID) -> None:
    row = PullProposal.objects.select_for_update(of=("self",)).get(id=row_id)
    if row.state != State.OPEN:
        return
    # For each anew: whoever stops Bailey, or has it ask, need not wait for the rest of a batch.
    modes, wish = modes_of(row.tenant_id), wish_of(row.tenant_id)
    if not row.incident.is_open:
        row.state, row.waiting = State.SETTLED, 0
        row.save(update_fields=["state", "waiting"])
        return
    copies = copies_of_proposal(row)
    acting = modes.of_copies(copies, Mode.AUTO)
    row.left = ""
    if acting:
        sure = acting if row.is_whole else _sure(acting)
        row.left = _refusal(row.incident, sure, wish)
        if not row.left and sure:
            start_job(
                Job.Kind.PULL,
                "pull",
                sure,
                row.incident,
                actor=ACTOR,
                reason=f"{row.why} Mode: {Mode.AUTO.label.lower()}.",
                detail={"proposal": str(row.id)},
            )
            acting = [copy for copy in acting if copy not in sure]
        if acting and not row.left:
            row.left = "The mailbox layer is not sure enough to act without a person."
    row.waiting = len(acting) + len(modes.of_copies(copies, Mode.ASK))
    row.looked_at = timezone.now()
    row.save(update_fields=["left", "waiting", "looked_at"])
    announce_incident(row.tenant_id, row.incident_id)


def _refusal(incident: Incident, copies: Sequence[Delivery], wish: LateVerdicts) -> str:
    """Why these are not pulled without a person; "" where nothing speaks against it."""
    if wish.stopped_at is not None:
        return f"{wish.stopped_by or 'Somebody'} has stopped whatever acts by itself."
    whole = lineage(incident)
    if PullProposal.objects.filter(incident__in=whole, state=State.DECLINED).exists():
        return "A person has declined to pull it."
    if StandingOrder.objects.filter(
        orders_in_force(), incident__in=whole, kind=StandingOrder.Kind.LEAVE
    ).exists():
        return "A person has said that the copies stay where they are."
    if len(copies) > wish.most_copies:
        return f"It would pull {len(copies)} copies; without a person at most {wish.most_copies}."
    return why_not_acting(incident.tenant_id)


def _sure(copies: Sequence[Delivery]) -> list[Delivery]:
    """Copies of whose verdict the mailbox layer is sure, by its latest word."""
    history = history_of(copies)

    def is_sure(copy: Delivery) -> bool:
        said = [
            seen
            for seen in history.get(copy.id, ())
            if seen.layer == Layer.MAILBOX and seen.verdict == copy.mailbox_verdict
        ]
        return bool(said) and (said[-1].confidence or 0) >= SURE

    return [copy for copy in copies if is_sure(copy)]


# --- people


@transaction.atomic
def approve(*, proposal: PullProposal, actor: Person, reason: str = "") -> Job:
    """Pull what waits.  Raises ``Conflict`` where somebody has decided or closed the incident as no
    threat, nothing is left, or the client does not let its mail be moved.
    """
    row = _locked(proposal)
    check_may_pull(row.incident)
    copies = modes_of(row.tenant_id).of_copies(copies_of_proposal(row), Mode.ASK, Mode.AUTO)
    if not copies:
        raise Conflict("Nothing is left to pull here.")
    job = start_job(
        Job.Kind.PULL,
        "pull",
        copies,
        row.incident,
        actor=actor,
        reason=reason.strip() or row.why,
        detail={"proposal": str(row.id)},
    )
    row.job, row.waiting = job, 0
    _decide(row, State.APPROVED, actor, reason, APPROVED)
    return job


@transaction.atomic
def decline(*, proposal: PullProposal, actor: Person, reason: str) -> None:
    """The copies stay, and Bailey asks no more for this incident.  Raises ``WrongInput`` without a
    reason, ``Conflict`` if decided.
    """
    if not reason.strip():
        raise WrongInput("Say why the copies stay where they are.")
    row = _locked(proposal)
    row.waiting = 0
    _decide(row, State.DECLINED, actor, reason, DECLINED)


def _locked(proposal: PullProposal) -> PullProposal:
    row: PullProposal = PullProposal.objects.select_for_update(of=("self",)).get(id=proposal.id)
    if row.state != State.OPEN:
        who = f" by {row.decided_by}" if row.decided_by else ""
        raise Conflict(f"This has been decided{who} already.")
    return row


def _decide(row: PullProposal, state: str, actor: Person, reason: str, action: str) -> None:
    row.state, row.reason, row.decided_at = state, reason.strip(), timezone.now()
    row.decided_by_id, row.decided_by = actor.id, actor.name
    row.save()
    write_audit(
        action,
        actor=actor,
        provider_id=Tenant.objects.values_list("provider_id", flat=True).get(id=row.tenant_id),
        tenant_id=row.tenant_id,
        object_kind="pull_proposal",
        object_id=row.id,
        reason=row.reason,
        incident=str(row.incident_id),
        job=str(row.job_id or ""),
    )
    announce_incident(row.tenant_id, row.incident_id)
