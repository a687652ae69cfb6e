"""One mail from its last byte to our decision, whatever front took it; and the journal of it.

``Core``       read, scan, decide for each recipient; originals to disk; records to the journal
``RelayCore``  the embedded front's: the gate itself hands the mail to the next hop
``queueing.QueueCore``  the milter front's: Postfix queues it behind us

The answer is the commit.  What can't be made durable is 4xx, and the sender keeps it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from typing_extensions import override
from ulid import ULID

from incidents.mail.facts import MailFacts
from incidents.words import Direction, Outcome
from seg_bridge.engines import Engine, Envelope
from seg_bridge.gate.decide import Decidable, decidable, decide
from seg_bridge.gate.dispatch import (
    Group,
    group_by_way,
    group_by_wording,
    relay_groups,
    spool_entries,
    write_group,
)
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.journal import Journal, JournalError, Record
from seg_bridge.gate.originals import Originals, sha256_hex
from seg_bridge.gate.outcome import conclude, refuse_by_policy, settle_mixed, tenant_ids_to_keep
from seg_bridge.gate.outgoing import is_in_circle
from seg_bridge.gate.own_notices import OWN_NOTICE, is_sealed_for, own_copy
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.records import (
    Copy,
    SeenMail,
    Transaction,
    begun_record,
    done_record,
    facts_written,
)
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.repeats import KEEP_ANSWERED_S, KEEP_PUT_OFF_S, Repeats, repeat_key
from seg_bridge.gate.rescan import Unscanned, is_to_be_scanned
from seg_bridge.gate.scanning import ENGINE_TIMEOUT_S, ScanResult, scan_with_all
from seg_bridge.gate.spool import Spool
from seg_bridge.gate.spool_entry import SpoolEntry

log = logging.getLogger(__name__)

TRY_LATER = "451 4.3.0 The mail could not be made safe here, please send it again"
ULID_CHARS = 26
_MAX_UNWRITTEN = 1000
T = TypeVar("T")


class FactsReader(Protocol):
    """What the gate needs of ``incidents.mail.reader.MailReader``."""

    async def read_async(self, raw: bytes, *, envelope_from: str = "") -> MailFacts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where the gate's promises live."""

    journal: Journal
    originals: Originals
    spool: Spool
    unscanned: Unscanned
    repeats: Repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreParts:
    """``latest`` gives the newest policy: a rule made while a mail came in counts for it.

    ``reinject_hop``: where our own Postfix takes mail without asking us again, "" without one.
    """

    name: str
    hostname: str
    reader: FactsReader
    engines: Sequence[Engine]
    stores: Stores
    relay: Relay
    latest: Callable[[], PolicySnapshot | None]
    engine_timeout_s: float = ENGINE_TIMEOUT_S
    reinject_hop: str = ""


