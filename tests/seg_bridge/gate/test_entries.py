"""Allow and block entries against mails, as a table: what is matched, for whom, until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.decide import Decidable, decide
from seg_bridge.gate.policy import (
    BadSnapshot,
    GatewayRule,
    PolicySnapshot,
    TenantPolicy,
    load_signed,
    sign_snapshot,
)
from tests.seg_bridge.gate.parts import SECRET, snapshot_of, tenant

NOW = datetime(2026, 11, 22, tzinfo=UTC)
INFO, CEO = "info@acme.example", "ceo@acme.example"
SPAM = Decidable(
    verdict=Verdict.SPAM,
    score=9.0,
    missing=(),
    is_disowned=False,
    sender="ann@news.example",
    senders=frozenset({"ann@news.example", "bounce@mailer.example"}),
    client_ip="203.0.113.9",
    link_hosts=frozenset({"www.news.example"}),
    attachments=frozenset({"a" * 64}),
    dkim_domains=frozenset({"news.example", "mailer.example"}),
)


def entry(kind: str, match: str, value: str, **changes: Any) -> GatewayRule:
    data = {"id": "r1", "kind": kind, "match": match, "value": value, **changes}
    return GatewayRule(**data)


def decided(rule: GatewayRule, mail: Decidable = SPAM, recipient: str = INFO) -> MatrixAction:
    acme = tenant("acme", 1, "127.0.0.1:25", rules=(rule,))
    return decide(mail, acme, recipient, NOW).action


@pytest.mark.parametrize(
    ("match", "value", "allows", "blocks"),
    [
        ("sender", "ann@news.example", True, True),
        ("sender", "bounce@mailer.example", False, True),
        ("sender_domain", "news.example", True, True),
        ("sender_domain", "mailer.example", False, True),
        ("sender_domain", "example", False, True),
        ("dkim_domain", "news.example", True, True),
        ("dkim_domain", "mailer.example", True, True),
        ("dkim_domain", "example", False, True),
        ("dkim_domain", "other.example", False, False),
        ("client_ip", "203.0.113.0/24", True, True),
        ("client_ip", "203.0.113.8", False, False),
        ("url_host", "news.example", True, True),
        ("url_host", "ews.example", False, False),
        ("attachment_sha256", "a" * 64, True, True),
        ("attachment_sha256", "b" * 64, False, False),
    ],
)
def test_what_an_entry_matches(match: str, value: str, allows: bool, blocks: bool):
    assert (decided(entry("allow", match, value)) is MatrixAction.DELIVER) == allows
    clean = replace(SPAM, verdict=Verdict.CLEAN, score=0.0)
    assert (decided(entry("block", match, value), clean) is MatrixAction.HOLD) == blocks


@pytest.mark.parametrize(
    ("recipient", "also", "to", "is_for"),
    [
        ("", (), INFO, True),
        (INFO, (), INFO, True),
        (INFO, (), CEO, False),
        (INFO, ("sales@acme.example",), "sales@acme.example", True),
        ("@acme.example", (), CEO, True),
        ("@acme.example", (), "ceo@sub.acme.example", False),
        ("@acme.example", (), "ceo@notacme.example", False),
    ],
)
def test_for_whom_an_entry_is(recipient: str, also: tuple[str, ...], to: str, is_for: bool):
    rule = entry("allow", "sender", "ann@news.example", recipient=recipient, also=also)
    assert rule.is_for(to) == is_for
    assert (decided(rule, recipient=to) is MatrixAction.DELIVER) == is_for


@pytest.mark.parametrize("match", ["sender", "dkim_domain", "client_ip", "url_host"])
@pytest.mark.parametrize("verdict", [Verdict.MALWARE, Verdict.PHISH])
@pytest.mark.parametrize("scope", ["client", "provider", "group"])
def test_no_allow_beats_a_threat_unless_it_says_so(match: str, verdict: Verdict, scope: str):
    values = {"sender": "ann@news.example", "client_ip": "203.0.113.9", "url_host": "news.example"}
    value = values.get(match, "news.example")
    threat = replace(SPAM, verdict=verdict)
    rule = entry("allow", match, value, scope=scope)
    assert decided(rule, threat) is MatrixAction.HOLD
    assert decided(replace(rule, beats_threats=True), threat) is MatrixAction.DELIVER


def test_what_a_domain_disowns_is_not_allowed_by_its_name_but_by_who_signed_it():
    disowned = replace(SPAM, is_disowned=True)
    assert decided(entry("allow", "sender", "ann@news.example"), disowned) is MatrixAction.HOLD
    signed = entry("allow", "dkim_domain", "mailer.example")
    assert decided(signed, disowned) is MatrixAction.DELIVER


@pytest.mark.parametrize("seconds", [-1, 0])
def test_an_expired_entry_stops_at_once(seconds: int):
    rule = entry("allow", "sender", "ann@news.example")
    ends = replace(rule, expires_at=NOW + timedelta(seconds=seconds))
    assert decided(ends) is MatrixAction.HOLD
    assert decided(replace(rule, expires_at=NOW + timedelta(seconds=1))) is MatrixAction.DELIVER


@pytest.mark.parametrize("scope", ["client", "provider"])
def test_a_block_beats_an_allow_of_any_level(scope: str):
    allow = entry("allow", "sender", "ann@news.example", recipient=INFO)
    block = entry("block", "sender", "ann@news.example", scope=scope)
    acme = tenant("acme", 1, "127.0.0.1:25", rules=(allow, block))
    assert decide(SPAM, acme, INFO, NOW).by == "block"


def test_the_words_say_whose_entry_it_is():
    rule = entry("block", "sender", "ann@news.example", scope="provider", owner="Mo")
    acme = tenant("acme", 1, "127.0.0.1:25", rules=(rule,))
    words = decide(SPAM, acme, INFO, NOW).rule
    assert words == "block of all clients: sender ann@news.example, set by Mo"


def two_clients(*shared: GatewayRule) -> PolicySnapshot:
    def one(slug: str, tenant_id: int) -> TenantPolicy:
        own = entry("block", "sender", f"eve@{slug}.test", id=f"of {slug}")
        return tenant(slug, tenant_id, "127.0.0.1:25", rules=(own, *shared))

    found: PolicySnapshot = snapshot_of(one("acme", 1), one("globex", 2))
    return found


def test_an_entry_of_several_clients_travels_once_and_arrives_at_each():
    shared = entry("block", "dkim_domain", "evil.example", scope="provider", id="of all")
    snapshot = two_clients(shared)
    data = snapshot.as_json()
    assert [each["id"] for each in data["rules"]] == ["of all"]
    assert load_signed(sign_snapshot(data, SECRET), SECRET) == snapshot


def test_a_snapshot_of_an_older_bailey_is_followed():
    data = two_clients().as_json()
    del data["format"]
    for one in data["tenants"]:
        for rule in one["rules"]:
            assert not {"also", "scope"} & set(rule)
    assert load_signed(sign_snapshot(data, SECRET), SECRET).find(INFO) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(format=99),
        lambda data: data["tenants"][0]["rules"][0].update(match="subject"),
        lambda data: data["tenants"][0]["rules"][0].update(scope="everybody"),
        lambda data: data["tenants"][0].update(files={"poem": "hold"}),
        lambda data: data["tenants"][0].update(act_from="nan"),
        lambda data: data["tenants"][0].update(exceptions={CEO: {"matrix": {"odd": "hold"}}}),
        lambda data: data.update(rules=[{"id": "x"}]),
    ],
)
def test_what_this_gate_does_not_know_is_refused_and_not_guessed(change: Any):
    data = two_clients().as_json()
    change(data)
    with pytest.raises(BadSnapshot):
        load_signed(sign_snapshot(data, SECRET), SECRET)
