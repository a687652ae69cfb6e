"""The digest of a mailbox: what all layers keep from it, each mail once, and only what is new.

``serve_digests``   what was asked for, and what is due by the policies, for one client
``make_digest``     one of them; on demand: asked.py

A mail is new to a mailbox until a digest has told of it (``HeldLink``).  A digest and its links are
written in one transaction with the mail in the outbox, under a name that is there once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from incidents.models import Delivery, Intent
from incidents.models.mail import Place
from seg_bridge.gate.policy import normalise_address
from seg_bridge.held.digest_mail import DigestMail, write_digest
from seg_bridge.held.models import Digest, HeldLink
from seg_bridge.held.policy import HeldPolicies
from seg_bridge.held.schedule import Schedule
from tenants.audit import Actor
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Mailbox, Person, Tenant
from tenants.outbox import post
from tenants.work import work_scope

LOOKED_BACK = timedelta(days=14)
MOST_COPIES = 5_000
GOOD_FOR = timedelta(days=14)
_WAITING = (Place.HOLD, Place.QUARANTINE)


@dataclass(frozen=True, slots=True)
class Due:
    """``copies`` are all that this mailbox has not been told of, newest first."""

    mailbox: Mailbox
    slot: datetime
    schedule: Schedule
    copies: list[Delivery]


def serve_digests(claimed: ClaimedWork) -> datetime | None:
    """Send what is due.  The beat asks again every few minutes."""
    from seg_bridge.held.asked import serve_asked  # it makes its digests here

    with work_scope(claimed):
        serve_asked(claimed.tenant_id)
    with work_scope(claimed):
        due = _due(claimed.tenant_id, timezone.now())
    for each in due:
        with work_scope(claimed):
            make_digest(each.mailbox, each.slot.isoformat(), each.copies, each.schedule)
    return None


def pass_over_due(tenant_id: int, now: datetime) -> int:
    """After a restore (tenants/standstill.py): what is due by now was sent before, or is old."""
    due = _due(tenant_id, now)
    Digest.objects.bulk_create(
        Digest(tenant_id=tenant_id, mailbox=each.mailbox, slot=each.slot.isoformat(), items=0)
        for each in due
    )
    return len(due)


def _due(tenant_id: int, now: datetime) -> list[Due]:
    policies = HeldPolicies.of([tenant_id])
    if not policies.any_states(tenant_id, "digest.when", besides="never"):
        return []
    tenant = Tenant.objects.get(id=tenant_id)
    found = []
    for mailbox, copies in _by_mailbox(tenant_id, _new_copies(tenant_id, now)):
        policy = policies.at(tenant_id, mailbox.domain_id, mailbox.id)
        schedule = Schedule.of(policy, tenant.time_zone)
        slot = schedule.last_slot(now)
        if slot is None or Digest.objects.filter(mailbox=mailbox, slot=slot.isoformat()).exists():
            continue
        in_time = [copy for copy, since in copies if since <= slot]
        if in_time:
            found.append(Due(mailbox, slot, schedule, in_time))
    return found


def _new_copies(tenant_id: int, now: datetime) -> list[Delivery]:
    told = HeldLink.objects.filter(tenant=OuterRef("tenant"), delivery=OuterRef("pk"))
    waiting = _waiting(tenant_id, now).filter(~Exists(told))
    return list(waiting[:MOST_COPIES])


def _waiting(tenant_id: int, now: datetime) -> QuerySet[Delivery]:
    copies = Delivery.objects.filter(
        tenant_id=tenant_id, place__in=_WAITING, received_at__gte=now - LOOKED_BACK
    )
    return copies.select_related("message").order_by("-received_at", "-id")


def _by_mailbox(
    tenant_id: int, copies: Sequence[Delivery]
) -> Iterable[tuple[Mailbox, list[tuple[Delivery, datetime]]]]:
    """Each copy with the time since when it is kept back; what no mailbox of ours owns is left."""
    moved = _moved_at(copies)
    boxes = _boxes(tenant_id) if copies else {}
    found: dict[UUID, tuple[Mailbox, list[tuple[Delivery, datetime]]]] = {}
    for copy in copies:
        box = boxes.get(normalise_address(copy.recipient))
        if box is not None:
            since = moved.get(copy.id) or copy.received_at
            found.setdefault(box.id, (box, []))[1].append((copy, since))
    return found.values()


def _boxes(tenant_id: int) -> dict[str, Mailbox]:
    """Address or alias → its mailbox."""
    rows = Mailbox.objects.filter(tenant_id=tenant_id).exclude(
        state__in=(Mailbox.State.GONE, Mailbox.State.NO_MAILBOX)
    )
    return {normalise_address(each): box for box in rows for each in (*box.aliases, box.address)}


def _moved_at(copies: Sequence[Delivery]) -> dict[UUID, datetime]:
    """When a copy was taken out of its mailbox."""
    pulled = [copy.id for copy in copies if copy.place == Place.QUARANTINE]
    rows = Intent.objects.filter(delivery__in=pulled, action="pull", state=Intent.State.VERIFIED)
    return dict(
        rows.values("delivery_id").annotate(at=Max("finished_at")).values_list("delivery_id", "at")
    )


@transaction.atomic
def make_digest(
    mailbox: Mailbox,
    slot: str,
    copies: Sequence[Delivery],
    schedule: Schedule,
    *,
    actor: Person | Actor | None = None,
) -> Digest | None:
    """None: this digest has been made before."""
    shown = each_once(copies)
    digest, is_new = Digest.objects.get_or_create(
        tenant_id=mailbox.tenant_id,
        mailbox=mailbox,
        slot=slot,
        defaults={"items": len(shown), "asked_by": actor.name if actor else ""},
    )
    if not is_new:
        return None
    until = timezone.now() + GOOD_FOR
    links = {
        copy.id: HeldLink(
            id=new_id(),
            tenant_id=mailbox.tenant_id,
            digest=digest,
            delivery=copy,
            mailbox=mailbox,
            expires_at=until,
        )
        for copy in copies
    }
    HeldLink.objects.bulk_create(links.values())
    mail: DigestMail = write_digest(mailbox, shown, links, schedule)
    post(
        tenant_id=mailbox.tenant_id,
        event=f"digest/{digest.id}",
        kind="digest",
        to=mailbox.address,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
    )
    return digest


def each_once(copies: Sequence[Delivery]) -> list[Delivery]:
    """Held at the gateway and moved by the mailbox layer, or written to two addresses of a mailbox:
    still one mail.  Of several the one that the gateway holds is shown: it can be released.
    """
    groups: dict[tuple[str, ...], list[Delivery]] = defaultdict(list)
    for copy in copies:
        mail = copy.message
        named = (mail.internet_message_id, mail.sender_address, mail.subject)
        groups[named if mail.internet_message_id else (str(mail.id),)].append(copy)
    return [
        next((copy for copy in group if copy.place == Place.HOLD), group[0])
        for group in groups.values()
    ]


def waiting_for(mailbox: Mailbox) -> list[Delivery]:
    """All that is kept from this mailbox and its other addresses, newest first."""
    addresses = {normalise_address(each) for each in (mailbox.address, *mailbox.aliases)}
    waiting = _waiting(mailbox.tenant_id, timezone.now())
    return list(waiting.filter(recipient__in=addresses)[:MOST_COPIES])
