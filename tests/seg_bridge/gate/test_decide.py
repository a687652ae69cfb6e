from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from incidents.mail import read_mail
from incidents.mail.facts import AuthResult, Link
from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.decide import decidable, decide
from seg_bridge.gate.policy import GatewayRule
from seg_bridge.gate.scanning import ScanResult
from tests.seg_bridge.gate.parts import allow, block, envelope, mail_bytes, snapshot_of, tenant

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FACTS = read_mail(mail_bytes())


def decided(
    verdict=Verdict.CLEAN, score=0.0, *, rules=(), facts=FACTS, auth=(), missing=(), **changes
):
    acme = tenant("acme", 1, "127.0.0.1:25", rules=tuple(rules), **changes)
    route = snapshot_of(acme).find("info@acme.example")
    result = ScanResult(verdict=verdict, score=score, auth=auth, missing=missing)
    mail = decidable(result, facts, envelope())
    return decide(mail, route.tenant, route.address, NOW)


@pytest.mark.parametrize("verdict", [Verdict.SPAM, Verdict.PHISH, Verdict.BEC])
@pytest.mark.parametrize(("score", "action"), [(5.9, "deliver"), (6.0, "hold")])
def test_scored_verdicts_act_from_the_clients_score_on(verdict, score, action):
    assert decided(verdict, score).action == action


@pytest.mark.parametrize("verdict", [Verdict.MALWARE, Verdict.UNSCANNABLE])
def test_malware_and_unscannable_act_at_any_score(verdict):
    decision = decided(verdict, 0.0)
    assert decision.action is MatrixAction.HOLD
    assert decision.rule == f"policy of Acme: {verdict} is held"


@pytest.mark.parametrize("verdict", [Verdict.CLEAN, Verdict.GRAYMAIL])
@pytest.mark.parametrize("action", [MatrixAction.TAG, MatrixAction.HOLD, MatrixAction.REJECT])
def test_what_the_policy_wants_for_harmless_mail_is_done_at_any_score(verdict, action):
    decision = decided(verdict, 0.5, matrix={verdict: action})
    assert (decision.action, decision.by) == (action, "verdict")
    assert decided(verdict, 0.5).action is MatrixAction.DELIVER
    allowed = decided(verdict, 0.5, matrix={verdict: action}, rules=[allow("ann@sender.example")])
    assert allowed.action is MatrixAction.DELIVER


def test_a_weak_threat_is_delivered_and_the_rule_says_from_where_it_acts():
    rule = decided(Verdict.PHISH, 4.25).rule
    assert rule == "policy of Acme: phish with 4.2 points is delivered, it acts from 6.0"


def test_a_weak_threat_with_an_engine_missing_counts_as_not_scanned():
    decision = decided(Verdict.SUSPICIOUS, 2.0, missing=("clamav",))
    assert decision.action is MatrixAction.DEFER
    assert "clamav did not answer" in decision.rule


def test_a_strong_threat_acts_although_an_engine_is_missing():
    assert decided(Verdict.PHISH, 9.0, missing=("clamav",)).action is MatrixAction.HOLD


PASSING = dict.fromkeys((Verdict.SPAM, Verdict.MALWARE), MatrixAction.DELIVER)


@pytest.mark.parametrize("verdict", PASSING)
@pytest.mark.parametrize("action", [MatrixAction.DEFER, MatrixAction.HOLD, MatrixAction.TAG])
def test_what_one_engine_found_and_may_pass_does_not_speak_for_the_one_that_is_away(
    verdict, action
):
    policy = {"matrix": PASSING, "on_not_scanned": action}
    decision = decided(verdict, 9.0, missing=("clamav",), **policy)
    assert (decision.action, decision.by) == (action, "not_scanned")
    assert decided(verdict, 9.0, **policy).action is MatrixAction.DELIVER


def test_a_mark_for_what_was_found_stays_where_unscanned_mail_is_delivered():
    policy = {"matrix": {Verdict.SPAM: MatrixAction.TAG}, "on_not_scanned": MatrixAction.DELIVER}
    decision = decided(Verdict.SPAM, 9.0, missing=("clamav",), **policy)
    assert (decision.action, decision.by) == (MatrixAction.TAG, "verdict")


@pytest.mark.parametrize("beats_threats", [False, True])
@pytest.mark.parametrize("verdict", [None, Verdict.SUSPICIOUS, Verdict.SPAM])
@pytest.mark.parametrize(
    ("policy", "action"),
    [("defer", "defer"), ("hold", "hold"), ("tag", "deliver"), ("deliver", "deliver")],
)
def test_an_allow_lets_no_unscanned_mail_pass_that_the_policy_keeps_back(
    verdict, policy, action, beats_threats
):
    """Of a mail that clamd has not seen nobody knows whether it is malware."""
    rule = allow("ann@sender.example", beats_threats=beats_threats)
    changes = {"rules": [rule], "on_not_scanned": MatrixAction(policy), "missing": ("clamav",)}
    score = 9.0 if verdict is Verdict.SPAM else 2.0
    found = decided(verdict, score, **changes).action
    is_spam_put_off = verdict is Verdict.SPAM and policy == "defer"
    assert found == ("hold" if is_spam_put_off else action)


