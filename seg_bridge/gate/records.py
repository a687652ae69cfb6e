"""Journal records and the observations in them.

A ``begun`` record says what is about to be relayed, a ``done`` record what became of every copy.
Both carry ``mails``: for each client what all its copies share, once, and what differs for each
copy.  ``observations`` expands them to the wire form of ``incidents.observations.Observation``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from incidents.mail.facts import MailFacts
from incidents.mail.json_text import ReadyJson, write_json
from incidents.observations import Observation
from incidents.words import PASSING, Direction, Layer, MatrixAction, Outcome, Place
from seg_bridge.engines import Envelope, Scan
from seg_bridge.gate.dialogue import Said, told_to
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.scanning import ScanResult

MAX_RULE_CHARS = 1000
MAX_WHY_CHARS = 300
MAX_MESSAGE_ID_CHARS = 998  # the longest line that RFC 5322 allows
PLACE_OF = {
    Outcome.DELIVERED: None,  # the next hop has it; where it put it the mailbox layer will see
    Outcome.PASSED: None,  # Postfix has it and goes on trying
    Outcome.HELD: Place.HOLD,
    Outcome.REJECTED: Place.NOWHERE,
    Outcome.DEFERRED: Place.NOWHERE,
    Outcome.UNKNOWN: Place.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One SMTP transaction.  All routes are known.

    ``queue_id`` is Postfix's, "" for the embedded front, where all routes have one next hop.
    ``mail_options`` and ``recipient_options`` (by address) are ESMTP parameters that a copy sent
    apart must carry on: ``RET=HDRS``, ``NOTIFY=NEVER``.  ``said`` is what was said before the
    mail's bytes.  ``done_before`` are recipients that an earlier try of the same mail has settled
    (``repeats.py``); ``routes`` are the others.
    """

    envelope: Envelope
    routes: tuple[Route, ...]
    snapshot: PolicySnapshot
    is_smtputf8: bool = False
    is_8bit: bool = False
    said: tuple[Said, ...] = ()
    queue_id: str = ""
    mail_options: str = ""
    recipient_options: Mapping[str, str] = field(default_factory=dict)
    repeat_key: str = ""
    done_before: tuple[str, ...] = ()


@dataclass(slots=True)
class Copy:
    """One recipient's copy on its way through the gate.  ``outcome`` None: not settled yet.

    ``is_spooled``: the gate has answered for it and goes on trying to deliver.  ``queue_id``: its
    name in Postfix's queue.  ``hop``: the host that answered, "" where none was asked.
    ``decided``: what decided (``Decision.as_json``), whatever then became of the copy.
    """

    route: Route
    action: MatrixAction
    rule: str
    outcome: Outcome | None = None
    hop_reply: str = ""
    hop_tls: str = ""
    hop: str = ""
    is_spooled: bool = False
    queue_id: str = ""
    decided: dict[str, str] = field(default_factory=dict)

    @property
    def is_relayed(self) -> bool:
        return self.outcome is None and self.action in PASSING


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMail:
    """One mail as the gate saw it, with all its copies; ``facts_json`` is what is told of it.

    ``sent_by``: of outbound mail the mailbox, who submitted it and the key that signs it.
    """

    ulid: str
    raw: bytes
    sha256: str
    envelope: Envelope
    facts: MailFacts
    result: ScanResult
    copies: tuple[Copy, ...]
    policy_version: str
    source: str
    facts_json: dict[str, Any] | ReadyJson
    is_in_circle: bool
    said: tuple[Said, ...] = ()
    queue_id: str = ""
    direction: Direction = Direction.INBOUND
    sent_by: Mapping[str, str] = field(default_factory=dict)
    repeat_key: str = ""

    def is_gone(self, copy: Copy) -> bool:
        """It is with somebody else, whatever its sender hears of us."""
        is_apart = copy.queue_id not in ("", self.queue_id)
        return copy.outcome is Outcome.DELIVERED or (copy.outcome is Outcome.PASSED and is_apart)

    def of_tenant(self, tenant_id: int) -> tuple[Copy, ...]:
        return tuple(copy for copy in self.copies if copy.route.tenant.tenant_id == tenant_id)

    @property
    def tenant_ids(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(copy.route.tenant.tenant_id for copy in self.copies))


def facts_told(facts: MailFacts, result: ScanResult) -> dict[str, Any]:
    """``Observation.mail``: the mail's facts, and what the engines found of its authentication."""
    return {**facts.as_json(), "auth": [each.as_json() for each in result.auth]}


def facts_written(facts: MailFacts, result: ScanResult) -> ReadyJson:
    """``facts_told`` as the journal has it: what the reading process wrote is not read again."""
    auth = write_json([each.as_json() for each in result.auth])
    return ReadyJson(facts.as_json_text()[:-1] + b',"auth":' + auth + b"}")


def begun_record(mail: SeenMail) -> dict[str, Any]:
    """Enough to say after a crash what may have happened: relayed copies are *unknown*, the others
    were not answered for, so their sender has kept them.
    """
    return {
        "kind": "begun",
        "ulid": mail.ulid,
        "mails": _mails(mail, kept_for=frozenset(), at=mail.envelope.received_at, reply=""),
    }


