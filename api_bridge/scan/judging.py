"""One item of a mailbox → what is said of it (api_bridge/scan)."""

from __future__ import annotations

import atexit
from dataclasses import replace
from datetime import datetime
from functools import cache

from api_bridge import history
from api_bridge.connectors import GMAIL_RAW, Fetched, Item
from api_bridge.connectors.graph.rebuild import rebuild_mail
from api_bridge.detect import Judgement, MailboxContext
from api_bridge.detect.child import JUDGE, judgement_of
from api_bridge.detect.context import TraceState
from api_bridge.known import GatewayWord, Known, Profile, conversation_of
from api_bridge.reports import bare_facts, taken_from, trust_of
from api_bridge.scan.arrival import Arrival, arrival_of, gate_names, settled
from api_bridge.scan.saying import beside, observation_of
from api_bridge.scan.sent import sent
from api_bridge.scan.shapes import Scanned, Seat
from incidents.layers import SeenMail
from incidents.mail.facts import Address, MailFacts
from incidents.mail.reader import MailReader
from incidents.observations import Reason
from incidents.userreports.reading import read_report
from incidents.words import Direction, Place, Verdict

READERS = 2


@cache
def mail_reader() -> MailReader:
    """One for the whole process."""
    reader = MailReader(workers=READERS, judge=JUDGE)
    atexit.register(reader.close)
    return reader


def scan(
    item: Item, seat: Seat, known: Known, *, fetched: Fetched | None, observed_at: datetime
) -> Scanned:
    """``fetched``: the mail's bytes where the list answer does not hold all of it.

    Raises ``ReaderUnavailable`` where this host cannot read at all, ``NotJudged`` where the mail
    was too much for the judge.
    """
    if item.place is Place.SENT:
        return sent(item, seat, observed_at)
    profile = known.profile
    arrival = arrival_of(item, profile, seat)
    raw, method = _bytes_of(item, fetched)
    if seat.address == profile.report_address:
        return _as_report(item, seat, profile, raw, observed_at)
    facts = mail_reader().read(
        raw,
        own_authserv_ids=gate_names(item, arrival),
        tell_judge=lambda facts: _context(item, *settled(facts, arrival), seat, known),
    )
    facts, arrival = settled(facts, arrival)
    word = _gateway_word(arrival, seat, known)
    judgement = judgement_of(facts)
    lessons = []
    if not judgement.verdict.is_threat:
        is_internal = arrival.direction is Direction.INTERNAL
        lessons = history.lessons_of_received(
            facts, seat.address, item.received_at, is_internal=is_internal
        )
    if item.received_at < seat.judged_from:
        return Scanned(item=item, is_judged=False, lessons=lessons)
    wants_evidence = judgement.verdict.is_threat and not (word and word.evidence)
    observation = observation_of(item, facts, arrival, judgement, seat, observed_at)
    if entry := _entry(facts, arrival, judgement, seat, known, observed_at):
        rule = f"allow entry for both layers, set by {entry['owner']}: {entry['reason']}"
        detail = observation.detail | {"decided": entry}
        observation = replace(observation, rule=rule, detail=detail)
    return Scanned(
        item=item,
        observation=observation,
        beside=beside(item, observation, seat),
        lessons=lessons,
        raw=raw if wants_evidence else b"",
        method=method,
        wants_evidence=wants_evidence,
    )


def _bytes_of(item: Item, fetched: Fetched | None) -> tuple[bytes, str]:
    """And how they were acquired."""
    if fetched:
        return fetched.raw, fetched.acquired
    if item.raw:
        return item.raw, GMAIL_RAW
    return rebuild_mail(item), "graph-json"


