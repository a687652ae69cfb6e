"""`make crashloop OF=gate`: gate and shipper alone, killed some times a second while mail flows.

They are forked, not started, and the next hop and ingest stand in this process, so that ten
thousand kills take an hour where the whole installation needs a night.  After each round all mail
is accounted for; the figures go to var/crashloop-gate.json.  Exit code 1: a mail was lost or
doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bench.__main__ import machine
from tests.seg_bridge.gate.processes import Zygote
from tests.seg_bridge.gate.world import World, kill_in_mail, open_world

OUTPUT = Path(__file__).resolve().parents[2] / "var" / "crashloop-gate.json"
SAID = OUTPUT.with_suffix(".log")
ROUND = 250
PAUSE_S = (0.01, 0.12)


def account(world: World) -> Counter[str]:
    """Of the copies of one round; nothing is lost or doubled, or it had been raised."""
    delivered, held = world.delivered(), world.held()
    acked = {(subject, to) for subject, people in world.acked.items() for to in people}
    return Counter(
        acked=len(acked),
        delivered=len(acked & set(delivered)),
        held=len(acked & held),
        asked_again=sum(tries > 1 for tries in world.tries.values()),
        repeated=sum(count > 1 for count in delivered.values()),
    )


async def run(kills: int, seed: int) -> dict[str, Any]:
    """Raises ``AssertionError`` for a mail that is lost or doubled."""
    chance, killed, mails = random.Random(seed), Counter[str](), Counter[str]()
    started_s = time.monotonic()
    OUTPUT.parent.mkdir(mode=0o700, exist_ok=True)
    with Zygote(log=SAID) as zygote:
        while (left := kills - killed.total()) > 0:
            async with open_world(zygote) as world:
                rounds = min(ROUND, max(1, round(left / 1.2)))
                killed += await kill_in_mail(world, rounds=rounds, chance=chance, pause_s=PAUSE_S)
                mails += account(world)
            seconds = round(time.monotonic() - started_s)
            figures = {
                "kills": dict(killed), "mails": dict(mails), "lost": 0, "doubled": 0,
                "seconds": seconds, "seed": seed, "machine": machine(),
            }  # fmt: skip
            OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
            print(f"{killed.total()} of {kills} kills, {dict(mails)}, {seconds} s", flush=True)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="make crashloop OF=gate")
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    try:
        asyncio.run(run(options.kills, options.seed))
    except AssertionError:
        print(f"NOT GOOD (seed {options.seed}); what gate and shipper said last:", flush=True)
        print(SAID.read_text(errors="replace")[-5_000:], flush=True)
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
