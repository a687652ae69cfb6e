"""Gate and shipper between a next hop and an ingest, killed and started while mail flows.

*Acked* means: the client saw our 250.  A mail whose 250 never reached the client may be repeated
by it, and then be there twice: such mails are counted apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from incidents.mail.headers import header_values
from seg_bridge.gate.journal import read_all
from seg_bridge.gate.policy import sign_snapshot
from seg_bridge.gate.records import observations
from seg_bridge.gate.recovery import read_leftovers
from tests.seg_bridge.gate.parts import (
    SECRET,
    Sink,
    SmtpClient,
    mail_bytes,
    snapshot_of,
    tenant,
)
from tests.seg_bridge.gate.processes import HttpIngest, Running, Zygote, memory_folder

INFO, CEO = "info@acme.example", "ceo@acme.example"


class World:
    """A next hop, an ingest, and a gate and a shipper that come and go."""

    def __init__(self, folder: Path, sink: Sink, web: HttpIngest, zygote: Zygote) -> None:
        self.folder, self.sink, self.web, self.zygote = folder, sink, web, zygote
        self.ingest = web.ingest
        policy = snapshot_of(tenant("acme", 1, sink.hop))
        self.ingest.snapshot = sign_snapshot(policy.as_json(), SECRET)
        self.gate: Running | None = None
        self.shipper: Running | None = None
        self.tries: Counter[str] = Counter()
        self.acked: dict[str, tuple[str, ...]] = {}

    async def start_gate(self, spec: str = "") -> None:
        arguments = ("gate", self.folder, self.web.url, spec)
        self.gate = await asyncio.to_thread(self.zygote.start, *arguments)

    async def start_shipper(self, spec: str = "") -> None:
        arguments = ("shipper", self.folder, self.web.url, spec)
        self.shipper = await asyncio.to_thread(self.zygote.start, *arguments)

    def stop(self) -> None:
        for running in (self.gate, self.shipper):
            if running is not None:
                running.kill()

    async def send(self, subject: str, *recipients: str) -> str:
        """Our client's one try; what was acked is remembered."""
        if self.gate is None or not self.gate.is_alive():
            return ""
        self.tries[subject] += 1
        try:
            client = await SmtpClient.connect("127.0.0.1", self.gate.port)
        except (ConnectionError, TimeoutError):
            return ""
        try:
            reply = await client.send(mail_bytes(subject), *(recipients or (INFO,)))
        except (ConnectionError, TimeoutError):
            return ""
        finally:
            client.close()
        if reply.startswith("250"):
            assert subject not in self.acked
            self.acked[subject] = recipients or (INFO,)
        return reply

    def delivered(self) -> Counter[tuple[str, str]]:
        return Counter(
            (header_values(mail.data, "Subject")[0], recipient)
            for mail in self.sink.mails
            for recipient in mail.recipients
        )

    def held(self) -> set[tuple[str, str]]:
        """Copies with an observation that says held, whose bytes are really there."""
        journal = [
            each for record in read_all(self.folder / "journal") for each in observations(record)
        ]
        found = set()
        for seen in [*journal, *self.ingest.observations.values()]:
            if seen["action"] == "held" and seen["mail"]:
                assert self._has_bytes(seen["trace_ulid"], seen["evidence"])
                found.add((seen["mail"]["subject"], seen["recipient"]))
        return found

    def _has_bytes(self, ulid: str, sha256: str) -> bool:
        is_here = any((self.folder / "originals").glob(f"1/{ulid}.*"))
        return is_here or ("1", sha256) in self.ingest.evidence

    def check_nothing_lost(self) -> None:
        delivered, held = self.delivered(), self.held()
        for subject, recipients in self.acked.items():
            for recipient in recipients:
                copy = (subject, recipient)
                assert delivered[copy] or copy in held, f"{copy} was acked and is lost"

    def doubled(self) -> list[tuple[str, str]]:
        """Acked copies there twice although the client needed one try.

        A copy that the gate delivers later from its spool is left out: between the next hop's 250
        and our record of it SMTP knows only *again* or *never*, and we choose again.
        """
        return [
            (subject, recipient)
            for (subject, recipient), count in self.delivered().items()
            if count > 1 and self.tries[subject] == 1 and recipient != CEO
        ]