def done_record(
    mail: SeenMail,
    *,
    kept_for: frozenset[int],
    at: datetime,
    reply: str,
    settled: Sequence[str] = (),
) -> dict[str, Any]:
    """``kept_for``: the clients whose original bytes are in ``originals``; ``reply`` is ours.

    ``settled`` are recipients for whom nothing may be done again if the sender did not hear it.
    """
    repeat = {"repeat": {"key": mail.repeat_key, "settled": list(settled)}} if settled else {}
    return {
        "kind": "done",
        "ulid": mail.ulid,
        **repeat,
        "mails": _mails(mail, kept_for=kept_for, at=at, reply=reply),
    }


def settle_unfinished(begun: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The ``done`` record of a mail whose gate died before it could write one."""
    mails = []
    for mail in begun["mails"]:
        each = [dict(copy) for copy in mail["each"]]
        for copy in each:
            if copy["action"] is None:
                copy["action"], copy["place"] = str(Outcome.UNKNOWN), str(Place.UNKNOWN)
                copy["rule"] += "; the gate stopped before the next hop's answer was on record"
            else:
                copy["action"], copy["place"] = str(Outcome.DEFERRED), str(Place.NOWHERE)
                copy["rule"] += "; the gate stopped before it answered, the sender has kept it"
        mails.append({"shared": {**mail["shared"], "observed_at": at.isoformat()}, "each": each})
    return {"kind": "done", "ulid": begun["ulid"], "mails": mails}


def observation_record(kind: str, observations: Sequence[Observation]) -> dict[str, Any]:
    """A record of whole observations, for what happens to single copies later."""
    mails = [{"shared": {}, "each": [each.as_json()]} for each in observations]
    return {"kind": kind, "ulid": observations[0].trace_ulid, "mails": mails}


def observations(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """As ``Observation.from_json`` takes them; what only began has none."""
    if record["kind"] in ("begun", "command_begun"):
        return
    for mail in record.get("mails", ()):
        for copy in mail["each"]:
            detail = {**mail["shared"].get("detail", {}), **copy.get("detail", {})}
            yield {**mail["shared"], **copy, "detail": detail}


def _mails(
    mail: SeenMail, *, kept_for: frozenset[int], at: datetime, reply: str
) -> list[dict[str, Any]]:
    common = _shared(mail, at, reply)
    found = []
    for tenant_id in mail.tenant_ids:
        copies = mail.of_tenant(tenant_id)
        shared = {
            **common,
            "tenant_id": tenant_id,
            "detail": {**common["detail"], "dialogue": told_to(tenant_id, mail.said)},
            "evidence": mail.sha256 if tenant_id in kept_for else "",
        }
        found.append({"shared": shared, "each": [_each(mail.ulid, copy) for copy in copies]})
    return found


def _shared(mail: SeenMail, at: datetime, reply: str) -> dict[str, Any]:
    result, envelope = mail.result, mail.envelope
    is_scanned = result.verdict is not None
    return {
        "layer": str(Layer.GATEWAY),
        "source": mail.source,
        "observed_at": at.isoformat(),
        "direction": str(mail.direction),
        "internet_message_id": mail.facts.internet_message_id[:MAX_MESSAGE_ID_CHARS],
        "fingerprint": mail.facts.fingerprint,
        "trace_ulid": mail.ulid,
        "verdict": str(result.verdict) if result.verdict is not None else None,
        "score": result.score if is_scanned else None,
        "confidence": result.confidence if is_scanned else None,
        "reasons": [reason.as_json() for reason in result.reasons],
        "engine": result.engine,
        "engine_version": result.version,
        "policy_version": mail.policy_version,
        "mail": mail.facts_json,
        "detail": {
            "client_ip": envelope.client_ip,
            "helo": envelope.helo,
            "tls": envelope.tls,
            "mail_from": envelope.mail_from,
            "smtp_reply": reply,
            "sent_smtp_code": int(reply[:3]) if reply else None,
            "missing": list(result.missing),
            "missing_why": [why[:MAX_WHY_CHARS] for why in result.why],
            "engines": [_engine_told(scan) for scan in result.scans],
            **({"sent_by": dict(mail.sent_by)} if mail.sent_by else {}),
        },
    }


def _engine_told(scan: Scan) -> dict[str, Any]:
    """What one of the engines said; its reasons stand among the mail's."""
    return {
        "engine": scan.engine,
        "version": scan.version,
        "verdict": str(scan.verdict),
        "score": scan.score,
        "confidence": scan.confidence,
    }


def _each(ulid: str, copy: Copy) -> dict[str, Any]:
    place = PLACE_OF[copy.outcome] if copy.outcome is not None else None
    return {
        "recipient": copy.route.address,
        "score_limit": copy.route.treatment.act_from,
        "source_key": f"{ulid}/{copy.route.address}",
        "action": str(copy.outcome) if copy.outcome is not None else None,
        "rule": copy.rule[:MAX_RULE_CHARS],
        "place": str(place) if place is not None else None,
        "detail": {
            "next_hop": copy.hop or copy.route.domain.next_hop,
            "next_hop_reply": copy.hop_reply,
            "next_hop_tls": copy.hop_tls,
            "is_spooled": copy.is_spooled,
            "queue_id": copy.queue_id,
            "decided": copy.decided,
        },
    }
