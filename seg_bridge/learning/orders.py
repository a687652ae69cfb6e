"""Lessons become commands: one for each mail, to the gate that saw it, once.

``teach``       what people decided, as far as the client agrees
``take_back``   what an incident's resolution taught, the other way
``after_fetching``  the bytes of a mail were asked of its mailbox: what waits for them goes on
``fetch_originals`` asks mailboxes for them, in a worker

All run in the caller's scope and transaction.  Whoever decides about the same mail at the same
moment waits, and then finds the first one's lesson.

Held until the commit is the mails' turn to be taught, after the incident if one is held and before
any copy: so nobody locks another out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from incidents.gateway_asked import LessonWish
from incidents.models import Delivery, Intent, Message, Observation, Sighting
from incidents.models.mail import Layer, Place
from incidents.remediation import acquire_original, pullable
from seg_bridge.commands import next_seqs
from seg_bridge.learning.consent import NO, SHARED, consents_of
from seg_bridge.models import Gate, GateClient, GateCommand, Lesson
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import Conflict
from tenants.models import Person, Tenant
from tenants.work import want_work, work_scope

TAUGHT = "seg_bridge.lesson.ordered"
TAKEN_BACK = "seg_bridge.lesson.taken_back"
NO_ORIGINAL = "the original of this mail is not kept"
NOT_SEEN = "no gateway of ours saw this mail"
NO_GATE = "no gate handles mail for this client any more"
# How many originals one decision may ask of mailboxes.
MOST_FETCHED = 20
QUEUE = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why something is taught, and who decided it."""

    tenant_id: int
    because: str
    incident_id: UUID | None
    actor: Person | Actor


def teach(wishes: Sequence[LessonWish], decision: Decision) -> list[Lesson]:
    """Answers the new lessons; what the mail's last lesson says already makes none."""
    mails = _take_turns(decision.tenant_id, [wish.message_id for wish in wishes])
    consents = consents_of(decision.tenant_id, list(mails))
    last = last_lessons(decision.tenant_id, list(mails))
    new = []
    for wish in wishes:
        consent = consents.get(wish.message_id, NO)
        if consent != NO:
            before = last.get(wish.message_id)
            share = wish.kind if consent == SHARED and wish.as_spam else ""
            lesson = _lesson_after(before, wish, share)
            if lesson is not None:
                new.append(lesson)
    return _order(new, mails, decision, TAUGHT)


def _lesson_after(before: Lesson | None, wish: LessonWish, share: str) -> Lesson | None:
    """None: it is known, or on its way."""
    lesson = Lesson(message_id=wish.message_id, as_spam=wish.as_spam, share=share)
    if before is None:
        return lesson
    is_same = before.as_spam == wish.as_spam and share in ("", before.share)
    if is_same and not before.is_failed:
        return None
    if before.share != share:
        lesson.unshare = before.share
    return lesson


def take_back(decision: Decision) -> list[Lesson]:
    """Of mails whose last lesson is that of ``decision.incident_id``.

    The filter cannot forget: it learns the opposite.
    """
    taught = Lesson.objects.filter(
        tenant_id=decision.tenant_id, incident=decision.incident_id, takes_back=False
    )
    mails = _take_turns(decision.tenant_id, list(taught.values_list("message_id", flat=True)))
    new = []
    for message_id, before in last_lessons(decision.tenant_id, list(mails)).items():
        if before.incident_id != decision.incident_id or before.takes_back:
            continue
        as_spam = not before.as_spam if before.has_taught else None
        lesson = Lesson(
            message_id=message_id, as_spam=as_spam, unshare=before.share, takes_back=True
        )
        if as_spam is not None or lesson.unshare:
            new.append(lesson)
    return _order(new, mails, decision, TAKEN_BACK)


def last_lessons(tenant_id: int, message_ids: Collection[UUID]) -> dict[UUID, Lesson]:
    """Message → the lesson that holds: the last one that was learned, or may yet be."""
    rows = Lesson.objects.filter(tenant_id=tenant_id, message__in=message_ids)
    return {
        row.message_id: row
        for row in rows.select_related("command").order_by("id")
        if row.has_taught or not row.is_failed
    }


def _take_turns(tenant_id: int, message_ids: Collection[UUID]) -> dict[UUID, Message]:
    """No lock of the rows: whoever makes sense of new copies holds them before their incident."""
    with connection.cursor() as cursor:
        for message_id in sorted(message_ids):
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext('seg_bridge.lesson'), hashtext(%s))",
                [str(message_id)],
            )
    return Message.objects.filter(tenant_id=tenant_id).in_bulk(list(message_ids))


