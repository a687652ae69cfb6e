"""One change for many clients: rehearsed for each, made where approved, a result for each."""

from __future__ import annotations

from typing import Any

import pytest

from seg_bridge.models import PolicyChange, PolicyLayer, PolicyPush, PolicyPushItem
from seg_bridge.policies import push as pushing
from seg_bridge.policies.layers import Target
from seg_bridge.policies.push import (
    approve_push,
    ask_push,
    pushes_in_sight,
    retry_push,
    serve_policies,
    stop_push,
)
from seg_bridge.policies.services import ask_change, make_change
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.models import AuditEntry, Person, Tenant, Work
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, state_policy
from tests.seg_bridge.policies.test_changes import hold_fraud

SPAM: dict[str, Any] = {"states": {"action.spam": "reject"}}


def sees(cast: Cast, *tenants: Tenant):
    ids = [tenant.id for tenant in tenants or (cast.acme, cast.globex)]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def asked(cast: Cast, *, actor: Person | None = None, **wish: Any) -> PolicyPush:
    with sees(cast):
        return ask_push(tenants=[cast.acme, cast.globex], actor=actor or cast.ana, **wish or SPAM)


def work(*tenants: Tenant) -> None:
    """Until nothing is left to do."""
    for tenant in tenants:
        claimed = ClaimedWork(tenant.id, tenant.provider_id, 1)
        for _ in range(10):
            if serve_policies(claimed) is None:
                break


def states_of(cast: Cast, push: PolicyPush) -> dict[str, str]:
    with sees(cast):
        rows = PolicyPushItem.objects.filter(push=push)
        return dict(rows.values_list("tenant__slug", "state"))


def approved(cast: Cast, push: PolicyPush, *, actor: Person | None = None, **said: Any) -> int:
    with sees(cast):
        return approve_push(push=push, actor=actor or cast.ana, reason="agreed", **said)


def stated(cast: Cast) -> dict[str, Any]:
    with sees(cast):
        rows = PolicyLayer.objects.filter(level="client").select_related("tenant")
        return {
            str(row.tenant and row.tenant.slug): {k: v["value"] for k, v in row.stated.items()}
            for row in rows
        }


def test_it_is_rehearsed_for_each_and_made_nowhere_before_it_is_approved(cast: Cast):
    push = asked(cast)
    assert states_of(cast, push) == {"acme": "waiting", "globex": "waiting"}
    with sees(cast):
        assert Work.objects.filter(queue="policy").exclude(wanted_at=None).count() == 2
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "rehearsed", "globex": "rehearsed"}
    assert stated(cast) == {}
    assert approved(cast, push) == 2
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "made"}
    assert stated(cast) == {"acme": SPAM["states"], "globex": SPAM["states"]}
    with sees(cast):
        entries = AuditEntry.objects.filter(action="seg_bridge.policy.changed")
        assert {(one.actor_name, one.reason) for one in entries} == {("Ana", "agreed")}
        told = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"seg_bridge.policy_push.asked", "seg_bridge.policy_push.approved"} <= told


def test_what_is_approved_early_is_made_after_its_rehearsal(cast: Cast):
    push = asked(cast)
    approved(cast, push)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "made"}


def test_where_the_rehearsal_objects_it_takes_a_word_more(cast: Cast):
    with sees(cast):
        hold_fraud(cast)
    push = asked(cast, actor=cast.mo, states={"action.bec": "deliver"})
    approved(cast, push, actor=cast.mo)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "objected", "globex": "made"}
    with sees(cast):
        item = PolicyPushItem.objects.get(push=push, tenant=cast.acme)
        assert "would be delivered" in item.cause
    with pytest.raises(Conflict):
        approved(cast, push)
    approved(cast, push, actor=cast.mo, despite=True)
    work(cast.acme)
    assert states_of(cast, push) == {"acme": "made", "globex": "made"}


def test_a_push_gives_nobody_a_right_that_she_could_not_give_herself(cast: Cast):
    looser: dict[str, Any] = {"states": {"release.malware": "analyst"}}
    push = asked(cast, **looser)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "failed", "globex": "failed"}
    with sees(cast):
        item = PolicyPushItem.objects.get(push=push, tenant=cast.acme)
        assert "A lead lets more people release" in item.cause
    push = asked(cast, actor=cast.mo, **looser)
    work(cast.acme, cast.globex)
    approved(cast, push)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "failed", "globex": "failed"}
    with sees(cast):
        retry_push(push=push, actor=cast.mo)
        approve_push(push=push, actor=cast.mo, reason="agreed")
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "made"}


