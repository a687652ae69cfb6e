"""The API between the layers: the same services as the pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from incidents.models import LateVerdicts
from seg_bridge.models import GatewayRule, Rehearsal
from tenants.scope import Role, tenant_scope
from tests.console.api.caller import assert_problem


def test_a_disagreement_tells_both_sides_and_the_repair(mo, world):
    item = mo.get(f"disagreements/{world.acme.ids['disagreement']}").json()
    assert item["kind"] == "gateway_passed_mailbox_condemned"
    assert [side["layer"] for side in item["sides"]] == ["gateway", "mailbox"]
    assert item["proposal"]["action"] == "add_rule"
    found = mo.get(f"disagreements/?incident={world.acme.ids['incident']}").json()["results"]
    assert item["id"] in {each["id"] for each in found}


def test_accepting_and_dismissing_are_refused_twice(mo, world):
    address = f"disagreements/{world.globex.ids['disagreement']}"
    rehearsal = mo.post(f"{address}/rehearse").json()
    assert rehearsal["counts"]["looked_at"] >= 0
    accepted = mo.post(f"{address}/accept", {"reason": "clear"}).json()
    assert (accepted["state"], accepted["decided_by"]) == ("accepted", "Mo")
    assert mo.get(f"gateway-rules/{accepted['result']['rule']}").json()["owner"] == "Mo"
    assert_problem(mo.post(f"{address}/accept", {}), 409)
    assert_problem(mo.post(f"{address}/dismiss", {"reason": "x"}), 409)


@pytest.mark.parametrize(
    "body",
    [
        {"do": "add_rule", "tenants": ["acme"], "value": "a@b.example", "days": -1},
        {
            "do": "add_rule",
            "tenants": ["acme"],
            "value": "a@b.example",
            "recipient": "x@else.example",
        },
        {"do": "add_rule", "tenants": ["acme"], "kind": "allow", "value": "eve@acme.example"},
        {"do": "add_rule", "tenants": ["acme"], "match": "client_ip", "value": "0.0.0.0/0"},
        {"do": "add_rule", "tenants": ["acme"], "match": "url_host", "value": "co.uk"},
        {"do": "change_policy", "tenants": ["acme"]},
        *({}, {"do": "add_rule"}, {"tenants": ["acme"]}, {"do": "nothing", "tenants": ["acme"]}),
        {"do": "add_rule", "tenants": ["acme"], "value": "no address"},
        {"do": "add_rule", "tenants": [], "value": "a@b.example"},
    ],
)
def test_a_wish_that_makes_no_sense(mo, body):
    assert_problem(mo.post("rehearsals/", body), 400)


@pytest.mark.parametrize("tenant", ["nobody", "globex"])
def test_only_ones_own_clients_are_rehearsed(bo, tenant):
    body = {"do": "add_rule", "tenants": [tenant], "value": "a@b.example"}
    assert_problem(bo.post("rehearsals/", body), 404)


def test_removing_a_rule_that_is_none(mo):
    missing = "6f1f7d0e-52a4-4c3e-9d1b-1c0c4e6b7a10"
    body = {"do": "remove_rule", "tenants": ["acme"], "rule_id": missing}
    assert_problem(mo.post("rehearsals/", body), 404)


def test_a_change_over_clients_is_rehearsed_then_saved_as_one(mo, world):
    body = {"do": "add_rule", "tenants": ["acme", "globex"], "value": "both@evil.example"}
    kept = mo.post("rehearsals/", body, key="k1").json()
    assert {each["tenant"] for each in kept} == {"acme", "globex"}
    assert mo.post("rehearsals/", body, key="k1").json() == kept
    first = kept[0]["id"]
    assert mo.get(f"rehearsals/{first}/list/newly_held").json()["results"] == []
    assert_problem(mo.get(f"rehearsals/{first}/list/nonsense"), 404)
    assert_problem(mo.post(f"rehearsals/{first}/save", {}), 400)
    rules = mo.post(f"rehearsals/{first}/save", {"reason": "seen"}).json()
    assert {rule["tenant"] for rule in rules} == {"acme", "globex"}
    assert_problem(mo.post(f"rehearsals/{first}/save", {"reason": "seen"}), 409)


def test_a_rehearsal_of_a_policy_is_made_where_it_was_asked_for(mo):
    body = {"version": 0, "states": {"act_from": 3.5, "action.spam": "tag"}}
    asked = mo.post("tenants/acme/policy", body).json()
    (kept,) = asked["rehearsals"]
    assert_problem(mo.post(f"rehearsals/{kept['id']}/save", {"reason": "x"}), 400)


def test_a_rule_of_the_api_is_rehearsed_too(mo, world):
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        before = Rehearsal.objects.count()
    body = {"tenant": "acme", "value": "once@evil.example", "reason": "seen"}
    made = mo.post("gateway-rules/", body).json()
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        assert Rehearsal.objects.count() == before + 1
        assert Rehearsal.objects.get(rule_id=made["id"]).saved_by == "Mo"
    for _ in range(2):
        removed = mo.post(f"gateway-rules/{made['id']}/remove", {"reason": "an error"}).json()
        assert removed["removed_at"]
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        assert GatewayRule.objects.filter(id=made["id"], removed_at=None).count() == 0


def test_held_mail_of_the_same_rule(mo, world):
    same = mo.get(f"held/{world.acme.ids['held']}/same-rule").json()
    assert same["rule"].endswith("malware is held")
    assert same["others"] == []
    body = {"reason": "safe", "also": [world.globex.ids["held"]]}
    assert_problem(mo.post(f"held/{world.acme.ids['held']}/release", body), 400)


def test_standing_orders_are_listed_and_withdrawn(mo, world):
    order_id = world.globex.ids["order"]
    found = mo.get("standing-orders/?in_force=true&tenant=globex").json()["results"]
    assert order_id in {each["id"] for each in found}
    withdrawn = mo.post(f"standing-orders/{order_id}/withdraw", {"reason": "over"}).json()
    assert withdrawn["withdrawn_by"] == "Mo"
    found = mo.get("standing-orders/?in_force=true&tenant=globex").json()["results"]
    assert order_id not in {each["id"] for each in found}


def test_the_clients_wish_about_late_verdicts(mo, world):
    assert mo.get("tenants/acme/late-verdicts").json()["rule_mode"] == "ask"
    wish = mo.post("tenants/acme/late-verdicts", {"rule_mode": "auto", "stop": False}).json()
    assert (wish["rule_mode"], wish["stopped"], wish["changed_by"]) == ("auto", False, "Mo")
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        assert LateVerdicts.objects.get().rule_mode == "auto"
    assert_problem(mo.post("tenants/acme/late-verdicts", {}), 400)
    assert_problem(mo.post("tenants/acme/late-verdicts", {"rule_mode": "x"}), 400)
    assert_problem(mo.post("tenants/nobody/late-verdicts", {"rule_mode": "ask"}), 404)


def test_what_allowed_a_copy_is_told_and_nothing_is_nothing(mo, world):
    passed = mo.get(f"deliveries/{world.acme.ids['delivery']}/allowed").json()
    assert (passed["kind"], passed["rule_id"]) == ("policy", None)
    held = mo.get(f"deliveries/{world.acme.ids['held']}/allowed").json()
    assert held["kind"] is None


def test_a_rule_past_its_end_is_not_in_force(mo, world):
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        rule = GatewayRule.objects.filter(removed_at=None).latest("created_at")
    rule_id = str(rule.id)
    listed = [f"gateway-rules/?tenant=acme&in_force={word}" for word in ("true", "false")]

    def lists_with_it() -> list[bool]:
        rows = [mo.get(address).json()["results"] for address in listed]
        return [rule_id in {row["id"] for row in each} for each in rows]

    assert lists_with_it() == [True, False]
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        past = timezone.now() - timedelta(seconds=1)
        GatewayRule.objects.filter(id=rule_id).update(expires_at=past)
    assert lists_with_it() == [False, True]
