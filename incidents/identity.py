"""Is it the same mail?  Finds the message and the delivery that an observation speaks of.

In this order (docs/architecture.md): the gate's trace; Message-ID with recipient and time,
corroborated by sender or content; the content's fingerprint.  Real phish miss, repeat and forge
Message-IDs, so one alone proves nothing.  Every answer says how sure it is and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from incidents.models import Delivery, Message, Observation
from incidents.models.mail import Direction, Layer, Match, Outcome, Place
from tenants.models import Mailbox, Tenant

SAME_MAIL_WINDOW = timedelta(hours=24)
TRACE_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Identified:
    """``wait_until`` set: pending until then, the gate's own account may still come."""

    delivery: Delivery
    wait_until: datetime | None = None


def identify(seen: Observation, tenant: Tenant) -> Identified:
    """The delivery this observation speaks of, made where it is the first to speak of it."""
    if seen.layer == Layer.GATEWAY:
        return Identified(_of_gateway(seen))
    return _of_mailbox(seen, tenant)


def received_at(seen: Observation) -> datetime:
    """When the trusted hop took the mail, as the source says; else when it was observed."""
    claimed = seen.detail.get("received_at")
    return datetime.fromisoformat(claimed) if claimed else seen.observed_at


def _of_gateway(seen: Observation) -> Delivery:
    message = Message.objects.filter(trace_ulid=seen.trace_ulid).first()
    if message is None:
        message = _make_message(seen, trace_ulid=seen.trace_ulid)
    elif not message.facts:
        _fill_message(message, seen)
    delivery = _delivery_of(message, [seen.recipient]) or _pending_under_other_name(message, seen)
    if delivery is None:
        return _make_delivery(message, seen, match=Match.ONE_LAYER, reason="Seen by the gateway.")
    if delivery.match == Match.PENDING:
        delivery.match, delivery.match_reason = Match.STRONG, _BY_TRACE
        delivery.is_bypass = False
        delivery.save(update_fields=["match", "match_reason", "is_bypass"])
    return delivery


_BY_TRACE = "The gateway's trace in the mail names this copy."


def _pending_under_other_name(message: Message, seen: Observation) -> Delivery | None:
    """The copy that its mailbox has shown already, while the mail was sent to an alias of it."""
    pending = message.deliveries.select_related("message").filter(match=Match.PENDING)
    return next((copy for copy in pending if seen.recipient in names_of(copy.recipient)), None)


def names_of(address: str) -> list[str]:
    """All addresses of the mailbox whose main one is ``address``, that one first."""
    aliases = Mailbox.objects.filter(address=address).values_list("aliases", flat=True).first()
    return [address, *(aliases or [])]


def _of_mailbox(seen: Observation, tenant: Tenant) -> Identified:
    # The mailbox layer speaks of a mailbox by its main address, the gateway of who was written to.
    names = names_of(seen.recipient)
    known = Delivery.objects.filter(
        mailbox_item_id=seen.mailbox_item_id, recipient__in=names
    ).exclude(mailbox_item_id="")
    delivery = known.select_related("message").first()
    if delivery is not None:
        return Identified(delivery)
    if seen.trace_state == "valid":
        return _by_trace(seen, names)
    return Identified(_by_id_or_content(seen, names) or _as_new(seen, tenant))


def _by_trace(seen: Observation, names: Sequence[str]) -> Identified:
    message = Message.objects.filter(trace_ulid=seen.trace_ulid).first()
    if message is None:
        message = _make_message(seen, trace_ulid=seen.trace_ulid)
    delivery = _delivery_of(message, names)
    if delivery is None:
        until = seen.recorded_at + TRACE_PATIENCE
        reason = "The trace is genuine; the gateway's own account has not arrived yet."
        made = _make_delivery(message, seen, match=Match.PENDING, reason=reason)
        return Identified(made, wait_until=until)
    if delivery.mailbox_item_id:
        # A trace counts once per mailbox: a second copy with it is somebody's copy or a replay.
        reason = "A second copy with the same trace lies in this mailbox."
        copy = _make_message(seen, trace_ulid="")
        return Identified(_make_delivery(copy, seen, match=Match.AMBIGUOUS, reason=reason))
    delivery.match, delivery.match_reason = Match.STRONG, _BY_TRACE
    return Identified(delivery)


