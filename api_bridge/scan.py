"""One item of a mailbox → what the mailbox layer says of it.  No database, no vendor call.

1. Read the mail (its MIME form, or one rebuilt from the list answer) in a child that can be killed.
2. How did it arrive: from inside, through the gateway with a genuine trace, or past it?
3. Authentication counts only as our own gate found it, and only with that trace.
4. Judge it, in the same child, with what is known around it; a harmless mail teaches who writes to
   whom.
5. What an entry for both layers lets be says so: it keeps its verdict, and nobody acts on it
   (incidents/allowed.py).

Sent mail is not judged: each internal copy is seen in its own mailbox, and what leaves the client
is the gateway's to judge.  It teaches whom the mailbox writes to, and tells what the mailbox
answered or passed on (incidents/answers.py).
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from api_bridge import history
from api_bridge.connectors import GMAIL_RAW, Fetched, Item
from api_bridge.connectors.graph.rebuild import rebuild_mail
from api_bridge.detect import Judgement, MailboxContext
from api_bridge.detect.child import JUDGE, judgement_of
from api_bridge.detect.context import TraceState
from api_bridge.host_auth import host_auth
from api_bridge.host_filter import filtered, sender_ip
from api_bridge.inside import is_from_inside
from api_bridge.known import GatewayWord, Known, Profile, conversation_of, header_of
from api_bridge.reports import bare_facts, taken_from, trust_of
from incidents.layers import SeenMail
from incidents.mail.authres import parse_auth_results
from incidents.mail.facts import Address, MailFacts
from incidents.mail.reader import MailReader
from incidents.mail.trace import TRACE_HEADER, Trace, check_trace, hash_message_id
from incidents.observations import Observation, Reason
from incidents.userreports.reading import read_report
from incidents.userreports.taking import TakenReport
from incidents.words import Direction, Layer, Place, Verdict

ENGINE = "detect"
FILTER = "exchange-online-protection"
READERS = 2
MOST_RECIPIENTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The mailbox in which items lie.  Mail received before ``judged_from`` only teaches.

    ``kind``: of its connection; ``internal_hosts``: ``inside.is_from_inside``.
    """

    mailbox_id: UUID
    tenant_id: int
    address: str
    aliases: tuple[str, ...]
    display_name: str
    judged_from: datetime
    kind: str = "graph"
    internal_hosts: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Who says it, in observations."""
        return f"{self.kind}:{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """``observation`` None: nothing new to say of it; ``is_judged``: an observation of it exists.
    ``beside``: what others said of it that only this source can tell, the mail host's own filter.
    ``wants_evidence``: ``raw``, the bytes that were read, acquired by ``method``, belong into the
    evidence store; of other mail no bytes are kept.  ``reports``: what it reports, where it lies in
    the client's report mailbox.
    """

    item: Item
    observation: Observation | None = None
    beside: Sequence[Observation] = ()
    is_judged: bool = True
    lessons: Sequence[history.Lesson] = ()
    raw: bytes = b""
    method: str = ""
    wants_evidence: bool = False
    reports: Sequence[TakenReport] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    direction: Direction
    state: TraceState
    trace: Trace | None = None


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
        return _sent(item, seat, observed_at)
    profile = known.profile
    arrival = _arrival(item, profile, seat)
    raw, method = _bytes_of(item, fetched)
    if seat.address == profile.report_address:
        return _as_report(item, seat, profile, raw, observed_at)
    facts = mail_reader().read(
        raw,
        own_authserv_ids=_gate_names(item, arrival),
        tell_judge=lambda facts: _context(item, *_settled(facts, arrival), seat, known),
    )
    facts, arrival = _settled(facts, arrival)
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
    observation = _observation(item, facts, arrival, judgement, seat, observed_at)
    if entry := _entry(facts, arrival, judgement, seat, known, observed_at):
        rule = f"allow entry for both layers, set by {entry['owner']}: {entry['reason']}"
        detail = observation.detail | {"decided": entry}
        observation = replace(observation, rule=rule, detail=detail)
    return Scanned(
        item=item,
        observation=observation,
        beside=_beside(item, observation, seat),
        lessons=lessons,
        raw=raw if wants_evidence else b"",
        method=method,
        wants_evidence=wants_evidence,
    )


def _beside(item: Item, seen: Observation, seat: Seat) -> list[Observation]:
    """The word of the host's filter, where it condemns; its "harmless" weighs nothing, and stands
    in the detail of ours.
    """
    told = filtered(item, seat.kind)
    if told is None or told.verdict is None or not told.verdict.is_threat:
        return []
    text = f"Microsoft's filter called this mail {told.words} when it came in."
    value = told.category or f"SCL {told.scl}"
    return [
        replace(
            seen,
            layer=Layer.VENDOR,
            source=f"vendor:{seat.kind}",
            source_key=f"{item.ref.item_id}/filter",
            trace_state="",
            verdict=told.verdict,
            score=None,
            confidence=None,
            reasons=(Reason("vendor_verdict", text, value),),
            engine=FILTER,
            engine_version="",
            rule="",
            place=None,
            is_read=None,
            mail={},
            detail={"host_filter": told.as_json()},
        )
    ]


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
    arrival = _arrival(item, profile, seat)
    report = read_report(raw, own_authserv_ids=_gate_names(item, arrival))
    facts, arrival = _settled(report.facts, arrival)
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
    seen = _observation(item, bare_facts(facts), arrival, word, seat, observed_at)
    return Scanned(
        item=item,
        observation=replace(
            seen, verdict=None, score=None, confidence=None, engine="", engine_version=""
        ),
        reports=taken_from(item, report, reported_at=item.received_at, trust=trust),
    )


def _sent(item: Item, seat: Seat, observed_at: datetime) -> Scanned:
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
        detail=_detail(item),
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


def _detail(item: Item) -> dict[str, Any]:
    """What only the mail host knows; ``conversation`` is its own name of it, "" without one."""
    return {
        "received_at": item.received_at.isoformat(),
        "folder": item.folder_id,
        "conversation": item.conversation_id[:500],
    }


def _arrival(item: Item, profile: Profile, seat: Seat) -> _Arrival:
    if is_from_inside(item, seat.kind, seat.internal_hosts):
        return _Arrival(direction=Direction.INTERNAL, state="none_expected")
    value = header_of(item, TRACE_HEADER)
    trace = check_trace(value, profile.keys) if value else None
    state: TraceState = "valid"
    if not value:
        since = profile.protected_since
        is_expected = since is not None and item.received_at >= since
        state = "missing" if is_expected else "none_expected"
    elif trace is None:
        state = "invalid"
    elif trace.tenant_id != profile.tenant_id:
        state, trace = "foreign", None
    return _Arrival(direction=Direction.INBOUND, state=state, trace=trace)


def _gate_names(item: Item, arrival: _Arrival) -> list[str]:
    """The authserv-id of the gate that set the trace: it writes trace, Authentication-Results and
    its Received line with the same ulid on top of what came, so these three stand together.
    """
    at = _gate_block(item, arrival)
    if at is None:
        return []
    results = parse_auth_results(item.headers[at + 1][1])
    return [results[0].authserv_id] if results else []


def _gate_line(item: Item, arrival: _Arrival) -> str:
    """The Received line of the gate, "" where none stands with a genuine trace."""
    at = _gate_block(item, arrival)
    return item.headers[at + 2][1] if at is not None else ""


def _gate_block(item: Item, arrival: _Arrival) -> int | None:
    """Where trace, results and Received line of the gate stand together; None: nowhere."""
    if arrival.trace is None:
        return None
    names = [name.lower() for name, _ in item.headers]
    at = names.index(TRACE_HEADER.lower())
    together = ["authentication-results", "received"]
    if names[at + 1 : at + 3] != together or arrival.trace.ulid not in item.headers[at + 2][1]:
        return None
    return at


def _fits(trace: Trace, facts: MailFacts) -> bool:
    """Bodies and ids change on the way, but not both."""
    same_id = trace.message_id_hash in ("", hash_message_id(facts.internet_message_id))
    return same_id or (bool(trace.fingerprint) and trace.fingerprint == facts.fingerprint)


def _settled(facts: MailFacts, arrival: _Arrival) -> tuple[MailFacts, _Arrival]:
    """A genuine trace that was taken from another mail proves nothing of this one."""
    if arrival.trace is None or _fits(arrival.trace, facts):
        return facts, arrival
    return replace(facts, auth_results=()), replace(arrival, state="invalid", trace=None)


def _gateway_word(arrival: _Arrival, seat: Seat, known: Known) -> GatewayWord | None:
    """Under whichever of the mailbox's names the mail was sent; None: it has not spoken (yet)."""
    if arrival.trace is None:
        return None
    words = (
        known.gateway.get((arrival.trace.ulid, name)) for name in (seat.address, *seat.aliases)
    )
    return next((word for word in words if word is not None), None)


