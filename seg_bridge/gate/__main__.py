"""``python -m seg_bridge.gate``: settings from the environment, ``ready`` on stdout, SIGTERM ends.

Environment: docs/install.md, or ``seg_bridge/gate/settings.py``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

import uvloop

from incidents.mail.loop_reader import LoopReader
from seg_bridge.gate.engines import make_engines
from seg_bridge.gate.herd import Herd
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.server import FolderTaken, Gate
from seg_bridge.gate.settings import EXIT_BAD_SETTING, GateSettings, settings_or_exit


def main() -> int:
    settings = settings_or_exit(os.environ)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s gate %(levelname)s %(name)s: %(message)s",
    )
    # A line is made for each mail: what no line shows is not looked up for it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # One line a mail from us; the libraries' chatter is for their own developers.
    for name in ("mail.log", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if settings.processes == 1:
        return uvloop.run(serve(settings, say_ready=_say_ready))
    try:
        return Herd(settings, partial(_one_of_many, settings)).run()
    except FolderTaken as error:
        return _refuse(f"BAILEY_GATE_DIR: {error}")
    except OSError as error:
        return _refuse(f"BAILEY_GATE_MILTER={settings.milter} or BAILEY_GATE_DIR: {error}")


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _one_of_many(
    settings: GateSettings, number: int, listener: socket.socket, ready: int, life: int
) -> int:
    def say_ready() -> None:
        os.write(ready, b".")

    return uvloop.run(
        serve(settings, say_ready=say_ready, number=number, listener=listener, life=life)
    )


async def serve(
    settings: GateSettings,
    *,
    say_ready: Callable[[], None],
    number: int = 0,
    listener: socket.socket | None = None,
    life: int | None = None,
) -> int:
    """Runs until SIGTERM or SIGINT, or until ``life`` is closed; returns the exit code."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ended.set)
    if life is not None:
        loop.add_reader(life, ended.set)
    engines = make_engines(settings)
    async with IngestClient(
        url=settings.ingest_url, gate=settings.name, secret=settings.secret
    ) as client:
        # Of all engines only the embedded one looks at more than what is told of a mail.
        reader = LoopReader(judge=engines.judge, is_told_only=engines.isolated is None)
        try:
            gate = Gate(
                settings,
                engines=engines.asked,
                reader=reader,
                client=client,
                number=number,
                listener=listener,
            )
            await gate.start()
        except FolderTaken as error:
            return _refuse(f"BAILEY_GATE_DIR: {error}")
        except ValueError as error:
            return _refuse(str(error))
        except OSError as error:
            return _refuse(f"{_where(settings)} or BAILEY_GATE_DIR: {error}")
        await engines.start()
        gc.collect()
        gc.freeze()  # what is loaded now stays; the collector need not walk through it
        say_ready()
        await ended.wait()
        if life is not None:
            loop.remove_reader(life)
        await gate.stop()
        await engines.close()
        await reader.close()
    return 0


def _where(settings: GateSettings) -> str:
    submission = ""
    if settings.submission is not None:
        host, port = settings.submission
        submission = f", BAILEY_GATE_SUBMISSION={host}:{port}, BAILEY_GATE_CERTIFICATE"
    if settings.milter is not None:
        return f"BAILEY_GATE_MILTER={settings.milter}{submission}"
    host, port = settings.listen
    return f"BAILEY_GATE_LISTEN={host}:{port}{submission}"


def _refuse(text: str) -> int:
    sys.stderr.write(f"bailey gate: {text}\n")
    return EXIT_BAD_SETTING


if __name__ == "__main__":
    sys.exit(main())
