"""One SMTP conversation of the embedded front: aiosmtpd's session with every trap closed.

From aiosmtpd come streams, timers and replies.  Reading, limits, addresses, timing and the end of
DATA are ours, because there its defaults lose, double or smuggle mail.  TLS is the business of the
Postfix in front; the embedded front offers none.

- only CRLF ends a command, only CRLF.CRLF ends a mail; bare CR, LF and NUL are normalised;
- lines of any length up to the mail's size; a size limit of our own;
- who talks before the banner is refused;
- time limits for a command, for silence and for a trickle, none of which reaches into a commit;
- the commit is shielded: a client that hangs up cancels nothing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from typing_extensions import override

from incidents.words import Direction
from seg_bridge.engines import Envelope
from seg_bridge.gate.body import MailBody
from seg_bridge.gate.conversation import READ_BYTES, Conversation, FrontParts, Goodbye
from seg_bridge.gate.dialogue import Said, exchange
from seg_bridge.gate.known import NO_SUCH_MAILBOX
from seg_bridge.gate.outgoing import normalise
from seg_bridge.gate.paths import BadCommand, MailCommand, read_mail, read_rcpt
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.records import Transaction
from seg_bridge.gate.repeats import repeat_key
from seg_bridge.gate.xclient import ClaimedClient, is_loopback, read_xclient

_DRAIN_FACTOR = 3  # a mail that is too big is read to its end up to this, then cut off
_MOST_SAID = 500
_MOST_TRIED = 6  # times the limit of recipients: who goes on and on is not heard out
_TOO_BIG = "552 5.3.4 The mail is larger than we take"
_NO_ROOM = "452 4.3.1 No room for the mail at the moment"
# What a web page can make a browser say to us.
_NOT_SMTP = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "HOST:"})


@dataclass(slots=True)
class _Open:
    """A transaction between MAIL and the end of DATA."""

    command: MailCommand
    snapshot: PolicySnapshot
    routes: dict[str, Route] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    recipients_tried: int = 0

    def note(self, command: str, reply: str, tenant_id: int | None = None) -> None:
        """A sender may repeat a refused recipient for ever: what is kept of it is bounded."""
        if len(self.said) < _MOST_SAID:
            self.said += exchange(command, reply, tenant_id)


class GateSession(Conversation):
    """One connection."""

    direction = Direction.INBOUND

    def __init__(self, parts: FrontParts, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(parts, loop)
        self._claimed = ClaimedClient()
        self._helo = ""
        self._is_esmtp = False
        self._hello: tuple[Said, ...] = ()
        self._open: _Open | None = None
        self._idle_commands = self._mails = self._counted_bytes = 0
        self._tls = self._submitted_by = ""  # of submitted mail only

    # What is said

    @override
    async def _obey(self, name: str, argument: str) -> None:
        match name:
            case "EHLO" | "HELO":
                await self._greet(name, argument)
            case "MAIL":
                await self._begin(argument)
            case "RCPT":
                await self._add_recipient(argument)
            case "DATA":
                await self._take_mail(argument)
            case "XCLIENT" if self._may_claim:
                self._claimed = read_xclient(argument)
                self._open, self._helo = None, ""
                await self.push(f"220 {self.hostname} {self.__ident__}")
            case "QUIT":
                raise Goodbye("221 2.0.0 Bye")
            case "RSET" | "NOOP" | "VRFY" | "HELP":
                await self._pass_time(name)
            case _ if name in _NOT_SMTP:
                raise Goodbye("554 5.5.2 This is not the Web")
            case _:
                raise BadCommand("500 5.5.2 Command not recognised")

    async def _pass_time(self, name: str) -> None:
        self._idle_commands += 1
        if self._idle_commands > self._limits.idle_commands:
            raise Goodbye("421 4.7.0 Too many commands without a mail")
        if name == "RSET":
            self._open = None
        await self.push("252 2.0.0 Send the mail and see" if name == "VRFY" else "250 2.0.0 Ok")

    # Transaction

    async def _greet(self, name: str, argument: str) -> None:
        if not argument or not argument.isprintable() or len(argument) > 255:
            raise BadCommand(f"501 5.5.4 Syntax: {name} host")
        self._idle_commands += 1
        if self._idle_commands > self._limits.idle_commands:
            raise Goodbye("421 4.7.0 Too many commands without a mail")
        self._open, self._helo, self._is_esmtp = None, argument, name == "EHLO"
        self._hello = exchange(f"{name} {argument}", f"250 {self.hostname}")
        if not self._is_esmtp:
            await self.push(f"250 {self.hostname}")
            return
        lines = [self.hostname, *self._extensions(), "ENHANCEDSTATUSCODES"]
        await self.push("\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"]))

    def _extensions(self) -> list[str]:
        lines = [f"SIZE {self._limits.mail_bytes}", "8BITMIME", "SMTPUTF8"]
        if self._may_claim:
            lines.append("XCLIENT NAME ADDR HELO PROTO")
        return lines

    async def _begin(self, argument: str) -> None:
        if not self._helo:
            raise BadCommand("503 5.5.1 Say EHLO first")
        if self._open is not None:
            raise BadCommand("503 5.5.1 A mail is under way already")
        command = read_mail(argument)
        self._mails += 1  # also of those that are put off: who comes again and again is cut off
        if self._mails > self._limits.mails:
            raise Goodbye("421 4.7.0 Enough mail for one connection")
        if command.size_bytes > self._limits.mail_bytes:
            raise BadCommand(_TOO_BIG)
        snapshot = self._parts.latest()
        if snapshot is None:
            raise BadCommand("451 4.3.5 The gate has no policy yet")
        await self._check_sender(command, snapshot)
        self._open = _Open(command, snapshot)
        self._open.said += self._hello
        self._open.note(f"MAIL {argument}", "250 2.1.0 Ok")
        await self.push("250 2.1.0 Ok")

    async def _check_sender(self, command: MailCommand, snapshot: PolicySnapshot) -> None:
        """Anybody may write to our clients.  Raises ``BadCommand`` where a sender may not."""

    def _route_to(self, address: str, snapshot: PolicySnapshot) -> Route:
        """Raises ``BadCommand``."""
        route = snapshot.find(address)
        if route is None:
            raise BadCommand("550 5.7.1 No mail for this domain is taken here")
        return route

    async def _check_recipient(self, route: Route, taken: dict[str, Route]) -> None:
        """Raises ``BadCommand`` where this mail may have no further recipient."""

    async def _add_recipient(self, argument: str) -> None:
        if self._open is None:
            raise BadCommand("503 5.5.1 Say MAIL first")
        self._open.recipients_tried += 1
        if self._open.recipients_tried > _MOST_TRIED * self._limits.recipients:
            raise Goodbye("421 4.7.0 Too many recipients in one mail, goodbye")
        address = read_rcpt(argument, is_smtputf8=self._open.command.is_smtputf8)
        route = self._route_to(address, self._open.snapshot)
        await self._check_recipient(route, self._open.routes)
        reply = self._reply_to_recipient(route, self._open.routes)
        if reply.startswith("2") and route.must_ask:
            self._stop_clock()  # the mail host has its own
            reply = await self._parts.known.ask(route) or reply
        self._open.note(f"RCPT {argument}", reply, route.tenant.tenant_id)
        if not reply.startswith("2"):
            raise BadCommand(reply)
        self._open.routes[route.address] = route
        await self.push(reply)

    def _reply_to_recipient(self, route: Route, taken: dict[str, Route]) -> str:
        if not route.is_known:
            return NO_SUCH_MAILBOX
        if len(taken) >= self._limits.recipients and route.address not in taken:
            return "452 4.5.3 Too many recipients in one mail"
        way = next(iter(taken.values()), route).domain.way
        # A mail program that submits a mail to many domains would repeat it for none of them.
        are_asked_of_dns = bool(way.mx_of and route.domain.way.mx_of)
        if route.domain.way != way and not are_asked_of_dns:
            return "452 4.5.3 This recipient needs a mail of its own, please repeat"
        return "250 2.1.5 Ok"

    async def _take_mail(self, argument: str) -> None:
        if self._open is None or not self._open.routes:
            raise BadCommand("503 5.5.1 Say MAIL and RCPT first")
        if argument:
            raise BadCommand("501 5.5.4 Syntax: DATA")
        taken, self._open = self._open, None
        taken.note("DATA", "354 End the mail with CR LF . CR LF")
        await self.push("354 End the mail with CR LF . CR LF")
        body = MailBody(self._limits.mail_bytes)
        try:
            await self._read_body(body)
            self._stop_clock()  # no time limit of ours reaches into a commit
            self._idle_commands = 0
            await self._answer(body, taken)
        finally:
            self._give_back()

    async def _read_body(self, body: MailBody) -> None:
        """Fills ``body``; what is kept of it counts as ``bytes_in_flight``."""
        limits = self._limits
        started_s = time.monotonic()
        chunk = bytes(self._inbox)
        self._inbox.clear()
        while (rest := body.feed(chunk)) is None:
            if body.is_too_big:  # the rest is read and not kept
                self._give_back()
            self._check_pace(body, time.monotonic() - started_s)
            self._reset_timeout(limits.data_idle_s)
            chunk = await self._reader.read(READ_BYTES)
            if not chunk:
                raise ConnectionResetError("the client hung up in mid-mail")
            if not body.is_too_big:
                self._parts.load.bytes_in_flight += len(chunk)
                self._counted_bytes += len(chunk)
        self._inbox += rest

    def _give_back(self) -> None:
        self._parts.load.bytes_in_flight -= self._counted_bytes
        self._counted_bytes = 0

    def _check_pace(self, body: MailBody, taken_s: float) -> None:
        """Ends the conversation over a mail that is endless, too slow or one too many."""
        limits = self._limits
        if self._parts.load.bytes_in_flight > limits.bytes_in_flight:
            raise Goodbye(_NO_ROOM)
        if body.received_bytes > _DRAIN_FACTOR * limits.mail_bytes:
            raise Goodbye(_TOO_BIG)
        if taken_s > limits.data_grace_s + body.received_bytes / limits.data_min_bytes_s:
            raise Goodbye("421 4.4.2 The mail comes too slowly, goodbye")

    async def _answer(self, body: MailBody, taken: _Open) -> None:
        if body.is_too_big:
            raise BadCommand(_TOO_BIG)
        transaction = Transaction(
            envelope=Envelope(
                client_ip=self._client_ip,
                helo=self._claimed.helo or self._helo,
                tls=self._tls,
                authenticated_as=self._submitted_by,
                mail_from=taken.command.sender,
                recipients=tuple(taken.routes),
                received_at=datetime.now(UTC),
            ),
            routes=tuple(taken.routes.values()),
            snapshot=taken.snapshot,
            is_smtputf8=taken.command.is_smtputf8,
            is_8bit=taken.command.is_8bit,
            said=tuple(taken.said),
        )
        commit = self.loop.create_task(self._commit(normalise(body.mail()), transaction))
        self._parts.commits.add(commit)
        commit.add_done_callback(self._parts.commits.discard)
        # Whatever becomes of the client, what was begun is carried to its end.
        await self.push(await asyncio.shield(commit))

    async def _commit(self, raw: bytes, transaction: Transaction) -> str:
        key = repeat_key(self.direction, transaction.envelope.mail_from, raw)
        transaction = replace(transaction, repeat_key=key)
        reply = await self._parts.receive(raw, transaction)
        if self._has_hung_up:
            await self._parts.not_heard(transaction, reply)
        else:
            self._maybe_unheard = (transaction, reply)
        return reply

    @property
    def _client_ip(self) -> str:
        return self._claimed.address or self._peer_ip

    @property
    def _may_claim(self) -> bool:
        return self._parts.takes_xclient and is_loopback(self._peer_ip)
