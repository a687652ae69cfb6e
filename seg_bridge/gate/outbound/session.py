"""One SMTP conversation of the submission listener (RFC 6409): the embedded front's session, which
asks who sends.

- A client is known by its login (AUTH PLAIN and LOGIN, RFC 4954) or by its sending host.
- A login is asked for over TLS only, or on loopback in development.
- Senders are mailboxes of that client; recipients are anywhere.
- Who is stopped hears so at MAIL; who has sent too much hears 4xx, at MAIL or RCPT.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from typing_extensions import override

from incidents.words import Direction
from seg_bridge.gate.outbound.logins import NO_LOGIN, check_secret
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.outbound.watch import SenderWatch
from seg_bridge.gate.paths import BadCommand, MailCommand
from seg_bridge.gate.policy import (
    DomainRoute,
    PolicySnapshot,
    Route,
    TenantPolicy,
    normalise_address,
)
from seg_bridge.gate.session import FrontParts, GateSession, Goodbye
from seg_bridge.gate.xclient import is_loopback

log = logging.getLogger(__name__)

OUTSIDE = "outside"  # the name of the route to everybody else's mailboxes
_MOST_AUTH_CHARS = 1024
_MOST_TRIES = 3
_FAILED_WITHIN_S = 600.0
_MOST_FAILED = 20
_WHO = "530 5.7.0 Log in first, or send from a host that is on your client's list"
_NOT_YOURS = "550 5.7.1 {} is no mailbox of yours: only your own domains' mailboxes may send here"


@dataclass(slots=True)
class FailedLogins:
    """By address, so that guessing ends; forgotten after ten minutes."""

    clock: Callable[[], float] = time.monotonic
    since_s: float = 0.0
    by_ip: Counter[str] = field(default_factory=Counter)

    def note(self, client_ip: str) -> None:
        self.by_ip[client_ip] += 1

    def is_too_many(self, client_ip: str) -> bool:
        if self.clock() - self.since_s > _FAILED_WITHIN_S:
            self.since_s = self.clock()
            self.by_ip.clear()
        return self.by_ip[client_ip] >= _MOST_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionParts:
    """``tls`` None: no certificate is set up, so nobody can log in but on loopback in
    development.
    """

    front: FrontParts
    watch: SenderWatch
    tls: ssl.SSLContext | None = None
    failed: FailedLogins = field(default_factory=FailedLogins)


class SubmissionSession(GateSession):
    direction = Direction.OUTBOUND

    def __init__(self, parts: SubmissionParts, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(parts.front, loop)
        self._submission = parts
        self._login = ("", "")  # name, and the hash that its secret fitted
        self._tries = 0
        self._client: TenantPolicy | None = None
        self._mailbox = ""
        self._is_refused = False

    # Who it is

    @override
    def _extensions(self) -> list[str]:
        lines = super()._extensions()
        if self._submission.tls is not None and not self._tls:
            lines.append("STARTTLS")
        if self._may_log_in:
            lines.append("AUTH PLAIN LOGIN")
        return lines

    @override
    async def _obey(self, name: str, argument: str) -> None:
        match name:
            case "STARTTLS":
                await self._start_tls(argument)
            case "AUTH":
                await self._log_in(argument)
            case _:
                await super()._obey(name, argument)

    @property
    def _may_log_in(self) -> bool:
        is_developing = self._parts.takes_xclient and is_loopback(self._peer_ip)
        return bool(self._tls) or is_developing

    async def _start_tls(self, argument: str) -> None:
        context = self._submission.tls
        if context is None:
            raise BadCommand("502 5.5.1 No certificate is set up here")
        if self._tls or argument or self._open is not None:
            raise BadCommand("503 5.5.1 STARTTLS comes once, alone, and before a mail")
        transport = cast(asyncio.Transport, self.transport)
        transport.pause_reading()
        # What stands behind the command came without protection: RFC 3207, section 4.2.
        if self._inbox or self._reader._buffer:  # type: ignore[attr-defined]
            transport.resume_reading()
            raise Goodbye("501 5.5.1 Nothing may follow STARTTLS before it is answered")
        await self.push("220 2.0.0 Go ahead")
        self._reset_timeout(self._limits.command_s)
        try:
            secured = await self.loop.start_tls(transport, self, context, server_side=True)
        except (OSError, ssl.SSLError) as error:
            log.info("no TLS with %s: %s", self._peer_ip, error)
            raise Goodbye("") from error
        if secured is None:
            raise Goodbye("")
        self._use(secured)

    def _use(self, secured: asyncio.Transport) -> None:
        """From here on all goes through TLS, and nothing that was said before counts."""
        self.transport = secured
        self._reader._transport = secured  # type: ignore[attr-defined]
        self._writer._transport = secured  # type: ignore[attr-defined]
        self._transport = secured
        self._over_ssl = True
        self._tls = secured.get_extra_info("ssl_object").version() or "TLS"
        self._helo, self._login, self._submitted_by = "", ("", ""), ""

    @override
    def eof_received(self) -> bool | None:
        super().eof_received()
        return not self._tls  # TLS cannot be half closed

    async def _log_in(self, argument: str) -> None:
        if not self._may_log_in:
            raise BadCommand("538 5.7.11 Say STARTTLS first: a login needs TLS")
        if not self._is_esmtp or self._login[0] or self._open is not None:
            raise BadCommand("503 5.5.1 AUTH comes once, after EHLO and before a mail")
        failed = self._submission.failed
        if failed.is_too_many(self._client_ip):
            raise Goodbye("421 4.7.0 Too many failed logins from your address, try again later")
        name, secret = await self._ask_for_login(argument)
        snapshot = self._parts.latest()
        if snapshot is None:
            raise BadCommand("454 4.7.0 The gate has no policy yet")
        hashed = _hash_of(snapshot, name) or NO_LOGIN
        if not await asyncio.to_thread(check_secret, secret, hashed):
            failed.note(self._client_ip)
            self._tries += 1
            log.warning("a login from %s failed", self._client_ip)
            if self._tries >= _MOST_TRIES:
                raise Goodbye("421 4.7.0 Too many failed logins, goodbye")
            raise BadCommand("535 5.7.8 This name and secret do not fit")
        self._login = (name, hashed)
        await self.push("235 2.7.0 You are logged in")

    async def _ask_for_login(self, argument: str) -> tuple[str, str]:
        """Name and secret.  Raises ``BadCommand``."""
        mechanism, _, first = argument.partition(" ")
        match mechanism.upper():
            case "PLAIN":
                given = _decoded(first) if first else await self._ask("")
                _, _, rest = given.partition("\0")
                name, nul, secret = rest.partition("\0")
                if not nul:
                    raise BadCommand("501 5.5.2 Syntax of AUTH PLAIN: RFC 4616")
                return name.lower(), secret
            case "LOGIN":
                name = _decoded(first) if first else await self._ask("Username:")
                return name.lower(), await self._ask("Password:")
            case _:
                raise BadCommand("504 5.5.4 AUTH is PLAIN or LOGIN here")

    async def _ask(self, question: str) -> str:
        await self.push(f"334 {base64.b64encode(question.encode()).decode()}")
        answer = await self._read_command()
        if answer == "*":
            raise BadCommand("501 5.7.0 The login was given up")
        return _decoded(answer)

    # What may be sent

    @override
    async def _check_sender(self, command: MailCommand, snapshot: PolicySnapshot) -> None:
        self._is_refused = False
        clients = self._clients(snapshot)
        if not clients:
            raise BadCommand(_WHO)
        self._client, self._mailbox = _whose(command.sender, clients, snapshot, self._login[0])
        terms = _terms(self._client)
        if not terms.next_hop:
            raise BadCommand(
                f"451 4.3.5 {self._client.name} has no next mail server for outbound mail: "
                "it is named on the client's outbound page"
            )
        if not self._mailbox:
            return  # the null sender: the visible one counts, once it is known
        await self._check_room(terms)

    async def _check_room(self, terms: OutboundTerms) -> None:
        client, watch = cast(TenantPolicy, self._client), self._submission.watch
        stop = watch.stopped(client.tenant_id, self._mailbox, terms)
        if stop is not None:
            raise BadCommand(stopped_reply(self._mailbox, stop))
        key = (client.tenant_id, self._mailbox)
        if watch.usage.messages_left(key, terms.limits) < 1:
            await self._refuse(terms)
            most = terms.limits.messages_per_hour
            raise BadCommand(f"450 4.7.1 {self._mailbox} may send {most} mails an hour, try later")

    def _clients(self, snapshot: PolicySnapshot) -> list[TenantPolicy]:
        """Who this may be.  Several clients may send from one host: the sender's domain decides."""
        name, hashed = self._login
        if name:
            if _hash_of(snapshot, name) != hashed:
                raise Goodbye("421 4.7.0 This login has ended")
            self._submitted_by = f"login {name}"
            return [one for one in snapshot.tenants if one.outbound and name in one.outbound.logins]
        self._submitted_by = f"host {self._client_ip}"
        return [
            one
            for one in snapshot.tenants
            if one.outbound is not None and one.outbound.has_host(self._client_ip)
        ]

    @override
    def _route_to(self, address: str, snapshot: PolicySnapshot) -> Route:
        client = cast(TenantPolicy, self._client)
        domain = DomainRoute(name=OUTSIDE, next_hop=_terms(client).next_hop, recipients=frozenset())
        written = address.strip()
        return Route(normalise_address(address), client, domain, is_listed=True, written=written)

    @override
    async def _check_recipient(self, route: Route, taken: dict[str, Route]) -> None:
        """Raises ``BadCommand``.  The last word is the core's, which counts all mails."""
        terms = _terms(route.tenant)
        if not self._mailbox or route.address in taken:
            return
        key = (route.tenant.tenant_id, self._mailbox)
        if len(taken) >= self._submission.watch.usage.recipients_left(key, terms.limits):
            await self._refuse(terms)
            most = terms.limits.recipients_per_hour
            raise BadCommand(
                f"452 4.7.1 {self._mailbox} may send to {most} recipients an hour, try later"
            )

    async def _refuse(self, terms: OutboundTerms) -> None:
        """Each mail counts once, however many recipients of it are refused."""
        if not self._is_refused:
            self._is_refused = True
            client = cast(TenantPolicy, self._client)
            await self._submission.watch.note_refused(client.tenant_id, self._mailbox, terms)


