"""How long held mail is kept: age and size by the policy of its mailbox, domain or client.

1. A held copy past its age, or beyond the size that its level may take (the oldest go first), is
   dropped: the gate throws it away.
2. The stored original of a mail goes when no copy of it is held any more and each is past its own
   age.
3. Sign-ins, earlier settings of mailboxes, signs and reports past the term of their mailbox go.

What an open incident, a legal hold, a wish or a running release needs stays, and is looked at again
the next time.  Each removal is one entry in the audit log, with the level whose policy it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from incidents.evidence import hold_bytes, remove_evidence
from incidents.forgetting import MOST_AT_ONCE as MOST_FORGOTTEN
from incidents.forgetting import Whose, forget, kinds
from incidents.models import Delivery, Evidence, Message
from incidents.models.mail import Outcome, Place
from seg_bridge.commands import order_drop
from seg_bridge.held.drop import why_needed
from seg_bridge.held.models import Digest, HeldLink, LegalHold
from seg_bridge.held.policy import HeldPolicies
from seg_bridge.policies.effective import Effective
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.models import Mailbox, OutgoingMail
from tenants.work import work_scope

MOST_AT_ONCE = 200
AGAIN = timedelta(seconds=5)
SENT_KEPT = timedelta(days=180)
RETENTION = Actor("Bailey, by the retention of held mail")
DROPPED, REMOVED = "seg_bridge.held.expired", "incidents.evidence.removed"
FORGOTTEN = "incidents.records.forgotten"
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Held:
    """``level`` names whose policy counts for this copy; ``age``: how long it is kept."""

    delivery_id: UUID
    received_at: datetime
    size_bytes: int
    age: timedelta
    level: str
    most_bytes: int
    size_level: str


def serve_retention(claimed: ClaimedWork) -> datetime | None:
    """One bounded pass; answers when there is more to do.  The beat asks every hour."""
    now = timezone.now()
    with work_scope(claimed):
        dropped = _drop(claimed, expired(claimed.tenant_id, now))
    with work_scope(claimed):
        removed = _remove_originals(claimed, now)
    with work_scope(claimed):
        forget_sent(claimed.tenant_id, now)
    with work_scope(claimed):
        more = forget_records(claimed, now)
    return now + AGAIN if more or MOST_AT_ONCE in (dropped, removed) else None


def forget_records(claimed: ClaimedWork, now: datetime) -> bool:
    """What is known of accounts and reports, past the term of its mailbox; True: more of it is.

    A legal hold on the client keeps all of it.
    """
    tenant_id = claimed.tenant_id
    if LegalHold.objects.filter(tenant=tenant_id, message=None, ended_at=None).exists():
        return False
    policies, more = HeldPolicies.of([tenant_id]), False
    for kind in kinds():
        key = f"records.{kind}"
        own = policies.at(tenant_id, None, None)[key]
        others = _other_terms(policies, tenant_id, key)
        names = frozenset(name for group in others.values() for name in group)
        terms = [(own, Whose(but=names))]
        terms += [(term, Whose(only=frozenset(group))) for term, group in others.items()]
        for term, whose in terms:
            before = now - timedelta(days=int(term.value))
            gone = forget(kind, tenant_id, before, whose)
            more |= gone == MOST_FORGOTTEN
            if gone:
                why = f"{gone} older than {term.value} days"
                _audit(claimed, FORGOTTEN, kind, "", why, term.name, rows=gone)
    return more


def _other_terms(policies: HeldPolicies, tenant_id: int, key: str) -> dict[Effective, list[str]]:
    """Mailboxes whose domain, group or own policy states another term than the client's."""
    found: dict[Effective, list[str]] = {}
    if not policies.layers.narrower(tenant_id):
        return found
    own = policies.at(tenant_id, None, None)[key]
    for address in Mailbox.objects.filter(tenant=tenant_id).values_list("address", flat=True):
        term = policies.policy(tenant_id, address)[key]
        if term.value != own.value:
            found.setdefault(term, []).append(address)
    return found


def forget_sent(tenant_id: int, now: datetime) -> None:
    """Old digests with their links, and the record of mail that was sent."""
    old = {"tenant_id": tenant_id, "created_at__lt": now - SENT_KEPT}
    HeldLink.objects.filter(**old).delete()
    Digest.objects.filter(links=None, **old).delete()
    OutgoingMail.objects.filter(due_at=None, **old).delete()


def expired(
    tenant_id: int, now: datetime, *, policies: HeldPolicies | None = None
) -> Iterator[tuple[UUID, str, str]]:
    """Copies whose time or room is over: id, why, and whose policy it is.  ``policies`` None: those
    in force.
    """
    room: dict[str, int] = defaultdict(int)
    for held in _held(tenant_id, policies or HeldPolicies.of([tenant_id])):
        room[held.size_level] += held.size_bytes
        if held.received_at < now - held.age:
            yield held.delivery_id, f"older than {held.age.days} days", held.level
        elif held.most_bytes and room[held.size_level] > held.most_bytes:
            why = f"more than {held.most_bytes // _MB} MB are held"
            yield held.delivery_id, why, held.size_level


