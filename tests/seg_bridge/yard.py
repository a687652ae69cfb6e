"""A gate, its shipper and ingest as processes of their own, for tests from SMTP to rows."""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from django.db import connection

from console.launch.ports import free_port
from console.launch.process import Command, Process, start_ready
from incidents.layers import gateway_layer
from incidents.models import Observation
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.seg_bridge.conftest import Mx
from tests.seg_bridge.gate.parts import Sink

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


class SinkThread:
    """The clients' mail host: takes all mail, in an event loop of its own."""

    def __init__(self) -> None:
        self.sink = Sink()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Sink:
        self._thread.start()
        self._run(self.sink.__aenter__())
        return self.sink

    def __exit__(self, *_: object) -> None:
        self._run(self.sink.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class EmptyDns:
    """A resolver that knows no name, so that the test asks nobody outside."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            question, asker = self._socket.recvfrom(4096)
            if not question:
                return
            header = question[:2] + b"\x81\x83" + question[4:6] + bytes(6)
            name_end = question.index(0, 12) + 5
            self._socket.sendto(header + question[12:name_end], asker)

    def __enter__(self) -> str:
        self._thread.start()
        return self.address

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@dataclass
class Yard:
    cast: Cast
    mx: Mx
    sink: Sink
    smtp_port: int
    ingest_port: int
    running: list[Process]  # ingest first

    def kill_ingest(self) -> None:
        """Without a word, in the middle of whatever it does; and start it again."""
        os.kill(self.running[0].pid, signal.SIGKILL)
        self.running[0].end(5.0)
        self.running[0] = start_ready(self.running[0].command, is_listening(self.ingest_port))

    def send(self, sender: str, *, subject: str = "Hello", to: str = "info@acme.example") -> None:
        """Raises what smtplib raises for anything but 250."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
        mail["Message-ID"] = f"<{time.time_ns()}@{sender.rpartition('@')[2]}>"
        mail.set_content(f"About {subject}: see you on Thursday.\n")
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as smtp:
            smtp.send_message(mail, sender, [to])

    def is_taken(self, sender: str) -> bool:
        """False: come again later.  Any other refusal raises."""
        try:
            self.send(sender)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            codes = (
                [error.smtp_code]
                if isinstance(error, smtplib.SMTPResponseException)
                else [code for code, _ in error.recipients.values()]
            )
            if any(not 400 <= code < 500 for code in codes):
                raise
            return False
        return True

    def analyst(self):
        return tenant_scope(Role.ANALYST, [self.cast.acme.id], provider_id=self.cast.provider.id)

    def block(self, sender: str) -> None:
        with self.analyst():
            gateway_layer().block_sender(
                tenant_id=self.cast.acme.id,
                sender=sender,
                reason="seen in an incident",
                owner_id=self.cast.ana.id,
                owner_name="Ana",
                expires_at=None,
                incident_id=None,
            )

    def observation(self, **wanted: Any) -> Observation | None:
        with self.analyst():
            return Observation.objects.filter(**wanted).order_by("observed_at").last()

    def until_held(self, sender: str) -> None:
        """Send until the gate holds it: what is relayed reaches the sink before the 250."""

        def is_held() -> bool:
            before = len(self.sink.mails)
            self.send(sender, subject="once more")
            return len(self.sink.mails) == before

        wait_for(is_held, "the gate to hold mail of a blocked sender")


def wait_for(is_so: Callable[[], Any], what: str, *, within_s: float = PATIENCE_S) -> Any:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        found = is_so()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {within_s} s for {what}")


def python(name: str, *arguments: str, folder: Path, env: dict[str, str]) -> Command:
    return Command(
        name=name,
        argv=(sys.executable, *arguments),
        env=os.environ | env | {"PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        log=folder / f"{name}.log",
    )


def says_ready(process: Process) -> bool:
    return "ready" in process.log_since_start().splitlines()


def is_listening(port: int) -> Callable[[Process], bool]:
    def answers(_: Process) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return answers


def worker_url() -> str:
    """The worker's own login, on the database of this test."""
    address = os.environ["DATABASE_URL_WORKER"].rpartition("/")[0]
    return f"{address}/{connection.settings_dict['NAME']}"


@contextmanager
def processes(
    folder: Path, mx: Mx, *, dns: str, smtp_port: int, more: dict[str, str] | None = None
) -> Iterator[tuple[int, list[Process]]]:
    """Ingest, gate and shipper, in this order; yields ingest's port and the three.

    ``more`` are further variables of the gate.
    """
    ingest_port = free_port()
    django = {"BAILEY_SURFACE": "ingest", "DATABASE_URL_WORKER": worker_url()}
    gate = {
        "BAILEY_GATE_NAME": mx.name,
        "BAILEY_GATE_SECRET": mx.secret.hex(),
        "BAILEY_GATE_DIR": str(folder / "gate"),
        "BAILEY_GATE_LISTEN": f"127.0.0.1:{smtp_port}",
        "BAILEY_GATE_HOSTNAME": "mx1.keep.example",
        "BAILEY_INGEST_URL": f"http://127.0.0.1:{ingest_port}",
        "BAILEY_DNS": dns,
        **(more or {}),
    }
    uvicorn = ("-m", "uvicorn", "console.asgi:application", "--lifespan", "off")
    running: list[Process] = []
    try:
        ingest = python("ingest", *uvicorn, "--port", str(ingest_port), folder=folder, env=django)
        running.append(start_ready(ingest, is_listening(ingest_port)))
        for name, module in (("gate", "seg_bridge.gate"), ("ship", "seg_bridge.gate.ship")):
            command = python(name, "-m", module, folder=folder, env=gate)
            running.append(start_ready(command, says_ready))
        yield ingest_port, running
    finally:
        for process in reversed(running):
            process.stop()
