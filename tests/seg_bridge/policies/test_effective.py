"""Laws of inheritance, over chains that hypothesis makes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.treatment import FileTrait, Treatment
from seg_bridge.policies.effective import (
    Layer,
    Level,
    Stated,
    differences,
    effective,
    stated,
    treatment_of,
    values_of,
)
from seg_bridge.policies.keys import (
    DEFAULTS,
    KEYS,
    RELEASERS,
    WrongValue,
    check_values,
    may_release,
)
from seg_bridge.policies.templates import BAILEYS


def _value(key: str) -> st.SearchStrategy[Any]:
    spec = KEYS[key]
    if spec.choices is not None:
        return st.sampled_from(sorted(spec.choices))
    if spec.high is None:
        return st.text("abc[] ", max_size=20).map(str.strip)
    if spec.is_whole:
        return st.integers(int(spec.low), int(spec.high))
    return st.floats(spec.low, spec.high)


VALUES = {key: _value(key) for key in KEYS}
KEY_LISTS = st.lists(st.sampled_from(sorted(KEYS)), unique=True, max_size=6)


@st.composite
def _values(draw: st.DrawFn) -> dict[str, Any]:
    """Strategies are made once: making them for each example took longer than the tests."""
    return {key: draw(VALUES[key]) for key in draw(KEY_LISTS)}


LEVELS = [Level.PROVIDER, Level.GROUP, Level.GROUP, Level.CLIENT, Level.DOMAIN, Level.MAILBOX]
CHAINS = st.tuples(*(_values() for _ in LEVELS)).map(
    lambda found: [
        Layer(level, f"{level} {number}", {key: Stated(value) for key, value in values.items()})
        for number, (level, values) in enumerate(zip(LEVELS, found, strict=True))
    ]
)


@settings(max_examples=40)
@given(CHAINS)
def test_the_narrowest_level_that_states_a_value_gives_it(chain):
    found = effective(chain)
    assert set(found) == set(KEYS)
    for key, one in found.items():
        stating = [layer for layer in chain if key in layer.values]
        if stating:
            assert (one.value, one.name) == (stating[-1].values[key].value, stating[-1].name)
        else:
            assert (one.value, one.level) == (DEFAULTS[key], Level.DEFAULT)


@settings(max_examples=40)
@given(CHAINS, st.integers(0, len(LEVELS) - 1), _values())
def test_what_is_stated_and_inherited_again_changes_nothing(chain, at, values):
    layer = chain[at]
    new = {key: value for key, value in values.items() if key not in layer.values}
    there = stated(layer, states=new, by="Bo", at="2026-11-29", reason="a try")
    back = stated(there, states={}, inherits=new)
    assert back == layer
    assert effective([*chain[:at], back, *chain[at + 1 :]]) == effective(chain)


@settings(max_examples=40)
@given(CHAINS, st.integers(0, len(LEVELS) - 1), _values())
def test_a_change_touches_no_other_value(chain, at, values):
    changed = [*chain[:at], stated(chain[at], states=values), *chain[at + 1 :]]
    named = {each.key for each in differences(chain, changed)}
    assert named <= set(values)
    before, after = values_of(chain), values_of(changed)
    assert {key for key in KEYS if before[key] != after[key]} <= named


@settings(max_examples=40)
@given(CHAINS, _values())
def test_what_a_narrower_level_states_hides_a_wider_change(chain, values):
    mailbox = stated(chain[-1], states=values)
    provider = stated(chain[0], states=values)
    before = values_of([*chain[:-1], mailbox])
    assert values_of([provider, *chain[1:-1], mailbox]) == before


@settings(max_examples=40)
@given(CHAINS)
def test_the_wider_value_is_what_holds_without_the_level(chain):
    without = effective(chain[:-1])
    for key, one in effective(chain).items():
        if one.level is Level.MAILBOX:
            assert one.wider == without[key]


@settings(max_examples=40)
@given(CHAINS, st.permutations(LEVELS))
def test_layers_out_of_order_are_refused(chain, levels):
    ranks = [list(Level).index(level) for level in levels]
    mixed = [Layer(level, "", layer.values) for level, layer in zip(levels, chain, strict=True)]
    if ranks == sorted(ranks):
        effective(mixed)
    else:
        with pytest.raises(ValueError, match="comes before"):
            effective(mixed)


@settings(max_examples=40)
@given(CHAINS)
def test_a_gate_reads_what_the_compiler_wrote(chain):
    treatment = treatment_of(values_of(chain))
    assert Treatment.from_json(json.loads(json.dumps(treatment.treatment_json()))) == treatment


@pytest.mark.parametrize(
    "values",
    [
        *({"action.spam": "explode"}, {"action.spam": None}, {"action.odd": "hold"}, {"": "hold"}),
        *({"action.clean": "defer"}, {"action.not_scanned": "reject"}, {"release.spam": "eve"}),
        *({"act_from": "nan"}, {"act_from": float("inf")}, {"act_from": 0}, {"act_from": True}),
        *({"act_from": [1]}, {"act_from": 1e300}, {"mark_from": -1}, {"held.keep_days": 0}),
        *({"held.keep_days": 1.5}, {"held.keep_days": 366}, {"held.most_mb": 1}),
        *({"mark_subject": "a\r\nBcc: x"}, {"mark_subject": "ä"}, {"mark_subject": "x" * 51}),
        *({"mark_subject": 5}, {"file.macro": "deliver"}, {"keep.spam": True}),
    ],
    ids=str,
)
def test_values_that_no_policy_has_are_refused(values):
    with pytest.raises(WrongValue):
        check_values(values)
    with pytest.raises(WrongValue):
        stated(Layer(Level.CLIENT, "Acme"), states=values)
    layer = Layer(Level.CLIENT, "Acme", {key: Stated(value) for key, value in values.items()})
    with pytest.raises(WrongValue):
        effective([layer])


def test_numbers_are_taken_as_a_form_sends_them():
    said = check_values({"act_from": "4.5", "held.keep_days": "7", "mark_from": "0"})
    assert said == {"act_from": 4.5, "held.keep_days": 7, "mark_from": 0}


def test_without_any_layer_bailey_holds_threats_and_marks_what_is_suspicious():
    treatment = treatment_of(values_of([]))
    assert treatment.matrix == {
        **dict.fromkeys(Verdict, MatrixAction.HOLD),
        Verdict.CLEAN: MatrixAction.DELIVER,
        Verdict.GRAYMAIL: MatrixAction.DELIVER,
        Verdict.SUSPICIOUS: MatrixAction.TAG,
    }
    assert treatment.on_not_scanned is MatrixAction.DEFER
    assert (treatment.act_from, treatment.mark_from, treatment.files) == (6.0, None, {})


def test_an_author_stays_with_a_value_that_is_stated_again_as_it_is():
    first = stated(Layer(Level.CLIENT, "Acme"), states={"act_from": 4.0}, by="Mo", at="2026-01-01")
    again = stated(first, states={"act_from": 4.0, "mark_from": 2.0}, by="Bo", at="2026-02-02")
    assert (again.values["act_from"].by, again.values["mark_from"].by) == ("Mo", "Bo")


@pytest.mark.parametrize("template", BAILEYS, ids=lambda each: each.name)
def test_baileys_templates_are_policies(template):
    assert check_values(template.values) == dict(template.values)


def test_monitor_only_stops_nothing():
    layer = Layer(Level.CLIENT, "Acme")
    (monitor,) = (each for each in BAILEYS if each.name == "Monitor only")
    treatment = treatment_of(values_of([stated(layer, states=monitor.values)]))
    assert {*treatment.matrix.values(), treatment.on_not_scanned} == {MatrixAction.DELIVER}
    assert treatment.files == {}
    assert Verdict.SPAM in treatment.keep_original


@pytest.mark.parametrize("least", RELEASERS)
@pytest.mark.parametrize("role", ["client", "help_desk", "analyst", "lead", "nobody", "stranger"])
def test_who_may_release(least, role):
    order = ["client", "help_desk", "analyst", "lead"]
    allowed = role in order and least in order and order.index(role) >= order.index(least)
    assert may_release(least, role) == allowed


def test_every_kind_of_file_has_its_row():
    assert {f"file.{trait}" for trait in FileTrait} <= set(KEYS)
