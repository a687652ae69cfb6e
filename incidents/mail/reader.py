"""Reading mail in child processes that can be killed.

One bomb harms only itself: a child has limits of memory, CPU and wall clock, and when it dies over
a mail, that mail is unreadable and the next one meets a fresh child.  A mail that takes long goes
on at low priority while other children read on.  Children die with their parent, know none of its
secrets, and give back JSON.

Whatever else looks at the content of a mail does so there as well: a reader may be given a judge,
which runs in the child over the mail that was just read.

``MailReader`` is for threads; ``incidents.mail.loop_reader`` does the same in an event loop.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import pickle
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from incidents.mail.facts import MailFacts
from incidents.mail.limits import LIMITS
from incidents.mail.reader_child import ANSWER, READY, REQUEST
from incidents.mail.wire import unpack_facts

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 20.0
LONGEST_ANSWER = 64 * 1024 * 1024
# A start takes a quarter of a second of CPU; memory stays where it was after the first 200 mails.
MAILS_PER_CHILD = 20_000
# Ordinary mail takes some milliseconds, the largest a second.  A mail is slow by the CPU it takes
# after the first look: a child that gets none is only on a busy machine.
LOOK_EVERY_S = 0.25
_SLOW_CPU_S = 0.15
# Enough for others to go first; at 15 a busy machine leaves it nothing.
_SLOW_PRIORITY = 2
# What gives way waits for others, and may wait longer: by default, read and judged, it is still
# within the 60 s for which a worker holds its client (``tenants/work.py``).
_SLOW_TIMES = 1.4
_TICKS = os.sysconf("SC_CLK_TCK")


class ReaderUnavailable(Exception):
    """No child can be had: a fault of this host, not of the mail.  Try again later."""


class ChildDied(Exception):
    """The child ended, or had to be ended, over the mail it was given."""


class Child:
    """One child process and the line to it; used by one thread at a time."""

    def __init__(self, memory_bytes: int, cpu_s: int, judge: str) -> None:
        ours, theirs = socket.socketpair()
        self.line, self.mails, self.is_worn = ours, 0, False
        self._looked_cpu_s: float | None = None
        command = [sys.executable, "-E", "-s", "-m", "incidents.mail.reader_child"]
        arguments = [theirs.fileno(), os.getpid(), memory_bytes, cpu_s, judge]
        with theirs:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=_ROOT,
                env={},
            )
        try:
            self.line.settimeout(_START_S)
            is_ready = self.line.recv(1) == READY
        except OSError:
            is_ready = False
        if not is_ready:
            self.end()
            raise ReaderUnavailable("a reading process did not start; see its error output")

    def read(self, options: dict[str, Any], raw: bytes, wall_s: float) -> MailFacts:
        """Raises ``ChildDied``."""
        self.mails += 1
        try:
            return unpack_facts(self._ask(options, raw, wall_s))
        except (ValueError, TypeError, KeyError) as error:
            raise ChildDied from error

    def judge(self, options: object, wall_s: float) -> Any:
        """What the judge says of the mail that was read last; None: it failed.

        Raises ``ChildDied``.
        """
        try:
            return read_judgement(self._ask(options, b"", wall_s))
        except (ValueError, TypeError) as error:
            raise ChildDied from error

    def _ask(self, options: object, raw: bytes, wall_s: float) -> bytes:
        """Raises ``ChildDied``."""
        began = time.monotonic()
        self.begin()
        try:
            self.line.settimeout(wall_s)
            self.line.sendall(request_head(options, raw))
            self.line.sendall(raw)
            self._wait_patiently(began + wall_s)
            deadline = began + self.longest_s(wall_s)
            (length,) = ANSWER.unpack(self._received(ANSWER.size, deadline))
            if length > LONGEST_ANSWER:
                raise ChildDied
            return self._received(length, deadline)
        except OSError as error:
            raise ChildDied from error

    def _wait_patiently(self, deadline: float) -> None:
        """Until the answer comes, or the mail proves slow."""
        while not self.is_worn and (left_s := deadline - time.monotonic()) > 0:
            self.line.settimeout(min(LOOK_EVERY_S, left_s))
            try:
                self.line.recv(1, socket.MSG_PEEK)
                return
            except TimeoutError:
                self.look()

    def begin(self) -> None:
        """With another question."""
        self._looked_cpu_s = None

    def look(self) -> None:
        """To be called every ``LOOK_EVERY_S`` while there is no answer: a slow mail goes on behind
        all others.  There is no way back without root.
        """
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            cpu_s = sum(map(int, fields[11:13])) / _TICKS
            if self._looked_cpu_s is None:
                self._looked_cpu_s = cpu_s
            elif cpu_s - self._looked_cpu_s > _SLOW_CPU_S:
                self.is_worn = True
                os.setpriority(os.PRIO_PROCESS, self.process.pid, _SLOW_PRIORITY)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended, as its line will say

    def longest_s(self, wall_s: float) -> float:
        """What a question may take, in seconds: more where the child works and gives way.  What it
        works is bounded by the limit of its CPU.
        """
        return wall_s * _SLOW_TIMES if self.is_worn else wall_s

    @property
    def can_go_on(self) -> bool:
        """For another mail."""
        is_young = self.mails < MAILS_PER_CHILD and not self.is_worn
        return is_young and self.process.poll() is None

    def _received(self, length: int, deadline: float) -> bytes:
        data = bytearray(length)
        view, at = memoryview(data), 0
        while at < length:
            self.line.settimeout(max(0.001, deadline - time.monotonic()))
            count = self.line.recv_into(view[at:])
            if not count:
                raise ChildDied
            at += count
        return bytes(data)

    def end(self) -> None:
        self.line.close()
        self.process.kill()
        self.process.wait()


class MailReader:
    """``read_mail`` at arm's length.  Thread-safe; survives a fork of its owner.

    ``workers``       children that may read at the same time; each starts when all others are busy.
    ``judge``         ``module:function`` of an ``incidents.mail.reader_child.Judge`` that sees each
                      mail in the child; its word is ``MailFacts.judged``.  "": none.
    ``memory_bytes``  address space for one mail.
    ``cpu_s``         CPU seconds, ``wall_s`` seconds: for reading, and once more for judging.
                      A slow mail, which goes on behind all others, has 1.4 times ``wall_s``.
    """

    def __init__(
        self,
        workers: int = 3,
        *,
        judge: str = "",
        memory_bytes: int = 448 * 1024 * 1024,
        cpu_s: int = 10,
        wall_s: float = 20.0,
    ) -> None:
        self._workers, self._wall_s, self._has_judge = workers, wall_s, bool(judge)
        self._start = functools.partial(Child, memory_bytes, cpu_s, judge)
        self._lock = threading.Lock()
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._free: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(self._workers):
            self._free.put(None)
        # A child dies with the thread that started it, so one thread that stays starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="mail-reader-start")

    def read(
        self,
        raw: bytes,
        *,
        envelope_from: str = "",
        own_authserv_ids: Collection[str] = (),
        tell_judge: Callable[[MailFacts], object] = lambda facts: None,
    ) -> MailFacts:
        """As ``read_mail``; a child that died over the mail gives the problem ``parser_killed``.

        ``tell_judge`` gets the facts and answers what the judge is to know besides.  A judge that
        fails, or over whom the child dies, has said nothing: ``judged`` is None.  Mail that
        reading alone killed is not judged.

        Raises ``ReaderUnavailable`` where no child can be started.
        """
        self._check_owner()
        if problem := problem_of(raw):
            return unreadable(raw, envelope_from, problem)
        options = {"envelope_from": envelope_from, "own_authserv_ids": list(own_authserv_ids)}
        child, facts = self._free.get(), None
        try:
            child = self._usable(child)
            facts = child.read(options, raw, self._wall_s)
            if self._has_judge:
                facts = replace(facts, judged=child.judge(tell_judge(facts), self._wall_s))
            if child.is_worn or "out_of_memory" in facts.problems:
                child = self._ended(child)
            return facts
        except ChildDied:
            child = self._ended(child)
            return facts or unreadable(raw, envelope_from, "parser_killed")
        finally:
            self._free.put(child)
            if self._is_closed:
                self._end_free()

    def close(self) -> None:
        """Ends all children; a mail that is being read is finished first.  Twice does no harm."""
        self._is_closed = True
        if self._owner == os.getpid():
            self._end_free()
            self._starter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_owner(self) -> None:
        """After a fork the children belong to the other process: begin with new ones."""
        if self._is_closed:
            raise ReaderUnavailable("this reader is closed")
        if self._owner != os.getpid():
            with self._lock:
                if self._owner != os.getpid():
                    self._begin()

    def _usable(self, child: Child | None) -> Child:
        if child is not None and not child.can_go_on:
            child = self._ended(child)
        if child is None:
            try:
                child = self._starter.submit(self._start).result()
            except (OSError, RuntimeError) as error:
                raise ReaderUnavailable(f"no reading process: {error}") from error
        return child

    @staticmethod
    def _ended(child: Child | None) -> None:
        if child is not None:
            child.end()

    def _end_free(self) -> None:
        for _ in range(self._workers):
            try:
                self._ended(self._free.get_nowait())
            except queue.Empty:
                return


def request_head(options: object, raw: bytes) -> bytes:
    """What goes before the raw mail."""
    packed = pickle.dumps(options)
    return REQUEST.pack(len(packed), len(raw)) + packed


def read_judgement(answer: bytes) -> Any:
    """Raises ``ValueError`` or ``TypeError``."""
    judged, failure = json.loads(answer)
    if failure:
        log.error("the judge of mail failed: %r", str(failure))
    return judged


def problem_of(raw: bytes) -> str:
    """Of mail that no child is asked about; "" for all other mail."""
    if len(raw) > LIMITS.raw_bytes:
        return "mail_too_big"
    return "" if raw else "empty"


def unreadable(raw: bytes, envelope_from: str, problem: str) -> MailFacts:
    return MailFacts(
        size_bytes=len(raw),
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        is_readable=False,
        problems=(problem,),
        envelope_from=envelope_from[: LIMITS.header_value_characters],
    )
