"""One outbound mail from its last byte to our answer.

As for mail that comes in: scan, decide, originals to disk, ``begun``, relay, ``done``, answer.
Besides, Date and Message-ID are added where they are missing, the visible sender must be the
client's own, each mail counts against its mailbox's limits, the mail is signed in the client's
name, and a condemned one counts towards stopping its sender.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from typing_extensions import override

from incidents.mail.facts import MailFacts
from incidents.mail.headers import prepend_headers
from incidents.words import Direction, Outcome
from seg_bridge.engines import Envelope
from seg_bridge.gate.core import CoreParts, RelayCore
from seg_bridge.gate.decide import Decidable, decidable
from seg_bridge.gate.dispatch import Group
from seg_bridge.gate.hop import OutgoingMail
from seg_bridge.gate.journal import JournalError
from seg_bridge.gate.outbound.decide import decide_outbound, is_condemned
from seg_bridge.gate.outbound.dkim import Signer
from seg_bridge.gate.outbound.submitter import stopped_reply
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.outbound.watch import SenderWatch
from seg_bridge.gate.outbound.ways_out import WaysOut, claim, sent_field
from seg_bridge.gate.outbound.writing import complete, visible_sender, write_outbound
from seg_bridge.gate.outgoing import received_value
from seg_bridge.gate.policy import PolicySnapshot, Route, TenantPolicy, normalise_address
from seg_bridge.gate.records import Copy, SeenMail, Transaction
from seg_bridge.gate.relay import queue_id_in

log = logging.getLogger(__name__)

_NOT_YOURS = "550 5.7.1 The visible sender of the mail must be one mailbox of your own domains"


class OutboundCore(RelayCore):
    direction = Direction.OUTBOUND

    def __init__(
        self, parts: CoreParts, *, watch: SenderWatch, signer: Signer, ways_out: WaysOut
    ) -> None:
        super().__init__(parts)
        self._watch = watch
        self._signer = signer
        self._ways_out = ways_out

    @override
    async def _receive(self, raw: bytes, transaction: Transaction) -> str:
        # First of all: the original that is kept, our record and the signature have them, too.
        raw = complete(raw, at=transaction.envelope.received_at, hostname=self._hostname)
        mail = await self._look(raw, transaction)
        client = mail.copies[0].route.tenant
        terms = terms_of(client)
        mailbox = mail.sent_by["mailbox"]
        if not mailbox or not self._is_own(mail.sent_by["visible"], client, transaction.snapshot):
            log.info("%s is refused: its visible sender is not %s's", mail.ulid, client.slug)
            return _NOT_YOURS
        for each in (mailbox, terms.mailbox_of(mail.sent_by["visible"])):
            stop = self._watch.stopped(client.tenant_id, each, terms)
            if stop is not None:
                return stopped_reply(each, stop)
        key = (client.tenant_id, mailbox)
        sent = self._watch.usage.take(key, len(mail.copies), terms.limits)
        if sent is None:
            await self._watch.note_refused(client.tenant_id, mailbox, terms)
            return f"450 4.7.1 {mailbox} has sent as much as it may within an hour, try later"
        reply = ""
        try:
            reply = await self._commit(mail, transaction)
        finally:
            sent.ulid = mail.ulid
            if not reply.startswith("2"):
                self._watch.usage.give_back(key, sent)
        await self._count(mail, client, mailbox, reply)
        return reply

    async def _count(self, mail: SeenMail, client: TenantPolicy, mailbox: str, reply: str) -> None:
        """A condemned mail counts, held or refused; one that was put off will come again."""
        seen = decidable(mail.result, mail.facts, mail.envelope)
        if reply.startswith("4") or not is_condemned(seen, client.treatment_for(mailbox)):
            return
        terms = terms_of(client)
        try:
            await self._watch.note_condemned(client.tenant_id, mailbox, mail.ulid, terms)
        except (JournalError, OSError) as error:
            # The mail itself is on record: 4xx would make it come a second time.  In memory the
            # stop stands, and the listener goes on trying to tell it.
            log.error("the watch over senders could not be saved: %s", error)

    @override
    def _is_notice(self, raw: bytes, snapshot: PolicySnapshot, envelope: Envelope) -> bool:
        """Bailey's own mail does not go out by a client's login."""
        return False

    @override
    def _decide(
        self, route: Route, snapshot: PolicySnapshot, seen: Decidable, envelope: Envelope
    ) -> Copy:
        newer = snapshot.tenant(route.tenant.tenant_id)
        if newer is not None and newer.outbound == route.tenant.outbound:
            route = replace(route, tenant=newer)
        mailbox = terms_of(route.tenant).mailbox_of(normalise_address(envelope.mail_from))
        mailbox = mailbox or seen.sender
        decision = decide_outbound(seen, route.tenant, mailbox, route.address, datetime.now(UTC))
        return Copy(route, decision.action, decision.rule, decided=decision.as_json())

    @override
    def _sent_by(self, transaction: Transaction, facts: MailFacts) -> dict[str, str]:
        terms = terms_of(transaction.routes[0].tenant)
        visible = visible_sender(facts)
        sender = normalise_address(transaction.envelope.mail_from) or visible
        key = terms.key_for(visible.rpartition("@")[2])
        return {
            "mailbox": terms.mailbox_of(sender),
            "visible": visible,
            "by": transaction.envelope.authenticated_as,
            "dkim": f"{key.selector}._domainkey.{key.domain}" if key is not None else "",
        }

    @override
    async def _write(
        self, copies: tuple[Copy, ...], mail: SeenMail, transaction: Transaction
    ) -> Group:
        terms = terms_of(copies[0].route.tenant)
        data = await write_outbound(
            mail.raw,
            received_value(mail.envelope, self._hostname, mail.ulid),
            transaction.snapshot,
            key=terms.key_for(mail.sent_by["visible"].rpartition("@")[2]),
            signer=self._signer,
        )
        hop, client_id = copies[0].route.domain.next_hop, copies[0].route.tenant.tenant_id
        if self._ways_out.is_outgoing(hop):
            data = prepend_headers(data, [sent_field(client_id, mail.ulid)])
        outgoing = OutgoingMail(
            mail_from=mail.envelope.mail_from,
            recipients=tuple(copy.route.wire_address for copy in copies),
            data=data,
            is_smtputf8=transaction.is_smtputf8,
            is_8bit=transaction.is_8bit,
            mail_options=transaction.mail_options,
            recipient_options=transaction.recipient_options,
            claimed=claim(mail.envelope.client_ip) if self._ways_out.is_inside(hop) else "",
        )
        return Group(copies, outgoing)

    @override
    def _note_queued(self, mail: SeenMail) -> None:
        """Our own Postfix has it: what comes of it, its log will tell."""
        for copy in mail.copies:
            if copy.outcome is Outcome.DELIVERED and self._ways_out.is_own(copy.hop):
                copy.outcome, copy.queue_id = Outcome.PASSED, queue_id_in(copy.hop_reply)

    @staticmethod
    def _is_own(address: str, client: TenantPolicy, snapshot: PolicySnapshot) -> bool:
        route = snapshot.find(address)
        is_mine = route is not None and route.tenant.tenant_id == client.tenant_id
        return is_mine and route is not None and route.is_known


def terms_of(client: TenantPolicy) -> OutboundTerms:
    assert client.outbound is not None  # else nothing is taken from this client
    return client.outbound
