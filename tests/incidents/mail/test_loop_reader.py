"""Reading mail in children, asked from an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from incidents.mail import loop_reader, read_mail
from incidents.mail import reader as mail_reader
from incidents.mail.loop_reader import LoopReader
from incidents.mail.reader import LOOK_EVERY_S, Child, ReaderUnavailable
from incidents.mail.wire import unpack_told
from tests.incidents.mail.bombs import BOMBS
from tests.incidents.mail.mails import plain_mail
from tests.incidents.mail.test_reader import (
    LARGE,
    MAIL,
    RECEIVED,
    is_alive,
    wait_until_gone,
    wait_until_it_gives_way,
)

BIG = plain_mail("Hello https://a.example/x and so on.\r\n" * 50_000)


def child_pid(reader: LoopReader) -> int:
    """The process id of the reader's one, idle child."""
    (seat,) = filter(None, reader._free._queue)  # type: ignore[attr-defined]
    assert seat is not None
    pid: int = seat.child.process.pid
    return pid


async def test_the_child_says_what_reading_in_place_says():
    raw = RECEIVED + b"Authentication-Results: mx.example; spf=pass\r\n" + MAIL
    said: dict[str, Any] = {"envelope_from": "a@b.example", "own_authserv_ids": ("mx.example",)}
    async with LoopReader() as reader:
        assert await reader.read_async(raw, **said) == read_mail(raw, **said)


async def test_an_event_loop_is_not_held_up():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async with LoopReader(workers=2) as reader:
        await reader.read_async(MAIL)
        ticking = asyncio.create_task(tick())
        facts = await asyncio.gather(*(reader.read_async(BIG) for _ in range(4)))
        ticking.cancel()
    assert all(each == read_mail(BIG) for each in facts)
    assert ticks > 5


async def test_a_mail_that_takes_too_long_kills_the_child_and_the_next_one_is_read():
    async with LoopReader(wall_s=0.001) as reader:
        facts = await reader.read_async(LARGE)
        assert (facts.is_readable, facts.problems) == (False, ("parser_killed",))
        assert facts.raw_sha256 == read_mail(LARGE).raw_sha256
        reader._wall_s = 20.0
        assert await reader.read_async(MAIL) == read_mail(MAIL)


async def test_a_child_that_was_killed_is_replaced_and_only_its_mail_is_unread():
    async with LoopReader(workers=2) as reader:
        await reader.read_async(MAIL)
        idle = child_pid(reader)
        os.kill(idle, signal.SIGKILL)
        wait_until_gone(idle)
        assert (await reader.read_async(MAIL)).is_readable
        busy = child_pid(reader)
        os.kill(busy, signal.SIGSTOP)
        stuck = asyncio.create_task(reader.read_async(MAIL))
        await asyncio.sleep(0)
        others = [await reader.read_async(MAIL) for _ in range(5)]
        assert not stuck.done()
        os.kill(busy, signal.SIGKILL)
        assert (await stuck).problems == ("parser_killed",)
    assert all(facts.is_readable for facts in others)


async def test_a_slow_mail_goes_on_at_low_priority_and_its_child_is_not_used_again():
    async with LoopReader(workers=1) as reader:
        await reader.read_async(MAIL)
        pid = child_pid(reader)
        reading = asyncio.create_task(reader.read_async(BOMBS["URLs of parentheses"]()))
        await asyncio.to_thread(wait_until_it_gives_way, pid)
        await reading
        await reader.read_async(MAIL)
        assert child_pid(reader) != pid


async def test_a_slow_mail_that_others_keep_waiting_is_read_all_the_same(monkeypatch):
    """As in ``test_reader``."""
    monkeypatch.setattr(mail_reader, "_SLOW_TIMES", 20)
    async with LoopReader(workers=1, wall_s=3.0) as reader:
        await reader.read_async(MAIL)
        pid, began = child_pid(reader), time.monotonic()
        reading = asyncio.create_task(reader.read_async(BOMBS["URLs of parentheses"]()))
        await asyncio.to_thread(wait_until_it_gives_way, pid)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(began + 4.0 - time.monotonic())
        os.kill(pid, signal.SIGCONT)
        assert (await reading).problems == ("text_cut",)


async def test_a_reading_that_is_called_off_leaves_no_answer_for_the_next():
    async with LoopReader(workers=1) as reader:
        await reader.read_async(MAIL)
        reading = asyncio.create_task(reader.read_async(BIG))
        await asyncio.sleep(0.005)
        reading.cancel()
        assert await reader.read_async(MAIL) == read_mail(MAIL)


async def test_a_child_that_is_starting_when_its_mail_is_called_off_is_ended(monkeypatch):
    started: list[Child] = []

    def start(*arguments: Any) -> Child:
        started.append(Child(*arguments))
        return started[0]

    monkeypatch.setattr(loop_reader, "Child", start)
    async with LoopReader(workers=1) as reader:
        reading = asyncio.create_task(reader.read_async(MAIL))
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not started
    (child,) = started
    assert child.process.returncode == -signal.SIGKILL
    assert child.line.fileno() == -1


async def test_a_child_without_a_line_to_it_is_ended_and_it_is_said(monkeypatch):
    started: list[Child] = []

    def start(*arguments: Any) -> Child:
        started.append(Child(*arguments))
        return started[0]

    async def refuse(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(loop_reader, "Child", start)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", refuse)
    async with LoopReader(workers=1) as reader:
        with pytest.raises(ReaderUnavailable, match="too many open files"):
            await reader.read_async(MAIL)
    (child,) = started
    assert child.process.returncode == -signal.SIGKILL


async def test_closing_ends_the_children_and_the_reader():
    reader = LoopReader()
    await reader.read_async(MAIL)
    pid = child_pid(reader)
    await reader.close()
    await reader.close()
    assert not is_alive(pid)
    with pytest.raises(ReaderUnavailable):
        await reader.read_async(MAIL)


async def test_a_child_that_gets_no_cpu_is_not_given_up_for_slow():
    """A busy machine must not make itself busier by starting children anew."""
    async with LoopReader(workers=1) as reader:
        await reader.read_async(MAIL)
        pid = child_pid(reader)
        os.kill(pid, signal.SIGSTOP)
        reading = asyncio.create_task(reader.read_async(MAIL))
        await asyncio.sleep(3 * LOOK_EVERY_S)
        os.kill(pid, signal.SIGCONT)
        assert (await reading).is_readable
        assert (child_pid(reader), os.getpriority(os.PRIO_PROCESS, pid)) == (pid, 0)


async def test_what_is_told_only_is_the_same_without_content():
    raw = RECEIVED + MAIL
    async with LoopReader(is_told_only=True) as reader:
        facts = await reader.read_async(raw)
    whole = read_mail(raw)
    assert whole.text
    assert not any((facts.text, facts.html, facts.html_text, facts.hidden_text, facts.headers))
    assert facts.as_json() == whole.as_json()
    assert (facts.sender, facts.links, facts.hops) == (whole.sender, whole.links, whole.hops)
    assert facts.told == whole.as_json_text()
    assert b"\n" not in facts.told


@pytest.mark.parametrize(
    "said", [b"{}", b"[]", b'{"size_bytes":1}', read_mail(MAIL).as_json_text() + b"\n", b"x"]
)
def test_what_is_no_line_of_facts_is_not_taken_for_one(said):
    with pytest.raises((ValueError, TypeError, KeyError)):
        unpack_told(said)
