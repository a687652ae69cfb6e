"""What our gate costs in a full gateway, against Postfix with Rspamd's own milter.

One run, the same mails, 16 sessions, three Postfixes that all send on to one sink:

(a)  without a milter;
(b)  with Rspamd's milter, its proxy worker that scans by itself;
(c)  with our gate in two processes, as the launcher starts it, and Rspamd as its only engine.

(b) and (c) ask the same Rspamd, with the same rules, as many workers, the same resolver (no name
has records) and a UNIX socket to the milter.  All mail is delivered on all sides: our policy does
so for every verdict, and Rspamd is not to reject.  What differs: only our gate names the client to
Rspamd, so that Bayes (which has learned nothing) is asked, and only our gate writes a journal.  Its
shipper does not run: there is no console.

Rounds of the three alternate.  A round ends when Postfix's queue is empty.  CPU is that of all
processes of a side, /proc's user and system time: Postfix, Rspamd, its store, our gate, and the
gate's children that read the mail.

The same once more with hostile mail: what it costs to read what is made to be costly.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import uvloop

from console.gateway_parts import PartMissing
from console.gateway_parts.rspamd import WORKERS
from console.launch.ports import free_port
from console.launch.probes import says_ready
from console.launch.process import Command, DidNotStart, Process, start_ready
from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.files import make_folder
from seg_bridge.gate.maps import PostfixMaps
from seg_bridge.gate.policy import PolicySnapshot, sign_snapshot
from seg_bridge.gate.snapshots import SnapshotKeeper
from tests.bench import Measurement, NotMeasured
from tests.bench.gate_embedded import cpu_s, next_hop, running
from tests.bench.mail_reading import mails
from tests.gateway_host import PostfixHost
from tests.hostile.generate import hostile_mails
from tests.real_engines import RealRspamd, run_rspamd
from tests.seg_bridge.engines.dns import dns_server
from tests.seg_bridge.gate.parts import SECRET, SmtpClient, snapshot_of, tenant

MAILS = 200
ROUNDS = 5
SESSIONS = 16
GATE_PROCESSES = 2  # as console/launch/plan.py starts them
GOAL_RATE = 0.95
GOAL_CPU = 1.12
DRAINED_WITHIN_S = 120.0
READY_WITHIN_S = 60.0
PATIENCE_S = 120.0
LARGEST_BYTES = 1_000_000
SENDER = "ann@sender.example"
RECIPIENT = "info@acme.example"
CLIENT = "XCLIENT ADDR=192.0.2.10 NAME=mail.sender.example HELO=mail.sender.example"
SMTP_SINK = Path("/usr/sbin/smtp-sink")
ROOT = Path(__file__).resolve().parents[2]

READING = "its reading"

PROXY = """\
enabled = true;
bind_socket = "{socket} mode=0666";
milter = yes;
timeout = 120s;
count = {workers};
upstream "local" {{ default = yes; self_scan = yes; }}
"""
# Rspamd's milter is to let all mail through, as our policy does here.
ACTIONS = "greylist = null;\nreject = null;\n"


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one round: mails a second, and CPU milliseconds a mail by component."""

    rate: float
    cpu_ms: Mapping[str, float]

    @property
    def all_cpu_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass(slots=True)
class Side:
    """One way of the mail.  ``pids``: component → its first process; the rest are its children."""

    host: PostfixHost
    pids: Mapping[str, int]
    rounds: list[Spent] = field(default_factory=list)

    def spend(self, raws: list[bytes]) -> dict[int, str]:
        """One round; by number the mails that were not taken, and the reply."""
        before, started = self._cpu_s(), time.perf_counter()
        refused = uvloop.run(send_all(self.host.port, raws))
        self._wait_until_drained()
        wall_s = time.perf_counter() - started
        after = self._cpu_s()
        cpu_ms = {name: (after[name] - before[name]) * 1000 / len(raws) for name in after}
        self.rounds.append(Spent(len(raws) / wall_s, cpu_ms))
        return refused

    def wait_until_ready(self, raw: bytes) -> None:
        """Until the gate has its policy Postfix puts all off."""
        give_up_at = time.monotonic() + READY_WITHIN_S
        while refused := uvloop.run(send_all(self.host.port, [raw])):
            if time.monotonic() > give_up_at:
                raise NotMeasured(f"Postfix takes no mail: {refused[0]}")
            time.sleep(0.2)
        self._wait_until_drained()

    def _cpu_s(self) -> dict[str, float]:
        spent = {name: cpu_s(pid) for name, pid in self.pids.items()}
        if "gate" in spent:
            spent[READING] = sum(map(cpu_s, reading_children(self.pids["gate"])))
            spent["gate"] -= spent[READING]
        return spent

    def _wait_until_drained(self) -> None:
        give_up_at = time.monotonic() + DRAINED_WITHIN_S
        # In this order: a mail goes from the first to the second, never back without a pause.
        while any(self._queued(name) for name in ("incoming", "active")):
            if time.monotonic() > give_up_at:
                raise NotMeasured(f"the queue is not empty after {DRAINED_WITHIN_S:.0f} s")
            time.sleep(0.01)
        if self._queued("deferred"):
            raise NotMeasured("the sink did not take a mail, so it is in the queue for later")

    def _queued(self, name: str) -> bool:
        return any(path.is_file() for path in (self.host.folder / "queue" / name).rglob("*"))


