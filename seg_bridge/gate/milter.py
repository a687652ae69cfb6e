"""One connection from Postfix to the milter front: a conversation with many mails, one at a time.

Postfix keeps TLS, syntax, sizes, timing and the queue.  We answer for each recipient, and for the
whole mail at its end; between these nothing is waited for but a mail host that has to be asked
whether it knows a recipient.  Where we fail to answer, Postfix says
451 (``milter_default_action = tempfail``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from typing_extensions import override

from seg_bridge.engines import Envelope
from seg_bridge.gate import milter_wire as wire
from seg_bridge.gate.dialogue import Said, exchange
from seg_bridge.gate.known import NO_SUCH_MAILBOX, Known
from seg_bridge.gate.limits import FrontLimits, FrontLoad
from seg_bridge.gate.milter_words import (
    address_in,
    answer_packets,
    first_of,
    without_brackets,
    words_of,
)
from seg_bridge.gate.outgoing import normalise
from seg_bridge.gate.paths import BadCommand, check_ascii, check_recipient, check_sender
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.queueing import Answer
from seg_bridge.gate.records import Transaction

log = logging.getLogger(__name__)

_PEER = "postfix"
_NOTICES_OF_MAIL = ("RET=", "ENVID=")
_NOTICES_OF_RECIPIENT = ("NOTIFY=", "ORCPT=")
_TOO_BIG = "552 5.3.4 The mail is larger than we take"
_NO_ROOM = "452 4.3.1 No room for the mail at the moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class MilterParts:
    """What all connections of one process share."""

    receive: Callable[[bytes, Transaction], Coroutine[Any, Any, Answer]]
    take_back: Callable[[Answer], Coroutine[Any, Any, None]]
    latest: Callable[[], PolicySnapshot | None]
    limits: FrontLimits
    known: Known
    load: FrontLoad = field(default_factory=FrontLoad)
    commits: set[asyncio.Task[Any]] = field(default_factory=set)
    lines: set[asyncio.Transport] = field(default_factory=set)


@dataclass(slots=True)
class _Open:
    """A mail between MAIL and its end.  ``given``: a recipient as Postfix wrote it, which may have
    named the same mailbox in several ways.
    """

    sender: str
    snapshot: PolicySnapshot
    options: tuple[str, ...]
    routes: dict[str, Route] = field(default_factory=dict)
    given: dict[str, list[bytes]] = field(default_factory=dict)
    recipient_options: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    has_body: bool = False
    refusal: str = ""
    said: list[Said] = field(default_factory=list)

    @property
    def is_smtputf8(self) -> bool:
        return "SMTPUTF8" in self.options


class MilterSession(asyncio.Protocol):
    # Postfix does not wait for what we say of a sender: each of his recipients is refused instead.
    is_sender_quiet = True

    def __init__(self, parts: MilterParts) -> None:
        self._parts = parts
        self._packets = wire.Packets()
        self._transport: asyncio.Transport | None = None
        self._is_counted = False
        self._counted_bytes = 0
        # By step as they came: Postfix sends some before every header field.
        self._macros: dict[str, bytes] = {}
        self._client_ip = self._helo = ""
        self._open: _Open | None = None
        self._is_sender_quiet = False
        self._sender_refusal = ""
        self._commit: asyncio.Task[None] | None = None

    # Connection

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._parts.load.enter(_PEER, self._parts.limits) is not None:
            log.warning("too many connections from Postfix, one is turned away")
            self._transport.abort()
            return
        self._is_counted = True
        self._parts.lines.add(self._transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._forget_mail()
        if self._is_counted and self._transport is not None:
            self._parts.load.leave(_PEER)
            self._parts.lines.discard(self._transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._packets.feed(data)
        self._obey_all()

    def _obey_all(self) -> None:
        """What Postfix sends while we commit waits for our answer."""
        assert self._transport is not None
        try:
            for letter, data in self._packets:
                if letter == "L":  # most of all packets
                    self._add_header(data)
                    continue
                self._obey(letter, data)
                if self._commit is not None or self._transport.is_closing():
                    break
        except wire.BadPacket as error:
            log.error("Postfix is not followed: %s", error)
            self._transport.abort()
        except Exception:  # a bug ends one conversation, not the gate
            log.exception("a conversation with Postfix broke")
            self._transport.abort()
        if self._commit is not None and self._packets.waiting_bytes:
            self._transport.pause_reading()

    def _say(self, answer: bytes) -> None:
        assert self._transport is not None
        self._transport.write(answer)

    def _obey(self, letter: str, data: bytes) -> None:
        match letter:
            case "D":
                self._macros[chr(data[0]) if data else ""] = data
            case "B":
                self._add_body(data)
            case "O":
                answer, self._is_sender_quiet = wire.negotiate(
                    data, is_sender_quiet=self.is_sender_quiet
                )
                self._say(answer)
            case "C":
                self._forget_client()
                _, self._client_ip = wire.read_connect(data)
            case "H":
                self._helo = first_of(data)
            case "M":
                self._take_sender(data)
            case "R":
                self._take_recipient(data)
            case "E":
                self._end(data)
            case "A":
                self._forget_mail()
            case "K":
                self._forget_client()
            case "Q":
                assert self._transport is not None
                self._transport.close()
            case _:
                raise wire.BadPacket(f"the step {letter!r}, which was not asked for")

    def _answer_command(self, work: Callable[[bytes], None], data: bytes) -> None:
        try:
            work(data)
        except BadCommand as refusal:
            self._say(wire.reply(str(refusal)))
        else:
            self._say(wire.CONTINUE)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Answers the command when this is done; a ``BadCommand`` of it is the answer."""
        self._commit = asyncio.get_running_loop().create_task(self._answer_later(work))

    async def _answer_later(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._transport is not None
        answer = wire.CONTINUE
        try:
            await work
        except BadCommand as refusal:
            answer = wire.reply(str(refusal))
        except Exception:  # a bug, or a disk that fails: the sender keeps the mail
            log.exception("a command of Postfix was put off")
            answer = wire.reply("451 4.3.0 Something went wrong here, please try again")
        self._commit = None
        if self._transport.is_closing():
            return
        self._say(answer)
        self._transport.resume_reading()
        self._obey_all()

    def _take_sender(self, data: bytes) -> None:
        if not self._is_sender_quiet:
            self._answer_command(self._begin, data)
            return
        try:
            self._begin(data)
        except BadCommand as refusal:
            self._sender_refusal = str(refusal)

    def _take_recipient(self, data: bytes) -> None:
        """At once, but for one of whom the next hop has to be asked."""
        route = self._route_to_ask(data)
        if route is None:
            self._answer_command(self._add_recipient, data)
        else:
            self._later(self._ask_for(route, data))

    def _route_to_ask(self, data: bytes) -> Route | None:
        route = self._open.snapshot.find(address_in(data)) if self._open else None
        if route is None or not route.must_ask or self._parts.known.kept(route) is not None:
            return None
        return route

    async def _ask_for(self, route: Route, data: bytes) -> None:
        """Raises ``BadCommand``."""
        if refusal := await self._parts.known.ask(route):
            raise BadCommand(refusal)
        self._add_recipient(data)

    def _find(self, address: str, snapshot: PolicySnapshot) -> Route | None:
        """None: no mail for this domain is taken."""
        return snapshot.find(address)

    @property
    def _authenticated_as(self) -> str:
        return self._macro("auth_authen", "M")

    def _macro(self, name: str, *steps: str) -> str:
        told = (wire.read_macros(self._macros.get(step, b"")).get(name) for step in steps)
        return next(filter(None, told), "")

    def _forget_client(self) -> None:
        self._forget_mail()
        self._client_ip = self._helo = ""
        for step in "HMRTE":
            self._macros.pop(step, None)

    def _forget_mail(self) -> None:
        self._open = None
        self._sender_refusal = ""
        self._give_back()

    def _give_back(self) -> None:
        self._parts.load.bytes_in_flight -= self._counted_bytes
        self._counted_bytes = 0

    # A mail

    def _begin(self, data: bytes) -> None:
        self._forget_mail()
        self._macros.pop("E", None)
        path, *options = words_of(data)
        sender = without_brackets(path)
        options = [each.upper() if "=" not in each else each for each in options]
        if sender:
            check_sender(sender)
            check_ascii(sender, is_smtputf8="SMTPUTF8" in options)
        snapshot = self._parts.latest()
        if snapshot is None:
            raise BadCommand("451 4.3.5 The gate has no policy yet")
        self._open = _Open(sender, snapshot, tuple(options))
        # Postfix's own words where we say yes.
        self._open.said += exchange(" ".join((f"MAIL FROM:{path}", *options)), "250 2.1.0 Ok")

    def _add_recipient(self, data: bytes) -> None:
        mail = self._open
        if mail is None:
            raise BadCommand(self._sender_refusal or "503 5.5.1 Say MAIL first")
        path, *options = words_of(data)
        address = without_brackets(path)
        check_recipient(address, is_smtputf8=mail.is_smtputf8)
        route = self._find(address, mail.snapshot)
        if route is None:
            raise BadCommand("550 5.7.1 No mail for this domain is taken here")
        refusal = (self._parts.known.kept(route) or "") if route.must_ask else ""
        if refusal or not route.is_known:
            raise BadCommand(refusal or NO_SUCH_MAILBOX)
        if len(mail.routes) >= self._parts.limits.recipients and route.address not in mail.routes:
            raise BadCommand("452 4.5.3 Too many recipients in one mail")
        mail.routes[route.address] = route
        mail.given.setdefault(route.address, []).append(wire.strings(data)[0])
        command = " ".join((f"RCPT TO:{path}", *options))
        mail.said += exchange(command, "250 2.1.5 Ok", route.tenant.tenant_id)
        if notices := [each for each in options if each.startswith(_NOTICES_OF_RECIPIENT)]:
            mail.recipient_options[route.address] = " ".join(notices)

    def _add_header(self, data: bytes) -> None:
        name, value = wire.read_header(data)
        if b"\n" in value:
            value = value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self._add(b"%b:%b\r\n" % (name, value))

    def _add_body(self, data: bytes) -> None:
        if self._open is not None and not self._open.has_body:
            self._open.has_body = True
            self._add(b"\r\n")
        self._add(data)

    def _add(self, data: bytes) -> None:
        """Bytes beyond a limit are not kept: the mail's end is then refused."""
        mail, load, limits = self._open, self._parts.load, self._parts.limits
        if mail is None:
            raise wire.BadPacket("a part of a mail without its begin")
        if mail.refusal:
            return
        self._counted_bytes += len(data)
        load.bytes_in_flight += len(data)
        mail.data += data
        if len(mail.data) > limits.mail_bytes:
            mail.refusal = _TOO_BIG
        elif load.bytes_in_flight > limits.bytes_in_flight:
            mail.refusal = _NO_ROOM
        if mail.refusal:
            mail.data.clear()
            self._give_back()

    def _end(self, data: bytes) -> None:
        if data or self._open is None or not self._open.has_body:
            self._add_body(data)
        mail, self._open = self._open, None
        assert mail is not None
        if mail.refusal:
            self._say(wire.reply(mail.refusal))
            self._forget_mail()
            return
        transaction = Transaction(
            envelope=Envelope(
                client_ip=self._client_ip,
                helo=self._helo,
                mail_from=mail.sender,
                recipients=tuple(mail.routes),
                received_at=datetime.now(UTC),
                tls=self._macro("tls_version", "M", "H"),
                authenticated_as=self._authenticated_as,
            ),
            routes=tuple(mail.routes.values()),
            snapshot=mail.snapshot,
            is_smtputf8=mail.is_smtputf8,
            is_8bit="BODY=8BITMIME" in map(str.upper, mail.options),
            queue_id=self._macro("i", "E", "R", "M"),
            mail_options=" ".join(e for e in mail.options if e.startswith(_NOTICES_OF_MAIL)),
            recipient_options=mail.recipient_options,
            said=tuple(mail.said),
        )
        raw = normalise(bytes(mail.data))
        # Whatever becomes of the connection, what was begun is carried to its end.
        self._commit = asyncio.get_running_loop().create_task(
            self._settle(raw, transaction, mail.given)
        )
        self._parts.commits.add(self._commit)
        self._commit.add_done_callback(self._parts.commits.discard)

    async def _settle(
        self, raw: bytes, transaction: Transaction, given: dict[str, list[bytes]]
    ) -> None:
        assert self._transport is not None
        answer = await self._parts.receive(raw, transaction)
        self._forget_mail()
        self._commit = None
        if self._transport.is_closing():
            await self._parts.take_back(answer)
            return
        self._say(answer_packets(answer, given))
        self._transport.resume_reading()
        self._obey_all()
