"""The weights files: readable, complete, and what is made of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from api_bridge.detect import WEIGHTS as MAILBOX
from incidents.mail.signals.scale import KINDS, Scale, load_scale, weigh
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines.embedded import WEIGHTS as GATEWAY
from tests.incidents.mail.signals.test_talk import SAID

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT / "incidents" / "mail" / "signals"
# Why a mail is judged anew.
AGAIN = MAILBOX.parents[1] / "again"
FOLDERS = {GATEWAY: (SHARED, GATEWAY.parent), MAILBOX: (SHARED, MAILBOX.parent, AGAIN)}
BUILT = {"talk_", "yara_", "spf_", "dmarc_fail_"}
"""Beginnings of codes that are put together from a topic, a rule or a result."""
UNWEIGHTED = {"unreadable"}

SCALE = Scale.from_toml(
    """
    limit = 6.0
    confidence = {middle = 5.0, width = 1.0}
    [weight]
    lure = {points = 4, prior = 3, kind = "phish"}
    page = {points = 3, kind = "phish"}
    pills = {points = 5, kind = "spam"}
    odd = {points = 7}
    virus = {points = 20, kind = "malware", fixed = true}
    friend = {points = -3}
    """
)


def scored(*codes: str):
    return weigh([Reason(code, "It is so.") for code in codes], SCALE)


def written_codes(folders: tuple[Path, ...]) -> set[str]:
    """Every string in the sources that could be a reason's code."""
    return {
        node.value
        for folder in folders
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def codes_of_reasons(folders: tuple[Path, ...]) -> set[str]:
    """First arguments of ``Reason(…)`` that are written out."""
    return {
        str(node.args[0].value)
        for folder in folders
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Reason"
        and isinstance(node.args[0], ast.Constant)
    }


@pytest.mark.parametrize("path", FOLDERS, ids=["gateway", "mailbox"])
def test_every_written_code_has_a_weight(path):
    missing = codes_of_reasons(FOLDERS[path]) - set(load_scale(path).weights) - UNWEIGHTED
    assert missing == set()


@pytest.mark.parametrize("path", FOLDERS, ids=["gateway", "mailbox"])
def test_every_weight_belongs_to_a_code(path):
    built = tuple(BUILT)
    unknown = {
        code
        for code in set(load_scale(path).weights) - written_codes(FOLDERS[path])
        if not code.startswith(built)
    }
    assert unknown == set()


@pytest.mark.parametrize("path", FOLDERS, ids=["gateway", "mailbox"])
def test_every_topic_has_both_weights(path):
    weights = load_scale(path).weights
    assert {code for code in weights if code.startswith("talk_")} == {
        f"talk_{topic}{how}" for topic in SAID for how in ("", "_strongly")
    }


def test_every_rule_has_a_weight():
    rules = (GATEWAY.parent / "rules.yar").read_text(encoding="utf-8").splitlines()
    names = {f"yara_{line.split()[1]}" for line in rules if line.startswith("rule ")}
    weights = load_scale(GATEWAY).weights
    assert {code for code in weights if code.startswith("yara_")} == names


@pytest.mark.parametrize("path", FOLDERS, ids=["gateway", "mailbox"])
def test_no_fitted_weight_leaves_its_prior_s_side_or_becomes_a_proof(path):
    scale = load_scale(path)
    for code, weight in scale.weights.items():
        assert weight.kind in ("", *KINDS), code
        if not weight.fixed:
            assert weight.points * weight.prior >= 0, code
            assert weight.points < scale.limit, code


def test_points_add_up_and_the_strongest_kind_names_the_mail():
    found = scored("lure", "page", "pills", "friend")
    assert (found.points, found.verdict) == (9.0, Verdict.PHISH)


def test_mail_below_the_limit_stays_clean_with_its_reasons():
    found = scored("pills")
    assert (found.verdict, len(found.reasons)) == (Verdict.CLEAN, 1)
    assert found.confidence == pytest.approx(0.5)


def test_code_told_twice_is_counted_once():
    assert scored("lure", "lure").points == 4.0


def test_unknown_code_weighs_nothing_and_stays_a_fact():
    found = scored("lure", "new")
    assert [(one.code, one.weight) for one in found.reasons] == [("lure", 4.0), ("new", 0.0)]


def test_condemned_mail_without_a_kind_is_suspicious():
    assert scored("odd").verdict is Verdict.SUSPICIOUS


def test_confidence_is_that_of_the_verdict():
    assert scored("virus").confidence > 0.99
    assert scored("friend").confidence > 0.99
    assert scored("lure", "page").confidence == pytest.approx(0.881, abs=0.001)


def test_extreme_points_are_no_overflow():
    assert Scale.from_toml(
        "limit = 6\nconfidence = {middle = 5, width = 0.001}\n[weight]\n"
    ).probability(-1e9) == pytest.approx(0.0)


def test_file_that_is_no_scale_is_refused():
    with pytest.raises(KeyError):
        Scale.from_toml("limit = 6")