def test_the_deciding_entry_is_named_with_owner_and_reason():
    rule = block("ann@sender.example", reason="seen in an incident")
    expected = "block of Acme: sender ann@sender.example, set by Ana (seen in an incident)"
    decision = decided(rules=[rule])
    assert decision.rule == expected
    told = {"by": "block", "rule_id": "b1", "owner": "Ana", "reason": "seen in an incident"}
    assert told.items() <= decision.as_json().items()


@pytest.mark.parametrize(
    ("verdict", "score", "missing", "by"),
    [
        (Verdict.PHISH, 9.0, (), "verdict"),
        (Verdict.PHISH, 2.0, (), "score"),
        (None, 0.0, ("clamav",), "not_scanned"),
    ],
)
def test_what_the_policy_decided_is_told_without_an_entry(verdict, score, missing, by):
    told = decided(verdict, score, missing=missing).as_json()
    assert told["by"] == by
    assert "rule_id" not in told


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("sender", "ann@sender.example", True),
        ("sender", "bob@sender.example", False),
        ("sender_domain", "sender.example", True),
        ("sender_domain", "example", True),
        ("sender_domain", "nder.example", False),
        ("client_ip", "203.0.113.9", True),
        ("client_ip", "203.0.113.0/24", True),
        ("client_ip", "198.51.100.0/24", False),
        ("client_ip", "nonsense", False),
        ("url_host", "evil.example", True),
        ("url_host", "www.evil.example", True),
        ("url_host", "vil.example", False),
        ("attachment_sha256", "0" * 64, False),
    ],
)
def test_a_block_fits_what_it_names(kind, value, fits):
    links = (Link(url="http://www.evil.example/", host="www.evil.example", domain="evil.example"),)
    rule = GatewayRule(id="1", kind="block", match=kind, value=value)
    decision = decided(rules=[rule], facts=replace(FACTS, links=links))
    assert (decision.action is MatrixAction.HOLD) == fits


def test_a_block_looks_at_the_envelope_sender_too():
    facts = replace(FACTS, sender=None, from_all=())
    assert decided(rules=[block("ann@sender.example")], facts=facts).action == "hold"


def test_an_allow_does_not_trust_the_envelope_sender():
    facts = read_mail(mail_bytes().replace(b"ann@sender.example", b"eve@evil.example"))
    decision = decided(Verdict.SPAM, 9.0, rules=[allow("ann@sender.example")], facts=facts)
    assert decision.action is MatrixAction.HOLD


def test_an_allow_does_not_help_a_sender_whose_own_domain_disowns_the_mail():
    failed = (AuthResult("gate1", "dmarc", "fail", "sender.example"),)
    decision = decided(Verdict.SPAM, 9.0, rules=[allow("ann@sender.example")], auth=failed)
    assert decision.action is MatrixAction.HOLD


@pytest.mark.parametrize(
    ("verdict", "beats_threats", "action"),
    [
        (Verdict.SPAM, False, "deliver"),
        (Verdict.BEC, False, "deliver"),
        (Verdict.PHISH, False, "hold"),
        (Verdict.MALWARE, False, "hold"),
        (Verdict.PHISH, True, "deliver"),
        (Verdict.MALWARE, True, "deliver"),
    ],
)
def test_an_allow_beats_malware_and_phish_only_if_it_says_so(verdict, beats_threats, action):
    rule = allow("ann@sender.example", beats_threats=beats_threats)
    assert decided(verdict, 9.0, rules=[rule]).action == action


def test_a_block_beats_an_allow():
    rules = [allow("ann@sender.example", beats_threats=True), block("ann@sender.example")]
    assert decided(rules=rules).action is MatrixAction.HOLD


@pytest.mark.parametrize(("minutes", "fits"), [(-1, False), (0, False), (1, True)])
def test_an_entry_ends_when_it_says(minutes, fits):
    rule = block("ann@sender.example", expires_at=NOW + timedelta(minutes=minutes))
    assert (decided(rules=[rule]).action is MatrixAction.HOLD) == fits


def test_an_entry_for_one_mailbox_leaves_the_others_alone():
    rule = block("ann@sender.example", recipient="ceo@acme.example")
    assert decided(rules=[rule]).action is MatrixAction.DELIVER
