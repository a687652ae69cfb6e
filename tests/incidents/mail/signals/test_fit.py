"""How weights are fitted, and the made-up fraud that the layers must know."""

from __future__ import annotations

import pytest

from incidents.mail.signals.scale import Scale
from tests.bench.detection import fraud_shares, left_out_points, shares
from tests.bench.detection_corpus import Row
from tests.bench.detection_fit import HAM_ALLOWED, MOST_OF_LIMIT, calibrated, fit, points_of
from tests.bench.fraud_set import made_mails

SCALE = Scale.from_toml(
    """
    limit = 6.0
    confidence = {middle = 5.0, width = 1.0}
    [weight]
    lure = {points = 2, prior = 2, kind = "phish"}
    noise = {points = 1, prior = 1}
    friend = {points = -1, prior = -1}
    proof = {points = 9, kind = "malware", fixed = true}
    """
)


def row(number: int, label: str, *codes: str, source: str = "one") -> Row:
    return Row(f"{source}/{label}/{number}", label, "", source, codes, codes)


def corpus(source: str = "one") -> list[Row]:
    return [
        *(row(n, "phish", "lure", "noise", source=source) for n in range(40)),
        *(row(n, "spam", "noise", source=source) for n in range(10)),
        *(row(n, "ham", "noise", source=source) for n in range(200)),
        *(row(n, "ham", "friend", source=source) for n in range(200, 400)),
    ]


def test_fitted_weights_follow_the_mail_and_fixed_ones_stay():
    fitted = fit(corpus(), "gateway", SCALE).weights
    assert fitted["lure"].points > SCALE.weights["lure"].points
    assert fitted["friend"].points < SCALE.weights["friend"].points
    assert fitted["proof"] == SCALE.weights["proof"]


def test_weight_never_crosses_to_the_other_side_of_its_prior():
    liars = [row(n, "phish", "friend") for n in range(50)] + [
        row(n, "ham", "lure") for n in range(50)
    ]
    fitted = fit(liars, "gateway", SCALE).weights
    assert fitted["friend"].points <= 0 <= fitted["lure"].points


def test_no_fitted_weight_condemns_alone():
    fitted = fit(corpus(), "gateway", SCALE)
    assert max(w.points for w in fitted.weights.values() if not w.fixed) <= (
        MOST_OF_LIMIT * SCALE.limit
    )


def test_limit_lets_hardly_any_harmless_mail_reach_it():
    rows = corpus()
    fitted = fit(rows, "gateway", SCALE)
    ham = [points_of(one, "gateway", fitted) for one in rows if not one.is_bad]
    assert sum(points >= fitted.limit for points in ham) <= len(ham) * HAM_ALLOWED + 1


def test_confidence_comes_true_where_one_mail_in_ten_is_bad():
    # At 8 points half of the corpus is bad, at 0 points a tenth: weighted to one bad mail in ten,
    # what is said must be about what comes true.
    seen = [(8.0, True)] * 90 + [(8.0, False)] * 10 + [(0.0, True)] * 10 + [(0.0, False)] * 90
    scale = calibrated(SCALE, seen)
    assert scale.probability(8.0) == pytest.approx(0.5, abs=0.03)
    assert scale.probability(0.0) == pytest.approx(1 / 82, abs=0.01)


def test_source_is_judged_by_weights_that_have_not_seen_it(monkeypatch):
    from tests.bench import detection

    seen: list[set[str]] = []

    def watched(rows, layer, scale):
        seen.append({one.source for one in rows})
        return fit(rows, layer, scale)

    monkeypatch.setattr(detection, "fit", watched)
    rows = corpus("one") + corpus("two")
    points = left_out_points(rows, "gateway")
    assert seen == [{"two"}, {"one"}]
    assert set(points) == {one.path for one in rows}


def test_shares_are_counted_by_kind_and_for_harmless_mail():
    rows = corpus()
    flagged = {one.path for one in rows if one.label == "phish"} | {"one/ham/3"}
    found = shares(rows, flagged)
    assert (found["phish"], found["spam"], found["all"]) == (1.0, 0.0, 0.8)
    assert found["ham"] == pytest.approx(1 / 400)


def test_made_up_fraud_is_the_same_for_the_same_seed():
    first, again = [[made.raw for made in made_mails(3, 2)] for _ in range(2)]
    assert first == again


def test_mailbox_layer_knows_made_up_fraud_and_leaves_its_harmless_twins():
    found, verdicts = fraud_shares()
    for kind, share in found.items():
        if "harmless" in kind:
            assert share["both"] <= 0.02, kind
        else:
            assert share["mailbox"] >= 0.9, kind
    assert verdicts["boss_fraud"] == verdicts["vendor_fraud"] == {"bec"}
    assert verdicts["lateral_phish"] == {"phish"}