def stopped_reply(mailbox: str, stop: str) -> str:
    return (
        f"550 5.7.1 Sending from {mailbox} has been stopped, because the account may be in other "
        f"hands: your IT provider can lift it ({stop})"
    )


def _whose(
    sender: str, clients: list[TenantPolicy], snapshot: PolicySnapshot, login: str
) -> tuple[TenantPolicy, str]:
    """The client and the sending mailbox, "" for the null sender.  Raises ``BadCommand``."""
    if not sender:
        if login or len(clients) > 1:
            raise BadCommand("550 5.7.1 The null sender is for a host of one client only")
        return clients[0], ""
    route = snapshot.find(sender)
    mine = {client.tenant_id: client for client in clients}
    if route is None or not route.is_known or route.tenant.tenant_id not in mine:
        raise BadCommand(_NOT_YOURS.format(sender))
    client = mine[route.tenant.tenant_id]
    return client, _terms(client).mailbox_of(route.address)


def _terms(client: TenantPolicy) -> OutboundTerms:
    assert client.outbound is not None  # else nobody is known as this client
    return client.outbound


def _hash_of(snapshot: PolicySnapshot, name: str) -> str | None:
    logins = (one.outbound.logins for one in snapshot.tenants if one.outbound is not None)
    return next((known[name] for known in logins if name in known), None)


def _decoded(text: str) -> str:
    """Raises ``BadCommand``."""
    try:
        if len(text) > _MOST_AUTH_CHARS:
            raise ValueError
        if text == "=":
            return ""
        return base64.b64decode(text.encode("ascii"), validate=True).decode("utf-8")
    except (ValueError, binascii.Error) as error:
        raise BadCommand("501 5.5.2 That is not base64 of a text") from error
