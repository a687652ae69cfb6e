"""Killed at any moment, the gate loses nothing that it has answered for.

*Acked* means: the client saw our 250.  A mail whose 250 never reached the client may be repeated
by it, and then be there twice: such mails are counted apart.
"""

import asyncio
import contextlib
import itertools
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from incidents.mail.headers import header_values
from seg_bridge.gate.failpoints import FAILPOINTS, _Armed
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

pytestmark = pytest.mark.crash

INFO, CEO = "info@acme.example", "ceo@acme.example"
SOURCE = Path(__file__).resolve().parents[3] / "seg_bridge" / "gate"


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


@pytest.fixture(scope="module")
def zygote():
    with Zygote() as running:
        yield running


@pytest.fixture
async def new_world(zygote):
    """``async with new_world()``: an empty world, all stopped at its end."""

    @contextlib.asynccontextmanager
    async def make():
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, HttpIngest() as web:
            async with Sink() as sink:
                world = World(Path(folder) / "gate", sink, web, zygote)
                try:
                    yield world
                finally:
                    await asyncio.to_thread(world.stop)

    return make


async def until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def test_every_failpoint_stands_in_the_code_and_in_the_list():
    code = "".join(path.read_text() for path in SOURCE.glob("*.py"))
    placed = re.findall(r'^\s+failpoint\("([a-z_.]+)"\)', code, re.M)
    assert set(placed) == FAILPOINTS
    assert len(placed) == len(FAILPOINTS), "each name stands at one place"


def test_a_misspelt_failpoint_is_an_error():
    with pytest.raises(ValueError, match="names no failpoint"):
        _Armed("core.after_begin")


