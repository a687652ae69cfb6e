"""Reads what the mail host itself has on record of mail that passed through it, hourly.

Each reading goes back some hours behind the last one: a trace appears minutes after its mail, and
its status may still change.  Rows are known by the host's own id: reading twice counts once.  What
the host filtered becomes an observation of layer ``vendor`` where the copy is known here; what it
delivered is compared with what this layer saw (api_bridge/trace_sight.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge.access.permissions import MESSAGE_TRACE
from api_bridge.connectors import Connector
from api_bridge.connectors.traces import Traced, TracesMail, TraceStatus
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, Unexpected
from api_bridge.gaps import read_no_later
from api_bridge.models import Connection, MailboxSync, TracedMail
from incidents.intake import record
from incidents.models import Delivery
from incidents.models import Observation as Told
from incidents.observations import Observation, Reason
from incidents.userreports.terms import report_address
from incidents.words import Layer, Verdict
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Domain, Mailbox
from tenants.work import work_scope

log = logging.getLogger(__name__)

EVERY, AGAIN = timedelta(hours=1), timedelta(minutes=10)
# What came in the last minutes may not be on record yet; what is may still be undecided for hours.
LAG, OVERLAP = timedelta(minutes=5), timedelta(hours=4)
CLOCKS_DIFFER = timedelta(minutes=10)
# After a long silence the gap is read in days, each kept before the next is asked for.
STEP = timedelta(days=1)
BUDGET_S = 20.0
KEPT = timedelta(days=8)
MOST_PAGES = 1_000
NOT_GRANTED = f"{MESSAGE_TRACE.name} is not granted. {MESSAGE_TRACE.without}"
ENGINE = "exchange-trace"
_KEPT_STATUS = {TraceStatus.DELIVERED, TraceStatus.FILTERED, TraceStatus.QUARANTINED}
_SAID = {
    TraceStatus.FILTERED: (
        Verdict.SPAM,
        "Exchange took this mail for spam and did not deliver it.",
    ),
    TraceStatus.QUARANTINED: (
        Verdict.SUSPICIOUS,
        "Exchange put this mail into its own quarantine; the record does not say for what.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a client's mail goes.  ``mailboxes``: by each address; ``domains``: all of its own."""

    mailboxes: dict[str, Mailbox]
    domains: frozenset[str]
    report_address: str


def read_traces(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """If it is time.  Raises ``AuthExpired``; any other error is kept as a sentence."""
    if not isinstance(connector, TracesMail):
        return
    now = timezone.now()
    with work_scope(claimed):
        due = Connection.objects.filter(id=connection_id, trace_due_at__lte=now)
        if not due.update(trace_due_at=now + EVERY):
            return
        row = Connection.objects.get(id=connection_id)
        TracedMail.objects.filter(tenant_id=claimed.tenant_id, received_at__lt=now - KEPT).delete()
    try:
        _read(claimed, row, connector, now - LAG)
    except AuthExpired:
        raise
    except AccessDenied:
        _note(claimed, connection_id, NOT_GRANTED)
    except BridgeError as error:
        log.warning("traces of connection %s: %s", connection_id, error)
        _note(claimed, connection_id, f"The mail host's own record cannot be read: {error}", AGAIN)


def _read(claimed: ClaimedWork, row: Connection, connector: TracesMail, until: datetime) -> None:
    """From the watermark on, in steps, each kept before the next.  Raises ``BridgeError``."""
    earliest = max(row.created_at, until - min(connector.trace_reach, KEPT))
    since = max(earliest, row.traced_until - OVERLAP) if row.traced_until else earliest
    step, end = min(STEP, connector.trace_window), time.monotonic() + BUDGET_S
    while since < until:
        upto = min(until, since + step)
        for traced in _pages(connector, since, upto):
            with work_scope(claimed):
                _store(claimed.tenant_id, row.id, traced)
        with work_scope(claimed):
            Connection.objects.filter(id=row.id).update(traced_until=upto, trace_error="")
            read_where_unseen(claimed.tenant_id, row.id, since, upto)
        if upto == until:
            return
        since = upto
        if time.monotonic() > end:
            # The rest is read the next time; the mailboxes must not wait for it.
            _note(claimed, row.id, "", AGAIN)
            return


def _pages(connector: TracesMail, since: datetime, until: datetime) -> Iterator[tuple[Traced, ...]]:
    """Raises ``Unexpected`` where the links lead in a circle."""
    followed: set[str] = set()
    link = ""
    while True:
        page = connector.traced(since, until, link=link)
        if page.skipped:
            log.warning("%d traces could not be read", page.skipped)
        yield page.traced
        link = page.link
        if not link:
            return
        if link in followed or len(followed) >= MOST_PAGES:
            raise Unexpected("The paging links go round in a circle.", code="repeated_link")
        followed.add(link)


def _store(tenant_id: int, connection_id: UUID, traced: Sequence[Traced]) -> None:
    """Must run in the client's scope."""
    place = _place(tenant_id, connection_id)
    rows = {
        (each.id, each.recipient): _row(tenant_id, connection_id, each, place)
        for each in traced
        if each.status in _KEPT_STATUS and _is_ours(each, place)
    }
    TracedMail.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["tenant", "trace_id", "recipient"],
        update_fields=["status", "mailbox", "received_at"],
        batch_size=1_000,
    )
    record(_observations(tenant_id, list(rows.values())))


