"""Killed at any moment, the gate loses nothing that it has answered for.

*Acked* means: the client saw our 250.  A mail whose 250 never reached the client may be repeated
by it, and then be there twice: such mails are counted apart.
"""

import asyncio
import functools
import random
import re
from pathlib import Path

import pytest

from seg_bridge.gate.failpoints import FAILPOINTS, _Armed
from seg_bridge.gate.journal import read_all
from seg_bridge.gate.policy import sign_snapshot
from seg_bridge.gate.records import observations
from seg_bridge.gate.recovery import read_leftovers
from tests.seg_bridge.gate.parts import SECRET, snapshot_of, tenant
from tests.seg_bridge.gate.processes import Running, Zygote
from tests.seg_bridge.gate.world import (
    CEO,
    INFO,
    World,
    kill_in_mail,
    open_world,
    until,
)

pytestmark = pytest.mark.crash

SOURCE = Path(__file__).resolve().parents[3] / "seg_bridge" / "gate"


@pytest.fixture(scope="module")
def zygote():
    with Zygote() as running:
        yield running


@pytest.fixture
async def new_world(zygote):
    """``async with new_world()``: an empty world, all stopped at its end."""
    return functools.partial(open_world, zygote)


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
            assert died is None or await until(functools.partial(is_gone, died)), name
            if name != "ship.after_trim":
                (world.folder / "ship.json").unlink(missing_ok=True)
        await world.start_shipper()
        await until(lambda: len(world.ingest.observations) == len(expected))
        assert expected == {
            seen["source_key"]: seen["observed_at"] for seen in world.ingest.observations.values()
        }
        assert len(expected) == 4
        assert len(world.ingest.evidence) == 2


def is_gone(process: Running) -> bool:
    return not process.is_alive()


async def play_some(world: World, *subjects: str) -> None:
    for subject in subjects:
        while subject not in world.acked:
            await world.send(subject)
            await asyncio.sleep(0.02)


async def test_fifty_kills_at_random_moments_lose_nothing_and_double_nothing(new_world):
    async with new_world() as world:
        assert (await kill_in_mail(world, rounds=50, chance=random.Random(20261122))).total() == 60


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


async def test_a_death_behind_the_record_of_a_spooled_copy_sends_it_once(new_world):
    async with new_world() as world:
        assert not await run_and_crash(world, "spool.after_done")
        check_scenario(world)
        assert world.delivered()["two", CEO] == 1