class Core:
    direction = Direction.INBOUND

    def __init__(self, parts: CoreParts) -> None:
        self._parts = parts
        self._stores = parts.stores
        self._relay = parts.relay
        self._hostname = parts.hostname
        self._unwritten: list[Record] = []

    async def _look(self, raw: bytes, transaction: Transaction) -> SeenMail:
        ulid = str(ULID.from_datetime(transaction.envelope.received_at))
        tenant_ids = {route.tenant.tenant_id for route in transaction.routes}
        envelope = replace(
            transaction.envelope,
            mail_id=ulid,
            tenant_id=tenant_ids.pop() if len(tenant_ids) == 1 else None,
        )
        facts = await self._parts.reader.read_async(raw, envelope_from=envelope.mail_from)
        snapshot = self._parts.latest() or transaction.snapshot
        is_notice = self._is_notice(raw, snapshot, envelope)
        result = OWN_NOTICE if is_notice else await self._scan(raw, facts, envelope)
        snapshot = self._parts.latest() or snapshot
        seen = decidable(result, facts, envelope)
        copies = tuple(
            own_copy(route) if is_notice else self._decide(route, snapshot, seen, envelope)
            for route in transaction.routes
        )
        settle_mixed(copies, is_rest=bool(transaction.done_before))
        return SeenMail(
            direction=self.direction,
            sent_by=self._sent_by(transaction, facts),
            ulid=ulid,
            raw=raw,
            sha256=facts.raw_sha256 or sha256_hex(raw),
            envelope=envelope,
            facts=facts,
            result=result,
            copies=copies,
            policy_version=snapshot.version,
            source=f"gate:{self._parts.name}",
            facts_json=facts_written(facts, result),
            is_in_circle=is_in_circle(raw),
            said=transaction.said,
            queue_id=transaction.queue_id,
            repeat_key=transaction.repeat_key,
        )

    def _without_done(self, raw: bytes, transaction: Transaction) -> Transaction:
        """What is left to do of a mail: a repeat's recipients that have their copy are not asked
        about again.
        """
        key = transaction.repeat_key or repeat_key(
            self.direction, transaction.envelope.mail_from, raw
        )
        known = self._stores.repeats.done_before(key)
        done = tuple(each.address for each in transaction.routes if each.address in known)
        if not done:
            return replace(transaction, repeat_key=key)
        left = tuple(each for each in transaction.routes if each.address not in known)
        log.info("%s was taken before: %s are done, %s left", known[done[0]], len(done), len(left))
        recipients = tuple(each.address for each in left)
        return replace(
            transaction,
            routes=left,
            envelope=replace(transaction.envelope, recipients=recipients),
            repeat_key=key,
            done_before=done,
        )

    async def _note_done(
        self, mail: SeenMail, copies: Sequence[Copy], *, keep_s: float = KEEP_PUT_OFF_S
    ) -> None:
        """Should the sender repeat the mail, nothing is done again for these."""
        addresses = [copy.route.address for copy in copies]
        note = self._stores.repeats.note
        if addresses:
            await asyncio.to_thread(note, mail.repeat_key, mail.ulid, addresses, keep_s=keep_s)

    def _settled(self, mail: SeenMail) -> list[Copy]:
        """Copies that we have answered for, or that are gone, whatever the sender hears."""
        raise NotImplementedError

    async def _scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> ScanResult:
        timeout_s = self._parts.engine_timeout_s
        return await scan_with_all(self._parts.engines, raw, facts, envelope, timeout_s=timeout_s)

    def _is_notice(self, raw: bytes, snapshot: PolicySnapshot, envelope: Envelope) -> bool:
        """Whether Bailey itself wrote this mail for its one recipient."""
        return is_sealed_for(raw, snapshot, envelope)

    def _decide(
        self, route: Route, snapshot: PolicySnapshot, seen: Decidable, envelope: Envelope
    ) -> Copy:
        return _decide_copy(route, snapshot, seen)

    def _sent_by(self, transaction: Transaction, facts: MailFacts) -> dict[str, str]:
        """``SeenMail.sent_by``: of mail that comes in there is nothing to say."""
        return {}

    async def _close(
        self,
        mail: SeenMail,
        reply: str,
        kept_for: set[int],
        entries: Sequence[tuple[SpoolEntry, bytes]] = (),
    ) -> None:
        """The outcome of every copy, durable.  Raises ``JournalError`` or ``OSError``."""
        spool = self._stores.spool
        waits_for_scan = is_to_be_scanned(mail)
        try:
            for entry, data in entries:
                await asyncio.to_thread(spool.put, entry, data)
            if waits_for_scan:
                await asyncio.to_thread(self._stores.unscanned.put, mail)
            failpoint("core.before_done")
            at = datetime.now(UTC)
            settled = [each.route.address for each in self._settled(mail)]
            await self._append(
                done_record(
                    mail,
                    kept_for=frozenset(kept_for),
                    at=at,
                    reply=reply,
                    settled=settled if reply.startswith("2") else (),
                )
            )
        except (JournalError, OSError):
            await self._note_done(mail, [each for each in mail.copies if mail.is_gone(each)])
            self._drop(mail, kept_for)
            for entry, _ in entries:
                spool.discard(entry)
            self._stores.unscanned.discard(mail.ulid)
            self._remember_put_off(mail)
            raise
        failpoint("core.after_done")
        for entry, _ in entries:
            spool.activate(entry)
        if waits_for_scan:
            self._stores.unscanned.activate(mail.ulid)
        log.info("%s %s", mail.ulid, reply)

    async def _append(self, record: Record) -> None:
        """What could not be written earlier goes along."""
        earlier, self._unwritten = self._unwritten, []
        try:
            await self._stores.journal.append(*earlier, record)
        except JournalError:
            self._unwritten = [*earlier, *self._unwritten][-_MAX_UNWRITTEN:]
            raise

    def _remember_put_off(self, mail: SeenMail) -> None:
        """The disk failed after the decision: say so once it is well, lest ``begun`` stays open."""
        for copy in mail.copies:
            copy.is_spooled = False
            if copy.outcome is not Outcome.UNKNOWN and not mail.is_gone(copy):
                copy.outcome = Outcome.DEFERRED
            copy.rule += "; the gate's disk failed and the sender was told to repeat the mail"
        self._unwritten.append(
            done_record(mail, kept_for=frozenset(), at=datetime.now(UTC), reply=TRY_LATER)
        )

    async def _keep(self, mail: SeenMail, already: set[int]) -> set[int]:
        """Original bytes for every client that needs them; returns all that have them now."""
        wanted = tenant_ids_to_keep(mail)
        for tenant_id in wanted - already:
            await asyncio.to_thread(self._stores.originals.keep, tenant_id, mail.ulid, mail.raw)
        return wanted | already

    def _drop(self, mail: SeenMail, tenant_ids: set[int]) -> None:
        for tenant_id in tenant_ids:
            self._stores.originals.drop(tenant_id, mail.ulid)