def _by_id_or_content(seen: Observation, names: Sequence[str]) -> Delivery | None:
    """A copy that the gateway delivered to this recipient and no mailbox has claimed yet."""
    at = received_at(seen)
    waiting = Delivery.objects.select_related("message").filter(
        recipient__in=names,
        mailbox_item_id="",
        received_at__range=(at - SAME_MAIL_WINDOW, at + SAME_MAIL_WINDOW),
    )
    sender = _sender(seen)[0]
    if seen.internet_message_id:
        same_id = waiting.filter(
            Q(message__sender_address=sender) | Q(message__fingerprint=seen.fingerprint),
            message__internet_message_id=seen.internet_message_id,
        )
        found = list(same_id[:2])
        if len(found) == 1:
            return _claim(found[0], "Same Message-ID, recipient and sender within a day.")
        if found:
            return None
    if not seen.fingerprint:
        return None
    found = list(waiting.filter(message__fingerprint=seen.fingerprint)[:2])
    if len(found) == 1:
        return _claim(found[0], "Same content for the same recipient within a day.")
    return None


def _claim(delivery: Delivery, reason: str) -> Delivery:
    delivery.match, delivery.match_reason = Match.WEAK, reason
    return delivery


def _as_new(seen: Observation, tenant: Tenant) -> Delivery:
    """Nobody else has seen this copy: internal mail, older mail, or mail around the gateway."""
    message = _same_mail_elsewhere(seen) or _make_message(seen, trace_ulid="")
    existing = _delivery_of(message, [seen.recipient])
    if existing is not None:
        message = _make_message(seen, trace_ulid="")
    is_bypass = (
        seen.direction == Direction.INBOUND
        and tenant.protected_since is not None
        and received_at(seen) >= tenant.protected_since
    )
    reason = "Seen by the mailbox layer only."
    if is_bypass:
        reason = f"Came from outside without a trace of the gateway (trace {seen.trace_state})."
    return _make_delivery(message, seen, match=Match.ONE_LAYER, reason=reason, is_bypass=is_bypass)


def _same_mail_elsewhere(seen: Observation) -> Message | None:
    """The same mail in another mailbox of the client: same id, same content, same day."""
    if not seen.internet_message_id or not seen.fingerprint:
        return None
    at = received_at(seen)
    return Message.objects.filter(
        internet_message_id=seen.internet_message_id,
        fingerprint=seen.fingerprint,
        trace_ulid="",
        direction=seen.direction,
        first_seen_at__range=(at - SAME_MAIL_WINDOW, at + SAME_MAIL_WINDOW),
    ).first()


def _delivery_of(message: Message, names: Sequence[str]) -> Delivery | None:
    """Of several copies for one mailbox, the one under its earliest name."""
    found = Delivery.objects.select_related("message").filter(message=message, recipient__in=names)
    return min(found, key=lambda copy: names.index(copy.recipient), default=None)


def _sender(seen: Observation) -> tuple[str, str]:
    sender = seen.mail.get("sender") or {}
    return sender.get("address", ""), sender.get("name", "")


def _message_values(seen: Observation) -> dict[str, object]:
    address, name = _sender(seen)
    sent_at = seen.mail.get("sent_at")
    return {
        "internet_message_id": seen.internet_message_id[:1000],
        "fingerprint": seen.fingerprint,
        "subject": str(seen.mail.get("subject", ""))[:2000],
        "sender_address": address[:320],
        "sender_name": name[:400],
        "sender_domain": address.rpartition("@")[2][:255],
        "direction": seen.direction,
        "size_bytes": int(seen.mail.get("size_bytes", 0)),
        "facts": seen.mail,
        "evidence": seen.evidence,
        "sent_at": datetime.fromisoformat(sent_at) if sent_at else None,
    }


def _make_message(seen: Observation, *, trace_ulid: str) -> Message:
    at = received_at(seen)
    return Message.objects.create(
        tenant_id=seen.tenant_id,
        trace_ulid=trace_ulid,
        first_seen_at=at,
        last_seen_at=at,
        **_message_values(seen),
    )


def _fill_message(message: Message, seen: Observation) -> None:
    for name, value in _message_values(seen).items():
        setattr(message, name, value)
    message.save(update_fields=list(_message_values(seen)))


def _make_delivery(
    message: Message, seen: Observation, *, match: Match, reason: str, is_bypass: bool = False
) -> Delivery:
    mailbox = Mailbox.objects.filter(address=seen.recipient).only("id").first()
    delivery = Delivery.objects.create(
        tenant_id=seen.tenant_id,
        message=message,
        mailbox_id=mailbox.id if mailbox else None,
        recipient=seen.recipient,
        direction=seen.direction,
        outcome=seen.action or Outcome.DELIVERED,
        place=Place.UNKNOWN,
        received_at=received_at(seen),
        match=match,
        match_reason=reason,
        is_bypass=is_bypass,
    )
    delivery.message = message
    return delivery
