"""Actions on mail: what a person asks for becomes a job with one intent for each copy.

Services write the intents and leave work; incidents/execution.py carries them out.  Every service
answers the job to follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from incidents.allowed import without_allowed
from incidents.announce import announce_incident, announce_job
from incidents.assessment import IN_MAILBOX, is_unseen
from incidents.client_words import settle_released, wait_on
from incidents.layers import gateway_layer, why_not_acting
from incidents.looks import plan_look
from incidents.models import Delivery, Incident, Intent, Job, Message, StandingOrder
from incidents.models.mail import Place
from incidents.modes import Mode, modes_of
from incidents.orders import LATE_COPIES, give_order
from incidents.release_rights import check_may_release
from incidents.words import LET_THROUGH
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant
from tenants.work import want_work

# When a removed copy is looked at again: rules, sync clients and restores move mail back.
LATER_CHECKS_S = (300, 3600)


def copies_of(incident: Incident) -> list[Delivery]:
    return list(
        Delivery.objects.select_related("message")
        .filter(message__memberships__incident=incident)
        .order_by("received_at", "id")
    )


def pullable(copies: Iterable[Delivery]) -> list[Delivery]:
    """Copies within reach, and those in a folder of deleted mail: they are pulled with them."""
    return [copy for copy in copies if copy.place in IN_MAILBOX or is_unseen(copy)]


def never_pulled(copies: Sequence[Delivery]) -> list[Delivery]:
    """Each copy is pulled by itself once: what a person put back stays."""
    if not copies:
        return []
    asked = Intent.objects.filter(
        tenant=copies[0].tenant_id, delivery__in=[copy.id for copy in copies], action="pull"
    )
    done = set(asked.values_list("delivery_id", flat=True))
    return [copy for copy in copies if copy.id not in done]


def were_put_back(copies: Sequence[Delivery]) -> bool:
    """Has a person had any of them put back, or asked for it?"""
    asked = Intent.objects.filter(delivery__in=copies, action="restore")
    return asked.exclude(state=Intent.State.FAILED).exists()


def pull_incident(
    *,
    incident: Incident,
    actor: Person | Actor,
    reason: str = "",
    group_id: UUID | None = None,
    late: timedelta | None = LATE_COPIES,
    detail: dict[str, Any] | None = None,
) -> Job:
    """Move every copy of the incident's mails to the hidden quarantine folder.  Reversible.

    ``group_id`` is that of an order over several clients (incidents/everywhere.py); ``late``: for
    how long copies that arrive later are pulled too, None: they are not.  Where no person asks,
    only copies in mailboxes where Bailey acts by itself (incidents/modes.py).  Raises ``Conflict``
    where a person asks for it and the client does not let its mail be moved, or where somebody has
    closed the incident as no threat.
    """
    if isinstance(actor, Person):
        check_may_pull(incident)
    copies = pullable(copies_of(incident))
    if not isinstance(actor, Person):
        # What a person has let be or put back, nobody but a person takes away; and by itself Bailey
        # moves nothing but where it may.
        copies = never_pulled(without_allowed(copies))
        copies = modes_of(incident.tenant_id).of_copies(copies, Mode.AUTO)
    job = start_job(
        Job.Kind.PULL,
        "pull",
        copies,
        incident,
        actor=actor,
        reason=reason,
        group_id=group_id,
        detail=detail,
    )
    if late is not None:
        kind = StandingOrder.Kind.PULL
        give_order(incident=incident, kind=kind, actor=actor, reason=reason, lasts=late)
    return job


def check_may_pull(incident: Incident) -> None:
    """Before a person pulls.  Raises ``Conflict``."""
    if why := why_not_acting(incident.tenant_id):
        raise Conflict(why)
    if incident.is_called_harmless:
        raise Conflict("This incident was closed as no threat: its mail is left alone.")


def look_again(*, incident: Incident, actor: Person | Actor) -> Job:
    """Read from the mailboxes where every delivered copy is now; nothing is moved."""
    copies = [copy for copy in copies_of(incident) if was_delivered(copy)]
    return start_job(Job.Kind.LOOK, "look", copies, incident, actor=actor, reason="")


def was_delivered(copy: Delivery) -> bool:
    """Whether a mailbox can be asked for it."""
    return copy.outcome in LET_THROUGH or bool(copy.mailbox_item_id)


def release_held(
    *, delivery: Delivery, actor: Person | Actor, reason: str = "", incident: Incident | None = None
) -> Job:
    """Deliver the original of one held copy.  Raises ``Conflict`` if it is not held (any more),
    ``NotAllowed`` where the policy keeps it from this actor.
    """
    if delivery.place != Place.HOLD:
        raise Conflict("This mail is not held any more.")
    running = Intent.objects.filter(delivery=delivery, action="release").exclude(
        state__in=Intent.OVER
    )
    existing = running.select_related("job").first()
    if existing is not None:
        check_may_release([delivery], actor)
        under_way: Job = existing.job
        return under_way
    return release_copies([delivery], actor=actor, reason=reason, incident=incident)


@transaction.atomic
def release_copies(
    copies: Sequence[Delivery],
    *,
    actor: Person | Actor,
    reason: str,
    incident: Incident | None = None,
    group_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> Job:
    """The one way out of the hold, whoever asks by whatever door: rights first, then one job.

    Raises ``NotAllowed``, or ``Conflict`` where others are releasing all of them already.
    """
    check_may_release(copies, actor)
    job = start_job(
        Job.Kind.RELEASE,
        "release",
        copies,
        incident,
        actor=actor,
        reason=reason,
        group_id=group_id,
        detail=detail,
    )
    intents = dict(Intent.objects.filter(job=job).values_list("delivery_id", "id"))
    if not intents:
        raise Conflict("Somebody else is releasing this already.")
    gateway_layer().release(
        delivery_ids=list(intents), intent_ids=list(intents.values()), released_by=actor.name
    )
    return job


def acquire_original(*, message: Message, actor: Person | Actor, reason: str) -> Job:
    """Fetch the mail's bytes from a mailbox that has it, into the evidence store."""
    copies = pullable(message.deliveries.all()) + [
        copy for copy in message.deliveries.all() if copy.place == Place.QUARANTINE
    ]
    if not copies:
        raise Conflict("No mailbox holds this mail any more, and its original was not kept.")
    member = message.memberships.select_related("incident").first()
    incident = member.incident if member else None
    return start_job(Job.Kind.ACQUIRE, "acquire", copies[:1], incident, actor=actor, reason=reason)


