"""Where an engine listens, and a bounded exchange with it: a connection, a question, an answer.

What hangs, hangs up or says too much is ``NoAnswer``, never an empty answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CONNECT_S = 2.0
AGAIN_AFTER_S = 0.2
LONGEST_HEAD = 64 * 1024
LONGEST_ANSWER = 8 * 1024 * 1024

Endpoint = tuple[str, int] | Path
T = TypeVar("T")


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


async def exchange(
    endpoint: Endpoint,
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[T]],
    *,
    timeout_s: float,
) -> T:
    """Connects, lets ``talk`` do its part, hangs up.  Raises ``NoAnswer``.

    Once more where the other side hung up: a server that reloads, whose worker has just ended, or
    that closes the wrong connection (clamd, after it hung), takes another one a moment later.
    """
    try:
        async with asyncio.timeout(timeout_s):
            try:
                return await _once(endpoint, talk)
            except (asyncio.IncompleteReadError, ConnectionError):
                await asyncio.sleep(AGAIN_AFTER_S)
                return await _once(endpoint, talk)
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {timeout_s:g} s") from error
    except asyncio.IncompleteReadError as error:
        raise NoAnswer("it hung up in the middle of its answer") from error
    except asyncio.LimitOverrunError as error:
        raise NoAnswer("its answer is too long") from error
    except OSError as error:
        raise NoAnswer(f"the connection failed: {error.strerror or error}") from error


async def _once(
    endpoint: Endpoint,
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[T]],
) -> T:
    reader, writer = await _connect(endpoint)
    try:
        return await talk(reader, writer)
    finally:
        writer.transport.abort()


async def _connect(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(CONNECT_S):
            if isinstance(endpoint, Path):
                return await asyncio.open_unix_connection(str(endpoint), limit=LONGEST_HEAD)
            return await asyncio.open_connection(*endpoint, limit=LONGEST_HEAD)
    except TimeoutError as error:
        raise NoAnswer(f"it takes no connection within {CONNECT_S:.0f} s") from error


async def post(
    endpoint: Endpoint,
    path: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    timeout_s: float,
) -> HttpAnswer:
    """One HTTP request on a connection of its own.  ``headers`` are names and values as
    ``header_value`` gives them.  Raises ``NoAnswer``.
    """
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers]
    head.append(f"Content-Length: {len(body)}")
    request = "\r\n".join([*head, "", ""]).encode("ascii")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> HttpAnswer:
        writer.write(request)
        writer.write(body)
        await writer.drain()
        return await _read_http(reader)

    return await exchange(endpoint, talk, timeout_s=timeout_s)


async def _read_http(reader: asyncio.StreamReader) -> HttpAnswer:
    """Raises ``NoAnswer`` for what is no whole HTTP answer."""
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    version, _, rest = lines[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise NoAnswer("its answer is no HTTP")
    named = (line.partition(b":") for line in lines[1:])
    fields = {name.strip().lower(): value.strip() for name, _, value in named}
    server, reason = (
        text.decode("ascii", "replace").strip()[:200]
        for text in (fields.get(b"server", b""), rest[3:])
    )
    if rest[:3] == b"204":  # has no body, whatever Rspamd says of its length
        return HttpAnswer(204, b"", server, reason)
    length = fields.get(b"content-length", b"")
    if not length.isdigit():
        raise NoAnswer("its answer does not say how long it is")
    if int(length) > LONGEST_ANSWER:
        raise NoAnswer(f"its answer of {int(length)} bytes is too long")
    return HttpAnswer(int(rest[:3]), await reader.readexactly(int(length)), server, reason)


def header_value(text: str, *, longest: int = 1000) -> str:
    """What may stand in one line of a head: printable ASCII, nothing that begins another line."""
    return "".join(letter for letter in text if " " <= letter <= "~")[:longest].strip()
