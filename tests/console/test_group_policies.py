"""The policy of a group on pages and in the API, and who joins a group that states one."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from seg_bridge.models import PolicyChange
from tenants.groups import members_of, save_group
from tenants.models import ClientGroup
from tests.console.test_policies import api, make, scope, serve
from tests.factories import Cast

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def banks(cast: Cast) -> ClientGroup:
    with scope(cast):
        return save_group(name="Banks", clients=[cast.globex], actor=cast.mo)


def page(group: ClientGroup) -> str:
    return reverse("policy_group", args=[group.id])


def state(client: Any, cast: Cast, group: ClientGroup, **values: str) -> None:
    client.force_login(cast.mo)
    sent = {key.replace("action_", "action."): value for key, value in values.items()}
    make(client, client.post(page(group), {"version": "0", **sent}))


def test_a_lead_states_it_and_every_client_of_it_says_where_it_comes_from(
    client, cast: Cast, banks: ClientGroup
):
    client.force_login(cast.mo)
    asked = client.post(page(banks), {"version": "0", "action.spam": "reject"})
    shown = client.get(asked["Location"]).content.decode()
    assert "Change the policy of <bdi>the group Banks</bdi>" in shown
    assert "from the group Banks" in shown
    make(client, asked)
    assert "Stated here" in client.get(page(banks)).content.decode()
    globex = client.get(reverse("policy_client", args=["globex"])).content.decode()
    assert "From the group Banks, Mo" in globex
    assert globex.index("All clients</a>") < globex.index("The group Banks</a>")
    acme = client.get(reverse("policy_client", args=["acme"])).content.decode()
    assert "Banks" not in acme
    assert page(banks) in client.get(reverse("policy_provider")).content.decode()
    assert page(banks) in client.get(reverse("groups")).content.decode()
    client.force_login(cast.ana)
    assert client.post(page(banks), {"version": "1", "act_from": "4"}).status_code == 403


def test_who_sees_none_of_its_clients_sees_neither_group_nor_change(
    client, cast: Cast, banks: ClientGroup
):
    state(client, cast, banks, action_spam="reject")
    with scope(cast):
        change = PolicyChange.objects.get()
    client.force_login(cast.bo)
    assert client.get(page(banks)).status_code == 404
    assert client.get(reverse("policy_change", args=[change.id])).status_code == 404
    assert "Banks" not in client.get(reverse("policy_provider")).content.decode()
    assert api(client, "GET", "policy-changes").json()["results"] == []
    assert api(client, "GET", f"groups/{banks.id}/policy").status_code == 404
    client.force_login(cast.ana)
    assert client.get(reverse("policy_change", args=[change.id])).status_code == 200


def test_clients_join_after_their_new_policy_was_shown(client, cast: Cast, banks: ClientGroup):
    state(client, cast, banks, action_spam="reject")
    address, form = reverse("group_change", args=[banks.id]), {"name": "Banks"}
    both = {**form, "clients": ["acme", "globex"]}
    for sent in (both, {**both, "seen": "0" * 32}):
        shown = client.post(address, sent).content.decode()
        assert "Acme joins: Spam: what happens becomes Reject." in shown
    with scope(cast):
        assert members_of(banks.id) == [cast.globex.id]
    seen = shown.split('name="seen" value="')[1].split('"')[0]
    # What was seen is one effect, and confirms no other one.
    assert "Globex leaves" in client.post(address, {**form, "seen": seen}).content.decode()
    assert client.post(address, {**both, "seen": seen})["Location"] == reverse("groups")
    with scope(cast):
        assert members_of(banks.id) == sorted([cast.acme.id, cast.globex.id])
    refused = client.post(reverse("group_remove", args=[banks.id]))
    assert refused.status_code == 409
    assert "Let it inherit everything again first" in refused.content.decode()


def test_a_change_is_pushed_to_all_clients_of_a_group(client, cast: Cast, banks: ClientGroup):
    client.force_login(cast.ana)
    address = reverse("policy_push_new")
    form = client.get(address, {"group": str(banks.id)}).content.decode()
    assert f'value="group:{banks.id}" checked' in form
    sent = {"what": "template:Strict", "groups": [f"group:{banks.id}"]}
    push = client.post(address, sent)["Location"]
    serve(cast.globex)
    assert "Rehearsed: 1." in client.get(push).content.decode()
    client.force_login(cast.bo)
    assert "Banks" not in client.get(address).content.decode()
    assert "Choose" in client.post(address, {"what": "template:Strict"}).content.decode()
    assert client.post(address, sent).status_code == 200  # no such group for him


def test_the_api_asks_makes_and_shows_it(client, cast: Cast, banks: ClientGroup):
    client.force_login(cast.mo)
    address = f"groups/{banks.id}/policy"
    asked = api(client, "POST", address, {"version": 0, "states": {"act_from": 4}})
    assert asked.status_code == 201
    change = asked.json()
    assert (change["level"], change["group"], change["tenant"]) == ("group", str(banks.id), None)
    assert [each["tenant"] for each in change["rehearsals"]] == ["globex"]
    api(client, "POST", f"policy-changes/{change['id']}/make", {"reason": "agreed"})
    assert api(client, "GET", address).json()["values"]["act_from"]["value"] == 4.0
    value = api(client, "GET", "tenants/globex/policy").json()["values"]["act_from"]
    assert (value["level"], value["name"], value["by"]) == ("group", "Banks", "Mo")
    body = {"name": "Banks", "tenants": []}
    refused = api(client, "POST", f"groups/{banks.id}/change", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "objections")
    assert "Globex leaves" in refused.json()["detail"]
    done = api(client, "POST", f"groups/{banks.id}/change", {**body, "despite": True})
    assert done.status_code == 200
    push = {"template": "Strict", "groups": [str(banks.id)]}
    nobody = api(client, "POST", "policy-pushes", push)
    assert nobody.status_code == 400
    api(client, "POST", f"groups/{banks.id}/change", {**body, "tenants": ["acme"], "despite": True})
    made = api(client, "POST", "policy-pushes", push).json()
    assert [item["tenant"] for item in made["items"]] == ["acme"]
