"""A held copy as somebody asks about it: what the same rule holds, and whether she may release."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from django.db.models import Q

from incidents.foresight import Foresight, foresee, why_exception_fails
from incidents.gateway_asked import ReleaseRight
from incidents.held import SameRule, held_by_same_rule
from incidents.models import Delivery, Message
from incidents.models.mail import Place
from incidents.release_rights import releasable, rights_of, role_of
from incidents.words import Direction
from seg_bridge.both_layers import ExceptionWay, ways_for
from seg_bridge.outbound.models import SenderStop
from tenants.errors import WrongInput
from tenants.models import Mailbox, Person


@dataclass(frozen=True, slots=True)
class ReleaseQuestion:
    """``same``: others of the same rule, as far as this person may release them.

    ``seen``: what each layer will do now, the other one first; ``ways``: what an exception for both
    could rest on; ``caution`` "" or why one would not help as it is.  All empty where she may not.
    ``stop``: of mail that was going out, its sender's, where that stands; None: none does.
    """

    copy: Delivery
    same: SameRule
    right: ReleaseRight
    may: bool
    seen: list[Foresight] = field(default_factory=list)
    ways: list[ExceptionWay] = field(default_factory=list)
    caution: str = ""
    stop: SenderStop | None = None


def release_question(copy: Delivery, person: Person) -> ReleaseQuestion:
    """Needs a scope that names the provider."""
    right = rights_of([copy])[copy.id]
    same = same_rule_for(copy, person)
    if role_of(person) not in right.roles:
        return ReleaseQuestion(copy, same, right, may=False)
    seen = foresee(copy)
    return ReleaseQuestion(
        copy,
        same,
        right,
        may=True,
        seen=seen,
        ways=ways_for([copy]),
        caution=why_exception_fails(copy, seen),
        stop=stop_behind(copy),
    )


def stop_behind(copy: Delivery) -> SenderStop | None:
    """The stop in force of the account that sent this copy; None: of mail that came in, too."""
    if copy.direction != Direction.OUTBOUND:
        return None
    message = copy.message
    behind = Q(evidence__contains=[message.trace_ulid]) | Q(mailbox=message.sender_address)
    stops = SenderStop.objects.filter(behind, tenant=copy.tenant_id, lifted_at=None)
    return stops.select_related("incident").order_by("-stopped_at").first()


def same_rule_for(copy: Delivery, person: Person) -> SameRule:
    same = held_by_same_rule(copy)
    return replace(same, others=releasable(same.others, person))


def held_copies(message: Message) -> list[Delivery]:
    """Copies of this mail that the gateway holds."""
    copies = message.deliveries.filter(place=Place.HOLD).order_by("recipient", "id")
    return list(copies[:200])


def pulled_copies(message: Message) -> list[Delivery]:
    """Copies of this mail that Bailey took out of mailboxes: each can be given back."""
    copies = message.deliveries.filter(place=Place.QUARANTINE).order_by("recipient", "id")
    return list(copies[:200])


def access_mailbox_named(address: str) -> Mailbox:
    """Raises ``WrongInput`` where no client in sight has this mailbox."""
    wanted = address.strip().lower()
    boxes = Mailbox.objects.exclude(state=Mailbox.State.GONE)
    found = boxes.filter(Q(address=wanted) | Q(aliases__contains=[wanted])).first()
    if found is None:
        raise WrongInput(f"None of your clients has a mailbox {wanted}.")
    return found
