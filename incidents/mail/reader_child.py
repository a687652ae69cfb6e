"""The process that reads hostile mail: little memory, little time, no secrets, no writing.

Started by ``incidents.mail.reader`` with the number of an inherited socket.  It says ``R`` when it
is ready, then answers one request after the other until the socket closes.
Request to read: lengths of the two parts that follow (options, raw mail).  Answer: length, facts;
without the mail's content where the option ``is_told_only`` is set.
Request to judge the mail that was just read: the same without raw.  Answer: length, JSON of what
the judge says, or of null and why it failed.  Options are pickled, because the parent is trusted;
answers are not, because a process that has read hostile mail is not.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from incidents.mail.facts import MailFacts
from incidents.mail.read import read_mail
from incidents.mail.wire import pack_facts, pack_told

REQUEST = struct.Struct(">II")
ANSWER = struct.Struct(">I")
READY = b"R"
_READ_BYTES = 128 * 1024
_TRACEBACK_CHARACTERS = 4_000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_WARM_UP = (
    b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n"
    b"<p>h\xc3\xa4llo <a href=https://b\xc3\xbccher.example/>x</a></p>"
)


Judge = Callable[[bytes, MailFacts, Any], Any]
"""Takes raw mail, its facts and what its caller knows besides (None: nothing); answers what JSON
can carry, and not None."""


def main(arguments: list[str]) -> None:
    """``arguments``: socket number, process id of the parent, memory in bytes beyond what the
    process has when it is ready, CPU seconds for each request, ``module:function`` of a ``Judge``
    or "".
    """
    socket_number, parent, memory_bytes, cpu_s = map(int, arguments[:4])
    _die_with(parent)
    judge = _found(arguments[4])
    judge(_WARM_UP, read_mail(_WARM_UP), None)  # loads all lists before the limits hold
    gc.collect()
    gc.freeze()  # the collector need not walk through modules and lists with every few mails
    _limit_process(memory_bytes)
    with socket.socket(fileno=socket_number) as line:
        line.sendall(READY)
        raw, facts = _WARM_UP, read_mail(_WARM_UP)
        inbox = _Inbox(line)
        while (request := inbox.take(REQUEST.size)) is not None:
            options_length, raw_length = REQUEST.unpack(request)
            packed, sent = inbox.take(options_length), inbox.take(raw_length)
            if packed is None or sent is None:
                return
            _limit_cpu(cpu_s)
            options = pickle.loads(packed)  # noqa: S301  from the parent, which is trusted
            if raw_length:
                pack = pack_told if options.pop("is_told_only", False) else pack_facts
                raw, facts = sent, read_mail(sent, **options)
                answer = pack(facts)
            else:
                answer = _judged(judge, raw, facts, options)
            line.sendall(ANSWER.pack(len(answer)) + answer)


def _found(name: str) -> Judge:
    if not name:
        return lambda raw, facts, options: ""
    module, _, function = name.partition(":")
    found: Judge = getattr(importlib.import_module(module), function)
    return found


def _judged(judge: Judge, raw: bytes, facts: MailFacts, options: object) -> bytes:
    """A defect of ours costs one answer.  ``MemoryError`` ends this process."""
    try:
        return json.dumps([judge(raw, facts, options), ""]).encode()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  told to the parent, which writes the log
        return json.dumps([None, traceback.format_exc()[-_TRACEBACK_CHARACTERS:]]).encode()


def _die_with(parent: int) -> None:
    """The kernel kills this process when the thread that started it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        sys.exit(1)


def _limit_process(memory_bytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent


def _limit_cpu(cpu_s: int) -> None:
    """The limit counts the whole life of a process, so it is moved on for each mail."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (used + cpu_s, hard))


class _Inbox:
    """What the parent sends, taken from the socket in as few pieces as it comes in."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._data = b""

    def take(self, length: int) -> bytes | None:
        """Exactly that many bytes; None when the parent has gone."""
        pieces, missing = [self._data], length - len(self._data)
        while missing > 0:
            piece = self._line.recv(_READ_BYTES)
            if not piece:
                return None
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces) if len(pieces) > 1 else self._data
        self._data = data[length:]
        return data[:length]


if __name__ == "__main__":
    main(sys.argv[1:])