def _as_report(
    item: Item, seat: Seat, profile: Profile, raw: bytes, observed_at: datetime
) -> Scanned:
    """No threat to this mailbox, whatever is attached: its people are there to read it."""
    if item.received_at < seat.judged_from:
        return Scanned(item=item, is_judged=False)
    arrival = arrival_of(item, profile, seat)
    report = read_report(raw, own_authserv_ids=gate_names(item, arrival))
    facts, arrival = settled(report.facts, arrival)
    trust = trust_of(
        item,
        facts,
        direction=arrival.direction,
        trace=arrival.trace,
        trace_state=arrival.state,
        profile=profile,
        kind=seat.kind,
    )
    reason = Reason("read_as_report", "In the report mailbox: read as a report, not judged.")
    word = Judgement(verdict=Verdict.CLEAN, score=0.0, confidence=0.0, reasons=(reason,))
    seen = observation_of(item, bare_facts(facts), arrival, word, seat, observed_at)
    return Scanned(
        item=item,
        observation=replace(
            seen, verdict=None, score=None, confidence=None, engine="", engine_version=""
        ),
        reports=taken_from(item, report, reported_at=item.received_at, trust=trust),
    )


def _gateway_word(arrival: Arrival, seat: Seat, known: Known) -> GatewayWord | None:
    """Under whichever of the mailbox's names the mail was sent; None: it has not spoken (yet)."""
    if arrival.trace is None:
        return None
    words = (
        known.gateway.get((arrival.trace.ulid, name)) for name in (seat.address, *seat.aliases)
    )
    return next((word for word in words if word is not None), None)


def _entry(
    facts: MailFacts,
    arrival: Arrival,
    judgement: Judgement,
    seat: Seat,
    known: Known,
    at: datetime,
) -> dict[str, str]:
    """The entry that lets a condemned mail be, {} where none does.  A harmless one needs none."""
    if not judgement.verdict.is_threat:
        return {}
    mail = SeenMail(
        verdict=judgement.verdict,
        facts=facts,
        names=(seat.address, *seat.aliases),
        is_proven=arrival.state == "valid",
    )
    return known.entries.allowing(mail, at)


def _context(
    item: Item, facts: MailFacts, arrival: Arrival, seat: Seat, known: Known
) -> MailboxContext:
    return context_around(
        item,
        facts,
        seat,
        known,
        direction=arrival.direction,
        state=arrival.state,
        word=_gateway_word(arrival, seat, known),
    )


def context_around(
    item: Item,
    facts: MailFacts,
    seat: Seat,
    known: Known,
    *,
    direction: Direction,
    state: TraceState,
    word: GatewayWord | None,
) -> MailboxContext:
    """What the judge is told besides the mail.  ``word`` None: the gateway has not spoken (yet)."""
    sender = facts.sender.address if facts.sender else ""
    rows = known.correspondents
    threads = (known.threads.get(each, frozenset()) for each in conversation_of(item))
    return MailboxContext(
        recipient=Address(address=seat.address, name=seat.display_name),
        own_domains=known.profile.own_domains,
        people=known.profile.people,
        direction=direction,
        trace_state=state,
        auth=facts.auth_results,
        sender_history=history.history_of(rows, sender, seat.address, item.received_at),
        history_known=known.profile.history_known,
        known_vendor_domains=known.profile.vendor_domains,
        payment_accounts_of_sender=history.accounts_of(rows, sender),
        usual_features_of_sender=history.habits_of(rows, sender),
        thread_participants=frozenset().union(*threads),
        gateway_verdict=word.verdict if word else None,
    )


def give_up(item: Item, seat: Seat, *, why: str, observed_at: datetime) -> Scanned:
    """An item that could not be scanned again and again: kept as it was listed, and said so."""
    raw, method = _bytes_of(item, None)
    facts = MailFacts(
        size_bytes=len(raw),
        raw_sha256="",
        is_readable=False,
        problems=("not_fetched",),
        internet_message_id=item.internet_message_id,
        subject=item.subject,
        sender=item.sender,
        sent_at=item.sent_at,
    )
    reason = Reason(
        "could_not_be_scanned", "The mail could not be fetched or read in three tries.", why[:200]
    )
    judgement = Judgement(verdict=Verdict.UNSCANNABLE, score=0.0, confidence=1.0, reasons=(reason,))
    arrival = Arrival(direction=Direction.INBOUND, state="none_expected")
    return Scanned(
        item=item,
        observation=observation_of(item, facts, arrival, judgement, seat, observed_at),
        raw=raw,
        method=method,
        wants_evidence=True,
    )
