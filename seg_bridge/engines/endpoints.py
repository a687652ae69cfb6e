"""Where an engine listens, and a bounded exchange with it: a connection, a question, an answer.

What hangs, hangs up or says too much is ``NoAnswer``, never an empty answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from seg_bridge.engines.http_call import (
    CONNECT_S,
    LONGEST_ANSWER,
    LONGEST_HEAD,
    Endpoint,
    HttpAnswer,
    NoAnswer,
    call,
)

__all__ = ["LONGEST_ANSWER", "Endpoint", "HttpAnswer", "NoAnswer", "exchange", "post"]

AGAIN_AFTER_S = 0.2
T = TypeVar("T")


async def exchange(
    endpoint: Endpoint,
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[T]],
    *,
    timeout_s: float,
) -> T:
    """Connects, lets ``talk`` do its part, hangs up.  Raises ``NoAnswer``."""
    return await _twice(partial(_once, endpoint, talk), timeout_s=timeout_s)


async def _twice(once: Callable[[], Awaitable[T]], *, timeout_s: float) -> T:
    """Once more where the other side hung up: a server that reloads, whose worker has just ended,
    or that closes the wrong connection (clamd, after it hung), takes another one a moment later.

    Raises ``NoAnswer``.
    """
    try:
        async with asyncio.timeout(timeout_s):
            try:
                return await once()
            except (asyncio.IncompleteReadError, ConnectionError):
                await asyncio.sleep(AGAIN_AFTER_S)
                return await once()
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

    return await _twice(partial(call, endpoint, (request, body)), timeout_s=timeout_s)


def header_value(text: str, *, longest: int = 1000) -> str:
    """What may stand in one line of a head: printable ASCII, nothing that begins another line."""
    if text.isascii() and text.isprintable():
        return text[:longest].strip()
    return "".join(letter for letter in text if " " <= letter <= "~")[:longest].strip()
