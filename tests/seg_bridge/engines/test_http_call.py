"""One HTTP request on a socket of its own: answers in pieces, large requests, places to ask."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from seg_bridge.engines.endpoints import LONGEST_ANSWER, NoAnswer, post
from tests.seg_bridge.engines.servers import http, serving

OK = http(b'{"score": 1}')
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(*pieces: bytes, pause_s: float = 0.0) -> Talk:
    """Reads the whole request, then says the pieces one after the other."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0])
        talk.body = await reader.readexactly(length)  # type: ignore[attr-defined]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


async def ask(place: tuple[str, int] | Path, body: bytes = b"mail", *, timeout_s: float = 5.0):
    return await post(place, "/checkv2", [("IP", "192.0.2.1")], body, timeout_s=timeout_s)


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
async def test_an_answer_may_come_in_any_pieces(size: int) -> None:
    pieces = [OK[start : start + size] for start in range(0, len(OK), size)]
    async with serving(answering(*pieces)) as place:
        answer = await ask(place)
    assert (answer.status, answer.body, answer.server) == (200, b'{"score": 1}', "rspamd/3.4")


async def test_a_request_that_no_buffer_holds_goes_whole() -> None:
    body, talk = bytes(range(256)) * 40_000, answering(OK)
    async with serving(talk) as place:
        assert (await ask(place, body)).status == 200
    assert talk.body == body  # type: ignore[attr-defined]


async def test_a_name_is_looked_up() -> None:
    async with serving(answering(OK)) as (_, port):
        assert (await ask(("localhost", port))).status == 200


async def test_a_unix_socket_is_a_place_too(tmp_path: Path) -> None:
    path, writers = tmp_path / "scan.sock", []
    talk = answering(OK)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await talk(reader, writer)

    async with await asyncio.start_unix_server(serve, path):
        assert (await ask(path)).status == 200
        writers[0].transport.abort()


async def test_a_socket_that_is_not_there_gives_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="the connection failed: No such file"):
        await ask(tmp_path / "nobody.sock")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (OK[:-3], "hung up in the middle"),
        (b"HTTP/1.1 200 OK\r\nServer: x", "hung up in the middle"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LONGEST_ANSWER + 1), "too long"),
        (b"+OK ready\r\n\r\n", "no HTTP"),
    ],
)
async def test_what_is_no_whole_answer_is_none(said: bytes, why: str) -> None:
    async with serving(answering(said)) as place:
        with pytest.raises(NoAnswer, match=why):
            await ask(place)


async def test_who_waits_no_longer_leaves_no_socket_behind() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        gone.set()

    async with serving(silent) as place:
        asking = asyncio.create_task(ask(place))
        await asyncio.sleep(0.05)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(gone.wait(), 2.0)