def reading_children(gate: int) -> Iterator[int]:
    """The processes under the gate that read mail (``incidents.mail.reader_child``)."""
    for children in Path(f"/proc/{gate}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            if b"incidents.mail.reader_child" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield child
            else:
                yield from reading_children(child)


async def send_all(port: int, raws: list[bytes]) -> dict[int, str]:
    """Over ``SESSIONS`` sessions at once, a connection for each mail; the replies that are not 250,
    by the mail's number.
    """
    waiting = iter(enumerate(raws))
    refused: dict[int, str] = {}

    async def converse() -> None:
        for number, raw in waiting:
            client = await SmtpClient.connect("127.0.0.1", port)
            client.patience_s = PATIENCE_S
            await client.command("EHLO mail.sender.example")
            await client.command(CLIENT)
            reply = await client.send(raw, RECIPIENT, sender=SENDER)
            if reply.startswith("250"):
                await client.command("QUIT")
            else:
                refused[number] = reply
            client.close()

    await asyncio.gather(*(converse() for _ in range(SESSIONS)))
    return refused


# What stands around the sides


async def no_names(_: str, ready: Connection) -> None:
    """A resolver in which no name has records."""
    with dns_server({}, asked=[]) as address:
        ready.send(address[1])
        await asyncio.Event().wait()


@contextmanager
def sink() -> Iterator[int]:
    """The clients' mail host; its port.  Postfix's own where it is, else one of the tests'."""
    if not SMTP_SINK.exists():
        with running(next_hop) as (_, port):
            yield port
        return
    port = free_port()
    account = ("-u", "nobody") if os.geteuid() == 0 else ()
    process = subprocess.Popen((SMTP_SINK, *account, f"127.0.0.1:{port}", "1000"))
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def rspamd_with_milter(dns: tuple[str, int], socket: Path) -> Iterator[RealRspamd]:
    own = {
        "override.d/worker-proxy.inc": PROXY.format(socket=socket, workers=WORKERS),
        "local.d/actions.conf": ACTIONS,
    }
    with run_rspamd(dns=dns, own=own) as rspamd:
        yield rspamd


def policy(sink_port: int) -> PolicySnapshot:
    """One client, all of whose mail is delivered whatever the verdict; *not scanned* is put off."""
    acme = tenant("acme", 1, f"127.0.0.1:{sink_port}")
    delivered = replace(acme, matrix=dict.fromkeys(Verdict, MatrixAction.DELIVER))
    snapshot: PolicySnapshot = snapshot_of(delivered)
    return snapshot


@contextmanager
def postfix(milter: str) -> Iterator[PostfixHost]:
    host = PostfixHost()
    try:
        host.start(own=f"smtpd_milters = {milter}\n")
        yield host
    finally:
        host.remove()


@contextmanager
def gate(
    host: PostfixHost, rspamd: RealRspamd, dns: tuple[str, int], snapshot: PolicySnapshot
) -> Iterator[Process]:
    folder = host.root / "journals"
    make_folder(folder)
    keeper = SnapshotKeeper(folder / "snapshot.json", gate=snapshot.gate, secret=SECRET)
    keeper.replace(sign_snapshot(snapshot.as_json(), SECRET))
    env = {
        "BAILEY_GATE_NAME": snapshot.gate,
        "BAILEY_GATE_SECRET": SECRET.hex(),
        "BAILEY_GATE_DIR": str(folder),
        "BAILEY_GATE_HOSTNAME": host.settings.hostname,
        "BAILEY_GATE_ENGINES": "rspamd",
        "BAILEY_GATE_PROCESSES": str(GATE_PROCESSES),
        "BAILEY_GATE_MILTER": str(host.socket),
        "BAILEY_GATE_REINJECT": f"127.0.0.1:{host.reinject[1]}",
        "BAILEY_GATE_POSTFIX": str(host.folder),
        "BAILEY_INGEST_URL": "http://127.0.0.1:9",
        "BAILEY_DNS": f"{dns[0]}:{dns[1]}",
        **{name: value for name, value in rspamd.plan.gate.items() if name.endswith("_SCAN")},
    }
    command = Command(
        name="gate",
        argv=(sys.executable, "-m", "seg_bridge.gate"),
        env=os.environ | env | {"PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        log=host.root / "gate.log",
    )
    process = start_ready(command, says_ready)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def three_sides() -> Iterator[dict[str, Side]]:
    """(a), (b) and (c), ready.  Raises ``PartMissing`` or ``DidNotStart``."""
    with ExitStack() as stack:
        _, dns_port = stack.enter_context(running(no_names))
        dns = ("127.0.0.1", dns_port)
        snapshot = policy(stack.enter_context(sink()))
        # Rspamd runs under an account of its own, and so does the smtpd that asks it.
        folder = Path(tempfile.mkdtemp(prefix="bailey-milter-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        rspamd = stack.enter_context(rspamd_with_milter(dns, folder / "milter.sock"))
        plain = stack.enter_context(postfix(""))
        theirs = stack.enter_context(postfix(f"unix:{folder / 'milter.sock'}"))
        ours = PostfixHost()
        stack.callback(ours.remove)
        ours.start(own="")
        our_gate = stack.enter_context(gate(ours, rspamd, dns, snapshot))
        for host in (plain, theirs):
            asyncio.run(PostfixMaps(host.folder).follow(snapshot))
        scanner = {"Rspamd": rspamd.process.pid, "its store": rspamd.store.pid}
        yield {
            "a": Side(plain, {"Postfix": plain.pid}),
            "b": Side(theirs, {"Postfix": theirs.pid, **scanner}),
            "c": Side(ours, {"Postfix": ours.pid, **scanner, "gate": our_gate.pid}),
        }


# The figures


def with_line_ends(raws: list[bytes], kind: str) -> tuple[list[bytes], str]:
    """As they go over the wire, without the largest; ``MAILS`` of them."""
    whole = [raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for raw in raws]
    return [raw for raw in whole if len(raw) <= LARGEST_BYTES][:MAILS], kind


def taken_everywhere(sides: Mapping[str, Side], raws: list[bytes]) -> list[bytes]:
    """A round that does not count: caches fill, and what a side refuses for good is left out."""
    refused: dict[int, str] = {}
    for side in sides.values():
        side.wait_until_ready(raws[0])
        refused |= side.spend(raws)
        side.rounds.clear()
    for reply in refused.values():
        if not reply.startswith("5"):
            raise NotMeasured(f"a mail was put off: {reply}")
    return [raw for number, raw in enumerate(raws) if number not in refused]


def run_rounds(raws: list[bytes]) -> tuple[dict[str, list[Spent]], list[bytes]]:
    """By side, and the mails that each side took.  Raises ``NotMeasured``."""
    try:
        with three_sides() as sides:
            raws = taken_everywhere(sides, raws)
            for _ in range(ROUNDS):
                for name, side in sides.items():
                    if refused := side.spend(raws):
                        raise NotMeasured(f"({name}) did not take a mail: {refused}")
            return {name: side.rounds for name, side in sides.items()}, raws
    except PartMissing as missing:
        raise NotMeasured(f"Postfix and Rspamd are needed: {missing}") from missing
    except DidNotStart as error:
        raise NotMeasured(str(error)) from error


def parts_in_words(rounds: list[Spent]) -> str:
    """Like ``15.8 ms (Postfix 3.7, Rspamd 11.5, its store 0.6)``, each the median of the rounds."""
    names = rounds[0].cpu_ms
    medians = {name: median(each.cpu_ms[name] for each in rounds) for name in names}
    whole = median(each.all_cpu_ms for each in rounds)
    parts = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
    return f"{whole:.1f} ms ({parts})"


def measure() -> list[Measurement]:
    return measure_with(*with_line_ends(*mails()), name="milter_against_rspamd")


def measure_hostile() -> list[Measurement]:
    """Without a goal: such mail comes seldom, and what it costs there is bounded for each mail."""
    raws = [mail.raw for mail in hostile_mails(20, MAILS)]
    rows = measure_with(*with_line_ends(raws, "generated hostile mail"), name="milter_hostile")
    return [replace(row, goal="", met=None) for row in rows]


def measure_with(raws: list[bytes], kind: str, *, name: str) -> list[Measurement]:
    spent, taken = run_rounds(raws)
    size_kb = sum(map(len, taken)) / len(taken) / 1000
    rates = {name: median(each.rate for each in rounds) for name, rounds in spent.items()}
    pairs = list(zip(spent["c"], spent["b"], strict=True))
    rate = median(ours.rate / theirs.rate for ours, theirs in pairs)
    cpu = median(ours.all_cpu_ms / theirs.all_cpu_ms for ours, theirs in pairs)
    what = (
        f"{kind}, {len(taken)} of {len(raws)} mails taken by all, {size_kb:.0f} kB on average, "
        f"{SESSIONS} sessions, {len(pairs)} rounds"
    )
    return [
        Measurement(
            name=name,
            value=rate,
            unit="of the rate",
            against=f"Postfix with Rspamd's own milter: {rates['c']:.0f} of {rates['b']:.0f} "
            f"mails/s; Postfix without a milter {rates['a']:.0f}; {what}",
            goal=f"≥ {GOAL_RATE}",
            met=rate >= GOAL_RATE,
        ),
        Measurement(
            name=f"{name}_cpu",
            value=cpu,
            unit="of the CPU a mail",
            against=f"Postfix with Rspamd's own milter: {parts_in_words(spent['c'])} of "
            f"{parts_in_words(spent['b'])}; Postfix without a milter {parts_in_words(spent['a'])}",
            goal=f"≤ {GOAL_CPU}",
            met=cpu <= GOAL_CPU,
        ),
    ]


MEASURES = {"milter_against_rspamd": measure, "milter_hostile": measure_hostile}