class RelayCore(Core):
    """Original bytes, ``begun`` synced, mail relayed, ``done`` synced with every copy's outcome."""

    async def receive(self, raw: bytes, transaction: Transaction) -> str:
        """Our SMTP reply to the end of the mail.  ``raw`` is normalised.  Never raises."""
        return await put_off_if_broken(self._take(raw, transaction), TRY_LATER)

    async def not_heard(self, transaction: Transaction, reply: str) -> None:
        """The sender was gone before it had our reply: it may repeat the mail."""
        if not reply.startswith("2"):
            return
        ulid = next((word for word in reply.split() if len(word) == ULID_CHARS), "")
        addresses = [each.address for each in transaction.routes]
        note, key = self._stores.repeats.note, transaction.repeat_key
        await asyncio.to_thread(note, key, ulid, addresses, keep_s=KEEP_ANSWERED_S)

    async def _take(self, raw: bytes, transaction: Transaction) -> str:
        rest = self._without_done(raw, transaction)
        if not rest.routes:
            return "250 2.0.0 Ok: taken before"
        return await self._receive(raw, rest)

    async def _receive(self, raw: bytes, transaction: Transaction) -> str:
        mail = await self._look(raw, transaction)
        return await self._commit(mail, transaction)

    async def _commit(self, mail: SeenMail, transaction: Transaction) -> str:
        """Raises ``JournalError`` or ``OSError``: nothing was promised."""
        entries: list[tuple[SpoolEntry, bytes]] = []
        kept_for: set[int] = set()
        reply = refuse_by_policy(mail)
        if reply is None:
            kept_for = await self._keep(mail, kept_for)
            groups = [
                await self._write(copies, mail, transaction)
                for copies in group_by_way(group_by_wording(mail))
            ]
            if groups:
                await self._append(begun_record(mail))
                failpoint("core.after_begun")
                await relay_groups(groups, self._relay, partial(self._note_delivered, mail))
            reply = conclude(mail)
            self._note_queued(mail)
            if reply.startswith("2"):
                entries = spool_entries(mail, groups)
        if reply.startswith("4"):
            # The sender has the mail and will repeat it: our copy would only be a second one.
            self._drop(mail, kept_for)
            kept_for = set()
        else:
            kept_for = await self._keep(mail, kept_for)
        await self._close(mail, reply, kept_for, entries)
        return reply

    def _note_queued(self, mail: SeenMail) -> None:
        """What the next hop took is delivered, as far as we know."""

    async def _note_delivered(self, mail: SeenMail, group: Group) -> None:
        await self._note_done(mail, [e for e in group.copies if e.outcome is Outcome.DELIVERED])

    @override
    def _settled(self, mail: SeenMail) -> list[Copy]:
        """Of a mail that gets 250: all."""
        return list(mail.copies)

    async def _write(
        self, copies: tuple[Copy, ...], mail: SeenMail, transaction: Transaction
    ) -> Group:
        """The mail as these copies' next hop gets it."""
        return write_group(copies, mail, transaction, self._hostname)


async def put_off_if_broken(work: Coroutine[Any, Any, T], put_off: T) -> T:
    """``put_off`` where the mail can't be made durable, or something is wrong with us."""
    try:
        return await work
    except (JournalError, OSError) as error:
        log.error("a mail was put off: %s", error)
    except Exception:  # a bug must leave the mail with its sender
        log.exception("a mail was put off")
    return put_off


def _decide_copy(route: Route, snapshot: PolicySnapshot, seen: Decidable) -> Copy:
    """The recipient was taken by the policy of its time; the newest one decides, unless it sends
    the mail elsewhere.
    """
    newer = snapshot.find(route.address)
    if newer is not None and newer.is_known and newer.domain.way == route.domain.way:
        route = newer
    decision = decide(seen, route.tenant, route.address, datetime.now(UTC))
    return Copy(route, decision.action, decision.rule, decided=decision.as_json())
