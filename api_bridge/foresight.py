"""How the mailbox layer would judge a mail if it arrived now: before somebody lets it go.

The kept original goes through the reader and the judge that read arriving mail, with what is known
around it today.  A released mail comes with the gate's trace and without its findings about the
sender, as the gate sends it (seg_bridge/gate/release.py).
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from api_bridge.connectors import Item, Ref
from api_bridge.detect import Judgement, MailboxContext
from api_bridge.detect.child import NotJudged, judgement_of
from api_bridge.known import GatewayWord, know
from api_bridge.models import MailboxSync
from api_bridge.scan.judging import context_around, mail_reader
from api_bridge.scan.shapes import Seat
from api_bridge.sight import blindness_of
from incidents.evidence import read_evidence
from incidents.layers import (
    Judged,
    LayerBlind,
    LayerError,
    NoMailbox,
    SeenMail,
    gateway_layer,
)
from incidents.mail.facts import MailFacts
from incidents.mail.reader import ReaderUnavailable
from incidents.models import Delivery
from incidents.words import Direction, Place, Verdict
from tenants.errors import NotThere
from tenants.models import Mailbox
from tenants.secrets import SecretDoesNotOpen

MOST_REASONS = 5


def foresee(delivery: Delivery) -> Judged:
    """Raises ``NoMailbox``, ``LayerBlind`` or ``LayerError`` with why it cannot be known.

    Needs a scope of client and provider.
    """
    seat, now = _seat(delivery), timezone.now()
    raw = _original(delivery)
    try:
        facts = mail_reader().read(
            raw, tell_judge=lambda facts: _around(facts, delivery, seat, now)
        )
        judgement = judgement_of(facts)
    except ReaderUnavailable as error:
        raise LayerError("No process could be had to read the mail; try again.") from error
    except NotJudged as error:
        raise LayerError("The mail is too much for the judge.") from error
    return Judged(
        verdict=str(judgement.verdict),
        confidence=judgement.confidence,
        reasons=_words(judgement),
        entry=_entry(facts, judgement, seat, now, has_trace=delivery.gateway_at is not None),
    )


def _words(judgement: Judgement) -> tuple[str, ...]:
    heavy = [reason for reason in judgement.reasons if reason.weight > 0]
    return tuple(reason.text for reason in heavy[:MOST_REASONS])


def _seat(delivery: Delivery) -> Seat:
    """The mailbox, where the layer watches it and can see."""
    rows = MailboxSync.objects.filter(tenant=delivery.tenant_id).select_related(
        "mailbox", "connection"
    )
    whom = delivery.recipient
    row = rows.filter(Q(mailbox__address=whom) | Q(mailbox__aliases__contains=[whom])).first()
    if row is None or row.mailbox.state == Mailbox.State.GONE:
        raise NoMailbox(f"The mailbox layer does not watch {whom}.")
    if (blind := blindness_of(row.connection)) is not None:
        raise LayerBlind(blind.sentence)
    return Seat(
        mailbox_id=row.mailbox_id,
        tenant_id=row.tenant_id,
        address=row.mailbox.address,
        aliases=tuple(row.mailbox.aliases),
        display_name=row.mailbox.display_name,
        judged_from=row.connection.created_at,
    )


def _original(delivery: Delivery) -> bytes:
    message = delivery.message
    if not message.evidence:
        raise LayerError("Its original is not kept, so that nobody can judge it anew.")
    try:
        return read_evidence(tenant_id=delivery.tenant_id, digest=message.evidence)
    except (NotThere, SecretDoesNotOpen) as error:
        raise LayerError("Its original is no longer in the store.") from error


def _around(facts: MailFacts, delivery: Delivery, seat: Seat, now: datetime) -> MailboxContext:
    item = _as_item(facts, now)
    known = know(
        seat.tenant_id, delivery.tenant.provider_id, [(seat.mailbox_id, seat.address, [item])]
    )
    said = delivery.gateway_verdict
    verdict = Verdict(said) if said else None
    word = GatewayWord(verdict=verdict, evidence=delivery.message.evidence)
    return context_around(
        item,
        facts,
        seat,
        known,
        direction=Direction(delivery.direction),
        state="valid" if delivery.gateway_at else "none_expected",
        word=word if delivery.gateway_at else None,
    )


def _as_item(facts: MailFacts, now: datetime) -> Item:
    """What the list answer would say that the judge is told of."""
    headers = [("In-Reply-To", facts.in_reply_to), ("References", " ".join(facts.references))]
    return Item(
        ref=Ref("", ""),
        received_at=now,
        folder_id="",
        place=Place.INBOX,
        internet_message_id=facts.internet_message_id,
        subject=facts.subject,
        sender=facts.sender,
        headers=tuple((name, value) for name, value in headers if value),
    )


def _entry(
    facts: MailFacts, judgement: Judgement, seat: Seat, now: datetime, *, has_trace: bool
) -> dict[str, str]:
    if not judgement.verdict.is_threat:
        return {}
    mail = SeenMail(
        verdict=judgement.verdict,
        facts=facts,
        names=(seat.address, *seat.aliases),
        is_proven=has_trace,
    )
    return gateway_layer().entries_for_both(seat.tenant_id).allowing(mail, now)
