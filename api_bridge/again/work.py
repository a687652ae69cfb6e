"""Judges delivered mail again where more is known of it.  Serves the queue ``again``.

1. Claim the mails that are due for some minutes, so that no two look at the same, and what a
   process that dies had claimed is due again.
2. Ask the stored facts what became known since.  Of nearly all mail nothing did, and it is done.
3. Put the stored reasons and the new ones on the scale.  Where the verdict stays, it is done.
4. Only what would change is read again in its mailbox and judged with all that is known today; a
   mail that cannot be had is judged by what is stored.
5. A verdict that changed is a new observation, which says what changed; the old one stays.  From
   there it goes the way of any late verdict (incidents/automation.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min
from django.utils import timezone

from api_bridge import connectors
from api_bridge.again.due import next_look
from api_bridge.again.known_since import Judged, known_since
from api_bridge.connectors import Fetched, Item, Ref
from api_bridge.detect import Judgement, weighed
from api_bridge.detect.child import NotJudged, judgement_of
from api_bridge.errors import BridgeError
from api_bridge.known import GatewayWord, Known, know
from api_bridge.models import MailboxSync, SeenItem
from api_bridge.runtime import connector_of, wire_connection
from api_bridge.scan.judging import context_around, mail_reader
from api_bridge.scan.saying import ENGINE
from api_bridge.scan.shapes import Seat
from api_bridge.store import keep_original
from incidents.intake import record
from incidents.layers import SeenMail
from incidents.mail.facts import MailFacts
from incidents.mail.reader import ReaderUnavailable
from incidents.models import Delivery, Observation
from incidents.observations import Observation as Sight
from incidents.observations import Reason
from incidents.sightings import history_of
from incidents.words import Direction, Layer, Place, Verdict
from tenants.doors import ClaimedWork
from tenants.errors import is_passing_trouble
from tenants.work import work_scope

log = logging.getLogger(__name__)

BATCH = 200
LEASE = timedelta(minutes=10)
# In ``detail``: what became known, in sentences.
SINCE = "known_since"
_LIES_NOWHERE = (Place.GONE, Place.QUARANTINE, Place.NOWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A mail whose verdict changes by what is stored.  ``old``: how it was judged last."""

    copy: Delivery
    seat: Seat
    external_id: str
    wired: connectors.Connection | None
    old: Observation
    since: list[Reason]
    stored: Judgement


def serve_again(claimed: ClaimedWork) -> datetime | None:
    """One batch of one client; answers when the next mail is due, None: none is."""
    now = timezone.now()
    with work_scope(claimed):
        items = _claim(claimed.tenant_id, now)
        changing = _changing(claimed, items)
    for each in changing:
        try:
            _judge_again(claimed, each)
        except Exception as error:
            if is_passing_trouble(error):
                raise  # no mail's fault
            # The others of its batch do not wait for it; it is looked at again at its next step.
            log.exception("delivery %s could not be judged again", each.copy.id)
    with work_scope(claimed):
        _settle(claimed.tenant_id, items, now)
        due = SeenItem.objects.filter(tenant=claimed.tenant_id, again_at__isnull=False)
        at: datetime | None = due.aggregate(at=Min("again_at"))["at"]
        return at


def _claim(tenant_id: int, now: datetime) -> dict[tuple[UUID, str], SeenItem]:
    """Mails that are due, by mailbox and item."""
    due = SeenItem.objects.filter(tenant=tenant_id, again_at__lte=now).order_by("again_at")
    rows = list(due.select_for_update(skip_locked=True)[:BATCH])
    SeenItem.objects.filter(tenant=tenant_id, id__in=[row.id for row in rows]).update(
        again_at=now + LEASE
    )
    return {(row.mailbox_id, row.item_id): row for row in rows}


def _settle(tenant_id: int, items: dict[tuple[UUID, str], SeenItem], now: datetime) -> None:
    """Their next time, but for what was woken meanwhile."""
    rows = list(
        SeenItem.objects.select_for_update().filter(
            tenant=tenant_id, id__in=[row.id for row in items.values()], again_at=now + LEASE
        )
    )
    for row in rows:
        row.again_at = next_look(row.received_at, now)
    SeenItem.objects.bulk_update(rows, ["again_at"])


