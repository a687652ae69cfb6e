"""``MailReader`` for an event loop: the same children, without a thread between loop and child.

A thread for each mail cost the gate more than its decision: two hand-overs of the interpreter's
lock a mail, and a wake-up of the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from incidents.mail.facts import MailFacts
from incidents.mail.reader import (
    LONGEST_ANSWER,
    LOOK_EVERY_S,
    Child,
    ChildDied,
    ReaderUnavailable,
    problem_of,
    read_judgement,
    request_head,
    unreadable,
)
from incidents.mail.reader_child import ANSWER
from incidents.mail.wire import unpack_facts, unpack_told


class _Answers(asyncio.Protocol):
    """What the child sends: one answer to each question."""

    def __init__(self) -> None:
        self._inbox = bytearray()
        self._is_lost = False
        self._answer: asyncio.Future[bytes] | None = None

    def wait(self) -> asyncio.Future[bytes]:
        """The next answer; ``ChildDied`` where there will be none."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._is_lost:
            self._answer.set_exception(ChildDied())
        return self._answer

    def give_up(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ChildDied())

    @override
    def data_received(self, data: bytes) -> None:
        self._inbox += data
        if len(self._inbox) < ANSWER.size:
            return
        (length,) = ANSWER.unpack_from(self._inbox)
        if length > LONGEST_ANSWER:
            self.give_up()
        elif len(self._inbox) >= ANSWER.size + length:
            answer = bytes(self._inbox[ANSWER.size :])
            self._inbox.clear()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        self.give_up()


class _Seat:
    """A child and the loop's line to it; used for one mail at a time."""

    def __init__(self, child: Child, line: asyncio.Transport, answers: _Answers) -> None:
        self.child = child
        self._line, self._answers = line, answers

    async def read(self, options: dict[str, Any], raw: bytes, wall_s: float) -> MailFacts:
        """Raises ``ChildDied``."""
        self.child.mails += 1
        unpack = unpack_told if options.get("is_told_only") else unpack_facts
        try:
            return unpack(await self._ask(options, raw, wall_s))
        except (ValueError, TypeError, KeyError) as error:
            raise ChildDied from error

    async def judge(self, wall_s: float) -> Any:
        """As ``Child.judge``, which is told nothing besides.  Raises ``ChildDied``."""
        try:
            return read_judgement(await self._ask(None, b"", wall_s))
        except (ValueError, TypeError) as error:
            raise ChildDied from error

    async def _ask(self, options: object, raw: bytes, wall_s: float) -> bytes:
        """Raises ``ChildDied``."""
        loop = asyncio.get_running_loop()
        answer = self._answers.wait()
        self.child.begin()
        self._began, self._wall_s = loop.time(), wall_s
        self._next_look = loop.call_later(LOOK_EVERY_S, self._look)
        self._too_long = self._end_in_time()
        # At once: the child would be woken for each part.
        self._line.writelines((request_head(options, raw), raw))
        try:
            return await answer
        finally:
            self._next_look.cancel()
            self._too_long.cancel()

    def _end_in_time(self) -> asyncio.TimerHandle:
        at = self._began + self.child.longest_s(self._wall_s)
        return asyncio.get_running_loop().call_at(at, self._answers.give_up)

    def _look(self) -> None:
        self.child.look()
        if self.child.is_worn:
            self._too_long.cancel()
            self._too_long = self._end_in_time()
        else:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(LOOK_EVERY_S, self._look)

    def kill(self) -> None:
        """At once; it is buried later."""
        self.child.is_worn = True
        self._line.abort()
        with contextlib.suppress(ProcessLookupError):
            self.child.process.kill()


class LoopReader:
    """As ``MailReader``, whose arguments it takes; bound to one event loop.

    ``is_told_only``: what it gives has no content of the mail, only what ``MailFacts.as_json``
    tells, and that as it is written.  A judge sees all in any case.
    """

    def __init__(
        self,
        workers: int = 3,
        *,
        judge: str = "",
        is_told_only: bool = False,
        memory_bytes: int = 448 * 1024 * 1024,
        cpu_s: int = 10,
        wall_s: float = 20.0,
    ) -> None:
        self._workers, self._wall_s, self._has_judge = workers, wall_s, bool(judge)
        self._is_told_only = is_told_only
        self._start = functools.partial(Child, memory_bytes, cpu_s, judge)
        self._free: asyncio.LifoQueue[_Seat | None] = asyncio.LifoQueue()
        for _ in range(workers):
            self._free.put_nowait(None)
        # A child dies with the thread that started it, so one thread that stays starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="mail-reader-start")
        self._is_closed = False

    async def read_async(
        self, raw: bytes, *, envelope_from: str = "", own_authserv_ids: Collection[str] = ()
    ) -> MailFacts:
        """As ``MailReader.read``; the judge is told nothing besides."""
        if self._is_closed:
            raise ReaderUnavailable("this reader is closed")
        if problem := problem_of(raw):
            return unreadable(raw, envelope_from, problem)
        options = {
            "envelope_from": envelope_from,
            "own_authserv_ids": list(own_authserv_ids),
            "is_told_only": self._is_told_only,
        }
        seat, facts = await self._free.get(), None
        try:
            if seat is None or not seat.child.can_go_on:
                seat = await self._replaced(seat)
            facts = await seat.read(options, raw, self._wall_s)
            if self._has_judge:
                facts = replace(facts, judged=await seat.judge(self._wall_s))
            if seat.child.is_worn or "out_of_memory" in facts.problems:
                await self._end(seat)
            return facts
        except ChildDied:
            await self._end(seat)
            return facts or unreadable(raw, envelope_from, "parser_killed")
        except asyncio.CancelledError:
            if seat is not None:
                seat.kill()  # in the middle of an answer; the next mail finds it dead
            raise
        finally:
            self._free.put_nowait(seat)

    async def close(self) -> None:
        """Ends all children; mail that is being read is finished first.  Twice does no harm."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in range(self._workers):
            await self._end(await self._free.get())
        self._starter.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _replaced(self, seat: _Seat | None) -> _Seat:
        """Raises ``ReaderUnavailable``."""
        await self._end(seat)
        try:
            return await _seated(self._starter.submit(self._start))
        except (OSError, RuntimeError) as error:
            raise ReaderUnavailable(f"no reading process: {error}") from error

    async def _end(self, seat: _Seat | None) -> None:
        """The mail that finds it in its place starts another one."""
        if seat is not None:
            seat.kill()
            await asyncio.to_thread(seat.child.process.wait)


async def _seated(starting: Future[Child]) -> _Seat:
    """Raises what starting it or connecting to it raised; the child is then ended."""
    try:
        child = await asyncio.wrap_future(starting)
        child.line.setblocking(False)
        loop = asyncio.get_running_loop()
        line, answers = await loop.create_unix_connection(_Answers, sock=child.line)
    except BaseException:
        starting.add_done_callback(_end_started)  # nobody else knows of it
        raise
    return _Seat(child, line, answers)


def _end_started(starting: Future[Child]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().end()
