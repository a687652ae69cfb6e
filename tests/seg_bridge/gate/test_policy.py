from dataclasses import replace
from datetime import UTC, datetime

import pytest

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.policy import (
    BadSnapshot,
    DomainRoute,
    GatewayRule,
    PolicySnapshot,
    TenantPolicy,
    load_signed,
    sign_snapshot,
    split_hop,
)
from seg_bridge.gate.signing import canonical_json

SECRET = b"s" * 32


def acme(**changes) -> TenantPolicy:
    policy = TenantPolicy(
        tenant_id=1,
        slug="acme",
        name="Acme",
        domains=(
            DomainRoute(
                name="acme.example",
                next_hop="127.0.0.1:2526",
                recipients=frozenset({"info@acme.example", "bücher@acme.example"}),
            ),
        ),
        rules=(
            GatewayRule(
                id="r1",
                kind="block",
                match="sender_domain",
                value="evil.example",
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
                owner="Ana",
                reason="seen in an incident",
            ),
        ),
        keep_original=frozenset({Verdict.PHISH}),
        mark_subject="[check] ",
    )
    return replace(policy, **changes)


def snapshot(*tenants: TenantPolicy) -> PolicySnapshot:
    return PolicySnapshot(
        version="v1",
        made_at=datetime(2026, 11, 22, tzinfo=UTC),
        gate="gate1",
        authserv_id="gate1.example",
        trace_keys={"k1": "ab" * 32},
        active_trace_key="k1",
        tenants=tenants or (acme(),),
    )


def test_a_signed_snapshot_comes_back_equal():
    signed = sign_snapshot(snapshot().as_json(), SECRET)
    assert load_signed(signed, SECRET) == snapshot()
    assert load_signed(canonical_json(signed), SECRET) == snapshot()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda signed: signed["snapshot"].update(version="v2"),
        lambda signed: signed.update(signature="00" * 32),
        lambda signed: signed.update(signature=None),
        lambda signed: signed.pop("signature"),
    ],
)
def test_a_changed_snapshot_is_refused(break_it):
    signed = sign_snapshot(snapshot().as_json(), SECRET)
    break_it(signed)
    with pytest.raises(BadSnapshot):
        load_signed(signed, SECRET)


@pytest.mark.parametrize("garbage", [b"", b"[]", b"{", b"null", b'{"snapshot": 1}', b"\xff"])
def test_bytes_that_are_no_snapshot_are_refused(garbage):
    with pytest.raises(BadSnapshot):
        load_signed(garbage, SECRET)


def test_a_snapshot_signed_with_another_gates_secret_is_refused():
    with pytest.raises(BadSnapshot):
        load_signed(sign_snapshot(snapshot().as_json(), b"x" * 32), SECRET)


@pytest.mark.parametrize(
    ("where", "value"),
    [("matrix", {"phish": "explode"}), ("matrix", {"odd": "hold"}), ("tenant_id", "acme")],
)
def test_a_validly_signed_snapshot_with_a_senseless_field_is_refused(where, value):
    data = snapshot().as_json()
    data["tenants"][0][where] = value
    with pytest.raises(BadSnapshot):
        load_signed(sign_snapshot(data, SECRET), SECRET)


def test_a_verdict_missing_from_the_matrix_gets_the_default():
    data = snapshot().as_json()
    del data["tenants"][0]["matrix"]["malware"]
    loaded = load_signed(sign_snapshot(data, SECRET), SECRET)
    assert loaded.tenants[0].matrix[Verdict.MALWARE] is MatrixAction.HOLD


def test_recipients_are_found_whatever_the_case_of_the_address():
    route = snapshot().find("INFO@Acme.Example")
    assert route is not None
    assert route.is_known
    assert route.address == "info@acme.example"


def test_an_unknown_mailbox_of_a_known_domain_is_told_from_an_unknown_domain():
    unknown_mailbox = snapshot().find("nobody@acme.example")
    assert unknown_mailbox is not None
    assert not unknown_mailbox.is_known
    assert snapshot().find("info@globex.example") is None


def test_one_domain_cannot_belong_to_two_clients():
    with pytest.raises(ValueError, match="two clients"):
        snapshot(acme(), acme(tenant_id=2))


@pytest.mark.parametrize("bad", ["", "host", "host:", ":25", "host:0", "host:70000", "h:x"])
def test_a_next_hop_without_host_or_port_is_refused(bad):
    with pytest.raises(ValueError, match="not host:port"):
        split_hop(bad)


def test_a_block_that_would_deliver_is_refused():
    rule = {**acme().rules[0].as_json(), "action": "deliver"}
    with pytest.raises(ValueError, match="hold or reject"):
        GatewayRule.from_json(rule)