def test_who_states_it_already_is_left_alone(cast: Cast):
    with sees(cast):
        state_policy(cast.acme, action_spam="reject")
    push = asked(cast)
    approved(cast, push)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "unchanged", "globex": "made"}
    with sees(cast):
        assert PolicyLayer.objects.get(tenant=cast.acme).version == 1


def test_one_failure_names_its_cause_stops_nobody_else_and_is_tried_again_alone(cast: Cast):
    push = asked(cast)
    work(cast.acme, cast.globex)
    with sees(cast):  # somebody comes first at one client
        target = Target(provider=cast.provider, tenant=cast.acme)
        change = ask_change(target=target, version=0, actor=cast.bo, states={"act_from": 4})
        make_change(change=change, actor=cast.bo, reason="agreed")
    approved(cast, push)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "failed", "globex": "made"}
    with sees(cast):
        item = PolicyPushItem.objects.get(push=push, tenant=cast.acme)
        assert "Bo changed the policy of Acme meanwhile" in item.cause
        before = PolicyChange.objects.filter(tenant=cast.globex).count()
        assert retry_push(push=push, actor=cast.ana) == 1
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "made"}
    assert stated(cast)["acme"] == {"act_from": 4.0, "action.spam": "reject"}
    with sees(cast):
        assert PolicyChange.objects.filter(tenant=cast.globex).count() == before
        assert PolicyPushItem.objects.get(push=push, tenant=cast.acme).tries == 2
        with pytest.raises(Conflict, match="Nothing failed"):
            retry_push(push=push, actor=cast.ana)


def test_an_error_of_baileys_own_is_a_result_too(cast: Cast, monkeypatch, caplog):
    push = asked(cast)

    def breaks(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(pushing, "ask_change", breaks)
    work(cast.acme)
    assert states_of(cast, push) == {"acme": "failed", "globex": "waiting"}
    assert "a bug" in caplog.text


def test_stopping_leaves_what_is_not_made_as_it_was(cast: Cast):
    push = asked(cast)
    work(cast.acme, cast.globex)
    approved(cast, push)
    work(cast.acme)
    with sees(cast):
        assert stop_push(push=push, actor=cast.bo) == 1
    work(cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "stopped"}
    assert set(stated(cast)) == {"acme"}
    with sees(cast):
        retry_push(push=push, actor=cast.ana)
    work(cast.globex)
    assert states_of(cast, push)["globex"] == "made"


def test_a_worker_that_runs_twice_makes_it_once(cast: Cast):
    push = asked(cast)
    approved(cast, push)
    for _ in range(3):
        work(cast.acme, cast.globex)
    with sees(cast):
        assert [row.version for row in PolicyLayer.objects.all()] == [1, 1]
        assert PolicyChange.objects.count() == 2


def test_an_approval_reaches_the_clients_in_ones_sight_only(cast: Cast):
    push = asked(cast)
    work(cast.acme, cast.globex)
    with sees(cast, cast.acme):
        assert pushes_in_sight().count() == 1
        assert approve_push(push=push, actor=cast.bo, reason="agreed") == 1
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "rehearsed"}
    other = PolicyPush.objects
    with sees(cast):
        mine = ask_push(tenants=[cast.globex], actor=cast.ana, **SPAM)
    with sees(cast, cast.acme):
        assert other.filter(id=mine.id).exists()
        assert not pushes_in_sight().filter(id=mine.id).exists()


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"states": {}}, WrongInput),
        ({"states": {"nothing": 1}}, WrongInput),
        ({"inherits": {"nothing"}}, WrongInput),
        ({"template": "Lenient"}, NotThere),
    ],
)
def test_a_push_of_nonsense_is_refused(cast: Cast, wish: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        asked(cast, **wish)
    with sees(cast), pytest.raises(WrongInput):
        ask_push(tenants=[], actor=cast.ana, **SPAM)


def test_a_template_and_a_value_given_back(cast: Cast):
    with sees(cast):
        state_policy(cast.acme, act_from=9.0)
    push = asked(cast, inherits={"act_from"})
    approved(cast, push)
    work(cast.acme, cast.globex)
    assert states_of(cast, push) == {"acme": "made", "globex": "unchanged"}
    assert stated(cast) == {"acme": {}}
    push = asked(cast, template="Strict")
    approved(cast, push)
    work(cast.acme, cast.globex)
    assert stated(cast)["acme"] == stated(cast)["globex"]
