"""On mail whose truth is known, campaigns are what they are in truth: a small set."""

import pytest

from incidents.campaigns.canonical import canonical
from tests.bench._campaign_truth import made_mail
from tests.bench.campaigns import b_cubed, read_all


@pytest.mark.parametrize("seed", [11, 12])
def test_campaigns_are_what_they_are_in_truth(seed: int):
    mails, truth, rarity = read_all(made_mail(seed, hands=12, singles=30, benign=150))
    precision, recall = b_cubed(canonical(mails, rarity).campaign_of, truth)
    assert precision >= 0.98
    assert recall >= 0.8


def test_b_cubed_by_hand():
    """Two of three right: mails a and b together as they should, c wrongly with them."""
    truth = {"a": 1, "b": 1, "c": 2}
    assert b_cubed(dict.fromkeys("abc", 0), truth) == pytest.approx((5 / 9, 1.0))
    assert b_cubed({"a": 0, "b": 1, "c": 2}, truth) == pytest.approx((1.0, 2 / 3))
