"""A mail that is a bomb to the engine is not scanned; all others are, meanwhile."""

import asyncio

import pytest

from incidents.mail.loop_reader import LoopReader
from incidents.words import MatrixAction
from seg_bridge.engines.embedded import EmbeddedEngine
from tests.incidents.mail.judges import ENGINE
from tests.seg_bridge.gate.parts import mail_bytes


@pytest.fixture
def engine():
    engine = EmbeddedEngine(lookup=lambda name, kind: ())
    yield engine
    engine.close()


@pytest.mark.parametrize("bomb", ["regex", "hog"])
@pytest.mark.parametrize(("policy", "code"), [("defer", "451"), ("hold", "250")])
async def test_a_bomb_follows_the_policy_for_what_was_not_scanned_and_harms_only_itself(
    gate_for, engine, bomb, policy, code
):
    reading = LoopReader(judge=ENGINE, cpu_s=3, wall_s=8.0, memory_bytes=300_000_000)
    async with reading as reader:
        options = {"engines": [engine], "reader": reader}
        async with gate_for(on_not_scanned=MatrixAction(policy), **options) as gate:
            await gate.send(mail_bytes("warm"))
            bombed = asyncio.create_task(gate.send(mail_bytes(bomb)))
            await asyncio.sleep(0.1)
            replies = [await gate.send(mail_bytes(f"number {number}")) for number in range(20)]
            if bomb == "regex":
                assert not bombed.done(), "all were answered while the bomb still ran"
            assert (await bombed).startswith(code)
            seen = {each["mail"]["subject"]: each for each in gate.observations()}
    assert {reply[:3] for reply in replies} == {"250"}
    assert {each["verdict"] for name, each in seen.items() if name.startswith("number")} == {
        "clean"
    }
    assert seen[bomb]["verdict"] is None
    assert "not scanned (embedded did not answer)" in seen[bomb]["rule"]
