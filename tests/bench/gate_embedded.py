"""What the gate's work costs: reading, scan, decision, journal with fsync, against the same SMTP
front that does nothing but hand the mail to the same next hop.

Gate, front and next hop are processes of their own; the client here keeps eight conversations
open.  Rounds of both alternate, so that what else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from incidents.mail.loop_reader import LoopReader
from seg_bridge.engines.embedded import JUDGE, EmbeddedEngine
from seg_bridge.engines.isolated import IsolatedEngine
from seg_bridge.gate.conversation import FrontParts
from seg_bridge.gate.hop import OutgoingMail
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.known import Known
from seg_bridge.gate.limits import FrontLimits
from seg_bridge.gate.policy import sign_snapshot
from seg_bridge.gate.records import Transaction
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.server import Gate
from seg_bridge.gate.session import GateSession
from seg_bridge.gate.ways import Way
from tests.bench import Measurement
from tests.bench.mail_reading import mails
from tests.seg_bridge.gate.parts import (
    SECRET,
    Sink,
    SmtpClient,
    settings_for,
    snapshot_of,
    tenant,
)

MAILS = 300
ROUNDS = 3
CONVERSATIONS = 8
SENDER = "ann@sender.example"
RECIPIENT = "info@acme.example"
LIMITS = FrontLimits(greet_wait_s=0.01)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Of one round: mails a second, and CPU milliseconds a mail of the server and its children."""

    rate: float
    cpu_ms: float


async def next_hop(_: str, ready: Connection) -> None:
    async with Sink() as sink:
        ready.send(sink.port)
        while True:
            await asyncio.sleep(1)
            sink.mails.clear()


async def idle_front(hop: str, ready: Connection) -> None:
    """The same conversations and the same relay, and nothing between them."""
    relay = Relay(helo="gate1.example")

    async def receive(raw: bytes, transaction: Transaction) -> str:
        mail = OutgoingMail(mail_from=SENDER, recipients=(RECIPIENT,), data=raw)
        answers = await relay.send(Way.of(hop), mail)
        return "250 Ok" if answers[RECIPIENT].state == "accepted" else "451 not taken"

    async def not_heard(*_: object) -> None:
        """Nothing is kept here."""

    policy = snapshot_of(tenant("acme", 1, hop))
    parts = FrontParts(
        hostname="gate1.example",
        receive=receive,
        not_heard=not_heard,
        latest=lambda: policy,
        limits=LIMITS,
        known=Known(relay),
    )
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: GateSession(parts, loop), "127.0.0.1", 0)
    ready.send(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


def offline_engine() -> EmbeddedEngine:
    """No name has records: SPF, DKIM and DMARC are looked for, without a network."""
    return EmbeddedEngine(lookup=lambda name, kind: ())


async def whole_gate(hop: str, ready: Connection) -> None:
    with tempfile.TemporaryDirectory(prefix="bailey-bench-") as folder:
        engine = IsolatedEngine("embedded", "tests.bench.gate_embedded:offline_engine", {})
        client = IngestClient(url="http://127.0.0.1:9", gate="gate1", secret=SECRET)
        gate = Gate(
            settings_for(Path(folder)),
            engines=[engine],
            reader=LoopReader(judge=JUDGE),
            client=client,
            limits=LIMITS,
        )
        gate.keeper.replace(sign_snapshot(snapshot_of(tenant("acme", 1, hop)).as_json(), SECRET))
        await gate.start()
        ready.send(gate.address[1])
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        await gate.stop()
        await engine.close()


Serve = Callable[[str, Connection], Coroutine[Any, Any, None]]


def _run(serve: Serve, hop: str, ready: Connection) -> None:
    uvloop.run(serve(hop, ready))


@contextmanager
def running(serve: Serve, hop: str = "") -> Iterator[tuple[int, int]]:
    """Yields process id and port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(serve, hop, theirs))
    process.start()
    try:
        assert ours.poll(60), "the server did not start"
        yield process.pid or 0, ours.recv()
    finally:
        process.terminate()
        process.join(30)


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and its children, also of those that have ended."""
    # Children first: one that ends meanwhile is then told by its parent.
    spent = 0.0
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent += sum(cpu_s(int(child)) for child in children.read_text().split())
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return spent
    return spent + sum(map(int, fields[11:15])) / _TICKS


async def send_all(port: int, raws: list[bytes]) -> None:
    waiting = iter(raws)

    async def converse() -> None:
        client = await SmtpClient.connect("127.0.0.1", port)
        for raw in waiting:
            reply = await client.send(raw, RECIPIENT, sender=SENDER)
            assert reply.startswith("250"), reply
        client.close()

    await asyncio.gather(*(converse() for _ in range(CONVERSATIONS)))


def spend(pid: int, port: int, raws: list[bytes]) -> Spent:
    cpu_before, started = cpu_s(pid), time.perf_counter()
    uvloop.run(send_all(port, raws))
    wall_s = time.perf_counter() - started
    return Spent(len(raws) / wall_s, (cpu_s(pid) - cpu_before) * 1000 / len(raws))


def measure() -> list[Measurement]:
    raws, kind = mails()
    raws = [raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for raw in raws[:MAILS]]
    size_kb = sum(map(len, raws)) / len(raws) / 1000
    idle: list[Spent] = []
    busy: list[Spent] = []
    with running(next_hop) as (_, hop_port):
        hop = f"127.0.0.1:{hop_port}"
        with running(idle_front, hop) as front, running(whole_gate, hop) as gate:
            for server in (front, gate):  # children start and caches fill outside the count
                spend(*server, raws[:20])
            for _ in range(ROUNDS):
                idle.append(spend(*front, raws))
                busy.append(spend(*gate, raws))
    rate, idle_rate = median(each.rate for each in busy), median(each.rate for each in idle)
    cpu, idle_cpu = median(each.cpu_ms for each in busy), median(each.cpu_ms for each in idle)
    ratio = median(one.rate / other.rate for one, other in zip(busy, idle, strict=True))
    against = f"the same front relaying to the same hop, unscanned and without journal; {kind}"
    return [
        Measurement(
            name="gate_embedded",
            value=rate,
            unit="mails/s",
            against=f"{idle_rate:.0f} mails/s: {against}, {size_kb:.0f} kB on average",
        ),
        Measurement(
            name="gate_embedded_ratio",
            value=ratio,
            unit="of the rate",
            against=against,
        ),
        Measurement(
            name="gate_embedded_cpu",
            value=cpu,
            unit="ms CPU a mail",
            against=f"{idle_cpu:.2f} ms: {against}",
        ),
    ]


MEASURES = {"gate_embedded": measure}
