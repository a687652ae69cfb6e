"""One HTTP request on a socket of its own, and the answer to it.

Rspamd closes after each answer, so each mail needs a connection.  By the event loop's streams that
cost the gate a fifth of all it spends on a mail; the same by callbacks costs a third of it.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONNECT_S = 2.0
LONGEST_HEAD = 64 * 1024
LONGEST_ANSWER = 8 * 1024 * 1024
_READ_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"

Endpoint = tuple[str, int] | Path
Address = tuple[socket.AddressFamily, Any]


class NoAnswer(Exception):
    """The text says what happened, without the name of who was asked."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``body`` is whole: as long as the answer said it would be.  ``reason`` stands behind the
    status; ``server`` is how the other side calls itself.
    """

    status: int
    body: bytes
    server: str = ""
    reason: str = ""


async def call(endpoint: Endpoint, request: Sequence[bytes]) -> HttpAnswer:
    """``request`` is head and body.  Raises ``NoAnswer`` for what is no HTTP answer, ``OSError``
    where there is no connection, ``IncompleteReadError`` where the other side hung up.
    """
    line = await _connected(endpoint)
    try:
        return await _Call(line, request).answer
    finally:
        loop = asyncio.get_running_loop()
        loop.remove_reader(line)
        loop.remove_writer(line)
        line.close()


class _Call:
    """Writes and reads as the socket lets it, until ``answer`` is there."""

    def __init__(self, line: socket.socket, request: Sequence[bytes]) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[HttpAnswer] = self._loop.create_future()
        self._inbox = bytearray()
        self._head: HttpAnswer | None = None
        self._body_bytes = 0
        self._left = memoryview(b"")
        self._begin(request)

    def _begin(self, request: Sequence[bytes]) -> None:
        sent = 0
        try:
            sent = self._line.sendmsg(request)
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error)
            return
        if sent < sum(map(len, request)):
            self._left = memoryview(b"".join(request))[sent:]
            self._loop.add_writer(self._line, self._write)
        self._loop.add_reader(self._line, self._read)

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _write(self) -> None:
        try:
            self._left = self._left[self._line.send(self._left) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._loop.remove_writer(self._line)
            self._fail(error)
            return
        if not self._left:
            self._loop.remove_writer(self._line)

    def _read(self) -> None:
        try:
            data = self._line.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            self._loop.remove_reader(self._line)
            self._fail(asyncio.IncompleteReadError(bytes(self._inbox), None))
            return
        self._inbox += data
        try:
            self._look()
        except NoAnswer as error:
            self._fail(error)

    def _look(self) -> None:
        """Raises ``NoAnswer``."""
        if self._head is None:
            end = self._inbox.find(_HEAD_END)
            if (len(self._inbox) if end < 0 else end) > LONGEST_HEAD:
                raise NoAnswer("its answer is too long")
            if end < 0:
                return
            self._head, self._body_bytes = _read_head(bytes(self._inbox[:end]))
            del self._inbox[: end + len(_HEAD_END)]
        if len(self._inbox) >= self._body_bytes and not self.answer.done():
            head, body = self._head, bytes(self._inbox[: self._body_bytes])
            self.answer.set_result(HttpAnswer(head.status, body, head.server, head.reason))


def _read_head(head: bytes) -> tuple[HttpAnswer, int]:
    """The answer without its body, and the body's length.  Raises ``NoAnswer``."""
    lines = head.split(b"\r\n")
    version, _, rest = lines[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise NoAnswer("its answer is no HTTP")
    named = (line.partition(b":") for line in lines[1:])
    fields = {name.strip().lower(): value.strip() for name, _, value in named}
    server, reason = (
        text.decode("ascii", "replace").strip()[:200]
        for text in (fields.get(b"server", b""), rest[3:])
    )
    answer = HttpAnswer(int(rest[:3]), b"", server, reason)
    if answer.status == 204:  # has no body, whatever Rspamd says of its length
        return answer, 0
    length = fields.get(b"content-length", b"")
    if not length.isdigit():
        raise NoAnswer("its answer does not say how long it is")
    if int(length) > LONGEST_ANSWER:
        raise NoAnswer(f"its answer of {int(length)} bytes is too long")
    return answer, int(length)


# The connection


async def _connected(endpoint: Endpoint) -> socket.socket:
    """Raises ``NoAnswer`` or ``OSError``."""
    refusal: OSError = ConnectionRefusedError(errno.ECONNREFUSED, "no address")
    for family, address in await _addresses(endpoint):
        line = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await _connect(line, address)
        except OSError as error:
            line.close()
            refusal = error
        except BaseException:
            line.close()
            raise
        else:
            return line
    raise refusal


async def _connect(line: socket.socket, address: Any) -> None:
    """Raises ``NoAnswer`` or ``OSError``."""
    number = line.connect_ex(address)
    if number == errno.EINPROGRESS:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(line, _note, ready)
        try:
            async with asyncio.timeout(CONNECT_S):
                await ready
        except TimeoutError as error:
            raise NoAnswer(f"it takes no connection within {CONNECT_S:.0f} s") from error
        finally:
            loop.remove_writer(line)
        number = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _note(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _addresses(endpoint: Endpoint) -> Sequence[Address]:
    """Raises ``OSError``."""
    if isinstance(endpoint, Path):
        return [(socket.AF_UNIX, str(endpoint))]
    host, port = endpoint
    if family := _family(host):
        return [(family, endpoint)]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(each[0], each[4]) for each in found]


@functools.lru_cache(maxsize=64)
def _family(host: str) -> socket.AddressFamily | None:
    """Of an address; None: it is a name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET if version == 4 else socket.AF_INET6
