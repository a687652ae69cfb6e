"""Kinds of files, marks, and the recipient's own policy, decided mail by mail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.decide import Decidable, decide
from seg_bridge.gate.policy import load_signed, sign_snapshot
from seg_bridge.gate.treatment import FileTrait, Treatment, traits_of
from tests.seg_bridge.gate.parts import SECRET, snapshot_of, tenant
from tests.seg_bridge.gate.test_entries import CEO, INFO, NOW, SPAM

CLEAN = replace(SPAM, verdict=Verdict.CLEAN, score=0.0)
MACRO = replace(CLEAN, file_traits=frozenset({FileTrait.MACRO}))


def decided(mail: Decidable, recipient: str = INFO, **policy: Any):
    return decide(mail, tenant("acme", 1, "127.0.0.1:25", **policy), recipient, NOW)


@pytest.mark.parametrize(
    ("kind", "is_inline", "flags", "traits"),
    [
        ("pdf", False, (), set()),
        ("exe", False, (), {FileTrait.EXECUTABLE}),
        ("zip", False, ("executable_inside",), {FileTrait.EXECUTABLE}),
        ("zip", False, ("encrypted", "nested"), {FileTrait.ENCRYPTED}),
        ("zip", False, ("bomb",), {FileTrait.UNREADABLE}),
        ("docx", False, ("macro",), {FileTrait.MACRO}),
        ("iso", False, (), {FileTrait.DISK_IMAGE}),
        ("html", False, (), {FileTrait.WEB_PAGE}),
        ("html", True, (), set()),
    ],
)
def test_the_kinds_that_a_policy_speaks_of(kind, is_inline, flags, traits):
    assert traits_of([(kind, is_inline, flags)]) == traits


@pytest.mark.parametrize("action", [MatrixAction.TAG, MatrixAction.HOLD, MatrixAction.REJECT])
def test_a_kind_of_file_is_treated_as_the_policy_says(action: MatrixAction):
    decision = decided(MACRO, files={FileTrait.MACRO: action})
    assert (decision.action, decision.by) == (action, "file")
    assert decided(MACRO).action is MatrixAction.DELIVER
    assert decided(CLEAN, files={FileTrait.MACRO: action}).action is MatrixAction.DELIVER


def test_the_harsher_of_verdict_and_file_is_done():
    marks = {FileTrait.MACRO: MatrixAction.TAG}
    spam = replace(MACRO, verdict=Verdict.SPAM, score=9.0)
    assert decided(spam, files=marks).by == "verdict"
    both = {**marks, FileTrait.ENCRYPTED: MatrixAction.REJECT}
    locked = replace(spam, file_traits=frozenset({FileTrait.MACRO, FileTrait.ENCRYPTED}))
    decision = decided(locked, files=both)
    assert (decision.action, decision.by) == (MatrixAction.REJECT, "file")
    assert "encrypted" in decision.rule


def test_what_an_engine_did_not_see_is_put_off_before_it_is_held_for_its_file():
    silent = replace(MACRO, verdict=None, missing=("clamav",))
    assert decided(silent, files={FileTrait.MACRO: MatrixAction.HOLD}).by == "not_scanned"
    assert decided(silent, files={FileTrait.MACRO: MatrixAction.REJECT}).by == "file"


@pytest.mark.parametrize(
    ("score", "action"), [(1.9, "deliver"), (2.0, "tag"), (5.9, "tag"), (6.0, "hold")]
)
def test_a_weaker_threat_is_marked_between_the_two_scores(score: float, action: str):
    assert decided(replace(SPAM, score=score), mark_from=2.0).action == action


def test_a_harmless_mail_is_never_marked_for_its_score():
    assert decided(replace(CLEAN, score=5.0), mark_from=2.0).action is MatrixAction.DELIVER


def test_the_mailbox_comes_before_the_domain_and_that_before_the_client():
    strict, lenient = Treatment(act_from=1.0), Treatment(act_from=50.0)
    policy: dict[str, Any] = {"exceptions": {"acme.example": strict, CEO: lenient}}
    weak = replace(SPAM, score=3.0)
    assert decided(weak, INFO, **policy).action is MatrixAction.HOLD
    assert decided(weak, CEO, **policy).action is MatrixAction.DELIVER
    assert decided(weak, "ann@acme.test", **policy).action is MatrixAction.DELIVER
    assert decided(weak, INFO, **policy).rule.startswith("policy of Acme for acme.example:")
    assert decided(weak, CEO, **policy).rule.startswith("policy of Acme for ceo@acme.example:")


def test_exceptions_travel_with_the_snapshot():
    one = Treatment(mark_from=2.0, files={FileTrait.MACRO: MatrixAction.HOLD}, mark_subject="[x]")
    snapshot = snapshot_of(tenant("acme", 1, "127.0.0.1:25", exceptions={CEO: one}))
    loaded = load_signed(sign_snapshot(snapshot.as_json(), SECRET), SECRET)
    assert loaded == snapshot
    route = loaded.find("CEO@acme.example")
    assert route is not None
    assert route.treatment == one
