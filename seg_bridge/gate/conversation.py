"""An SMTP conversation on the wire: aiosmtpd's streams, timers and replies, and our own reading.

``Conversation``  greets, reads one command after the other, and ends; what is done with a command
                  is said by who inherits it (session.py)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from aiosmtpd.smtp import SMTP
from typing_extensions import override

from seg_bridge.gate.known import Known
from seg_bridge.gate.limits import FrontLimits, FrontLoad
from seg_bridge.gate.paths import BadCommand
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.records import Transaction

log = logging.getLogger(__name__)

Receive = Callable[[bytes, Transaction], Coroutine[Any, Any, str]]
NotHeard = Callable[[Transaction, str], Coroutine[Any, Any, None]]

READ_BYTES = 64 * 1024


class Goodbye(Exception):
    """The conversation is over; the text, if any, is our last reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontParts:
    """What all conversations of one process share."""

    hostname: str
    receive: Receive
    not_heard: NotHeard
    latest: Callable[[], PolicySnapshot | None]
    limits: FrontLimits
    known: Known
    load: FrontLoad = field(default_factory=FrontLoad)
    commits: set[asyncio.Task[Any]] = field(default_factory=set)
    takes_xclient: bool = False


class Conversation(SMTP):
    """One connection."""

    line_length_limit = READ_BYTES  # the stream's buffer, from which aiosmtpd pauses the sender

    def __init__(self, parts: FrontParts, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            object(),
            data_size_limit=parts.limits.mail_bytes,
            enable_SMTPUTF8=True,
            hostname=parts.hostname,
            ident="ESMTP Bailey",
            timeout=parts.limits.command_s,
            loop=loop,
        )
        self._parts = parts
        self._limits = parts.limits
        self._inbox = bytearray()
        self._peer_ip = ""
        self._errors = 0
        self._is_turned_away = self._has_hung_up = False
        self._maybe_unheard: tuple[Transaction, str] | None = None

    # Connection

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._peer_ip = str(peer[0]).removeprefix("::ffff:") if peer else "unknown"
        refusal = self._parts.load.enter(self._peer_ip, self._limits)
        if refusal is not None:
            self._is_turned_away = True
            stream = cast(asyncio.Transport, transport)
            stream.write(refusal.encode() + b"\r\n")
            stream.close()
            return
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self._is_turned_away:
            return
        self._parts.load.leave(self._peer_ip)
        self._has_hung_up = True
        if error is not None and self._maybe_unheard is not None:
            noting = self.loop.create_task(self._parts.not_heard(*self._maybe_unheard))
            self._parts.commits.add(noting)
            noting.add_done_callback(self._parts.commits.discard)
        super().connection_lost(error)

    @override
    def data_received(self, data: bytes) -> None:
        if not self._is_turned_away:
            super().data_received(data)

    @override
    def eof_received(self) -> bool | None:
        """A client that has said all may still wait for our answer."""
        if self._is_turned_away:
            return False
        self._has_hung_up = True  # as far as we can see
        self._reader.feed_eof()
        return True

    @override
    def _timeout_cb(self) -> None:
        stream = cast(asyncio.Transport, self.transport)
        stream.write(b"421 4.4.2 You are too slow, goodbye\r\n")
        stream.close()

    def _stop_clock(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()

    # Conversation

    @override
    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except Goodbye as goodbye:
            await self._last_word(str(goodbye))
        except ConnectionError:
            self._writer.close()
        except asyncio.CancelledError:
            self._writer.close()
            raise
        except Exception:  # a bug ends one conversation, not the gate
            log.exception("a conversation with %s broke", self._peer_ip)
            await self._last_word("421 4.3.0 Something went wrong here, please try again")

    async def _last_word(self, text: str) -> None:
        try:
            if text:
                await self.push(text)
        except ConnectionError:
            log.debug("%s did not wait for the last word", self._peer_ip)
        finally:
            self._writer.close()

    async def _converse(self) -> None:
        await self._wait_for_silence()
        await self.push(f"220 {self.hostname} {self.__ident__}")
        while self.transport is not None:
            line = await self._read_command()
            name, _, argument = line.partition(" ")
            try:
                await self._obey(name.upper(), argument.strip(" "))
            except BadCommand as error:
                await self._complain(str(error))

    async def _wait_for_silence(self) -> None:
        """A client that talks before it is greeted does not speak SMTP (or smuggles)."""
        try:
            async with asyncio.timeout(self._limits.greet_wait_s):
                if await self._reader.read(1):
                    raise Goodbye("554 5.5.0 You must wait for our greeting")
                raise Goodbye("")
        except TimeoutError:
            return

    async def _read_command(self) -> str:
        """One line without its CRLF."""
        self._reset_timeout(self._limits.command_s)
        while (end := self._inbox.find(b"\n")) < 0:
            if len(self._inbox) > self._limits.command_bytes:
                raise Goodbye("500 5.5.2 The command is too long")
            await self._read_more()
        if end > self._limits.command_bytes:
            raise Goodbye("500 5.5.2 The command is too long")
        line = bytes(self._inbox[: end + 1])
        del self._inbox[: end + 1]
        if not line.endswith(b"\r\n"):
            raise Goodbye("500 5.5.2 A command ends with CR LF")
        return line[:-2].decode("utf-8", "surrogateescape")

    async def _read_more(self) -> int:
        more = await self._reader.read(READ_BYTES)
        if not more:
            raise ConnectionResetError("the client hung up")
        self._maybe_unheard = None  # who goes on has heard us
        self._inbox += more
        return len(more)

    async def _complain(self, text: str) -> None:
        self._errors += text.startswith("5")
        if self._errors > self._limits.errors:
            raise Goodbye("421 4.7.0 Too many errors, goodbye")
        await self.push(text)

    async def _obey(self, name: str, argument: str) -> None:
        """Raises ``BadCommand`` or ``Goodbye`` with our reply."""
        raise NotImplementedError
