"""What joins nothing, the dry run of a pass, and orders that are foreseen before they are given."""

from __future__ import annotations

import pytest

from incidents.campaigns.recomputing import show_what_would_change
from incidents.models import Incident, Intent, Job
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.console.api.caller import assert_problem
from tests.isolation.world import missing_id

pytestmark = pytest.mark.usefixtures("undone")


def test_what_joins_nothing_is_listed_with_its_reason(mo, bo, world, monkeypatch):
    monkeypatch.setattr("incidents.campaigns.evidence.MOST_BENIGN", -1)
    told = mo.get("tenants/acme/hubs").json()
    assert told["tenant"] == "acme"
    assert not told["is_cut"]
    assert told["looked_at"] >= len(told["hubs"])
    for hub in told["hubs"]:
        assert hub["words"]
        assert hub["mails"] >= hub["threats"] > 0
        assert hub["why"].endswith(".")
    assert bo.get("tenants/globex/hubs").content == bo.get("tenants/nobody/hubs").content


def test_a_pass_is_asked_for_read_and_decided(mo, world):
    tenant = world.acme.tenant
    with tenant_scope(Role.ANALYST, [tenant.id], provider_id=tenant.provider_id):
        show_what_would_change(tenant)  # what the world has asked for already
    first = mo.get("tenants/acme/grouping").json()
    assert first["now"]["shown_at"]
    answer = mo.post("tenants/acme/grouping")
    assert answer.status_code == 202
    assert answer.json()["now"]["shown_at"] is None
    decision = {"accept": False, "reason": "Not before the weekend"}
    assert_problem(mo.post("tenants/acme/grouping/decide", decision), 409)
    with tenant_scope(Role.ANALYST, [tenant.id], provider_id=tenant.provider_id):
        show_what_would_change(tenant)
    assert_problem(mo.post("tenants/acme/grouping/decide", {"accept": True, "reason": "x"}), 400)
    told = mo.post("tenants/acme/grouping/decide", decision).json()
    assert told["now"] is None
    assert (told["before"][0]["is_accepted"], told["before"][0]["reason"]) == (
        False,
        "Not before the weekend",
    )
    assert_problem(mo.post("tenants/acme/grouping/decide", decision), 404)


def standing(world):
    """What an order would leave behind."""
    sides = (world.acme, world.globex)
    ids = [side.tenant.id for side in sides]
    with tenant_scope(Role.ANALYST, ids, provider_id=world.acme.tenant.provider_id):
        return (
            *(table.objects.count() for table in (Job, Intent, AuditEntry)),
            sorted(Incident.objects.values_list("id", "state", "revision")),
        )


@pytest.mark.parametrize("do", ["pull", "block"])
def test_an_order_over_clients_is_foreseen_and_nothing_of_it_stays(mo, bo, world, do):
    address = f"incidents/{world.acme.ids['incident']}/{do}-everywhere"
    before = standing(world)
    told = mo.post(f"{address}/foresee", {"reason": "one campaign"}).json()["parts"]
    assert standing(world) == before
    jobs = mo.post(address, {"reason": "one campaign"}).json()["jobs"]
    assert standing(world) != before
    ids = [side.tenant.id for side in (world.acme, world.globex)]
    with tenant_scope(Role.ANALYST, ids, provider_id=world.acme.tenant.provider_id):
        copies = {job["id"]: Intent.objects.filter(job=job["id"]).count() for job in jobs}
    assert told == [
        {
            "tenant": job["tenant"],
            "incident": job["incident"],
            "copies": copies[job["id"]],
            "refused": job["error"],
        }
        for job in jobs
    ]
    foreign = f"incidents/{world.globex.ids['incident']}/{do}-everywhere/foresee"
    missing = f"incidents/{missing_id()}/{do}-everywhere/foresee"
    assert bo.post(foreign).content == bo.post(missing).content


def test_an_act_on_many_is_foreseen_and_nothing_of_it_stays(mo, world):
    order = {
        "incidents": [str(world.acme.ids["incident"]), str(missing_id())],
        "action": "resolve",
        "classification": "true_positive",
        "cause": "A phish",
    }
    before = standing(world)
    told = mo.post("incidents/bulk/foresee", order).json()
    assert (told["done"], told["refused"]) == (1, 1)
    assert standing(world) == before
    done = mo.post("incidents/bulk", order).json()
    assert (done["done"], done["refused"]) == (1, 1)
    assert standing(world) != before
