"""Commands in a line for each client: in order, once, and none behind another client's."""

from __future__ import annotations

import asyncio

import pytest

from seg_bridge.gate import lines
from seg_bridge.gate.journal import JournalError
from seg_bridge.gate.lines import Lines
from seg_bridge.gate.release import Command


def command(seq: int, tenant_id: int = 1) -> Command:
    return Command(
        seq=seq,
        id=f"c{seq}",
        kind="release",
        tenant_id=tenant_id,
        ulid="",
        recipients=(),
        evidence="",
        by="Ana",
    )


async def served(commands: list[Command], *, fails: dict[int, Exception] | None = None):
    """What was carried out, in order; ``fails``: number → what it raises the first time."""
    done: list[int] = []
    left = dict(fails or {})

    async def work(each: Command) -> None:
        await asyncio.sleep(0)
        if each.seq in left:
            raise left.pop(each.seq)
        done.append(each.seq)

    waiting = Lines(work)
    running = asyncio.create_task(waiting.run())
    for each in commands:
        assert waiting.put(each)
        assert not waiting.put(each), "it waits already"
    for _ in range(200):
        await asyncio.sleep(0.001)
        if len(done) + len(fails or {}) == len(commands):
            break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return done, waiting


@pytest.mark.parametrize("error", [JournalError("full"), OSError(28, "full"), ValueError("a bug")])
async def test_what_fails_stops_nothing_behind_it_and_may_be_offered_again(monkeypatch, error):
    monkeypatch.setattr(lines, "PAUSE_S", 0)
    done, waiting = await served([command(1), command(2), command(3)], fails={2: error})
    assert done == [1, 3]
    assert waiting.put(command(2))


async def test_a_clients_commands_keep_their_order():
    done, _ = await served([command(seq, seq % 2) for seq in range(1, 9)])
    assert [seq for seq in done if seq % 2] == [1, 3, 5, 7]
    assert [seq for seq in done if not seq % 2] == [2, 4, 6, 8]


async def test_no_more_than_some_are_carried_out_at_once(monkeypatch):
    monkeypatch.setattr(lines, "MOST_AT_ONCE", 3)
    now, most, release = 0, 0, asyncio.Event()

    async def work(_: Command) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await release.wait()
        now -= 1

    waiting = Lines(work)
    running = asyncio.create_task(waiting.run())
    for seq in range(9):
        waiting.put(command(seq, tenant_id=seq))
    await asyncio.sleep(0.02)
    assert now == 3
    release.set()
    await asyncio.sleep(0.02)
    assert (now, most) == (0, 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
