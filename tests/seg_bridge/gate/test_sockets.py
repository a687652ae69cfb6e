"""A line that was taken: what a protocol may expect of its transport."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from seg_bridge.gate.sockets import Line

MUCH = b"0123456789" * 200_000


class Told(asyncio.Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.data, self.lost = b"", asyncio.Event()
        self.came = asyncio.Event()

    @override
    def data_received(self, data: bytes) -> None:
        self.data += data
        self.came.set()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        assert not self.lost.is_set(), "once"
        self.lost.set()


Ends = tuple[Line, Told, asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """Ours, and the other one as streams."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    told = Told()
    line = Line(ours, told)
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    try:
        yield line, told, reader, writer
    finally:
        line.abort()
        writer.transport.abort()
        await asyncio.sleep(0)


async def lost(told: Told) -> None:
    await asyncio.wait_for(told.lost.wait(), 2.0)


async def test_much_that_is_written_arrives_in_order_before_the_end(ends: Ends) -> None:
    line, told, reader, _ = ends
    line.write(MUCH)
    line.write(b"end")
    line.close()
    line.write(b"not this")
    assert line.is_closing()
    assert await reader.read(-1) == MUCH + b"end"
    await lost(told)


async def test_an_abort_drops_what_was_not_sent(ends: Ends) -> None:
    line, told, reader, _ = ends
    line.write(MUCH)
    line.abort()
    line.abort()
    await lost(told)
    assert len(await reader.read(-1)) < len(MUCH)


async def test_nothing_is_read_while_it_is_paused(ends: Ends) -> None:
    line, told, _, writer = ends
    line.pause_reading()
    writer.write(b"later")
    await asyncio.sleep(0.02)
    assert told.data == b""
    line.resume_reading()
    await asyncio.wait_for(told.came.wait(), 2.0)
    assert told.data == b"later"


async def test_who_hangs_up_is_lost(ends: Ends) -> None:
    line, told, _, writer = ends
    writer.close()
    await lost(told)
    assert line.is_closing()
    line.write(b"nobody hears it")


async def test_who_hangs_up_while_much_waits_for_him_is_lost(ends: Ends) -> None:
    line, told, _, writer = ends
    line.write(MUCH)
    writer.transport.abort()
    await lost(told)


async def test_a_close_without_anything_to_send_ends_it(ends: Ends) -> None:
    line, told, reader, _ = ends
    line.close()
    line.close()
    await lost(told)
    assert await reader.read(-1) == b""
