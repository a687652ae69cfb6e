"""The API of modes: the same services as the pages."""

from __future__ import annotations

import pytest

from incidents.models import LayerMode
from tenants.scope import Role, tenant_scope
from tests.console.api.caller import assert_problem

pytestmark = pytest.mark.usefixtures("undone")


def test_modes_are_told_rehearsed_and_set(mo, world):
    told = mo.get("tenants/acme/modes").json()
    assert told["client"]["mode"] == "ask"
    assert {row["mode"] for row in told["mailboxes"]} == {"ask"}
    forecast = mo.post("tenants/acme/modes/rehearse", {"mode": "auto"}).json()
    assert sum(row["copies"] for row in forecast["changed"]) <= forecast["condemned"]
    (group,) = told["groups"]
    wish = {"mode": "monitor", "group": group["group"]}
    assert_problem(mo.post("tenants/acme/modes", wish), 400)
    of_client = {**wish, "rehearsal": forecast["rehearsal"]}
    assert_problem(mo.post("tenants/acme/modes", of_client), 409)
    mark = mo.post("tenants/acme/modes/rehearse", wish).json()["rehearsal"]
    wish |= {"reason": "They asked", "rehearsal": mark}
    changed = mo.post("tenants/acme/modes", wish).json()
    again = mo.post("tenants/acme/modes", wish)
    assert_problem(again, 409)
    assert "decided a mode of this client since" in again.json()["detail"]
    assert (changed["groups"][0]["mode"], changed["groups"][0]["set_by"]) == ("monitor", "Mo")
    assert "tells" in changed["groups"][0]["effect"]
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        assert LayerMode.objects.latest("set_at").mode == "monitor"


def test_what_makes_no_sense_and_what_is_not_ones_own(mo, bo, world):
    for wish in ({}, {"mode": "always"}, {"mode": ""}, {"mode": "ask", "effective_from": "soon"}):
        assert_problem(mo.post("tenants/acme/modes", wish), 400)
    theirs = mo.get("tenants/globex/modes").json()["groups"][0]["group"]
    wish = {"mode": "ask", "group": theirs, "rehearsal": "x"}
    assert_problem(mo.post("tenants/acme/modes", wish), 404)
    assert_problem(bo.get("tenants/globex/modes"), 404)
    proposal = world.globex.ids["proposal"]
    assert_problem(bo.post(f"pull-proposals/{proposal}/decline", {"reason": "x"}), 404)


def test_a_proposal_is_listed_and_declined_once(mo, world):
    proposal = world.acme.ids["proposal"]
    listed = mo.get("pull-proposals/?tenant=acme").json()["results"]
    assert proposal in {each["id"] for each in listed}
    assert_problem(mo.post(f"pull-proposals/{proposal}/decline", {}), 400)
    done = mo.post(f"pull-proposals/{proposal}/decline", {"reason": "A drill"}).json()
    assert (done["state"], done["decided_by"]) == ("declined", "Mo")
    assert_problem(mo.post(f"pull-proposals/{proposal}/approve", {}), 409)
