"""One SMTP connection to a next hop: our own client, because every byte of it decides what we
may promise.

``HopConnection.open``  greeting, EHLO, opportunistic TLS
``HopConnection.send``  one mail; what the hop said for each recipient
Raises ``HopError`` where nothing was sent yet; after the end of data the answer is ``unknown``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.ways import HopTls

_CODE = re.compile(rb"[2-5][0-9]{2}([ -]|$)")
_MAX_REPLY_BYTES = 16 * 1024
_READ_BYTES = 16 * 1024
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")

State = Literal["accepted", "refused", "deferred", "unknown"]


@dataclass(frozen=True, slots=True)
class HopAnswer:
    """What the next hop did with one recipient.  ``text`` is its own reply, printable ASCII;
    ``tls`` the protocol of the connection, "" where there was none; ``hop`` the host that answered,
    "" where none did.
    """

    state: State
    text: str
    tls: str = ""
    hop: str = ""


@dataclass(frozen=True, slots=True)
class HopTimeouts:
    """Seconds.  The last one is long: giving up after the end of data leaves the mail unknown."""

    connect_s: float = 10.0
    command_s: float = 60.0
    data_s: float = 180.0
    end_of_data_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMail:
    """``data`` has CRLF line ends.  ``mail_from`` "" is the null sender.

    ``mail_options`` and ``recipient_options`` are parameters for delivery notices (RFC 3461),
    carried on where the hop knows them.  ``claimed``: what XCLIENT says of the host that the mail
    comes from, to our own Postfix only.
    """

    mail_from: str
    recipients: tuple[str, ...]
    data: bytes
    is_smtputf8: bool = False
    is_8bit: bool = False
    mail_options: str = ""
    recipient_options: Mapping[str, str] = field(default_factory=dict)
    claimed: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    text: str

    @property
    def state(self) -> State:
        if 200 <= self.code < 300:
            return "accepted"
        return "refused" if self.code >= 500 else "deferred"

    def answer(self) -> HopAnswer:
        return HopAnswer(self.state, f"{self.code} {self.text}".strip())


class HopError(Exception):
    """The hop did not take the connection or the mail, and has not been given the mail's end.

    ``is_stale``: the connection was gone before the hop had said a word about this mail.
    """

    def __init__(self, text: str, *, is_stale: bool = False) -> None:
        super().__init__(text)
        self.is_stale = is_stale


class TlsRefused(HopError):
    """The hop offers TLS and then fails at it: worth a try without."""


@dataclass(slots=True)
class HopConnection:
    """``used_at`` is monotonic seconds of the last exchange; ``tls`` is the protocol or "";
    ``verify`` the name that the certificate must have, "" for any certificate.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    timeouts: HopTimeouts
    helo: str
    extensions: dict[str, str] = field(default_factory=dict)
    tls: str = ""
    used_at: float = 0.0
    verify: str = ""
    _inbox: bytes = b""

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        helo: str,
        timeouts: HopTimeouts,
        with_tls: bool = True,
        tls: HopTls = HopTls.MAY,
    ) -> HopConnection:
        """Raises ``HopError``, or ``TlsRefused`` as a kind of it.  ``tls`` stronger than ``MAY``:
        no other connection is opened.
        """
        try:
            async with asyncio.timeout(timeouts.connect_s):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise HopError(f"no connection to {host}:{port}: {_words(error)}") from error
        self = cls(reader, writer, timeouts, helo, verify=host if tls is HopTls.VERIFY else "")
        try:
            await self._greet(with_tls=with_tls)
            if tls is not HopTls.MAY and not self.tls:
                raise TlsRefused(f"{host} offers no TLS, and this domain's mail goes by TLS only")
        except BaseException:
            self.abort()
            raise
        return self

    async def send(self, mail: OutgoingMail) -> dict[str, HopAnswer]:
        """One answer for each recipient.  Raises ``HopError`` before the end of data was sent."""
        options = self._mail_options(mail)
        if options is None:
            answer = HopAnswer("refused", "550 5.6.7 the next hop does not take SMTPUTF8")
            return dict.fromkeys(mail.recipients, answer)
        started = await self._command(f"MAIL FROM:<{mail.mail_from}>{options}", is_first=True)
        if started.state != "accepted":
            await self._reset()
            return dict.fromkeys(mail.recipients, started.answer())
        answers: dict[str, HopAnswer] = {}
        for recipient in mail.recipients:
            wanted = mail.recipient_options.get(recipient, "") if "DSN" in self.extensions else ""
            line = f"RCPT TO:<{recipient}> {wanted}".rstrip()
            answers[recipient] = (await self._command(line)).answer()
        taken = [name for name, answer in answers.items() if answer.state == "accepted"]
        if not taken:
            await self._reset()
            return answers
        go_ahead = await self._command("DATA")
        if go_ahead.code != 354:
            await self._reset()
            state: State = "refused" if go_ahead.code >= 500 else "deferred"
            refusal = HopAnswer(state, f"{go_ahead.code} {go_ahead.text}")
            return answers | dict.fromkeys(taken, refusal)
        final = await self._transmit(mail.data)
        self.used_at = time.monotonic()
        return answers | dict.fromkeys(taken, final)

    async def claim(self, words: str) -> None:
        """From here on the hop takes us for that host.  Raises ``HopError``."""
        if "XCLIENT" not in self.extensions:
            raise HopError("the next hop takes no XCLIENT from us")
        reply = await self._command(f"XCLIENT {words}")
        if reply.state != "accepted":
            raise HopError(f"XCLIENT was answered {reply.code} {reply.text}")
        await self._ehlo()

    async def ask_for(self, recipient: str) -> Reply:
        """Does the hop take mail for this address?  No mail is sent.  Raises ``HopError``."""
        started = await self._command("MAIL FROM:<>", is_first=True)
        if started.state != "accepted":
            return started
        return await self._command(f"RCPT TO:<{recipient}>")

    async def quit(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                self.writer.write(b"QUIT\r\n")
                await self.writer.drain()
        self.abort()

    def abort(self) -> None:
        self.writer.transport.abort()

    async def _greet(self, *, with_tls: bool) -> None:
        banner = await self._reply(self.timeouts.command_s)
        if banner.state != "accepted":
            raise HopError(f"greeted with {banner.code} {banner.text}")
        await self._ehlo()
        if with_tls and "STARTTLS" in self.extensions:
            await self._start_tls()
            await self._ehlo()
        self.used_at = time.monotonic()

    async def _ehlo(self) -> None:
        reply = await self._command(f"EHLO {self.helo}")
        self.extensions = {}
        if reply.state == "accepted":
            for line in reply.text.split("\n")[1:]:
                name, _, value = line.partition(" ")
                self.extensions[name.upper()] = value
        elif (await self._command(f"HELO {self.helo}")).state != "accepted":
            raise HopError(f"EHLO was answered {reply.code} {reply.text}")

    async def _start_tls(self) -> None:
        reply = await self._command("STARTTLS")
        # What came in plain text behind the go-ahead is not the hop's word (response injection).
        if reply.code != 220 or self._inbox:
            raise TlsRefused(f"STARTTLS was answered {reply.code} {reply.text}")
        context = ssl.create_default_context()
        if not self.verify:
            # Opportunistic, as mail between strangers is: no name is known to check against.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout(self.timeouts.command_s):
                await self.writer.start_tls(context, server_hostname=self.verify or None)
        except (OSError, TimeoutError) as error:
            raise TlsRefused(f"TLS failed: {_words(error)}") from error
        tls = self.writer.get_extra_info("ssl_object")
        self.tls = tls.version() if tls is not None else "TLS"

    def _mail_options(self, mail: OutgoingMail) -> str | None:
        """The MAIL parameters that the hop understands; None: it cannot take this mail."""
        options = ""
        if mail.is_smtputf8:
            if "SMTPUTF8" not in self.extensions:
                return None
            options += " SMTPUTF8"
        if (mail.is_8bit or mail.is_smtputf8) and "8BITMIME" in self.extensions:
            options += " BODY=8BITMIME"
        if "SIZE" in self.extensions:
            options += f" SIZE={len(mail.data)}"
        if "DSN" in self.extensions and mail.mail_options:
            options += f" {mail.mail_options}"
        return options

    async def _transmit(self, data: bytes) -> HopAnswer:
        stuffed = dot_stuff(data)
        try:
            async with asyncio.timeout(self.timeouts.data_s):
                self.writer.write(stuffed)
                await self.writer.drain()
        except (OSError, TimeoutError) as error:
            self.abort()
            raise HopError(f"the connection broke in mid-mail: {_words(error)}") from error
        failpoint("relay.before_end_of_data")
        try:
            self.writer.write(b".\r\n")
            answer = (await self._reply(self.timeouts.end_of_data_s)).answer()
        except (HopError, OSError) as error:
            self.abort()
            return HopAnswer("unknown", f"no answer after the end of the mail: {_words(error)}")
        failpoint("relay.after_answer")
        return answer

    async def _reset(self) -> None:
        """Ready for the next mail; a hop that hangs up now has still answered for this one."""
        with contextlib.suppress(HopError):
            await self._command("RSET")
        self.used_at = time.monotonic()

    async def _command(self, line: str, *, is_first: bool = False) -> Reply:
        try:
            self.writer.write(line.encode("utf-8", "surrogateescape") + b"\r\n")
            reply = await self._reply(self.timeouts.command_s)
        except (HopError, OSError) as error:
            self.abort()
            raise HopError(
                f"{line.partition(':')[0]}: {_words(error)}", is_stale=is_first
            ) from error
        if reply.code == 421:
            self.abort()
            raise HopError(f"421 {reply.text}", is_stale=is_first)
        return reply

    async def _reply(self, timeout_s: float) -> Reply:
        """All lines of one reply, joined by LF.  Raises ``HopError``."""
        lines: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    line = await self._line()
                    if not _CODE.match(line):
                        raise HopError(f"not an SMTP reply: {_printable(line)}")
                    lines.append(_printable(line[4:]))
                    if line[3:4] != b"-":
                        return Reply(int(line[:3]), "\n".join(lines))
        except TimeoutError as error:
            raise HopError(f"no reply within {timeout_s:.0f} s") from error

    async def _line(self) -> bytes:
        while b"\n" not in self._inbox:
            if len(self._inbox) > _MAX_REPLY_BYTES:
                raise HopError("the reply has no end")
            more = await self.reader.read(_READ_BYTES)
            if not more:
                raise HopError("the connection was closed")
            self._inbox += more
        line, _, self._inbox = self._inbox.partition(b"\n")
        return line.rstrip(b"\r")


def dot_stuff(data: bytes) -> bytes:
    """The mail as it is sent after DATA, with a final CRLF and without the end mark."""
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    if data.startswith(b"."):
        data = b"." + data
    return data.replace(b"\r\n.", b"\r\n..")


def _printable(line: bytes) -> str:
    return _NOT_PRINTABLE.sub("?", line.decode("latin-1"))[:500]


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
