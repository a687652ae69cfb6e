"""`make crashloop`: the random kills of the crash suite, as many as wanted, and what became of all
mail.

One installation, rounds of `ROUND` kills; after each round mail stops, all of it is accounted for,
and the figures go to var/crashloop.json.  Ctrl-C ends the round that runs and prints the figures
so far; a second one ends at once.  Exit code 1: a mail was lost or doubled, or the loop had to end;
the installation's data then stays.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.bench.__main__ import machine
from tests.crash.kills import TARGETS, Ledger, Sender, kill_at_random, run_round
from tests.installation import Installation

OUTPUT = Path(__file__).resolve().parents[2] / "var" / "crashloop.json"
USUAL_KILLS = 10_000
ROUND = 100
AFTER_MAIL = 0.5
# Mean pause and the launcher's longest patience, many times over.
LONGEST_S_A_KILL = 30.0
SHOWN = 20


class Loop:
    """`trouble` says why it ended before its time, "" where it did not; `counted` and `is_good` are
    of the last round that was accounted for.
    """

    def __init__(self, kills: int, seed: int) -> None:
        self.wanted, self.seed = kills, seed
        self.ledger = Ledger()
        self.trouble = ""
        self.is_good = True
        self._dice = random.Random(seed)
        self._is_stopped = threading.Event()
        self._started_s = time.monotonic()
        self.counted = self.figures()

    def stop(self, *_: object) -> None:
        """For a signal: after the kill that is due; the next signal ends at once."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.default_int_handler)
        print("\nStopping: the mail of this round is accounted for first …", flush=True)
        self._is_stopped.set()

    def run(self, installation: Installation) -> None:
        """Until all kills are done, it is stopped, or a mail is missing."""
        self._started_s = time.monotonic()
        while self.ledger.kills.total() < self.wanted and not self._is_stopped.is_set():
            try:
                run_round(installation, self.ledger, partial(self._kill, installation))
            except (AssertionError, OSError, httpx.HTTPError) as error:
                self.trouble = str(error) or repr(error)
            self.report()
            if not self.is_good:
                return

    def _kill(self, installation: Installation, sender: Sender) -> Counter[str]:
        count = min(ROUND, self.wanted - self.ledger.kills.total())
        kills = kill_at_random(
            installation,
            sender,
            self._dice,
            count,
            after_mail=AFTER_MAIL,
            within_s=LONGEST_S_A_KILL * count,
            is_stopped=self._is_stopped.is_set,
        )
        if kills.total() < count and not self._is_stopped.is_set():
            self.trouble = f"a process did not come back: {installation.facts()['pids']}"
        return kills

    def figures(self) -> dict[str, Any]:
        ledger = self.ledger
        return {
            "kills": {name: ledger.kills[name] for name in TARGETS},
            "kills_wanted": self.wanted,
            "sent": ledger.sent,
            "acked": len(ledger.accepted),
            "delivered": len(ledger.accepted & set(ledger.delivered)),
            "held": len(ledger.accepted & ledger.held),
            "lost": len(ledger.lost),
            "doubled": len(ledger.doubled | {one for one, _ in ledger.twice_known}),
            "repeated_by_their_sender": len(ledger.repeated),
            "seconds": round(time.monotonic() - self._started_s),
            "seed": self.seed,
            "machine": machine(),
            "trouble": self.trouble,
            "lost_mails": sorted(ledger.lost)[:SHOWN],
            "doubled_mails": sorted(ledger.doubled)[:SHOWN],
            "twice_known_mails": sorted(ledger.twice_known)[:SHOWN],
        }

    def report(self) -> None:
        figures = self.counted = self.figures()
        self.is_good = not (self.trouble or figures["lost"] or figures["doubled"])
        OUTPUT.parent.mkdir(mode=0o700, exist_ok=True)
        OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
        minutes = figures["seconds"] / 60
        print(
            f"{self.ledger.kills.total()} of {self.wanted} kills, {figures['acked']} mails acked, "
            f"{figures['lost']} lost, {figures['doubled']} doubled, {minutes:.0f} min",
            flush=True,
        )


def table(figures: dict[str, Any]) -> str:
    kills = {f"kills of {name}": count for name, count in figures["kills"].items()}
    mails = {
        f"mails {name.replace('_', ' ')}": figures[name]
        for name in (
            *("sent", "acked", "delivered", "held", "lost", "doubled"),
            "repeated_by_their_sender",
        )
    }
    rows = {"kills": sum(kills.values()), **kills, **mails}
    width = max(map(len, rows))
    return "\n".join(f"{name.ljust(width)}  {value:>8}" for name, value in rows.items())


def at_least_one(word: str) -> int:
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r}; it should be a number from 1, like KILLS=500")
    return int(word)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make crashloop", description="Kill, and count mail.")
    parser.add_argument("--kills", type=at_least_one, default=USUAL_KILLS)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    loop = Loop(options.kills, options.seed)
    folder = Path(tempfile.mkdtemp(prefix="bailey-crashloop-"))
    # Apart: a Ctrl-C is for us, who stop the installation once its mail is counted.
    installation = Installation(folder, is_apart=True, DEMO_MAIL="0")
    print(f"Starting Bailey in {folder} (seed {loop.seed}) …", flush=True)
    try:
        installation.start()
        print(f"It runs: {loop.wanted} kills from now on, counted after every {ROUND}.", flush=True)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, loop.stop)
        loop.run(installation)
    except KeyboardInterrupt:
        print("\nStopped; the mail of the last round is not accounted for.", flush=True)
    finally:
        if loop.is_good:
            installation.remove()
            shutil.rmtree(folder)
        else:
            installation.stop()
    figures = loop.counted
    print(f"\n{table(figures)}\n({figures['machine']}, seed {loop.seed}; {OUTPUT})")
    if not loop.is_good:
        print(f"NOT GOOD: {loop.trouble or 'see the figures'}.  The data is kept in {folder}.")
    return 0 if loop.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