@contextlib.asynccontextmanager
async def open_world(zygote: Zygote) -> AsyncIterator[World]:
    """An empty world, all stopped at its end."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, HttpIngest() as web:
        async with Sink() as sink:
            world = World(Path(folder) / "gate", sink, web, zygote)
            try:
                yield world
            finally:
                await asyncio.to_thread(world.stop)


async def until(
    condition: Callable[[], bool], seconds: float = 15.0, *, pause_s: float = 0.02
) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(pause_s)
    return True


async def kill_in_mail(
    world: World,
    *,
    rounds: int,
    chance: random.Random,
    pause_s: tuple[float, float] = (0.05, 0.35),
) -> Counter[str]:
    """Kills by name, all mail accounted for; ``pause_s``: shortest and longest before each.

    Raises ``AssertionError`` where it is not.
    """
    await world.start_gate()
    await world.start_shipper()
    stop = asyncio.Event()
    numbers = itertools.count()
    senders = [asyncio.create_task(keep_sending(world, numbers, stop)) for _ in range(4)]
    assert await until(lambda: len(world.acked) > 5)
    try:
        kills = await kill_again_and_again(world, rounds, chance, pause_s)
    finally:
        stop.set()
        await asyncio.gather(*senders)
    await check_loop(world)
    return kills


async def keep_sending(world: World, numbers: Iterator[int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        number = next(numbers)
        subject = f"phish 9 {number}" if number % 5 == 0 else f"mail {number}"
        while subject not in world.acked and not stop.is_set():
            if not (await world.send(subject)).startswith("250"):
                await asyncio.sleep(0.03)


async def kill_again_and_again(
    world: World, rounds: int, chance: random.Random, pause_s: tuple[float, float]
) -> Counter[str]:
    """Kills by name: the gate in each round, the shipper in every fifth."""
    kills: Counter[str] = Counter()
    for number in range(rounds):
        await asyncio.sleep(chance.uniform(*pause_s))
        assert world.gate is not None, "the gate died while it started"
        assert world.shipper is not None, "the shipper died while it started"
        await asyncio.to_thread(world.gate.kill)
        kills["gate"] += 1
        await world.start_gate()
        if number % 5 == 0:
            await asyncio.to_thread(world.shipper.kill)
            kills["ship"] += 1
            await world.start_shipper()
    return kills


async def check_loop(world: World) -> None:
    def is_shipped() -> bool:
        here = read_all(world.folder / "journal")
        expected = {each["source_key"] for record in here for each in observations(record)}
        return expected <= {seen["source_key"] for seen in world.ingest.observations.values()}

    # Reading a long journal holds up the ingest, which stands in this process.
    is_whole = await until(is_shipped, 120.0, pause_s=0.5)
    assert is_whole, "what is in the journal was not shipped in time"
    assert len(world.acked) > 100, "there was a load"
    assert max(world.tries.values()) > 1, "some kills hit a mail under way"
    world.check_nothing_lost()
    assert world.doubled() == [], f"doubled: {world.doubled()}"
    begun = read_leftovers(world.folder / "journal").begun
    assert begun == {}, f"begun and never ended: {begun}"
    check_conservation(world)


def check_conservation(world: World) -> None:
    """Every acked mail has an outcome at the other end, and none is left unsettled by accident."""
    by_subject: dict[str, set[str]] = {}
    for seen in world.ingest.observations.values():
        by_subject.setdefault(seen["mail"]["subject"], set()).add(seen["action"])
    for subject in world.acked:
        assert by_subject[subject] & {"delivered", "held"}, subject