def _changing(claimed: ClaimedWork, items: dict[tuple[UUID, str], SeenItem]) -> list[Again]:
    if not items:
        return []
    tenant_id = claimed.tenant_id
    synced = MailboxSync.objects.filter(
        tenant=tenant_id, mailbox__in={mailbox_id for mailbox_id, _ in items}
    ).select_related("mailbox", "connection")
    names = {name: row for row in synced for name in (row.mailbox.address, *row.mailbox.aliases)}
    copies = [
        copy
        for copy in Delivery.objects.filter(
            tenant=tenant_id, mailbox_item_id__in={item_id for _, item_id in items}
        ).select_related("message", "tenant")
        if copy.recipient in names
        and (names[copy.recipient].mailbox_id, copy.mailbox_item_id) in items
        and copy.mailbox_at is not None
        and copy.place not in _LIES_NOWHERE
    ]
    found = known_since(tenant_id, [_judged(copy) for copy in copies])
    touched = [copy for copy in copies if found.get(copy.message_id)]
    history = history_of(touched)
    changing = []
    for copy in touched:
        old = _judged_last(history.get(copy.id, []))
        each = _weigh(copy, names[copy.recipient], old, found[copy.message_id])
        if each is not None:
            changing.append(each)
    return changing


def _judged(copy: Delivery) -> Judged:
    assert copy.mailbox_at is not None
    mail = copy.message
    return Judged(mail.id, mail.facts, mail.fingerprint, copy.mailbox_at)


def _judged_last(seen: Sequence[Observation]) -> Observation | None:
    """The mailbox layer's last judgement, None: it is not on record any more."""
    told = [each for each in seen if each.layer == Layer.MAILBOX and each.verdict]
    return told[-1] if told else None


def _weigh(
    copy: Delivery, row: MailboxSync, old: Observation | None, since: list[Reason]
) -> Again | None:
    """None where the verdict stays as it is."""
    if old is None:
        return None
    before = [
        Reason(str(each.get("code", "")), str(each.get("text", "")), str(each.get("value", "")))
        for each in old.reasons
    ]
    stored = weighed([*since, *before], has_links=bool(copy.message.facts.get("links")))
    if not stored.verdict.is_threat or stored.verdict == old.verdict:
        return None
    wired = None
    try:
        wired = wire_connection(row.connection)
    except BridgeError as error:
        log.info("a mail is judged again by what is stored: %s", error)
    seat = Seat(
        mailbox_id=row.mailbox_id,
        tenant_id=copy.tenant_id,
        address=row.mailbox.address,
        aliases=tuple(row.mailbox.aliases),
        display_name=row.mailbox.display_name,
        judged_from=row.connection.created_at,
        kind=row.connection.kind,
    )
    return Again(
        copy=copy,
        seat=seat,
        external_id=row.mailbox.external_id,
        wired=wired,
        old=old,
        since=since,
        stored=stored,
    )


def _judge_again(claimed: ClaimedWork, each: Again) -> None:
    fetched = _fetch(each)
    judgement, facts, known = each.stored, None, None
    if fetched is not None:
        try:
            judgement, facts, known = _read_again(claimed, each, fetched)
        except (ReaderUnavailable, NotJudged) as error:
            log.warning("a mail is judged again by what is stored: %s", type(error).__name__)
    if not judgement.verdict.is_threat or judgement.verdict == each.old.verdict:
        return  # what is known today speaks for it all the same
    now = timezone.now()
    seen = _sight(each, judgement, now)
    if facts is not None and known is not None:
        seen = _let_be(seen, each, facts, judgement.verdict, known, now)
    with work_scope(claimed):
        if _is_told(seen, each.old):
            return
        if fetched is not None and not each.copy.message.evidence:
            seen = keep_original(seen, fetched.raw, method=fetched.acquired)
        record([seen])


