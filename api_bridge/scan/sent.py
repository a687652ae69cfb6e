"""Sent mail: it is not judged, and teaches whom the mailbox writes to."""

from __future__ import annotations

from datetime import datetime

from api_bridge import history
from api_bridge.connectors import Item
from api_bridge.known import conversation_of, header_of
from api_bridge.scan.saying import detail_of
from api_bridge.scan.shapes import Scanned, Seat
from incidents.mail.facts import MailFacts
from incidents.observations import Observation
from incidents.words import Direction, Layer, Place

MOST_RECIPIENTS = 50


def sent(item: Item, seat: Seat, observed_at: datetime) -> Scanned:
    recipients = [each.address for each in (*item.to, *item.cc)]
    lessons = history.lessons_of_sent(recipients, seat.address, item.received_at)
    if item.received_at < seat.judged_from or not _is_own(item, seat):
        return Scanned(item=item, is_judged=False, lessons=lessons)
    observation = Observation(
        tenant_id=seat.tenant_id,
        layer=Layer.MAILBOX,
        source=seat.source,
        source_key=f"{item.ref.item_id}/sent",
        observed_at=observed_at,
        recipient=seat.address,
        direction=str(Direction.OUTBOUND),
        internet_message_id=item.internet_message_id,
        mailbox_item_id=item.ref.item_id,
        place=Place.SENT,
        mail=_facts_of_sent(item).as_json(),
        detail=detail_of(item),
    )
    return Scanned(item=item, observation=observation, is_judged=False, lessons=lessons)


def _is_own(item: Item, seat: Seat) -> bool:
    """Written here: a rule may put mail that came in among the sent, whoever it says it is from."""
    author = item.sender.address if item.sender else ""
    has_travelled = bool(header_of(item, "Received")) or item.is_internal
    return author in (seat.address, *seat.aliases) and not has_travelled


def _facts_of_sent(item: Item) -> MailFacts:
    """From the list answer alone: what was written is nobody's business."""
    return MailFacts(
        size_bytes=0,
        raw_sha256="",
        internet_message_id=item.internet_message_id,
        subject=item.subject,
        sender=item.sender,
        to=item.to[:MOST_RECIPIENTS],
        cc=item.cc[:MOST_RECIPIENTS],
        sent_at=item.sent_at,
        in_reply_to=header_of(item, "In-Reply-To")[:998],
        references=tuple(conversation_of(item)),
    )