def _entry(
    facts: MailFacts,
    arrival: _Arrival,
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
    item: Item, facts: MailFacts, arrival: _Arrival, seat: Seat, known: Known
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


def _observation(
    item: Item,
    facts: MailFacts,
    arrival: _Arrival,
    judgement: Judgement,
    seat: Seat,
    observed_at: datetime,
) -> Observation:
    told = host_auth(item, seat.kind)
    by_filter = filtered(item, seat.kind)
    from_ip = sender_ip(
        item,
        seat.kind,
        gate_line=_gate_line(item, arrival),
        internal_hosts=seat.internal_hosts,
    )
    known = {
        "host_auth": told,
        "host_filter": by_filter.as_json() if by_filter else {},
        "client_ip": from_ip,
    }
    return Observation(
        tenant_id=seat.tenant_id,
        layer=Layer.MAILBOX,
        source=seat.source,
        source_key=f"{item.ref.item_id}/scan",
        observed_at=observed_at,
        recipient=seat.address,
        direction=str(arrival.direction),
        internet_message_id=facts.internet_message_id or item.internet_message_id,
        fingerprint=facts.fingerprint,
        trace_ulid=arrival.trace.ulid if arrival.trace else "",
        trace_state="" if arrival.state == "none_expected" else arrival.state,
        mailbox_item_id=item.ref.item_id,
        verdict=judgement.verdict,
        score=judgement.score,
        confidence=judgement.confidence,
        reasons=judgement.reasons,
        engine=ENGINE,
        engine_version=judgement.version,
        place=item.place,
        is_read=item.is_read,
        mail=facts.as_json(),
        detail=_detail(item) | {name: value for name, value in known.items() if value},
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
    arrival = _Arrival(direction=Direction.INBOUND, state="none_expected")
    return Scanned(
        item=item,
        observation=_observation(item, facts, arrival, judgement, seat, observed_at),
        raw=raw,
        method=method,
        wants_evidence=True,
    )


def moved(item: Item, seat: Seat, *, observed_at: datetime) -> Scanned:
    """A mail that was judged before lies elsewhere now, or was read."""
    observation = Observation(
        tenant_id=seat.tenant_id,
        layer=Layer.MAILBOX,
        source=seat.source,
        source_key=f"{item.ref.item_id}/place",
        observed_at=observed_at,
        recipient=seat.address,
        internet_message_id=item.internet_message_id,
        mailbox_item_id=item.ref.item_id,
        place=item.place,
        is_read=item.is_read,
        detail=_detail(item),
    )
    return Scanned(item=item, observation=observation)
