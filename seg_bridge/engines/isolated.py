"""An engine in a process of its own, which can be killed.

An engine reads hostile mail with regular expressions and parsers; one mail that makes it go round
in circles would stop every other mail of the gate, because Python threads share one lock.  Here it
stops its own process, which is killed after ``timeout_s``: that mail was not scanned, the others
that were in the process are scanned again by the next one.

Protocol over the child's stdin and stdout: ``HEAD`` (number, length) and a body; requests are
pickled (the child trusts its parent), answers are JSON (the parent does not trust its child).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import pickle
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from incidents.mail.facts import AuthResult, MailFacts
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Envelope, Scan

log = logging.getLogger(__name__)

HEAD = struct.Struct(">QI")
TIMEOUT_S = 20.0
RESTART_AFTER_S = 1.0
_LONGEST_ANSWER = 16 * 1024 * 1024
_ROOT = Path(__file__).resolve().parents[2]


class _ChildDied(Exception):
    """The process ended with this mail, among others, in it."""


@dataclass(slots=True)
class _Child:
    process: asyncio.subprocess.Process
    waiting: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    listener: asyncio.Task[None] | None = None
    is_dead: bool = False

    async def ask(self, number: int, body: bytes) -> bytes:
        """Raises ``_ChildDied``."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting[number] = answer
        try:
            stdin = self.process.stdin
            if stdin is None or self.is_dead:
                raise _ChildDied
            stdin.write(HEAD.pack(number, len(body)) + body)
            await stdin.drain()
            return await answer
        except (ConnectionError, BrokenPipeError) as error:
            raise _ChildDied from error
        finally:
            self.waiting.pop(number, None)

    async def listen(self) -> None:
        """Hands out answers until the process ends."""
        try:
            while self.process.stdout is not None:
                number, length = HEAD.unpack(await self.process.stdout.readexactly(HEAD.size))
                if length > _LONGEST_ANSWER:
                    break
                body = await self.process.stdout.readexactly(length)
                answer = self.waiting.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            log.info("the engine's process has ended")
        finally:
            self.kill()

    def kill(self) -> None:
        self.is_dead = True
        if self.process.returncode is None:
            try:
                self.process.kill()
            except ProcessLookupError:
                log.debug("it had ended by itself")
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_exception(_ChildDied())


class IsolatedEngine:
    """``factory`` is ``module:callable``; it is called in the child with ``options`` (JSON values)
    and returns the engine.  Bound to one event loop.
    """

    def __init__(
        self,
        name: str,
        factory: str,
        options: Mapping[str, Any],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._name = name
        self._factory = factory
        self._options = json.dumps(options)
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._child: _Child | None = None
        self._started_at_s = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._name

    async def scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        """Raises ``EngineDidNotAnswer``."""
        body = pickle.dumps((raw, facts, envelope), protocol=pickle.HIGHEST_PROTOCOL)
        for _ in range(2):  # once more for a mail that only shared its process with a bad one
            child = await self._running()
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await child.ask(next(self._numbers), body)
            except TimeoutError as error:
                child.kill()
                text = f"no result within {self._timeout_s:.0f} s"
                raise EngineDidNotAnswer(text) from error
            except _ChildDied:
                continue
            return read_answer(answer)
        raise EngineDidNotAnswer("the engine's process died over it twice")

    async def start(self) -> None:
        """So that the first mail need not wait for the process.  Raises ``EngineDidNotAnswer``."""
        await self._running()

    async def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            await self._child.process.wait()
            if self._child.listener is not None:
                await self._child.listener

    async def _running(self) -> _Child:
        """Raises ``EngineDidNotAnswer`` where a process can't be had, or died as it was born."""
        async with self._lock:
            child = self._child
            if child is not None and not child.is_dead:
                return child
            if time.monotonic() - self._started_at_s < RESTART_AFTER_S:
                await asyncio.sleep(RESTART_AFTER_S)
            self._started_at_s = time.monotonic()
            try:
                self._child = await self._start()
            except OSError as error:
                raise EngineDidNotAnswer(f"no process for the engine: {error}") from error
            return self._child

    async def _start(self) -> _Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-E",
            "-s",
            "-m",
            "seg_bridge.engines.isolated_child",
            str(os.getpid()),
            self._factory,
            self._options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            env={},
        )
        child = _Child(process)
        child.listener = asyncio.create_task(child.listen())
        return child


def pack_scan(scan: Scan) -> bytes:
    return json.dumps(asdict(scan)).encode("ascii")


def read_answer(body: bytes) -> Scan:
    """Raises ``EngineDidNotAnswer`` for an error, and for anything that is no scan."""
    try:
        data = json.loads(body)
        if "error" in data:
            raise EngineDidNotAnswer(str(data["error"]))
        data["verdict"] = Verdict(data["verdict"])
        data["reasons"] = tuple(Reason(**each) for each in data["reasons"])
        data["auth"] = tuple(AuthResult(**each) for each in data["auth"])
        data["score"], data["confidence"] = float(data["score"]), float(data["confidence"])
        return Scan(**data)
    except (ValueError, KeyError, TypeError) as error:
        raise EngineDidNotAnswer(f"the answer is no scan: {error!r}") from error
