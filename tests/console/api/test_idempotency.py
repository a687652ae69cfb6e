"""A POST with a key acts once, however often and however parallel it is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection

from incidents.models import Job
from seg_bridge.models import GatewayRule
from tenants.models import IdempotencyKey
from tenants.scope import Role, tenant_scope
from tests.console.api.caller import assert_problem


def rules(world) -> int:
    side = world.acme
    with tenant_scope(Role.ANALYST, [side.tenant.id]):
        return int(GatewayRule.objects.count())


def new_rule(name: str = "") -> dict[str, str]:
    return {"tenant": "acme", "value": f"{name or uuid4().hex}@evil.example", "reason": "it is bad"}


def test_a_repeat_acts_once_and_answers_the_same(mo, world):
    key, body, before = str(uuid4()), new_rule(), rules(world)

    first, second = (mo.post("gateway-rules/", body, key=key) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert rules(world) == before + 1


def test_the_same_key_with_another_body_is_refused(mo, world):
    key = str(uuid4())
    assert mo.post("gateway-rules/", new_rule(), key=key).status_code == 201
    before = rules(world)

    assert_problem(mo.post("gateway-rules/", new_rule(), key=key), 422)
    assert_problem(mo.post(f"incidents/{world.acme.ids['incident']}/take", key=key), 422)

    assert rules(world) == before


def test_a_key_is_its_callers_own(mo, bo, world):
    key, body = str(uuid4()), new_rule()
    assert mo.post("gateway-rules/", body, key=key).status_code == 201
    answer = bo.post("gateway-rules/", new_rule(), key=key)
    assert answer.status_code == 201, "somebody else's key is no key of hers"


@pytest.mark.parametrize(
    "wrong",
    [{}, {"tenant": "acme"}, {"tenant": "nobody", "value": "x@evil.example"}, "nonsense"],
    ids=["empty", "incomplete", "no client", "no JSON"],
)
def test_after_a_refusal_the_key_is_free_again(mo, world, wrong):
    key = str(uuid4())
    refusals = [mo.post("gateway-rules/", wrong, key=key) for _ in range(2)]
    assert_problem(refusals[0], 400, 404)
    assert refusals[0].json() == refusals[1].json()

    assert mo.post("gateway-rules/", new_rule(), key=key).status_code == 201


def test_after_a_fault_of_ours_the_key_is_free_again(mo, world, monkeypatch):
    key, body, before = str(uuid4()), new_rule(), rules(world)
    with monkeypatch.context() as broken:
        broken.setattr("console.api.serializers.GatewayRuleSerializer.to_representation", None)
        assert mo.post("gateway-rules/", body, key=key).status_code == 500
    assert rules(world) == before, "nothing half done"

    assert mo.post("gateway-rules/", body, key=key).status_code == 201
    assert rules(world) == before + 1


def test_parallel_repeats_act_once(mo, world):
    key, body, before = str(uuid4()), new_rule(), rules(world)

    def send(_: int):
        try:
            return mo.post("gateway-rules/", body, key=key)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))

    assert {answer.status_code for answer in answers} == {201}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert rules(world) == before + 1


def test_a_job_is_started_once(mo, world):
    key, incident = str(uuid4()), world.globex.ids["incident"]
    answers = [
        mo.post(f"incidents/{incident}/report", {"audience": "internal"}, key=key) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    with tenant_scope(Role.ANALYST, [world.globex.tenant.id]):
        jobs = Job.objects.filter(id=answers[0].json()["id"])
        assert jobs.count() == 1


def test_opening_an_original_takes_a_key_too(mo, world):
    """Opening an original has no JSON to repeat; its record is written once nevertheless."""
    message, key = world.acme.ids["message"], str(uuid4())
    before = mo.get("accesses/?page_size=500").json()["results"]
    body = {"reason": "the client asked"}
    answers = [mo.post(f"messages/{message}/original", body, key=key) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].content == answers[1].content
    after = mo.get("accesses/?page_size=500").json()["results"]
    assert len(after) == len(before) + 1
    other = mo.post(f"messages/{message}/original", {"reason": "another reason"}, key=key)
    assert_problem(other, 422)


def test_what_is_kept_of_a_key_names_its_person(mo, world):
    key = str(uuid4())
    mo.post("gateway-rules/", new_rule(), key=key)
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id], provider_id=world.cast.provider.id):
        row = IdempotencyKey.objects.get(key=key)
    assert (row.person_id, row.status) == (world.cast.mo.id, 201)
