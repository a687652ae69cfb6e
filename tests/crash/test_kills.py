"""Fifty kills in the middle of a stream of mail: nothing that was accepted is lost or doubled.

Gate, worker, shipper and PostgreSQL are killed by their ids while mail flows; the launcher starts
them again (kills.py).  The long run is `make crashloop`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.kills import TARGETS, Ledger, Sender, kill_at_random, run_round
from tests.installation import Installation

KILLS = 50
LONGEST_S = 400.0

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def bailey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("crash"), is_migrated=True, DEMO_MAIL="0")
    try:
        installation.start()
        yield installation
    finally:
        installation.remove()


def test_fifty_kills_lose_nothing_and_double_nothing(bailey: Installation):
    ledger = Ledger()

    def kill(sender: Sender) -> Counter[str]:
        dice = random.Random(50)
        return kill_at_random(bailey, sender, dice, KILLS, after_mail=0.2, within_s=LONGEST_S)

    run_round(bailey, ledger, kill)
    assert ledger.kills.total() == KILLS
    assert set(ledger.kills) == set(TARGETS)
    assert ledger.accepted
    assert not ledger.lost
    assert not ledger.doubled, "an acknowledged mail was delivered twice"
    assert not ledger.twice_known
    print(
        f"{len(ledger.accepted)} accepted, {len(ledger.unsure)} unsure, kills {dict(ledger.kills)}"
    )
