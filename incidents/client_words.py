"""What clients say in their portal, and what becomes of it.

The portal's role writes nothing: its words go through doors of the database, each of which takes
one thing from one of the client's own people.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from incidents.announce import announce_incident
from incidents.lessons import Act, teach_from_held
from incidents.models import ClientWord, Delivery, Incident, Intent
from incidents.notices import tell_refused, tell_released
from tenants.audit import Actor, write_audit
from tenants.doors import ask
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.models import Person, Tenant
from tenants.work import ring

REFUSED = "incidents.release.refused"
READ = "incidents.answer.read"
RELEASED = "Released."
MOST_CHARS = 2000
# The queue of wishes; the door leaves the work (seg_bridge/held/requests.py serves it).
REQUESTS = "held"


def ask_for_release(*, delivery: Delivery, person: Person, reason: str) -> None:
    """The client wishes a held mail.  Asking twice is asking once.  Needs the portal's scope."""
    _through_the_door(ClientWord.Kind.RELEASE, delivery.id, person, reason)
    announce_incident(delivery.tenant_id, delivery.id)
    transaction.on_commit(lambda: ring(REQUESTS))


def answer(*, incident: Incident, person: Person, text: str) -> None:
    """The client answers about a shared incident.  Needs the portal's scope."""
    _through_the_door(ClientWord.Kind.ANSWER, incident.id, person, text)
    announce_incident(incident.tenant_id, incident.id)


def set_body_access(*, is_allowed: bool, person: Person, reason: str) -> None:
    """Whether anybody of the provider may open content of the client's mail, from now on."""
    if ask("door_body_access", is_allowed, person.id, reason) is None:
        raise NotThere


def _through_the_door(kind: str, object_id: UUID, person: Person, text: str) -> None:
    text = text.strip()
    if not text or len(text) > MOST_CHARS:
        raise WrongInput(_("Please say it in a few sentences."))
    if ask("door_client_word", kind, object_id, person.id, text) is None:
        raise NotThere


def open_wishes(delivery_ids: Collection[UUID]) -> dict[UUID, ClientWord]:
    """Delivery → the wish to have it released that nobody has dealt with yet."""
    wishes = ClientWord.objects.filter(
        kind=ClientWord.Kind.RELEASE, settled_at=None, delivery__in=delivery_ids
    )
    return {wish.delivery_id: wish for wish in wishes if wish.delivery_id}


def _on_its_way() -> QuerySet[Intent]:
    """Releases, and copies that are given back, that are not over yet."""
    actions = Intent.objects.filter(action__in=("release", "restore"))
    return actions.exclude(state__in=Intent.OVER)


def _undecided() -> QuerySet[ClientWord]:
    wishes = ClientWord.objects.filter(kind=ClientWord.Kind.RELEASE, settled_at=None)
    running = _on_its_way().filter(tenant=OuterRef("tenant"), delivery=OuterRef("delivery"))
    return wishes.filter(~Exists(running))


def wishes_in_sight() -> list[ClientWord]:
    """What clients ask to have released and nobody has decided about, oldest first."""
    return list(
        _undecided().select_related("tenant", "delivery__message").order_by("created_at")[:100]
    )


def wishes_waiting() -> int:
    """How many wishes for held mail nobody has decided about, over all clients in sight."""
    return _undecided().count()


def unread_answers(incident_ids: Collection[UUID]) -> dict[UUID, list[ClientWord]]:
    """Incident → what its client answered and nobody has marked as read, oldest first."""
    found: dict[UUID, list[ClientWord]] = {}
    words = ClientWord.objects.filter(
        kind=ClientWord.Kind.ANSWER, settled_at=None, incident_id__any_of=incident_ids
    )
    for word in words.order_by("created_at"):
        if word.incident_id:
            found.setdefault(word.incident_id, []).append(word)
    return found


def settle_wishes(delivery: Delivery, actor: Person | Actor, outcome: str) -> list[ClientWord]:
    """Somebody dealt with this held mail; answers the wishes that this settled."""
    open_now = ClientWord.objects.filter(
        tenant=delivery.tenant_id,
        delivery=delivery,
        kind=ClientWord.Kind.RELEASE,
        settled_at=None,
    )
    settled = list(open_now.select_for_update(of=("self",)))
    open_now.filter(id__in=[word.id for word in settled]).update(
        settled_at=timezone.now(), settled_by=actor.name, outcome=outcome[:300]
    )
    return settled


def settle_released(delivery: Delivery, actor: Person | Actor) -> None:
    """The mail is on its way: whoever asked for it is told."""
    for word in settle_wishes(delivery, actor, RELEASED):
        tell_released(word, delivery)


def wait_on(delivery: Delivery) -> None:
    """No gate could hand it on: a person decides about the wishes for it."""
    for word in open_wishes([delivery.id]).values():
        scan = {name: told for name, told in word.scan.items() if name != "outcome"}
        ClientWord.objects.filter(id=word.id).update(scan=scan)
    announce_incident(delivery.tenant_id, delivery.id)


@transaction.atomic
def read_answers(*, incident: Incident, actor: Person) -> None:
    """Somebody has read what the client answered.  Raises ``Conflict`` where all is read."""
    settled = ClientWord.objects.filter(
        tenant=incident.tenant_id,
        incident=incident,
        kind=ClientWord.Kind.ANSWER,
        settled_at=None,
    ).update(settled_at=timezone.now(), settled_by=actor.name, outcome="read")
    if not settled:
        raise Conflict("Somebody else has read it a moment ago.")
    write_audit(
        READ,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=incident.tenant_id,
        object_kind="incident",
        object_id=incident.id,
    )
    announce_incident(incident.tenant_id, incident.id)


@transaction.atomic
def refuse_release(
    *, delivery: Delivery, actor: Person | Actor, reason: str, is_spam: bool = False
) -> None:
    """The mail stays held, and the client reads why.  ``is_spam``: the gateway may learn it.

    Raises ``Conflict`` where nobody asks, or where it is being released.
    """
    if not reason.strip():
        raise WrongInput("Say why: the client reads it.")
    if is_spam:
        teach_from_held([delivery], Act.DENIED_AS_SPAM, actor)
    if _on_its_way().filter(delivery=delivery).exists():
        raise Conflict("Somebody is releasing it already.")
    settled = settle_wishes(delivery, actor, f"Stays held: {reason.strip()}")
    if not settled:
        raise Conflict("Nobody asks for this mail any more.")
    for word in settled:
        tell_refused(word, delivery, reason.strip())
    write_audit(
        REFUSED,
        actor=actor,
        provider_id=Tenant.objects.get(id=delivery.tenant_id).provider_id,
        tenant_id=delivery.tenant_id,
        object_kind="delivery",
        object_id=delivery.id,
        reason=reason.strip(),
    )
    announce_incident(delivery.tenant_id, delivery.id)