@transaction.atomic
def block_sender(
    *,
    incident: Incident,
    actor: Person,
    reason: str,
    expires_at: datetime | None,
    despite: bool = False,
    group_id: UUID | None = None,
) -> Job:
    """Hold further mail of the incident's sender at the gateway; in force within seconds.

    The job is done at once, and names the rule.  Raises ``Objections`` where its rehearsal has
    any, unless ``despite``, which needs a reason.
    """
    if not incident.sender:
        raise WrongInput("This incident has no readable sender to block.")
    if despite and not reason.strip():
        raise WrongInput("Say why it is to be blocked although the rehearsal objects.")
    rule_id = gateway_layer().block_sender(
        tenant_id=incident.tenant_id,
        sender=incident.sender,
        reason=reason or f"Incident {incident.number}: {incident.title}",
        owner_id=actor.id,
        owner_name=actor.name,
        expires_at=expires_at,
        incident_id=incident.id,
        despite=despite,
    )
    job = Job.objects.create(
        tenant_id=incident.tenant_id,
        kind=Job.Kind.BLOCK,
        state=Job.State.DONE,
        incident=incident,
        group_id=group_id,
        requested_by_id=actor.id,
        requested_by=actor.name,
        reason=reason,
        detail={"sender": incident.sender, "rule": str(rule_id)},
        finished_at=timezone.now(),
    )
    announce_incident(incident.tenant_id, incident.id)
    announce_job(incident.tenant_id, job.id)
    return job


