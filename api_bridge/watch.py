"""Looks again at copies that are exposed: did a person read, move or delete the mail since?  And
asks what the mail host's own protection said meanwhile (``verdicts``).

The listing shows mail that was received lately; an incident may stay open for days.  So the copies
of open incidents are read by themselves, twenty to a call.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge.connectors import Connector, Ref, State
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.models import Connection, MailboxSync
from api_bridge.verdicts import tell_verdicts
from incidents.assessment import EXPOSED
from incidents.intake import record
from incidents.models import Delivery, Incident
from incidents.observations import Observation
from incidents.words import Layer, Place
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.work import work_scope

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=10)
# A mail that still lies where it lay is told of once an hour: that, too, was seen.
TOLD_EVERY = timedelta(hours=1)
WATCHED_FOR = timedelta(days=7)
MOST_COPIES = 200
WATCHED = (*EXPOSED, Place.JUNK)


@dataclass(frozen=True, slots=True)
class _Watched:
    ref: Ref
    source: str
    mailbox_address: str
    internet_message_id: str
    direction: str
    shown: tuple[str, bool | None]
    verified_at: datetime | None


def watch(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """If it is time.  Raises ``AuthExpired``; anything else is tried again the next time."""
    now = timezone.now()
    with work_scope(claimed):
        due = Connection.objects.filter(id=connection_id, watch_due_at__lte=now)
        if not due.update(watch_due_at=now + EVERY):
            return
        watched = _exposed_copies(connection_id, now)
    tell_verdicts(claimed, connection_id, connector)
    if not watched:
        return
    try:
        states = connector.read_states([each.ref for each in watched])
    except AuthExpired:
        raise
    except BridgeError as error:
        log.warning("exposed copies of connection %s: %s", connection_id, error)
        return
    news = [
        _observation(claimed.tenant_id, each, state, now)
        for each, state in zip(watched, states, strict=True)
        if isinstance(state, State) and _is_worth_telling(each, state, now)
    ]
    with work_scope(claimed):
        record(news)


def _exposed_copies(connection_id: UUID, now: datetime) -> list[_Watched]:
    """The newest of them, in mailboxes of this connection."""
    copies = (
        Delivery.objects.filter(
            message__memberships__incident__state__in=Incident.OPEN_STATES,
            place__in=WATCHED,
            received_at__gte=now - WATCHED_FOR,
        )
        .exclude(mailbox_item_id="")
        .exclude(message__memberships__incident__kind=Incident.Kind.HEALTH)
        .select_related("message")
        .order_by("-received_at")[:MOST_COPIES]
    )
    boxes = _mailboxes(connection_id)
    kind = Connection.objects.values_list("kind", flat=True).get(id=connection_id)
    return [
        _Watched(
            ref=Ref(boxes[copy.recipient].external_id, copy.mailbox_item_id),
            source=f"{kind}:{boxes[copy.recipient].address}",
            mailbox_address=boxes[copy.recipient].address,
            internet_message_id=copy.message.internet_message_id,
            direction=copy.direction,
            shown=(copy.place, copy.is_read),
            verified_at=copy.verified_at,
        )
        for copy in copies
        if copy.recipient in boxes
    ]


def _mailboxes(connection_id: UUID) -> dict[str, Mailbox]:
    """By each of their addresses."""
    rows = MailboxSync.objects.filter(
        connection_id=connection_id, mailbox__state=Mailbox.State.ACTIVE
    ).select_related("mailbox")
    boxes: Sequence[Mailbox] = [row.mailbox for row in rows]
    return {name: box for box in boxes for name in (*box.aliases, box.address)}


def _is_worth_telling(watched: _Watched, state: State, now: datetime) -> bool:
    if not state.exists or (state.place, state.is_read) != watched.shown:
        return True
    return watched.verified_at is None or watched.verified_at <= now - TOLD_EVERY


def _observation(tenant_id: int, watched: _Watched, state: State, at: datetime) -> Observation:
    return Observation(
        tenant_id=tenant_id,
        layer=Layer.MAILBOX,
        source=watched.source,
        source_key=f"{watched.ref.item_id}/place",
        observed_at=at,
        recipient=watched.mailbox_address,
        direction=watched.direction,
        internet_message_id=watched.internet_message_id,
        mailbox_item_id=watched.ref.item_id,
        place=state.place if state.exists else Place.GONE,
        is_read=state.is_read if state.exists else None,
        detail={"folder": state.folder_id},
    )