def test_every_commit_point_has_a_failpoint():
    """Where bytes become durable or leave us, a failpoint must stand near by."""
    commits = re.compile(r"os\.f(data)?sync|\.rename\(|\.replace\(self|write_synced\(")
    for path in SOURCE.glob("*.py"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if not commits.search(line) or path.name == "files.py" or "def " in line:
                continue
            near = "\n".join(lines[max(0, number - 12) : number + 12])
            is_told = "failpoint(" in near or "# no failpoint:" in near
            assert is_told, f"{path.name}:{number + 1} commits without a failpoint"


async def play(world: World) -> None:
    """One of everything; each step waits for the gate as a patient client would."""
    steps = [("clean", (INFO,)), ("phish 9", (INFO,)), ("two", (INFO, CEO))]
    world.sink.replies[f"RCPT TO:<{CEO}"] = "450 later"
    for subject, recipients in steps:
        while subject not in world.acked:
            if world.gate is None or not world.gate.is_alive():
                return
            if not await world.send(subject, *recipients):
                await asyncio.sleep(0.02)
            elif subject not in world.acked:
                await asyncio.sleep(0.05)  # no policy yet, or put off
    del world.sink.replies[f"RCPT TO:<{CEO}"]


def order_commands(world: World) -> None:
    """A release, and a lesson about the same mail."""
    seen = next(
        each
        for record in read_all(world.folder / "journal")
        for each in observations(record)
        if each["action"] == "held"
    )
    release = {
        "seq": 1,
        "id": "c1",
        "kind": "release",
        "tenant_id": 1,
        "ulid": seen["trace_ulid"],
        "recipients": [INFO],
        "evidence": seen["evidence"],
        "released_by": "Ana",
    }
    lesson = {"seq": 2, "id": "c2", "kind": "learn", "recipients": [], "terms": {"as_spam": False}}
    world.ingest.commands = [release, release | lesson]


def is_obeyed(world: World) -> bool:
    records = read_all(world.folder / "journal")
    done = {each["command"]["command_id"] for each in records if each["kind"] == "command"}
    return done == {"c1", "c2"}


async def finish(world: World) -> bool:
    """The whole scenario; False: the gate died on the way."""
    await play(world)
    if len(world.acked) < 3:
        return False
    if not world.ingest.commands:
        order_commands(world)

    def is_over() -> bool:
        has_died = world.gate is None or not world.gate.is_alive()
        is_spool_empty = not any((world.folder / "spool").glob("*.json*"))
        return has_died or (is_spool_empty and is_obeyed(world))

    await until(is_over)
    await asyncio.sleep(0.05)
    return world.gate is not None and world.gate.is_alive()


async def test_a_crash_at_any_passing_of_any_failpoint_of_the_gate_loses_nothing(new_world, zygote):
    passing, has_died = 0, True
    while has_died:
        passing += 1
        async with new_world() as world:
            has_died = not await run_and_crash(world, f"*:{passing}")
            check_scenario(world)
    # Two tasks of the gate may pass in another order each time, and so hide one name.  Those of
    # the milter front: test_milter_crash.py.
    elsewhere = ("ship.", "queue.", "maillog.")
    for name in {name for name in FAILPOINTS if not name.startswith(elsewhere)} - zygote.deaths():
        async with new_world() as world:
            assert not await run_and_crash(world, name), f"the scenario does not pass {name}"
            check_scenario(world)


async def run_and_crash(world: World, spec: str) -> bool:
    """True: the scenario went through without meeting the failpoint."""
    await world.start_gate(spec)
    if world.gate is not None and await finish(world):
        return True
    await world.start_gate()
    assert await finish(world), "after a restart all goes on"
    return False


def check_scenario(world: World) -> None:
    world.check_nothing_lost()
    assert world.doubled() == []
    delivered = world.delivered()
    assert delivered["clean", INFO] >= 1
    assert delivered["two", CEO] >= 1
    assert delivered["phish 9", INFO] <= 1, "a release is never repeated by itself"
    leftovers = read_leftovers(world.folder / "journal")
    assert leftovers.begun == {}
    assert leftovers.begun_commands == {}


async def test_a_crash_at_any_failpoint_of_the_shipper_changes_nothing(new_world):
    async with new_world() as world:
        for subjects in (("clean", "phish 8"), ("other", "phish 9")):
            await world.start_gate()
            await play_some(world, *subjects)
            await asyncio.to_thread(world.stop)
        expected = {
            each["source_key"]: each["observed_at"]
            for record in read_all(world.folder / "journal")
            for each in observations(record)
        }
        for name in sorted(name for name in FAILPOINTS if name.startswith("ship.")):
            await world.start_shipper(name)
            died = world.shipper
            assert died is None or await until(lambda died=died: not died.is_alive()), name
            if name != "ship.after_trim":
                (world.folder / "ship.json").unlink(missing_ok=True)
        await world.start_shipper()
        await until(lambda: len(world.ingest.observations) == len(expected))
        assert expected == {
            seen["source_key"]: seen["observed_at"] for seen in world.ingest.observations.values()
        }
        assert len(expected) == 4
        assert len(world.ingest.evidence) == 2


async def play_some(world: World, *subjects: str) -> None:
    for subject in subjects:
        while subject not in world.acked:
            await world.send(subject)
            await asyncio.sleep(0.02)


async def test_fifty_kills_at_random_moments_lose_nothing_and_double_nothing(new_world):
    async with new_world() as world:
        await world.start_gate()
        await world.start_shipper()
        stop = asyncio.Event()
        numbers = itertools.count()
        senders = [asyncio.create_task(keep_sending(world, numbers, stop)) for _ in range(4)]
        assert await until(lambda: len(world.acked) > 5)
        try:
            await kill_again_and_again(world, rounds=50, seed=20261122)
        finally:
            stop.set()
            await asyncio.gather(*senders)
        await check_loop(world)


async def keep_sending(world: World, numbers: Iterator[int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        number = next(numbers)
        subject = f"phish 9 {number}" if number % 5 == 0 else f"mail {number}"
        while subject not in world.acked and not stop.is_set():
            if not (await world.send(subject)).startswith("250"):
                await asyncio.sleep(0.03)


async def kill_again_and_again(world: World, *, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(rounds):
        await asyncio.sleep(chance.uniform(0.05, 0.35))
        assert world.gate is not None
        assert world.shipper is not None
        await asyncio.to_thread(world.gate.kill)
        await world.start_gate()
        if number % 5 == 0:
            await asyncio.to_thread(world.shipper.kill)
            await world.start_shipper()


async def check_loop(world: World) -> None:
    def is_shipped() -> bool:
        here = read_all(world.folder / "journal")
        expected = {each["source_key"] for record in here for each in observations(record)}
        return expected <= {seen["source_key"] for seen in world.ingest.observations.values()}

    assert await until(is_shipped)
    assert len(world.acked) > 100, "there was a load"
    assert max(world.tries.values()) > 1, "some kills hit a mail under way"
    world.check_nothing_lost()
    assert world.doubled() == []
    assert read_leftovers(world.folder / "journal").begun == {}
    check_conservation(world)


def check_conservation(world: World) -> None:
    """Every acked mail has an outcome at the other end, and none is left unsettled by accident."""
    by_subject: dict[str, set[str]] = {}
    for seen in world.ingest.observations.values():
        by_subject.setdefault(seen["mail"]["subject"], set()).add(seen["action"])
    for subject in world.acked:
        assert by_subject[subject] & {"delivered", "held"}, subject


OTHER = "info@globex.example"


@pytest.mark.parametrize(
    ("spec", "others"),
    [
        ("relay.before_end_of_data:2", 1),
        ("relay.after_answer:2", 2),
        ("core.before_done", 2),
        ("core.after_done", 1),
    ],
)
async def test_a_death_between_two_clients_copies_sends_the_first_one_once(new_world, spec, others):
    """Of the last copy SMTP knows only *again* or *never* until its outcome is on record."""
    async with new_world() as world:
        hop = world.sink.hop
        policy = snapshot_of(tenant("acme", 1, hop), tenant("globex", 2, hop))
        world.ingest.snapshot = sign_snapshot(policy.as_json(), SECRET)
        await world.start_gate(spec)
        has_died = False
        while "both" not in world.acked:
            if world.gate is None or not world.gate.is_alive():
                has_died = True
                await world.start_gate()
            await world.send("both", INFO, OTHER)
            await asyncio.sleep(0.02)
        assert has_died
        assert world.delivered() == {("both", INFO): 1, ("both", OTHER): others}
