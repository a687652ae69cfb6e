"""Many kept mails let go over the API: read and rehearsed first, a result for each client."""

from __future__ import annotations

import pytest
from django.utils import timezone

from incidents.models import Delivery, Intent, Job, ReleaseLook
from incidents.remediation import settle_intent
from seg_bridge.models import GateCommand, GatewayRule
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.console.api.caller import assert_problem
from tests.isolation.world import missing_id

pytestmark = pytest.mark.usefixtures("undone")
TABLES = (Job, Intent, AuditEntry, GatewayRule)


def everywhere(world):
    ids = [side.tenant.id for side in (world.acme, world.globex)]
    return tenant_scope(Role.ANALYST, ids, provider_id=world.acme.tenant.provider_id)


@pytest.fixture
def both(world):
    """What each client has in the hold, and nobody has ordered anything of it."""
    held = [side.ids["held"] for side in (world.acme, world.globex)]
    with everywhere(world):
        Intent.objects.filter(delivery__in=held).update(state=Intent.State.FAILED)
        commands = GateCommand.objects.filter(kind=GateCommand.Kind.RELEASE)
        commands.update(ok=False, done_at=timezone.now())
    return held


def order_of(held, **more):
    return {"copies": held, "reason": "Both clients called"} | more


def test_an_order_is_read_rehearsed_given_and_followed_to_each_result(mo, world, both):
    gone = missing_id()
    order = order_of(both)
    order["copies"] = [*order["copies"], gone]
    with everywhere(world):
        before = [table.objects.count() for table in TABLES]
    told = mo.post("held/release/foresee", order).json()
    with everywhere(world):
        assert [table.objects.count() for table in TABLES] == before
    assert told["left_out"] == [gone]
    assert {each["tenant"]: each["copies"] for each in told["clients"]} == {
        side.tenant.slug: [side.ids["held"]] for side in (world.acme, world.globex)
    }
    assert all(
        {seen["layer"] for seen in each["layers"]} == {"gateway", "mailbox"}
        for each in told["clients"]
    )

    answer = mo.post("held/release", order)
    assert answer.status_code == 202, answer.content
    done = answer.json()
    refused = {job["tenant"]: job["error"] for job in done["jobs"]}
    assert refused == {each["tenant"]: each["refused"] for each in told["clients"]}
    assert refused == {"acme": "", "globex": ""}
    assert done["left_out"] == [gone]

    jobs = mo.get(f"jobs?order={done['order']}").json()["results"]
    assert {job["tenant"] for job in jobs} == {"acme", "globex"}
    assert all(job["counts"]["copies"] == 1 for job in jobs)
    with everywhere(world):
        for intent in Intent.objects.filter(job__in=[job["id"] for job in jobs]):
            settle_intent(intent.id, ok=True, detail="")
        assert ReleaseLook.objects.filter(intent__job__group_id=done["order"]).count() == 2
    looks = mo.get(f"release-looks?order={done['order']}").json()["results"]
    assert {look["delivery"] for look in looks} == set(order["copies"]) - {gone}
    one = mo.get(f"release-looks?job={jobs[0]['id']}").json()["results"]
    assert [look["job"] for look in one] == [jobs[0]["id"]]


def test_what_every_client_refuses_is_said_before_and_is_its_failed_job(mo, both):
    order = order_of(both, exception={"match": "like", "days": 1})
    told = mo.post("held/release/foresee", order).json()
    done = mo.post("held/release", order).json()
    refused = {job["tenant"]: job["error"] for job in done["jobs"]}
    assert refused == {each["tenant"]: each["refused"] for each in told["clients"]}
    assert all("not fit for such an exception" in why for why in refused.values())
    assert {job["state"] for job in done["jobs"]} == {"failed"}


def test_what_the_policy_keeps_from_her_is_said_before_and_refused_after(bo, world):
    """Her own client's malware is a lead's to release; another client's mail is nobody's."""
    mine, foreign = world.acme.ids["held"], world.globex.ids["held"]
    told = bo.post("held/release/foresee", {"copies": [mine]}).json()
    assert [each["delivery"] for each in told["not_yours"]] == [mine]
    assert told["clients"][0]["copies"] == []
    assert told["clients"][0]["refused"]
    assert_problem(bo.post("held/release", {"copies": [mine]}), 403)
    for path in ("held/release", "held/release/foresee"):
        told = [
            (answer.status_code, answer.content.replace(each.encode(), b""))
            for each in (foreign, missing_id())
            for answer in [bo.post(path, {"copies": [each]})]
        ]
        assert told[0] == told[1]
    assert_problem(bo.post("held/release", {"copies": []}), 400)


def test_all_that_an_incident_keeps_goes_by_one_order(mo, world):
    side = world.acme
    with everywhere(world):
        copy = Delivery.objects.get(message=side.ids["message"], tenant=side.tenant)
        Delivery.objects.filter(tenant=side.tenant, id=copy.id).update(place="quarantine")
    address = f"incidents/{side.ids['incident']}/release"
    told = mo.post(f"{address}/foresee").json()
    assert [each["copies"] for each in told["clients"]] == [[str(copy.id)]]
    assert (told["clients"][0]["released"], told["clients"][0]["given_back"]) == (0, 1)
    strange = mo.post(address, {"copies": [side.ids["held"]]})
    assert_problem(strange, 400)
    done = mo.post(address, {"copies": [str(copy.id)]}).json()
    assert [job["counts"]["copies"] for job in done["jobs"]] == [1]
    assert_problem(mo.post(address), 409)


def test_what_no_gate_holds_any_more_is_said_before_and_after(mo, world):
    """Its place says hold, and no gate has it: the copy fails at once, and is not counted."""
    side = world.acme
    with everywhere(world):
        copies = Delivery.objects.filter(message=side.ids["message"], tenant=side.tenant)
        copies.update(place="hold")
        order = {"copies": [str(copies.get().id)]}
    (told,) = mo.post("held/release/foresee", order).json()["clients"]
    assert (told["released"], told["refused"]) == (0, "No gate says that it holds this mail.")
    (job,) = mo.post("held/release", order).json()["jobs"]
    assert (job["state"], job["counts"]["failed"]) == ("failed", 1)
