"""Forks gates and shippers for the crash tests: with everything imported, one takes milliseconds.

Reads one JSON object a line, ``{"what", "folder", "url", "spec", "ready"}``, and answers the new
process's id.  The child writes its port into the file ``ready`` once it works.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from incidents.mail import read_mail
from seg_bridge.gate import failpoints
from seg_bridge.gate.hop import HopTimeouts
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.server import Gate
from seg_bridge.gate.ship import Shipper
from seg_bridge.gate.spool import SpoolTimes
from tests.seg_bridge.gate.parts import LIMITS, SECRET, PlainReader, SubjectEngine, settings_for


async def gate(order: dict[str, Any]) -> None:
    settings = settings_for(Path(order["folder"]), ingest_url=order["url"])
    if "milter" in order:
        settings = replace(
            settings,
            milter=Path(order["milter"]),
            reinject=tuple(order["reinject"]),
            postfix=Path(order["postfix"]) if "postfix" in order else None,
        )
    running = Gate(
        settings,
        engines=[SubjectEngine()],
        reader=PlainReader(),
        client=IngestClient(url=order["url"], gate="gate1", secret=SECRET),
        limits=LIMITS,
        timeouts=HopTimeouts(connect_s=3.0, command_s=3.0, data_s=3.0, end_of_data_s=3.0),
        spool_times=SpoolTimes(first_retry_s=0.1),
    )
    await running.start()
    say_ready(order, 0 if "milter" in order else running.address[1])
    await asyncio.Event().wait()


async def shipper(order: dict[str, Any]) -> None:
    settings = settings_for(Path(order["folder"]), ingest_url=order["url"])
    running = Shipper(settings, IngestClient(url=order["url"], gate="gate1", secret=SECRET))
    say_ready(order, 0)
    await running.run()


class Telling(failpoints._Armed):
    """Writes down at which failpoint the process died."""

    def __init__(self, wanted: str, told: Path) -> None:
        super().__init__(wanted)
        self.told = told

    @override
    def passes(self, name: str) -> bool:
        is_here = super().passes(name)
        if is_here:
            self.told.write_text(name)
        return is_here


def say_ready(order: dict[str, Any], port: int) -> None:
    scratch = Path(order["ready"] + ".new")
    scratch.write_text(str(port))
    scratch.rename(order["ready"])


def become(order: dict[str, Any]) -> None:
    """Never returns."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)
    failpoints._ARMED = Telling(order["spec"], Path(order["ready"] + ".died"))
    try:
        asyncio.run({"gate": gate, "shipper": shipper}[order["what"]](order))
    finally:
        os._exit(1)


def main() -> None:
    read_mail(b"Subject: warm\r\n\r\nhttps://warm.example/\r\n")  # loads what reading needs
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
