"""Many copies are pulled by workers that are killed amid it: the exact set, each once.

The long run, 10,000 mails, is ``make crashloop OF=pull``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.crash.pull import Pulled, pull_with_kills
from tests.factories import Cast

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("no_broker")]


def test_sixty_mails_and_five_kills_are_the_exact_set(transactional_cast: Cast, tmp_path: Path):
    pulled = pull_with_kills(
        transactional_cast.acme, tmp_path / "moves", mails=60, kills=5, seed=20261130
    )
    assert len(pulled.killed_at) == 5
    assert (pulled.left, pulled.twice, pulled.astray) == (0, 0, 0)
    assert pulled.states == {"verified": 60}
    assert pulled.is_good


@pytest.mark.parametrize(
    ("moves", "states", "wanted"),
    [
        ({"a": 1, "b": 1}, {"verified": 2}, (0, 0, 0, True)),
        ({"a": 1}, {"verified": 2}, (1, 0, 0, False)),
        ({"a": 2, "b": 1}, {"verified": 2}, (0, 1, 0, False)),
        ({"a": 1, "b": 1, "c": 1}, {"verified": 2}, (0, 0, 1, False)),
        ({"a": 1, "b": 1}, {"verified": 1, "failed": 1}, (0, 0, 0, False)),
    ],
)
def test_the_account(moves, states, wanted):
    pulled = Pulled({"a", "b"}, Counter(moves), [], states, 0.0)
    assert (pulled.left, pulled.twice, pulled.astray, pulled.is_good) == wanted
