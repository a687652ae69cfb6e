"""``python -m seg_bridge.gate``: settings from the environment, ``ready`` on stdout, SIGTERM ends.

Environment: docs/install.md, or ``seg_bridge/gate/settings.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import uvloop

from incidents.mail.reader import MailReader
from seg_bridge.gate.engines import make_engines
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
    # One line a mail from us; the libraries' chatter is for their own developers.
    for name in ("mail.log", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return uvloop.run(serve(settings))


async def serve(settings: GateSettings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    engines = make_engines(settings)
    async with IngestClient(
        url=settings.ingest_url, gate=settings.name, secret=settings.secret
    ) as client:
        reader = MailReader(judge=engines.judge)
        try:
            gate = Gate(settings, engines=engines.asked, reader=reader, client=client)
            await gate.start()
        except FolderTaken as error:
            return _refuse(f"BAILEY_GATE_DIR: {error}")
        except OSError as error:
            host, port = settings.listen
            return _refuse(f"BAILEY_GATE_LISTEN={host}:{port} or BAILEY_GATE_DIR: {error}")
        await engines.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ended.wait()
        await gate.stop()
        await engines.close()
        reader.close()
    return 0


def _refuse(text: str) -> int:
    sys.stderr.write(f"bailey gate: {text}\n")
    return EXIT_BAD_SETTING


if __name__ == "__main__":
    sys.exit(main())
