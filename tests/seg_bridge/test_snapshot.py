from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from incidents.traces import NoTraceKey, active_trace_key, make_trace_key, trace_keys
from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.policy import BadSnapshot, PolicySnapshot, load_signed
from seg_bridge.services import add_rule, remove_rule
from seg_bridge.snapshot import current_snapshot, find_gate, sign_for
from tenants.audit import BAILEY
from tenants.models import Domain, Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, state_policy
from tests.seg_bridge.conftest import Mx, make_gate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def scope_of(mx: Mx):
    gate = mx.known
    return tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id)


def as_gate_sees_it(mx: Mx) -> PolicySnapshot:
    gate = mx.known
    with scope_of(mx):
        signed = sign_for(gate, current_snapshot(gate), at=NOW)
    return load_signed(signed, mx.secret)


def version(mx: Mx) -> str:
    gate = mx.known
    with scope_of(mx):
        return current_snapshot(gate).version


def test_a_gate_reads_its_clients_with_their_routes_and_defaults(cast: Cast, mx1: Mx):
    snapshot = as_gate_sees_it(mx1)
    assert (snapshot.gate, snapshot.authserv_id, snapshot.made_at) == (
        "mx1",
        "mx1.keep.example",
        NOW,
    )
    assert [tenant.slug for tenant in snapshot.tenants] == ["acme", "globex"]
    acme = snapshot.tenants[0]
    assert acme.domains[0].next_hop == "127.0.0.1:25"
    assert "ceo@acme.example" in acme.domains[0].recipients
    assert acme.matrix[Verdict.PHISH] is MatrixAction.HOLD
    assert acme.on_not_scanned is MatrixAction.DEFER
    assert Verdict.MALWARE in acme.keep_original


def test_a_snapshot_signed_for_one_gate_is_refused_by_another(cast: Cast, mx1: Mx):
    other = make_gate(cast, cast.acme, name="mx2")
    gate = mx1.known
    with scope_of(mx1):
        signed = sign_for(gate, current_snapshot(gate), at=NOW)
    with pytest.raises(BadSnapshot):
        load_signed(signed, other.secret)


def test_a_gate_hears_only_of_its_own_clients(cast: Cast, mx1: Mx):
    other = make_gate(cast, cast.globex, name="mx2")
    snapshot = as_gate_sees_it(other)
    assert [tenant.slug for tenant in snapshot.tenants] == ["globex"]
    assert "acme" not in str(snapshot.as_json())


def test_a_gate_without_clients_gets_a_policy_that_takes_nothing(cast: Cast):
    snapshot = as_gate_sees_it(make_gate(cast, name="mx3"))
    assert snapshot.tenants == ()
    assert snapshot.find("info@acme.example") is None


def test_aliases_are_recipients_in_lower_case_and_in_their_own_domain(cast: Cast, mx1: Mx):
    with scope_of(mx1):
        second = Domain.objects.create(
            tenant=cast.acme, name="acme.test", next_hop_host="::1", next_hop_port=2526
        )
        Mailbox.objects.filter(address="info@acme.example").update(
            aliases=["Sales@Acme.Example", "info@acme.test", "info@globex.example"]
        )
        Mailbox.objects.filter(address="cfo@acme.example").update(state=Mailbox.State.GONE)
        assert second.is_active
    snapshot = as_gate_sees_it(mx1)
    routes = {route.name: route for route in snapshot.tenants[0].domains}
    assert "sales@acme.example" in routes["acme.example"].recipients
    assert "cfo@acme.example" not in routes["acme.example"].recipients
    assert routes["acme.test"].recipients == {"info@acme.test"}
    assert routes["acme.test"].next_hop == "[::1]:2526"


def test_an_alias_in_another_clients_domain_opens_no_recipient_there(cast: Cast, mx1: Mx):
    with scope_of(mx1):
        Mailbox.objects.filter(address="info@acme.example").update(aliases=["x@globex.example"])
    route = as_gate_sees_it(mx1).find("x@globex.example")
    assert route is not None
    assert not route.is_known


def test_a_domain_that_is_switched_off_is_no_longer_ours(cast: Cast, mx1: Mx):
    with scope_of(mx1):
        Domain.objects.filter(name="acme.example").update(is_active=False)
    assert as_gate_sees_it(mx1).find("info@acme.example") is None


def test_the_version_changes_with_the_content_and_with_nothing_else(cast: Cast, mx1: Mx):
    first = version(mx1)
    with scope_of(mx1):
        # The same values written again: new rows, old content.
        Mailbox.objects.filter(tenant=cast.acme).update(display_name="same")
    assert version(mx1) == first
    with scope_of(mx1):
        rule = add_rule(
            tenant_id=cast.acme.id,
            kind="block",
            match="sender",
            value="eve@evil.example",
            reason="seen",
            actor=BAILEY,
        )
    blocked = version(mx1)
    assert blocked != first
    with scope_of(mx1):
        remove_rule(rule=rule, actor=BAILEY, reason="wrong")
    assert version(mx1) == first


def test_an_unchanged_snapshot_costs_one_query(cast: Cast, mx1: Mx, django_assert_num_queries):
    gate = mx1.known
    with scope_of(mx1):
        content = current_snapshot(gate)
        with django_assert_num_queries(1):
            assert current_snapshot(gate) is content


@pytest.mark.parametrize(
    "change",
    [
        lambda cast: state_policy(cast.acme, act_from=4.0),
        lambda cast: Mailbox.objects.filter(address="it@acme.example").delete(),
        lambda cast: Domain.objects.filter(tenant=cast.acme).update(next_hop_port=26),
        lambda cast: make_trace_key(provider_id=cast.provider.id),
    ],
)
def test_every_change_that_matters_is_seen_at_once(cast: Cast, mx1: Mx, change):
    before = version(mx1)
    with scope_of(mx1):
        change(cast)
    assert version(mx1) != before


def test_a_rule_reaches_the_gate_with_owner_reason_and_end(cast: Cast, mx1: Mx):
    end = timezone.now() + timedelta(days=7)
    with scope_of(mx1):
        add_rule(
            tenant_id=cast.acme.id,
            kind="allow",
            match="sender_domain",
            value="News.Example.",
            recipient="INFO@acme.example",
            reason="their newsletter",
            actor=cast.ana,
            expires_at=end,
        )
    (rule,) = as_gate_sees_it(mx1).tenants[0].rules
    assert (rule.kind, rule.match, rule.value) == ("allow", "sender_domain", "news.example")
    assert (rule.recipient, rule.owner, rule.reason) == (
        "info@acme.example",
        "Ana",
        "their newsletter",
    )
    assert rule.expires_at == end


def test_a_retired_trace_key_still_checks_and_the_new_one_signs(cast: Cast, mx1: Mx):
    with scope_of(mx1):
        old, old_key = active_trace_key(cast.provider.id)
        new = make_trace_key(provider_id=cast.provider.id)
        assert trace_keys(cast.provider.id)[old] == old_key
        assert active_trace_key(cast.provider.id)[0] == new
    snapshot = as_gate_sees_it(mx1)
    assert snapshot.active_trace_key == new
    assert snapshot.trace_keys[old] == old_key.hex()


def test_a_provider_without_a_key_says_so(cast: Cast):
    with (
        tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id),
        pytest.raises(NoTraceKey),
    ):
        active_trace_key(cast.provider.id)


def test_an_unknown_gate_is_not_found(cast: Cast):
    assert find_gate("mx9") is None