def _held(tenant_id: int, policies: HeldPolicies) -> Iterator[Held]:
    """Newest first, so that what has no room is the oldest."""
    rows = Delivery.objects.filter(tenant_id=tenant_id, place=Place.HOLD)
    values = rows.order_by("-received_at", "-id").values_list(
        "id", "received_at", "recipient", "message__size_bytes"
    )
    for delivery_id, received_at, recipient, size in values.iterator(chunk_size=2000):
        policy = policies.policy(tenant_id, recipient)
        age, most = policy["held.keep_days"], policy["held.most_mb"]
        yield Held(
            delivery_id,
            received_at,
            size,
            timedelta(days=int(age.value)),
            age.name,
            int(most.value) * _MB,
            f"{most.level}/{most.name}",
        )


def _drop(claimed: ClaimedWork, found: Iterator[tuple[UUID, str, str]]) -> int:
    """Answers how many were dropped, at most ``MOST_AT_ONCE``."""
    dropped = 0
    chunk: dict[UUID, tuple[str, str]] = {}
    for delivery_id, why, level in [*found]:
        chunk[delivery_id] = (why, level)
        if len(chunk) == MOST_AT_ONCE:
            dropped += _drop_chunk(claimed, chunk, MOST_AT_ONCE - dropped)
            chunk = {}
        if dropped == MOST_AT_ONCE:
            return dropped
    return dropped + _drop_chunk(claimed, chunk, MOST_AT_ONCE - dropped)


def _drop_chunk(claimed: ClaimedWork, chunk: dict[UUID, tuple[str, str]], most: int) -> int:
    rows = Delivery.objects.select_for_update(of=("self",)).filter(id__in=chunk, place=Place.HOLD)
    copies = list(rows.order_by("id"))
    needed, dropped = why_needed(copies), 0
    for copy in copies:
        if copy.id in needed or dropped == most or order_drop(copy, RETENTION.name):
            continue
        dropped += 1
        why, level = chunk[copy.id]
        _audit(claimed, DROPPED, "delivery", copy.id, why, level, recipient=copy.recipient)
    return dropped


def _remove_originals(claimed: ClaimedWork, now: datetime) -> int:
    """Stored bytes of held mail that no copy keeps any more; answers how many mails."""
    policies = HeldPolicies.of([claimed.tenant_id])
    removed = 0
    for message in _with_held_originals(claimed.tenant_id):
        copies = list(message.deliveries.all())
        ages = [
            now
            - timedelta(days=int(policies.policy(c.tenant_id, c.recipient)["held.keep_days"].value))
            for c in copies
        ]
        is_over = all(copy.received_at < age for copy, age in zip(copies, ages, strict=True))
        if not is_over or why_needed(copies) or _is_needed_elsewhere(message):
            continue
        if not _remove_original(message):
            continue
        level = policies.policy(message.tenant_id, copies[0].recipient)["held.keep_days"].name
        _audit(
            claimed, REMOVED, "message", message.id, "past its age", level, sha256=message.evidence
        )
        removed += 1
        if removed == MOST_AT_ONCE:
            break
    return removed


def _remove_original(message: Message) -> bool:
    """False: another worker has removed it meanwhile, and told so."""
    hold_bytes(message.tenant_id, message.evidence)
    named = Message.objects.filter(id=message.id, evidence=message.evidence)
    if not named.update(evidence=""):
        return False
    remove_evidence(tenant_id=message.tenant_id, digest=message.evidence)
    return True


def _with_held_originals(tenant_id: int) -> Iterator[Message]:
    """Mails with stored bytes that were kept for being held, and are not held now."""
    was_held = Delivery.objects.filter(
        Q(outcome=Outcome.HELD) | Q(was_released=True), tenant_id=tenant_id
    ).exclude(place=Place.HOLD)
    rows = Message.objects.filter(tenant_id=tenant_id, id__in=was_held.values("message_id"))
    kept = rows.exclude(evidence="").order_by("first_seen_at", "id")
    for message in kept.prefetch_related("deliveries").iterator(chunk_size=500):
        copies = message.deliveries.all()
        if all(_was_held(copy) and copy.place != Place.HOLD for copy in copies):
            yield message


def _was_held(copy: Delivery) -> bool:
    """Bytes of what was delivered at once are kept by another value of the policy."""
    return copy.outcome == Outcome.HELD or copy.was_released


def _is_needed_elsewhere(message: Message) -> bool:
    """The same bytes are another mail's, or somebody added them to a comment."""
    same = {"tenant_id": message.tenant_id}
    others = Message.objects.filter(evidence=message.evidence, **same).exclude(id=message.id)
    by_hand = Evidence.objects.filter(sha256=message.evidence, **same).exclude(method="smtp")
    return others.exists() or by_hand.exists()


def _audit(
    claimed: ClaimedWork,
    action: str,
    kind: str,
    object_id: UUID | str,
    why: str,
    level: str,
    **detail: object,
) -> None:
    write_audit(
        action,
        actor=RETENTION,
        provider_id=claimed.provider_id,
        tenant_id=claimed.tenant_id,
        object_kind=kind,
        object_id=object_id,
        reason=f"{why} (policy of {level.rpartition('/')[2]})",
        **detail,
    )
