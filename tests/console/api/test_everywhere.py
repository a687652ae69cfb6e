"""Orders over several clients, looking again and sharing: what the pages do, for programs."""

from __future__ import annotations

import pytest

from seg_bridge import rehearsal
from tests.console.api.caller import assert_problem
from tests.isolation.world import missing_id

pytestmark = pytest.mark.usefixtures("undone")


def incident_of(side, name="incident"):
    return side.ids[name]


def test_one_order_reaches_every_client_in_sight_with_a_result_for_each(mo, world):
    address = f"incidents/{incident_of(world.acme)}/pull-everywhere"
    answer = mo.post(address, {"reason": "one campaign"})
    assert answer.status_code == 202
    order = answer.json()
    assert order["jobs"]
    assert {job["order"] for job in order["jobs"]} == {order["order"]}
    assert {job["kind"] for job in order["jobs"]} == {"pull"}
    listed = mo.get(f"jobs?order={order['order']}").json()["results"]
    assert {job["id"] for job in listed} == {job["id"] for job in order["jobs"]}
    assert {job["reason"] for job in listed} == {"one campaign"}


def test_an_order_reaches_no_client_that_is_not_the_callers(mo, bo, world):
    address = f"incidents/{incident_of(world.acme)}/pull-everywhere"
    assert {job["tenant"] for job in bo.post(address).json()["jobs"]} == {"acme"}
    foreign = bo.post(f"incidents/{incident_of(world.globex)}/pull-everywhere")
    missing = bo.post(f"incidents/{missing_id()}/pull-everywhere")
    assert_problem(foreign, 404)
    assert foreign.content == missing.content


@pytest.mark.parametrize("do", ["pull", "block"])
def test_an_incident_of_somebody_else_is_worth_what_nonsense_is_worth(bo, world, do):
    address = f"incidents/{incident_of(world.acme)}/{do}-everywhere"
    answers = [
        bo.post(address, {"incidents": [strange]})
        for strange in (incident_of(world.globex), missing_id())
    ]
    for answer in answers:
        assert_problem(answer, 400)
        assert "Nothing can be done here with" in answer.json()["detail"]


def test_an_order_that_is_sent_again_is_done_once(mo, world):
    address = f"incidents/{incident_of(world.acme)}/block-everywhere"
    said = {"reason": "one campaign", "incidents": [incident_of(world.acme)]}
    first, again = (mo.post(address, said, key="order-1") for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert again["Idempotency-Replayed"] == "true"
    assert first.json() == again.json()


def test_where_the_rehearsal_objects_the_part_fails_unless_it_is_to_be_done_nevertheless(
    mo, world, monkeypatch
):
    objection = "Acme: it would stop 40 of 50 copies (80.0%)."
    monkeypatch.setattr(rehearsal, "_stops", lambda *_: [objection])
    address = f"incidents/{incident_of(world.acme)}/block-everywhere"
    said = {"incidents": [incident_of(world.acme)]}
    (job,) = mo.post(address, said).json()["jobs"]
    assert job["state"] == "failed"
    assert "it would stop" in job["error"]
    assert_problem(mo.post(address, {**said, "despite": True}), 400)
    (job,) = mo.post(address, {**said, "despite": True, "reason": "It is clear"}).json()["jobs"]
    assert (job["state"], job["error"]) == ("done", "")


def test_an_end_that_has_passed_is_refused(mo, world):
    address = f"incidents/{incident_of(world.acme)}/block-everywhere"
    assert_problem(mo.post(address, {"expires_at": "2020-01-01T00:00:00Z"}), 400)


def test_looking_again_asks_the_mailboxes_and_answers_the_job(mo, world):
    answer = mo.post(f"incidents/{incident_of(world.acme)}/look")
    assert answer.status_code == 202
    assert answer.json()["kind"] == "look"


def test_what_is_shared_can_be_taken_back_and_shared_again(mo, world):
    address = f"incidents/{incident_of(world.acme)}"
    assert mo.get(address).json()["is_shared"]
    assert not mo.post(f"{address}/unshare").json()["is_shared"]
    assert mo.post(f"{address}/share").json()["is_shared"]
    assert_problem(mo.post(f"{address}/unshare", {"revision": 0}), 409)


def test_a_statement_of_agreed_times_is_asked_for_by_days(mo, world):
    answer = mo.post(
        "tenants/acme/statement",
        {"since": "2026-11-01", "until": "2026-11-30", "audience": "client"},
    )
    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["incident"]) == ("report", None)
    assert job["detail"]["until"] == "2026-12-01T00:00:00+00:00"
    assert_problem(mo.post("tenants/acme/statement", {"since": "tomorrow"}), 400)
    made = mo.get("reports?kind=agreed_times").json()["results"]
    assert {row["document"]["schema"] for row in made} == {"bailey-agreed-times/1"}
    assert all(row["incident"] is None for row in made)