@transaction.atomic
def start_job(
    kind: str,
    action: str,
    copies: Sequence[Delivery],
    incident: Incident | None,
    *,
    actor: Person | Actor,
    reason: str,
    group_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> Job:
    """A job with one intent a copy; copies on which the same action is under way are left to it.

    Raises ``Conflict`` for an incident that was merged: its copies are another's now.
    """
    if incident is not None and incident.is_merged:
        raise Conflict(f"#{incident.number} was merged: its mail is in another incident now.")
    tenant_id = incident.tenant_id if incident else copies[0].tenant_id
    busy = _hold_copies(tenant_id, action, copies)
    job = Job.objects.create(
        tenant_id=tenant_id,
        kind=kind,
        incident=incident,
        group_id=group_id,
        requested_by_id=actor.id,
        requested_by=actor.name,
        reason=reason,
        detail={"left_to_other_jobs": len(busy), **(detail or {})},
    )
    _make_intents(job, action, [copy for copy in copies if copy.id not in busy])
    write_audit(
        f"incidents.job.{kind}_asked",
        actor=actor,
        provider_id=Tenant.objects.get(id=tenant_id).provider_id,
        tenant_id=tenant_id,
        object_kind="incident" if incident else "delivery",
        object_id=incident.id if incident else copies[0].id,
        reason=reason,
        job=str(job.id),
        copies=len(copies),
    )
    settle_job(job)
    want_work(tenant_id, "remediate")
    return job


def _hold_copies(tenant_id: int, action: str, copies: Sequence[Delivery]) -> set[UUID]:
    """Those on which the same action is under way.

    Whoever asks for the same copies at this moment waits, and then finds them busy.
    """
    ids = [copy.id for copy in copies]
    held = Delivery.objects.filter(tenant=tenant_id, id__in=ids).order_by("id")
    list(held.select_for_update(of=("self",)).values_list("id"))
    under_way = Intent.objects.filter(delivery__in=copies, action=action).exclude(
        state__in=Intent.OVER
    )
    return set(under_way.values_list("delivery_id", flat=True))


def _make_intents(job: Job, action: str, copies: Sequence[Delivery]) -> None:
    now = timezone.now()
    Intent.objects.bulk_create(
        Intent(
            tenant_id=job.tenant_id,
            job=job,
            delivery=copy,
            action=action,
            due_at=now,
            asked_place=copy.place,
        )
        for copy in copies
    )


def settle_job(job: Job) -> None:
    """Bring the job's counts and state up to its intents; counts always add up to the copies."""
    # Counted in the database: this is done for each intent, of which a job may have thousands.
    counted = Intent.objects.filter(job=job).order_by().values_list("state").annotate(Count("id"))
    states = Counter(dict(counted))
    job.counts = {"copies": sum(states.values())} | {
        state: states[state] for state in Intent.State.values
    }
    left = sum(states[state] for state in Intent.State.values if state not in Intent.OVER)
    if left:
        job.state = Job.State.RUNNING if len(states) > 1 else Job.State.QUEUED
    elif not states[Intent.State.FAILED]:
        job.state = Job.State.DONE
    else:
        good = sum(states.values()) - states[Intent.State.FAILED]
        job.state = Job.State.PARTLY if good else Job.State.FAILED
    if not left and job.finished_at is None:
        job.finished_at = timezone.now()
    job.save(update_fields=["counts", "state", "finished_at"])
    announce_job(job.tenant_id, job.id)


def settle_intent(intent_id: UUID, *, ok: bool, detail: str) -> None:
    """A gate's word about a command: the copy was handed on, or why not.

    A ``detail`` that begins with "unknown" says that the gate cannot tell: incidents/releases.py.
    """
    intent = Intent.objects.select_related("job").select_for_update(of=("self",)).get(id=intent_id)
    if intent.state in Intent.OVER:
        return
    if not ok and detail.startswith("unknown"):
        intent.state, intent.error = Intent.State.UNKNOWN, detail
        intent.save(update_fields=["state", "error"])
        settle_job(intent.job)
        want_work(intent.tenant_id, "remediate")
        return
    intent.state = Intent.State.VERIFIED if ok else Intent.State.FAILED
    intent.error = "" if ok else detail
    intent.finished_at = timezone.now()
    intent.save(update_fields=["state", "error", "finished_at"])
    if ok and intent.action == "release":
        # Not before: what a gate could not hand on, the client still waits for.
        who = Actor(intent.job.requested_by, intent.job.requested_by_id)
        settle_released(intent.delivery, who)
        plan_look(intent, put_in=Place.INBOX, at=intent.finished_at)
    elif intent.action == "release":
        wait_on(intent.delivery)
    settle_job(intent.job)
