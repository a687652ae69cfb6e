"""Digests that somebody asks for: the provider's people, or one of the client's own in the portal.

``send_digest_now``    at once, from the console or the API
``ask_for_digest``     from the portal, whose role writes nothing itself: through its door
``serve_asked``        what was asked in the portal is sent by the worker

It goes to the mailbox that it is about, whoever asks, and not more often than ``MOST_ASKED``.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from incidents.models import ClientWord
from seg_bridge.held.digest import make_digest, waiting_for
from seg_bridge.held.models import Digest
from seg_bridge.held.policy import HeldPolicies
from seg_bridge.held.schedule import Schedule
from tenants.audit import Actor, write_audit
from tenants.doors import ask
from tenants.errors import Conflict, DomainError, NotThere, TooManyRequests
from tenants.ids import new_id
from tenants.models import Mailbox, Person, Tenant
from tenants.work import ring

QUEUE = "digest"
# Of one mailbox within an hour, whoever asks; of these the portal's people, as the door counts.
MOST_ASKED, MOST_BY_PORTAL = 6, 3
WITHIN = timedelta(hours=1)
MOST_AT_ONCE = 20


def send_digest_now(*, mailbox: Mailbox, actor: Person | Actor) -> Digest:
    """All that waits for this mailbox, told before or not.

    Raises ``Conflict`` where nothing does, ``TooManyRequests`` after ``MOST_ASKED`` in an hour.
    """
    since = timezone.now() - WITHIN
    asked = Digest.objects.filter(mailbox=mailbox, slot__startswith="asked/", created_at__gt=since)
    if asked.count() >= MOST_ASKED:
        raise TooManyRequests(_too_often(mailbox, MOST_ASKED))
    copies = waiting_for(mailbox)
    if not copies:
        raise Conflict(_nothing(mailbox))
    tenant = Tenant.objects.get(id=mailbox.tenant_id)
    policy = HeldPolicies.of([tenant.id]).at(tenant.id, mailbox.domain_id, mailbox.id)
    schedule = Schedule.of(policy, tenant.time_zone)
    digest = make_digest(mailbox, f"asked/{new_id()}", copies, schedule, actor=actor)
    assert digest is not None  # its slot is fresh
    write_audit(
        "seg_bridge.digest.asked",
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="mailbox",
        object_id=mailbox.id,
        items=digest.items,
    )
    return digest


def ask_for_digest(*, mailbox: Mailbox, person: Person) -> None:
    """One of the client's own people wants it sent.  Needs the portal's scope.

    Raises as ``send_digest_now`` does.
    """
    if not waiting_for(mailbox):
        raise Conflict(_nothing(mailbox))
    kind = ClientWord.Kind.DIGEST
    answer = ask("door_client_word", kind, mailbox.id, person.id, mailbox.address)
    if answer is None:
        raise NotThere
    if answer == "too_many":
        raise TooManyRequests(_too_often(mailbox, MOST_BY_PORTAL))
    transaction.on_commit(lambda: ring(QUEUE))


def serve_asked(tenant_id: int) -> None:
    """Needs the worker's scope of the client."""
    words = ClientWord.objects.select_for_update(of=("self",), skip_locked=True).filter(
        tenant_id=tenant_id, kind=ClientWord.Kind.DIGEST, settled_at=None
    )
    for word in words.order_by("created_at")[:MOST_AT_ONCE]:
        outcome = _send(word)
        ClientWord.objects.filter(id=word.id).update(
            settled_at=timezone.now(), settled_by="Bailey", outcome=outcome[:300]
        )


def _send(word: ClientWord) -> str:
    """What became of it."""
    boxes = Mailbox.objects.filter(tenant_id=word.tenant_id, address=word.text)
    mailbox = boxes.exclude(state=Mailbox.State.GONE).first()
    if mailbox is None:
        return "The mailbox is gone."
    try:
        with transaction.atomic():
            actor = Actor(word.person_name, word.person_id)
            return f"Sent: {send_digest_now(mailbox=mailbox, actor=actor).items}."
    except DomainError as error:
        return error.sentence


def _nothing(mailbox: Mailbox) -> str:
    said = _("Nothing is held back from %(mailbox)s.")
    return said % {"mailbox": mailbox.address}


def _too_often(mailbox: Mailbox, most: int) -> str:
    said = _(
        "%(most)d digests went to %(mailbox)s within the hour. Please wait: what comes meanwhile"
        " stands in the next one."
    )
    return said % {"most": most, "mailbox": mailbox.address}
