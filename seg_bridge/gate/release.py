"""Letting held mail go: on to its recipients, or nowhere.

A release re-injects the original bytes with our own header fields, under the ulid that the mail
came with, so that the mailbox layer knows it again: to the next hop, or to the queue of the Postfix
in front.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from ulid import ULID

from incidents.mail.facts import MailFacts
from incidents.mail.headers import prepend_headers
from incidents.observations import Observation
from incidents.words import Direction, Layer, Outcome, Place
from seg_bridge.engines import Envelope
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.fetching import NoOriginal, fetch_original
from seg_bridge.gate.hop import HopAnswer, OutgoingMail
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.journal import Journal, Record
from seg_bridge.gate.originals import Originals
from seg_bridge.gate.outbound.dkim import Signer
from seg_bridge.gate.outbound.ways_out import WaysOut, claim, sent_field
from seg_bridge.gate.outbound.writing import visible_sender, write_outbound
from seg_bridge.gate.outgoing import Stamp, received_value, stamp_mail
from seg_bridge.gate.paths import BadCommand, check_sender
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.records import observation_record
from seg_bridge.gate.relay import Relay, queue_id_in
from seg_bridge.gate.snapshots import SnapshotKeeper
from seg_bridge.gate.ways import Way

GATE_DIED = "unknown: the gate stopped while it released the mail; look into the mailbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``evidence`` is the hash of the original bytes; ``by`` who wants it, "" if not said;
    ``direction`` is the released mail's.

    ``queue_id`` is what an order about the queue (``q_…``) is about; such a one names no mail.
    ``terms`` what else there is to say, of a lesson (lessons.py).
    """

    seq: int
    id: str
    kind: str
    tenant_id: int
    ulid: str
    recipients: tuple[str, ...]
    evidence: str
    by: str
    queue_id: str = ""
    direction: Direction = Direction.INBOUND
    terms: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        kind, ulid = str(data["kind"]), str(data["ulid"])
        return cls(
            seq=int(data["seq"]),
            id=str(data["id"]),
            kind=kind,
            tenant_id=int(data["tenant_id"]),
            ulid="" if kind.startswith("q_") and not ulid else str(ULID.from_str(ulid)),
            recipients=tuple(str(each).lower() for each in data["recipients"]),
            evidence=str(data.get("evidence") or ""),
            by=str(data.get("released_by") or "an analyst"),
            queue_id=str(data.get("queue_id") or ""),
            direction=Direction(data.get("direction") or Direction.INBOUND),
            terms=dict(data.get("terms") or {}),
        )

    def acknowledge(self, *, ok: bool, detail: str) -> dict[str, Any]:
        return {
            "command_id": self.id,
            "seq": self.seq,
            "ok": ok,
            "detail": detail,
            "at": datetime.now(UTC).isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a command.  ``let_go`` are recipients for whom nothing is held any more."""

    ok: bool
    detail: str
    observations: tuple[Observation, ...] = ()
    let_go: tuple[str, ...] = ()

    def record(self, command: Command) -> Record:
        """The journal's record, which also acknowledges the command."""
        record: Record = {"kind": "command"}
        if self.observations:
            record = observation_record("command", self.observations)
        record["command"] = command.acknowledge(ok=self.ok, detail=self.detail)
        return record


class CannotRelease(Exception):
    """The text says why, for the person who asked."""


class FactsReader(Protocol):
    """What is needed of ``incidents.mail.reader.MailReader``."""

    async def read_async(self, raw: bytes, *, envelope_from: str = "") -> MailFacts: ...


class Releaser:
    def __init__(
        self,
        *,
        name: str,
        hostname: str,
        keeper: SnapshotKeeper,
        reader: FactsReader,
        journal: Journal,
        originals: Originals,
        relay: Relay,
        client: IngestClient,
        signer: Signer,
        ways_out: WaysOut,
        reinject_hop: str = "",
    ) -> None:
        """``reinject_hop``: where our own Postfix takes mail from us, "" without one."""
        self._ways_out = ways_out
        self._signer = signer
        self._reinject_hop = reinject_hop
        self._source = f"gate:{name}"
        self._hostname = hostname
        self._keeper = keeper
        self._reader = reader
        self._journal = journal
        self._originals = originals
        self._relay = relay
        self._client = client

    async def release(self, command: Command) -> Done:
        """Raises ``JournalError`` or ``OSError`` before anything was sent."""
        try:
            snapshot = self._check_policy(command)
            is_out = command.direction is Direction.OUTBOUND
            ways = {} if is_out else self._ways_in(command, snapshot)
            raw = await self.original(command)
            facts = await self._reader.read_async(raw)
            if is_out:
                ways = self._ways_for_outbound(command, snapshot, _usable_sender(facts))
        except (CannotRelease, NoOriginal) as error:
            return Done(False, str(error))
        by_way: dict[Way, tuple[str, ...]] = {}
        for recipient, way in ways.items():
            by_way[way] = (*by_way.get(way, ()), recipient)
        mails = [
            (
                way,
                await self._outgoing(replace(command, recipients=each), raw, facts, snapshot, way),
            )
            for way, each in by_way.items()
        ]
        await self._journal.append(self._begun(command, ways))
        failpoint("commands.after_begun")
        answers: dict[str, HopAnswer] = {}
        for way, mail in mails:
            answers |= await self._relay.send(way, mail)
        failpoint("commands.after_relay")
        return self._conclude(command, ways, answers)

    def drop(self, command: Command) -> Done:
        gone = tuple(
            self._observe(command, recipient, None, Place.GONE, f"denied by {command.by}")
            for recipient in command.recipients
        )
        return Done(True, "let go", gone, command.recipients)

    def let_go(self, command: Command, done: Done) -> None:
        self._originals.let_go(command.tenant_id, command.ulid, done.let_go)

    def _check_policy(self, command: Command) -> PolicySnapshot:
        """Raises ``CannotRelease``."""
        snapshot = self._keeper.current
        if snapshot is None or not command.recipients:
            raise CannotRelease("the gate has no policy yet, or the command no recipients")
        return snapshot

    def _ways_in(self, command: Command, snapshot: PolicySnapshot) -> dict[str, Way]:
        """Recipient → its way.  Raises ``CannotRelease``."""
        ways: dict[str, Way] = {}
        for recipient in command.recipients:
            route = snapshot.find(recipient)
            if route is None or not route.is_known or route.tenant.tenant_id != command.tenant_id:
                raise CannotRelease(f"{recipient} is not, or no longer, a mailbox of this client")
            own = Way.of(self._reinject_hop) if self._reinject_hop else None
            ways[recipient] = own or route.domain.way
        return ways

    def _ways_for_outbound(
        self, command: Command, snapshot: PolicySnapshot, sender: str
    ) -> dict[str, Way]:
        tenant = snapshot.tenant(command.tenant_id)
        terms = tenant.outbound if tenant is not None else None
        ways = {}
        for recipient in command.recipients:
            way = self._ways_out.way(terms, recipient, snapshot, sender=sender)
            if way is None:
                raise CannotRelease("this client sends no outbound mail by this gateway any more")
            ways[recipient] = way
        return ways

    async def original(self, command: Command) -> bytes:
        """Raises ``NoOriginal``."""
        return await fetch_original(
            self._originals,
            self._client,
            tenant_id=command.tenant_id,
            ulid=command.ulid,
            digest=command.evidence,
        )

    async def _outgoing(
        self,
        command: Command,
        raw: bytes,
        facts: MailFacts,
        snapshot: PolicySnapshot,
        way: Way,
    ) -> OutgoingMail:
        received_at = ULID.from_str(command.ulid).datetime
        sender = _usable_sender(facts)
        stamp = Stamp(
            ulid=command.ulid,
            tenant_id=command.tenant_id,
            hostname=self._hostname,
            envelope=Envelope(
                client_ip="127.0.0.1",
                helo="hold",
                mail_from=sender,
                recipients=command.recipients,
                received_at=received_at,
            ),
            internet_message_id=facts.internet_message_id,
            fingerprint=facts.fingerprint,
            auth=None,
        )
        if command.direction is Direction.OUTBOUND:
            data = await self._signed(command, raw, facts, stamp, snapshot)
            if self._ways_out.is_outgoing(way.hops[0]):
                data = prepend_headers(data, [sent_field(command.tenant_id, command.ulid)])
        else:
            data = stamp_mail(raw, stamp, snapshot)
        return OutgoingMail(
            mail_from=sender,
            recipients=command.recipients,
            data=data,
            is_8bit=not raw.isascii(),
            claimed=self._claimed(command, way),
        )

    def _claimed(self, command: Command, way: Way) -> str:
        """To another client it comes in by the name of the host that submitted it: SPF would be
        checked against loopback, and disown a mail that its own host sent.
        """
        if command.direction is not Direction.OUTBOUND or not self._ways_out.is_inside(way.hops[0]):
            return ""
        try:
            address = ipaddress.ip_address(str(command.terms.get("client_ip", "")))
        except ValueError:
            return ""  # nobody remembers it
        return claim(str(address))

    async def _signed(
        self,
        command: Command,
        raw: bytes,
        facts: MailFacts,
        stamp: Stamp,
        snapshot: PolicySnapshot,
    ) -> bytes:
        tenant = snapshot.tenant(command.tenant_id)
        terms = tenant.outbound if tenant is not None else None
        domain = visible_sender(facts).rpartition("@")[2]
        return await write_outbound(
            raw,
            received_value(stamp.envelope, self._hostname, command.ulid),
            snapshot,
            key=terms.key_for(domain) if terms is not None else None,
            signer=self._signer,
        )

    def _begun(self, command: Command, ways: Mapping[str, Way]) -> Record:
        """With what there is to say if the gate dies now."""
        unknown = [
            self._observe(
                command,
                recipient,
                Outcome.UNKNOWN,
                Place.UNKNOWN,
                f"released by {command.by}; the gate stopped before the next hop's answer",
                str(ways[recipient]),
            )
            for recipient in command.recipients
        ]
        record = observation_record("command_begun", unknown)
        record["command"] = command.acknowledge(ok=False, detail=GATE_DIED)
        return record

    def _conclude(
        self, command: Command, ways: Mapping[str, Way], answers: Mapping[str, HopAnswer]
    ) -> Done:
        observations, let_go, problems = [], [], []
        for recipient, answer in answers.items():
            rule = f"released by {command.by}"
            if answer.state == "accepted":
                is_out = command.direction is Direction.OUTBOUND
                is_ours = self._ways_out.is_own(answer.hop) if is_out else self._reinject_hop
                outcome = Outcome.PASSED if is_ours else Outcome.DELIVERED
                place = None
                let_go.append(recipient)
            elif answer.state == "unknown":
                outcome, place = Outcome.UNKNOWN, Place.UNKNOWN
                problems.append(f"{recipient}: unknown, {answer.text}")
            else:
                problems.append(f"{recipient}: still held, {answer.text}")
                continue
            observations.append(
                self._observe(
                    command,
                    recipient,
                    outcome,
                    place,
                    rule,
                    answer.hop or str(ways[recipient]),
                    answer.text,
                )
            )
        return Done(
            not problems, "; ".join(problems) or "released", tuple(observations), tuple(let_go)
        )

    def _observe(
        self,
        command: Command,
        recipient: str,
        action: Outcome | None,
        place: Place | None,
        rule: str,
        next_hop: str = "",
        reply: str = "",
    ) -> Observation:
        return Observation(
            tenant_id=command.tenant_id,
            layer=Layer.GATEWAY,
            source=self._source,
            source_key=f"{command.ulid}/{recipient}",
            observed_at=datetime.now(UTC),
            recipient=recipient,
            direction=str(command.direction),
            trace_ulid=command.ulid,
            action=action,
            rule=rule,
            place=place,
            evidence=command.evidence,
            detail={
                "command_id": command.id,
                "next_hop": next_hop,
                "next_hop_reply": reply,
                "queue_id": queue_id_in(reply) if self._reinject_hop else "",
                "decided": {"by": "release", "owner": command.by},
            },
        )


def _usable_sender(facts: MailFacts) -> str:
    """The visible sender as the envelope's, where it can be one; else the null sender."""
    sender = facts.sender.address if facts.sender is not None else ""
    try:
        check_sender(sender)
    except BadCommand:
        return ""
    return sender if sender.isascii() else ""