def read_where_unseen(
    tenant_id: int, connection_id: UUID, since: datetime, until: datetime
) -> None:
    """Mailboxes to which the host delivered something that was not seen yet are read whole at once:
    its hint was lost.  Must run in the client's scope.
    """
    delivered = TracedMail.objects.filter(
        tenant_id=tenant_id,
        connection_id=connection_id,
        status=TraceStatus.DELIVERED,
        mailbox__isnull=False,
        received_at__gte=since,
        received_at__lt=until,
    ).values_list("mailbox_id", "mailbox__address", "internet_message_id")
    told = Told.objects.filter(
        tenant_id=tenant_id, layer=Layer.MAILBOX, observed_at__gte=since - CLOCKS_DIFFER
    )
    seen = set(told.values_list("recipient", "internet_message_id"))
    unseen = {box_id for box_id, address, said in delivered if (address, said) not in seen}
    now = timezone.now()
    MailboxSync.objects.filter(connection_id=connection_id, mailbox__in=unseen, failures=0).update(
        whole_due_at=now, due_at=now
    )


def _place(tenant_id: int, connection_id: UUID) -> _Place:
    syncs = MailboxSync.objects.filter(tenant_id=tenant_id, connection_id=connection_id)
    boxes = [row.mailbox for row in syncs.select_related("mailbox")]
    return _Place(
        mailboxes={name: box for box in boxes for name in (*box.aliases, box.address)},
        domains=frozenset(
            Domain.objects.filter(tenant_id=tenant_id).values_list("name", flat=True)
        ),
        report_address=report_address(tenant_id),
    )


def _is_ours(traced: Traced, place: _Place) -> bool:
    """To the client, and not to its report mailbox: what is in that is read as reports."""
    if not traced.internet_message_id:
        return False
    box = place.mailboxes.get(traced.recipient)
    if box is not None:
        return box.address != place.report_address
    return traced.recipient.rpartition("@")[2] in place.domains


def _row(tenant_id: int, connection_id: UUID, traced: Traced, place: _Place) -> TracedMail:
    box = place.mailboxes.get(traced.recipient)
    return TracedMail(
        id=new_id(),
        tenant_id=tenant_id,
        connection_id=connection_id,
        mailbox=box,
        trace_id=_stored(traced.id, 100),
        recipient=traced.recipient[:320],
        sender=_stored(traced.sender, 320),
        internet_message_id=_stored(traced.internet_message_id, 1_000),
        subject=_stored(traced.subject, 1_000),
        status=traced.status,
        received_at=traced.received_at,
    )


def _stored(text: str, longest: int) -> str:
    return text.replace("\x00", "")[:longest]


def _observations(tenant_id: int, rows: Sequence[TracedMail]) -> list[Observation]:
    """Of what was filtered and is known here, by the gateway or by the mailbox itself."""
    filtered = [row for row in rows if row.status in _SAID]
    if not filtered:
        return []
    known = Delivery.objects.filter(
        tenant_id=tenant_id,
        message__tenant_id=tenant_id,
        message__internet_message_id__in={row.internet_message_id for row in filtered},
    ).values_list("recipient", "mailbox_id", "message__internet_message_id", "direction")
    by_copy: dict[tuple[object, str], tuple[str, str]] = {}
    for recipient, mailbox_id, message_id, direction in known:
        for name in filter(None, (mailbox_id, recipient)):
            by_copy[name, message_id] = recipient, direction
    found = []
    for row in filtered:
        for name in filter(None, (row.mailbox_id, row.recipient)):
            if copy := by_copy.get((name, row.internet_message_id)):
                found.append(_observation(row, *copy))
                break
    return found


def _observation(row: TracedMail, recipient: str, direction: str) -> Observation:
    verdict, words = _SAID[TraceStatus(row.status)]
    return Observation(
        tenant_id=row.tenant_id,
        layer=Layer.VENDOR,
        source="vendor:graph",
        source_key=f"trace/{row.trace_id}/{row.recipient}/{row.status}",
        observed_at=row.received_at,
        recipient=recipient,
        direction=direction,
        internet_message_id=row.internet_message_id,
        verdict=verdict,
        reasons=(Reason("vendor_verdict", words, row.status),),
        engine=ENGINE,
        detail={"subject": row.subject, "sender": row.sender},
    )


def _note(claimed: ClaimedWork, connection_id: UUID, words: str, again: timedelta = EVERY) -> None:
    with work_scope(claimed):
        Connection.objects.filter(id=connection_id).update(
            trace_error=words[:500], trace_due_at=timezone.now() + again
        )
        if words:
            read_no_later(connection_id)
