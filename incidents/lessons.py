"""What people decide about mail, as lessons for the gateway's filter: docs/learning.md.

``lesson_of``               the whole table: which decision teaches what
``teach_from_incident``     an incident was resolved
``teach_from_held``         held mail was denied or released
``take_back_from_incident`` an incident was opened again

The gateway asks whether the client agrees to it (policy value ``learn``), and does the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from incidents.gateway_asked import LessonWish
from incidents.layers import gateway_layer
from incidents.models import Delivery, Incident
from incidents.words import Verdict
from tenants.audit import Actor
from tenants.models import Person

# More mails of one incident teach nothing that these do not.
MOST_TAUGHT = 200
# Their words are those of any letter: who learned them would hold business mail.
NEVER = frozenset({Verdict.BEC, Verdict.MALWARE})
CONDEMNED = frozenset({Verdict.SPAM, Verdict.PHISH, Verdict.SUSPICIOUS})


class Act(StrEnum):
    """What a person decided."""

    TRUE_POSITIVE = "true_positive"
    BENIGN = "benign"
    FALSE_POSITIVE = "false_positive"
    DENIED_AS_SPAM = "denied_as_spam"
    FALSE_ALARM = "false_alarm"
    RELEASED = "released"


ACT_WORDS = {
    Act.TRUE_POSITIVE: "resolved as a true positive",
    Act.FALSE_POSITIVE: "resolved as a false positive",
    Act.DENIED_AS_SPAM: "Held mail was denied as spam",
    Act.FALSE_ALARM: "Held mail was released as a false alarm",
}


@dataclass(frozen=True, slots=True)
class Lesson:
    """``kind`` is what its hashes are shared as, ``spam`` or ``phish``; "" where it is no spam."""

    as_spam: bool
    kind: str = ""


def lesson_of(
    act: Act, *, kind: str, gateway: Collection[str], others: Collection[str]
) -> Lesson | None:
    """None: nothing is taught.

    ``kind`` is the incident's, "" without one; ``gateway`` the gateway's verdicts about the mail,
    ``others`` those of the other layers, of people and of the mail host.
    """
    words = {*gateway, *others}
    if (words | {kind}) & NEVER:
        return None
    match act:
        case Act.TRUE_POSITIVE if kind in (Verdict.SPAM, Verdict.PHISH):
            return Lesson(True, kind)
        case Act.TRUE_POSITIVE if kind == Verdict.SUSPICIOUS:
            # Suspicious alone may be anything; somebody must have said of what.
            named = [word for word in (Verdict.PHISH, Verdict.SPAM) if word in words]
            return Lesson(True, named[0]) if named else None
        case Act.DENIED_AS_SPAM:
            return Lesson(True, Verdict.PHISH if Verdict.PHISH in words else Verdict.SPAM)
        case Act.FALSE_POSITIVE | Act.FALSE_ALARM if CONDEMNED & set(gateway):
            return Lesson(False)
    return None


def teach_from_incident(incident: Incident, actor: Person | Actor) -> None:
    """Of the incident's newest mails, by its classification.  In the caller's transaction."""
    if not gateway_layer().learns(incident.tenant_id):
        return
    act = Act(incident.classification)
    copies = Delivery.objects.filter(
        tenant_id=incident.tenant_id, message__memberships__incident=incident
    )
    because = f"Incident {incident.number} was {ACT_WORDS.get(act, '')}"
    _teach(copies, act, incident.kind, because, actor, incident.id)


def teach_from_held(copies: Sequence[Delivery], act: Act, actor: Person | Actor) -> None:
    """Held mail was denied as spam, or released.  In the caller's transaction, before it holds any
    of the copies.
    """
    if not copies or not gateway_layer().learns(copies[0].tenant_id):
        return
    of_mails = Delivery.objects.filter(
        tenant_id=copies[0].tenant_id, message__in={copy.message_id for copy in copies}
    )
    _teach(of_mails, act, "", ACT_WORDS.get(act, ""), actor, None)


def take_back_from_incident(incident: Incident, actor: Person | Actor) -> None:
    """What its resolution taught is taught the other way, and shared hashes are taken back."""
    gateway_layer().take_back_lessons(
        tenant_id=incident.tenant_id,
        incident_id=incident.id,
        because=f"Incident {incident.number} was opened again",
        actor=actor,
    )


def _teach(
    copies: Iterable[Delivery],
    act: Act,
    kind: str,
    because: str,
    actor: Person | Actor,
    incident_id: UUID | None,
) -> None:
    if actor.id is None:  # nobody has decided it: a policy, or Bailey
        return
    said: dict[UUID, tuple[set[str], set[str]]] = {}
    tenant_id = 0
    for copy in copies:
        tenant_id = copy.tenant_id
        gateway, others = said.setdefault(copy.message_id, (set(), set()))
        gateway.add(copy.gateway_verdict)
        others |= {copy.mailbox_verdict, copy.person_verdict, copy.vendor_verdict}
    wishes = []
    for message_id in sorted(said, reverse=True)[:MOST_TAUGHT]:  # ids grow with time
        gateway, others = said[message_id]
        lesson = lesson_of(act, kind=kind, gateway=gateway, others=others)
        if lesson is not None:
            wishes.append(LessonWish(message_id, lesson.as_spam, lesson.kind))
    if wishes:
        gateway_layer().teach(
            wishes, tenant_id=tenant_id, because=because, incident_id=incident_id, actor=actor
        )
