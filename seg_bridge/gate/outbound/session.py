"""One SMTP conversation of the submission listener (RFC 6409): the embedded front's session, which
asks who sends.

The client is known by its login (AUTH PLAIN and LOGIN, RFC 4954), over TLS only, or on loopback in
development; or by its sending host.  What it may send: ``submitter.py``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import ssl
from dataclasses import dataclass, field
from typing import cast

from typing_extensions import override

from incidents.words import Direction
from seg_bridge.gate.conversation import FrontParts, Goodbye
from seg_bridge.gate.outbound.login_desk import FailedLogins, fitting_hash
from seg_bridge.gate.outbound.submitter import Login, LoginEnded, Submitter
from seg_bridge.gate.outbound.watch import SenderWatch
from seg_bridge.gate.outbound.ways_out import WaysOut
from seg_bridge.gate.paths import BadCommand, MailCommand
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.session import GateSession
from seg_bridge.gate.xclient import is_loopback

log = logging.getLogger(__name__)

_MOST_AUTH_CHARS = 1024
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionParts:
    """``tls`` None: no certificate is set up, so nobody can log in but on loopback in
    development.
    """

    front: FrontParts
    watch: SenderWatch
    ways_out: WaysOut = field(default_factory=WaysOut)
    tls: ssl.SSLContext | None = None
    failed: FailedLogins = field(default_factory=FailedLogins)


class SubmissionSession(GateSession):
    direction = Direction.OUTBOUND

    def __init__(self, parts: SubmissionParts, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(parts.front, loop)
        self._submission = parts
        self._login = Login()
        self._tries = 0
        self._submitter = Submitter(parts.watch, parts.ways_out)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:  # the listener of implicit TLS (RFC 8314)
            self._over_ssl = True
            self._tls = tls.version() or "TLS"

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
        self._helo, self._login, self._submitted_by = "", Login(), ""

    @override
    def eof_received(self) -> bool | None:
        super().eof_received()
        return not self._tls  # TLS cannot be half closed

    async def _log_in(self, argument: str) -> None:
        if not self._may_log_in:
            raise BadCommand("538 5.7.11 Say STARTTLS first: a login needs TLS")
        if not self._is_esmtp or self._login.name or self._open is not None:
            raise BadCommand("503 5.5.1 AUTH comes once, after EHLO and before a mail")
        failed = self._submission.failed
        if failed.is_too_many(self._client_ip):
            raise Goodbye("421 4.7.0 Too many failed logins from your address, try again later")
        name, secret = await self._ask_for_login(argument)
        snapshot = self._parts.latest()
        if snapshot is None:
            raise BadCommand("454 4.7.0 The gate has no policy yet")
        hashed = await fitting_hash(
            snapshot, failed, name=name, secret=secret, client_ip=self._client_ip
        )
        if hashed is None:
            self._tries += 1
            if self._tries >= _MOST_TRIES:
                raise Goodbye("421 4.7.0 Too many failed logins, goodbye")
            raise BadCommand("535 5.7.8 This name and secret do not fit")
        self._login = Login(name, hashed)
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
        try:
            await self._submitter.begin(
                command.sender, snapshot, client_ip=self._client_ip, login=self._login
            )
        except LoginEnded:
            raise Goodbye("421 4.7.0 This login has ended") from None
        self._submitted_by = self._submitter.submitted_by

    @override
    def _route_to(self, address: str, snapshot: PolicySnapshot) -> Route:
        return self._submitter.route_to(address, snapshot)

    @override
    async def _check_recipient(self, route: Route, taken: dict[str, Route]) -> None:
        await self._submitter.check_recipient(route, taken)


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
