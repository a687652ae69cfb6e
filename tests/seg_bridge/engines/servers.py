"""Small servers that answer like Rspamd and clamd, or fail in one of the ways that servers fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

CLEAN: dict[str, Any] = {
    "is_skipped": False,
    "score": 1.5,
    "required_score": 15.0,
    "action": "no action",
    "symbols": {
        "GATE_STORE_OK": {"name": "GATE_STORE_OK", "score": 0.0},
        "R_SPF_ALLOW": {"score": -0.2, "options": ["+ip4:192.0.2.10"]},
        "MIME_HTML_ONLY": {"score": 0.2, "description": "Messages that have only HTML part"},
    },
    "messages": {},
}
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def result(**changes: Any) -> dict[str, Any]:
    return CLEAN | changes


def symbols(**scores: float | tuple[float, *tuple[str, ...]]) -> dict[str, Any]:
    """Symbols with a score, and the facts that they name; the store lives."""
    found: dict[str, Any] = {"GATE_STORE_OK": {"score": 0.0}}
    for name, score in scores.items():
        points, *options = score if isinstance(score, tuple) else (score,)
        found[name] = {"score": points, "options": options}
    return found


def http(body: bytes | dict[str, Any], status: int = 200) -> bytes:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nServer: rspamd/3.4\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[tuple[str, int]]:
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.transport.abort() if not writer.is_closing() else None

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def dead_place() -> tuple[str, int]:
    """Where nobody listens."""
    async with serving(_silent) as place:
        return place


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


class FakeRspamd:
    """Answers each request with ``answer``; ``asked`` are head and body of what came.

    ``fault``: ``hanging`` takes all and says nothing, ``half_open`` says half of it, ``hangs_up``
    too but ends there, ``hangs_up_once`` answers the next time.
    """

    def __init__(self, answer: bytes | dict[str, Any] = CLEAN, *, fault: str = "") -> None:
        self.answer = answer if isinstance(answer, bytes) else http(answer)
        self.fault = fault
        self.asked: list[tuple[list[str], bytes]] = []

    def place(self) -> Any:
        return serving(self._talk)

    def told(self, name: str) -> list[str]:
        """The values of one header of the last request."""
        pairs = (line.partition(": ") for line in self.asked[-1][0][1:])
        return [value for found, _, value in pairs if found.lower() == name.lower()]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")[:-4].split("\r\n")
        length = next(int(line[16:]) for line in head if line.startswith("Content-Length: "))
        self.asked.append((head, await reader.readexactly(length)))
        if self.fault == "hanging":
            await asyncio.sleep(3600)
        said = self.answer[: len(self.answer) - 20] if self.fault else self.answer
        writer.write(said)
        await writer.drain()
        if self.fault == "half_open":
            await asyncio.sleep(3600)
        if self.fault == "hangs_up_once":
            self.fault = ""
        writer.close()


class FakeClamd:
    """Says ``says`` of every stream; ``fault`` as at ``FakeRspamd``, or ``cuts``: it takes no more
    than 100,000 bytes, says so and hangs up.
    """

    def __init__(self, says: str = "stream: OK", *, fault: str = "") -> None:
        self.says = says
        self.fault = fault
        self.streams: list[bytes] = []

    def place(self) -> Any:
        return serving(self._talk)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await reader.readuntil(b"\0")
        writer.write(b"1: ClamAV 1.4.6/27500/Mon Nov 16 08:00:00 2026\0")
        stream = b""
        while length := int.from_bytes(await reader.readexactly(4)):
            stream += await reader.readexactly(length)
            if self.fault == "cuts" and len(stream) > 100_000:
                writer.write(b"2: INSTREAM size limit exceeded. ERROR\0")
                await writer.drain()
                while await reader.read(65536):  # else the answer may be lost with the connection
                    pass
                return
        self.streams.append(stream)
        if self.fault == "hanging":
            await asyncio.sleep(3600)
        answer = f"2: {self.says}\0".encode()
        writer.write(answer[:-4] if self.fault else answer)
        await writer.drain()
        if self.fault == "half_open":
            await asyncio.sleep(3600)
        writer.close()
