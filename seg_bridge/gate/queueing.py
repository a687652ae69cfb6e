"""The milter front's commit: Postfix queues the mail behind us, we say what of it.

1. read, scan, decide;
2. original bytes to disk where they are held or kept;
3. ``done`` synced: what is held, and what is *passed* to Postfix's queue;
4. our answer, in which the held recipients are taken out of the mail.

A sender that is put off between these steps repeats the whole mail.  Held copies and those sent
apart are then there already (``repeats.py``); only the rest is done.

Where clients of one mail need different header fields, the first group stays in the mail and each
other one goes to Postfix as a mail of its own, by a listener that has no milter; ``begun`` is
synced before that.  If one is not taken, the whole mail is put off.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from typing_extensions import override

from incidents.mail.headers import scan_block
from incidents.words import Outcome
from seg_bridge.gate.core import TRY_LATER, Core, put_off_if_broken
from seg_bridge.gate.dispatch import (
    Group,
    group_by_wording,
    make_stamp,
    mark_of,
    relay_group,
    write_group,
)
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.journal import JournalError
from seg_bridge.gate.outcome import refuse_by_policy
from seg_bridge.gate.outgoing import VERDICT_HEADER, own_fields, stamp_fields, usable_mark
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.records import Copy, SeenMail, Transaction, begun_record, done_record
from seg_bridge.gate.relay import queue_id_in
from seg_bridge.gate.repeats import KEEP_ANSWERED_S
from seg_bridge.gate.rescan import is_to_be_scanned
from seg_bridge.gate.ways import Way

log = logging.getLogger(__name__)

HUNG_UP = "451 4.3.0 Postfix hung up before it had our answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What Postfix shall change in its copy.  ``taken_out`` are header fields (number of that name,
    from 1; name), the last first; ``on_top`` the fields to put before all, the topmost first;
    ``subject`` number, name and new value of the one to change, with its leading space and LF
    between its lines.
    """

    taken_out: tuple[tuple[int, bytes], ...] = ()
    on_top: tuple[tuple[str, str], ...] = ()
    subject: tuple[int, bytes, bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``reply`` "" lets Postfix queue the mail for all recipients but ``removed``.

    ``is_discarded``: nobody is left, Postfix answers 250 and forgets the mail.  ``settled``: of
    mail that the gate sends on itself, what there is to note if Postfix does not hear this.
    """

    reply: str = ""
    is_discarded: bool = False
    removed: tuple[str, ...] = ()
    edits: Edits = Edits()
    mail: SeenMail | None = None
    settled: tuple[Transaction, str] | None = None


class QueueCore(Core):
    async def receive(self, raw: bytes, transaction: Transaction) -> Answer:
        """``raw`` is normalised.  Never raises."""
        return await put_off_if_broken(self._receive(raw, transaction), Answer(reply=TRY_LATER))

    async def _receive(self, raw: bytes, transaction: Transaction) -> Answer:
        rest = self._without_done(raw, transaction)
        if not rest.routes:
            return Answer(is_discarded=True)
        mail = await self._look(raw, rest)
        return await self._commit(mail, rest)

    async def take_back(self, answer: Answer) -> None:
        """Postfix never heard our answer: its client was put off and will repeat the mail."""
        mail = answer.mail
        if mail is None or answer.reply:
            return
        await self._note_done(mail, self._settled(mail))
        for copy in mail.copies:
            if copy.queue_id == mail.queue_id:
                copy.outcome = Outcome.DEFERRED
                copy.rule += "; Postfix hung up before it had our answer, the sender has kept it"
        if not is_to_be_scanned(mail):
            self._stores.unscanned.remove(mail.ulid)
        try:
            at = datetime.now(UTC)
            await self._append(done_record(mail, kept_for=frozenset(), at=at, reply=HUNG_UP))
        except JournalError as error:
            log.error("%s was not queued, and that is not on record: %s", mail.ulid, error)

    async def _commit(self, mail: SeenMail, transaction: Transaction) -> Answer:
        """Raises ``JournalError`` or ``OSError``: nothing was promised."""
        reply = refuse_by_policy(mail)
        if reply is not None:
            return await self._refuse(mail, reply)
        kept_for = await self._keep(mail, set())
        stay, *apart = group_by_wording(mail) or [()]
        for copy in stay:
            copy.outcome, copy.queue_id = Outcome.PASSED, mail.queue_id
        if apart:
            await self._append(begun_record(mail))
            failpoint("queue.after_begun")
            groups = [write_group(each, mail, transaction, self._hostname) for each in apart]
            if not await self._send_apart(mail, groups):
                self._drop(mail, kept_for)
                return await self._refuse(mail, put_off_split(mail, groups))
        await self._close(mail, f"250 2.0.0 Ok: queued as {mail.queue_id}", kept_for)
        if not stay:
            return Answer(is_discarded=True, mail=mail)
        # Postfix may still fail to queue what we leave it: its disk is full, it is killed.
        await self._note_done(mail, self._settled(mail), keep_s=KEEP_ANSWERED_S)
        failpoint("queue.before_answer")
        edits = make_edits(mail, stay, transaction.snapshot, self._hostname)
        removed = tuple(copy.route.address for copy in mail.copies if copy not in stay)
        return Answer(removed=(*removed, *transaction.done_before), edits=edits, mail=mail)

    @override
    def _settled(self, mail: SeenMail) -> list[Copy]:
        """What does not depend on Postfix hearing our answer: held here, or sent apart."""
        return [copy for copy in mail.copies if copy.outcome is Outcome.HELD or mail.is_gone(copy)]

    async def _refuse(self, mail: SeenMail, reply: str) -> Answer:
        kept_for = set() if reply.startswith("4") else await self._keep(mail, set())
        await self._close(mail, reply, kept_for)
        return Answer(reply=reply, mail=mail)

    async def _send_apart(self, mail: SeenMail, groups: Sequence[Group]) -> bool:
        """False: Postfix did not take all of them."""
        for group in groups:
            await relay_group(group, self._relay, Way.of(self._parts.reinject_hop))
            failpoint("queue.after_reinjection")
            for copy in group.copies:
                if copy.outcome is Outcome.DELIVERED:
                    copy.outcome, copy.queue_id = Outcome.PASSED, queue_id_in(copy.hop_reply)
            await self._note_done(mail, [e for e in group.copies if e.outcome is Outcome.PASSED])
            failpoint("queue.after_note")
            if any(copy.outcome is not Outcome.PASSED for copy in group.copies):
                return False
        return True


def put_off_split(mail: SeenMail, apart: Sequence[Group]) -> str:
    """Our reply; what Postfix has taken already stays *passed*, all else is put off."""
    sent = [copy for group in apart for copy in group.copies]
    for copy in mail.copies:
        if copy.outcome is not Outcome.UNKNOWN and not (copy in sent and copy.queue_id):
            copy.outcome, copy.queue_id = Outcome.DEFERRED, ""
            copy.rule += "; put off, since a copy for another client could not be queued"
    return f"451 4.4.0 {mail.ulid} could not be split for its recipients, please send it again"


def make_edits(
    mail: SeenMail, copies: Sequence[Copy], snapshot: PolicySnapshot, hostname: str
) -> Edits:
    """The same header work as ``stamp_mail`` and ``mark_tagged`` do on bytes; Postfix writes the
    Received line.
    """
    tenant = copies[0].route.tenant
    on_top = stamp_fields(make_stamp(mail, tenant.tenant_id, hostname), snapshot)
    subject = None
    asked_for = mark_of(copies[0])
    if asked_for is not None:
        on_top.insert(0, (VERDICT_HEADER, str(mail.result.verdict or "not scanned")))
        if mark := usable_mark(asked_for):
            field = scan_block(mail.raw).first("subject")
            if field is None:
                on_top.insert(1, ("Subject", mark))
            else:
                blank = b"" if field.value[:1] in (b" ", b"\t") else b" "
                value = b" " + mark.encode("ascii") + blank + field.value
                name = field.name.strip().encode("latin-1")
                subject = (1, name, value.replace(b"\r\n", b"\n"))
    return Edits(
        taken_out=_numbered(mail.raw, snapshot.authserv_id),
        on_top=tuple(on_top),
        subject=subject,
    )


def _numbered(raw: bytes, authserv_id: str) -> tuple[tuple[int, bytes], ...]:
    seen: Counter[str] = Counter()
    found = []
    for field, is_ours in own_fields(raw, authserv_id):
        seen[field.key] += 1
        if is_ours:
            found.append((seen[field.key], field.name.strip().encode("latin-1")))
    return tuple(reversed(found))