def _is_told(seen: Sight, old: Observation) -> bool:
    """By a worker that died after it; intake has not made sense of it yet."""
    later = Observation.objects.filter(
        tenant=seen.tenant_id, source=seen.source, source_key=seen.source_key
    )
    return later.filter(observed_at__gt=old.observed_at, verdict=seen.verdict).exists()


def _fetch(each: Again) -> Fetched | None:
    """The mail as it lies there, None where it cannot be had now."""
    if each.wired is None or not each.copy.mailbox_item_id:
        return None
    try:
        connector = connector_of(each.wired)
        return connector.fetch(Ref(each.external_id, each.copy.mailbox_item_id))
    except BridgeError as error:
        log.info("a mail is judged again by what is stored: %s", error)
        return None


def _read_again(
    claimed: ClaimedWork, each: Again, fetched: Fetched
) -> tuple[Judgement, MailFacts, Known]:
    """Judged with what is known around it today, and with what became known.

    Raises ``ReaderUnavailable``, ``NotJudged``.
    """
    item = _as_item(each)
    with work_scope(claimed):
        known = know(
            claimed.tenant_id,
            claimed.provider_id,
            [(each.seat.mailbox_id, each.seat.address, [item])],
        )
    copy = each.copy
    said = Verdict(copy.gateway_verdict) if copy.gateway_verdict else None
    word = GatewayWord(verdict=said, evidence=copy.message.evidence) if copy.gateway_at else None
    facts = mail_reader().read(
        fetched.raw,
        tell_judge=lambda facts: context_around(
            item,
            facts,
            each.seat,
            known,
            direction=Direction(copy.direction),
            state="valid" if copy.gateway_at else "none_expected",
            word=word,
        ),
    )
    fresh = judgement_of(facts)
    if fresh.verdict is Verdict.UNSCANNABLE:
        raise NotJudged("the mail cannot be read any more")
    return (
        weighed([*each.since, *fresh.reasons], has_links=bool(facts.links)),
        facts,
        known,
    )


def _as_item(each: Again) -> Item:
    """What the list answer said of it that the judge is told of."""
    facts: dict[str, Any] = each.copy.message.facts
    references = " ".join(str(one) for one in facts.get("references") or ())
    headers = (("In-Reply-To", str(facts.get("in_reply_to") or "")), ("References", references))
    return Item(
        ref=Ref(each.external_id, each.copy.mailbox_item_id),
        received_at=each.copy.received_at,
        folder_id="",
        place=Place(each.copy.place),
        internet_message_id=each.copy.message.internet_message_id,
        headers=tuple((name, value) for name, value in headers if value),
    )


def _sight(each: Again, judgement: Judgement, at: datetime) -> Sight:
    """Of the same source and key as the old one, which it supersedes and does not touch."""
    copy, old = each.copy, each.old
    return Sight(
        tenant_id=copy.tenant_id,
        layer=Layer.MAILBOX,
        source=each.seat.source,
        source_key=f"{copy.mailbox_item_id}/scan",
        observed_at=at,
        recipient=each.seat.address,
        direction=copy.direction,
        internet_message_id=copy.message.internet_message_id,
        fingerprint=copy.message.fingerprint,
        mailbox_item_id=copy.mailbox_item_id,
        verdict=judgement.verdict,
        score=judgement.score,
        confidence=judgement.confidence,
        reasons=judgement.reasons,
        engine=ENGINE,
        engine_version=judgement.version,
        detail={
            "received_at": copy.received_at.isoformat(),
            SINCE: [reason.text for reason in each.since],
            "was": old.verdict,
        },
    )


def _let_be(
    seen: Sight, each: Again, facts: MailFacts, verdict: Verdict, known: Known, at: datetime
) -> Sight:
    """An entry for both layers lets it be now as it would have then."""
    mail = SeenMail(
        verdict=verdict,
        facts=facts,
        names=(each.seat.address, *each.seat.aliases),
        is_proven=each.copy.gateway_at is not None,
    )
    entry = known.entries.allowing(mail, at)
    if not entry:
        return seen
    rule = f"allow entry for both layers, set by {entry['owner']}: {entry['reason']}"
    return replace(seen, rule=rule, detail={**seen.detail, "decided": entry})