def _order(
    lessons: list[Lesson], mails: dict[UUID, Message], decision: Decision, action: str
) -> list[Lesson]:
    if not lessons:
        return []
    gates = _gates(decision.tenant_id, [mails[each.message_id] for each in lessons])
    numbers = iter(next_seqs(len(lessons)))
    commands, fetched = [], 0
    for lesson in lessons:
        mail = mails[lesson.message_id]
        lesson.tenant_id, lesson.incident_id = decision.tenant_id, decision.incident_id
        lesson.because = decision.because[:300]
        lesson.decided_by_id, lesson.decided_by = decision.actor.id, decision.actor.name
        gate = gates.get(mail.id)
        if not mail.trace_ulid or gate is None:
            lesson.refusal = NO_GATE if mail.trace_ulid else NOT_SEEN
        elif mail.evidence:
            lesson.command = _command(lesson, mail, gate, next(numbers))
            commands.append(lesson.command)
        elif fetched < MOST_FETCHED and _has_mailbox(mail):
            fetched += 1
        else:
            lesson.refusal = NO_ORIGINAL
    GateCommand.objects.bulk_create(commands)
    Lesson.objects.bulk_create(lessons)
    if fetched:
        want_work(decision.tenant_id, QUEUE)
    write_audit(
        action,
        actor=decision.actor,
        provider_id=Tenant.objects.values_list("provider_id", flat=True).get(id=decision.tenant_id),
        tenant_id=decision.tenant_id,
        object_kind="incident" if decision.incident_id else "message",
        object_id=decision.incident_id or lessons[0].message_id,
        reason=decision.because,
        lessons=[
            {
                "message": str(each.message_id),
                "as_spam": each.as_spam,
                "share": each.share,
                "unshare": each.unshare,
                "refusal": each.refusal,
            }
            for each in lessons
        ],
    )
    return lessons


def _has_mailbox(mail: Message) -> bool:
    """One that may still give its bytes: ``fetch_originals`` asks."""
    copies = list(Delivery.objects.filter(tenant_id=mail.tenant_id, message=mail))
    return bool(pullable(copies)) or any(copy.place == Place.QUARANTINE for copy in copies)


def fetch_originals(claimed: ClaimedWork) -> None:
    """Asks mailboxes for the bytes that lessons of this client wait for, once each."""
    with work_scope(claimed):
        waiting = list(_without_bytes().values_list("message_id", flat=True))
    for message_id in dict.fromkeys(waiting):
        with work_scope(claimed):
            lesson = _without_bytes().filter(message=message_id).select_related("message").last()
            if lesson is not None:
                _fetch(lesson.message, lesson)


def _without_bytes() -> QuerySet[Lesson]:
    """Lessons that wait for bytes which nobody has been asked for."""
    asked = Intent.objects.filter(action="acquire", delivery__message=OuterRef("message")).exclude(
        state__in=Intent.OVER
    )
    found: QuerySet[Lesson] = Lesson.objects.filter(~Exists(asked), command=None, refusal="")
    return found.order_by("id")


def _fetch(mail: Message, lesson: Lesson) -> None:
    problem = ""
    if not mail.evidence:
        actor = Actor(lesson.decided_by, lesson.decided_by_id)
        reason = f"The gateway's filter is to learn from it: {lesson.because}"
        try:
            acquire_original(message=mail, actor=actor, reason=reason)
            return
        except Conflict as error:
            problem = error.sentence
    after_fetching(tenant_id=mail.tenant_id, message_id=mail.id, problem=problem)


def after_fetching(*, tenant_id: int, message_id: UUID, problem: str) -> None:
    """``problem`` "": the bytes have come; else why they will not."""
    mail = _take_turns(tenant_id, [message_id]).get(message_id)
    waiting = Lesson.objects.filter(
        tenant_id=tenant_id, message=message_id, command=None, refusal=""
    ).order_by("id")
    gate = _gates(tenant_id, [mail]).get(mail.id) if mail and waiting.exists() else None
    for lesson in waiting:
        if mail is None or not mail.evidence:
            why = f"{NO_ORIGINAL}, and its mailbox did not give it: {problem}"
            Lesson.objects.filter(id=lesson.id).update(refusal=why)
        elif gate is None:
            Lesson.objects.filter(id=lesson.id).update(refusal=NO_GATE)
        else:
            command = _command(lesson, mail, gate, *next_seqs(1))
            command.save(force_insert=True)
            Lesson.objects.filter(id=lesson.id).update(command=command)


def _command(lesson: Lesson, mail: Message, gate: Gate, seq: int) -> GateCommand:
    return GateCommand(
        tenant_id=lesson.tenant_id,
        gate=gate,
        seq=seq,
        kind=GateCommand.Kind.LEARN,
        trace_ulid=mail.trace_ulid,
        evidence=mail.evidence,
        released_by=lesson.decided_by[:200],
        terms={"as_spam": lesson.as_spam, "share": lesson.share, "unshare": lesson.unshare},
    )


def _gates(tenant_id: int, mails: Iterable[Message]) -> dict[UUID, Gate]:
    """Message → the gate that saw it; where that is gone, another one of the client's."""
    serving = GateClient.objects.filter(tenant_id=tenant_id).values("gate_id")
    by_name = {gate.name: gate for gate in Gate.objects.filter(id__in=serving).order_by("name")}
    if not by_name:
        return {}
    other = next(iter(by_name.values()))
    names = _names_of_gates(tenant_id, mails)
    return {mail_id: by_name.get(name, other) for mail_id, name in names.items()}


def _names_of_gates(tenant_id: int, mails: Iterable[Message]) -> dict[UUID, str]:
    by_ulid = {mail.trace_ulid: mail.id for mail in mails if mail.trace_ulid}
    sights = Sighting.objects.filter(
        tenant_id=tenant_id, delivery__message__in=list(by_ulid.values())
    )
    rows = Observation.objects.filter(
        tenant_id=tenant_id,
        id__in=sights.values("observation_id"),
        observed_at__in=sights.values("observed_at"),
        layer=Layer.GATEWAY,
        trace_ulid__in=list(by_ulid),
        source__startswith="gate:",
    ).order_by("observed_at")
    found = rows.values_list("trace_ulid", "source")
    return {by_ulid[ulid]: source.removeprefix("gate:") for ulid, source in found}
