"""The process of an isolated engine; started and fed by ``seg_bridge.engines.isolated``.

Scans many mails at once, as the engine itself allows; ends when its input ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import logging
import os
import pickle
import resource
import signal
import sys
from typing import BinaryIO, cast

from seg_bridge.engines import Engine, EngineDidNotAnswer
from seg_bridge.engines.isolated import HEAD, pack_scan

log = logging.getLogger(__name__)

MEMORY_BYTES = 4 * 1024 * 1024 * 1024
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main(arguments: list[str]) -> None:
    """``arguments``: process id of the parent, ``module:callable``, its options as JSON."""
    parent, factory, options = arguments
    _die_with(int(parent))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    # Only answers go to the parent; what a library prints goes to the log.
    answers = cast(BinaryIO, os.fdopen(os.dup(1), "wb", buffering=0))
    os.dup2(2, 1)
    module, _, name = factory.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(**json.loads(options))
    asyncio.run(serve(engine, answers))
    os._exit(0)  # a thread of the engine may still wait for DNS


async def serve(engine: Engine, output: BinaryIO) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    answers, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, output)
    tasks: set[asyncio.Task[None]] = set()
    while True:
        try:
            number, length = HEAD.unpack(await reader.readexactly(HEAD.size))
            body = await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return
        task = loop.create_task(answer(engine, number, body, answers))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def answer(engine: Engine, number: int, body: bytes, answers: asyncio.WriteTransport) -> None:
    raw, facts, envelope = pickle.loads(body)  # noqa: S301 - from our parent alone
    try:
        packed = pack_scan(await engine.scan(raw, facts, envelope))
    except EngineDidNotAnswer as error:
        packed = json.dumps({"error": str(error)}).encode("ascii")
    except Exception as error:  # told to the parent, and in full to our log
        log.exception("the engine failed over a mail")
        packed = json.dumps({"error": repr(error)[:300]}).encode("ascii")
    answers.write(HEAD.pack(number, len(packed)) + packed)


def _die_with(parent: int) -> None:
    """The kernel kills this process when its parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
