"""The process that reads hostile mail: little memory, little time, no secrets, no writing.

Started by ``incidents.mail.reader`` with the number of an inherited socket.  It says ``R`` when it
is ready, then answers one request after the other until the socket closes.
Request: lengths of the two parts that follow (options as JSON, raw mail).  Answer: length, facts.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys

from incidents.mail.read import read_mail
from incidents.mail.wire import pack_facts

REQUEST = struct.Struct(">II")
ANSWER = struct.Struct(">I")
READY = b"R"
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_WARM_UP = (
    b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n"
    b"<p>h\xc3\xa4llo <a href=https://b\xc3\xbccher.example/>x</a></p>"
)


def main(arguments: list[str]) -> None:
    """``arguments``: socket number, process id of the parent, memory in bytes, CPU seconds."""
    socket_number, parent, memory_bytes, cpu_s = map(int, arguments)
    _die_with(parent)
    read_mail(_WARM_UP)  # loads the lists before the limits hold
    _limit_process(memory_bytes)
    with socket.socket(fileno=socket_number) as line:
        line.sendall(READY)
        while (request := _received(line, REQUEST.size)) is not None:
            options_length, raw_length = REQUEST.unpack(request)
            options, raw = _received(line, options_length), _received(line, raw_length)
            if options is None or raw is None:
                return
            _limit_cpu(cpu_s)
            answer = pack_facts(read_mail(raw, **json.loads(options)))
            line.sendall(ANSWER.pack(len(answer)) + answer)


def _die_with(parent: int) -> None:
    """The kernel kills this process when the thread that started it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        sys.exit(1)


def _limit_process(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent


def _limit_cpu(cpu_s: int) -> None:
    """The limit counts the whole life of a process, so it is moved on for each mail."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (used + cpu_s, hard))


def _received(line: socket.socket, length: int) -> bytes | None:
    """Exactly that many bytes; None when the parent has gone."""
    data = bytearray(length)
    view, at = memoryview(data), 0
    while at < length:
        count = line.recv_into(view[at:])
        if not count:
            return None
        at += count
    return bytes(data)


if __name__ == "__main__":
    main(sys.argv[1:])
