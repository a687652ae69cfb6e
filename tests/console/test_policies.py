"""Policies on pages and in the API: origin, the way back, a look before the change."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.urls import reverse

from seg_bridge.models import PolicyChange, PolicyLayer
from seg_bridge.policies.keys import KEYS
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, state_policy


@pytest.fixture(autouse=True)
def _no_broker(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def scope(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    return tenant_scope(Role.WORKER, ids, provider_id=cast.provider.id)


def fields(page: str) -> dict[str, str]:
    """Every field of the policy's form, as a browser without JavaScript would send it."""
    form = page[page.index('class="stack policy"') : page.index("Show what would change")]
    sent = dict(re.findall(r'<input[^>]* name="([\w.]+)"[^>]* value="([^"]*)"', form))
    sent |= dict(re.findall(r'<input name="([\w.]+)"[^>]* value="([^"]*)"', form))
    for name, options in re.findall(r'<select name="([\w.]+)".*?>(.*?)</select>', form):
        chosen = re.search(r'value="([^"]*)" selected', options)
        sent[name] = chosen[1] if chosen else ""
    return {name: value for name, value in sent.items() if name in KEYS or name == "version"}


def make(client: Any, answer: Any, **said: Any) -> Any:
    assert answer.status_code == 302, answer.content.decode()
    change_id = answer["Location"].rsplit("/", 1)[-1]
    return client.post(
        reverse("policy_change_make", args=[change_id]), {"reason": "agreed", **said}
    )


def test_a_page_that_is_sent_as_it_came_changes_nothing(client, cast: Cast):
    with scope(cast):
        state_policy(cast.acme, act_from=4.0, action_spam="tag", mark_subject="")
    client.force_login(cast.bo)
    address = reverse("policy_client", args=["acme"])
    sent = fields(client.get(address).content.decode())
    assert set(sent) == set(KEYS) | {"version"}
    assert (sent["act_from"], sent["action.spam"], sent["mark_subject"]) == ("4", "tag", "-")
    answer = client.post(address, sent)
    assert answer.status_code == 400
    assert "Nothing would change" in answer.content.decode()


def test_a_value_is_changed_after_its_effect_was_shown(client, cast: Cast):
    client.force_login(cast.bo)
    address = reverse("policy_client", args=["acme"])
    sent = fields(client.get(address).content.decode())
    answer = client.post(address, {**sent, "action.spam": "reject", "held.keep_days": "7"})
    page = client.get(answer["Location"]).content.decode()
    assert "Nothing has been changed." in page
    assert "<b>Reject</b>" in page
    assert "<b>7 days</b>" in page
    done = make(client, answer)
    assert done["Location"] == address
    page = client.get(address).content.decode()
    assert "States 2 values of its own" in page
    assert re.search(r"<b>Stated here</b>, Bo .*: agreed", page)
    again = client.get(answer["Location"]).content.decode()
    assert "Made by Bo" in again


def test_one_button_gives_a_value_back_and_another_gives_all_back(client, cast: Cast):
    with scope(cast):
        state_policy(cast.acme, act_from=4.0, action_spam="tag")
    client.force_login(cast.bo)
    address = reverse("policy_client", args=["acme"])
    sent = fields(client.get(address).content.decode())
    make(client, client.post(address, {**sent, "inherit": "act_from"}))
    with scope(cast):
        assert set(PolicyLayer.objects.get().stated) == {"action.spam"}
    sent = fields(client.get(address).content.decode())
    make(client, client.post(address, {**sent, "inherit": "*"}))
    with scope(cast):
        assert PolicyLayer.objects.get().stated == {}
    assert "States nothing of its own" in client.get(address).content.decode()


def test_who_comes_second_is_told_who_came_first(client, cast: Cast):
    client.force_login(cast.bo)
    address = reverse("policy_client", args=["acme"])
    mine = client.post(address, {"version": "0", "act_from": "4"})
    theirs = client.post(address, {"version": "0", "act_from": "3"})
    make(client, theirs)
    refused = make(client, mine)
    assert refused.status_code == 409
    assert "Bo changed the policy of Acme meanwhile" in refused.content.decode()
    late = client.post(address, {"version": "0", "act_from": "2"})
    assert late.status_code == 409


def test_a_mailbox_is_found_by_its_address_and_shows_the_levels_above(client, cast: Cast):
    client.force_login(cast.bo)
    with scope(cast):
        box = Mailbox.objects.get(address="ceo@acme.example")
    address = reverse("policy_client", args=["acme"])
    found = client.get(address, {"mailbox": " CEO@acme.example"})
    assert found["Location"] == reverse("policy_mailbox", args=[box.id])
    page = client.get(found["Location"]).content.decode()
    assert page.index("All clients</a>") < page.index("Acme</a> <span")
    assert "acme.example</a>" in page
    missing = client.get(address, {"mailbox": "nobody@acme.example"}).content.decode()
    assert "has no mailbox nobody@acme.example" in missing


def test_an_analyst_is_told_that_all_clients_are_a_leads(client, cast: Cast):
    client.force_login(cast.ana)
    answer = client.post(reverse("policy_provider"), {"version": "0", "act_from": "4"})
    assert answer.status_code == 403


def test_a_template_is_shown_before_it_is_applied(client, cast: Cast):
    client.force_login(cast.mo)
    address = reverse("policy_provider")
    answer = client.post(address, {"version": "0", "template": "Strict"})
    page = client.get(answer["Location"]).content.decode()
    assert "with the template Strict" in page
    assert "values stay as they are and come from another level" in page
    make(client, answer)
    assert "as in the template Strict" in client.get(address).content.decode()
    page = client.get(reverse("policy_client", args=["acme"])).content.decode()
    assert "From all clients of Keep, Mo" in page


def api(client: Any, method: str, address: str, body: Any = None, **headers: str) -> Any:
    return client.generic(
        method,
        f"/api/v1/{address}",
        json.dumps(body) if body is not None else "",
        content_type="application/json",
        headers=headers,
    )


def test_the_api_shows_the_origin_and_asks_before_it_changes(client, cast: Cast):
    with scope(cast):
        state_policy(cast.acme, act_from=4.0)
    client.force_login(cast.bo)
    address = "tenants/acme/policy"
    shown = api(client, "GET", f"{address}?mailbox=ceo@acme.example").json()
    assert (shown["level"], shown["version"]) == ("mailbox", 0)
    assert set(shown["values"]) == set(KEYS)
    assert shown["values"]["act_from"] | {"at": "", "by": ""} == {
        "value": 4.0,
        "level": "client",
        "name": "Acme",
        "by": "",
        "at": "",
        "reason": "",
    }
    body = {"version": 0, "mailbox": "ceo@acme.example", "states": {"act_from": 9}}
    asked = api(client, "POST", address, body, **{"Idempotency-Key": "once"})
    again = api(client, "POST", address, body, **{"Idempotency-Key": "once"})
    assert (asked.status_code, again.json()) == (201, asked.json())
    with scope(cast):
        assert PolicyChange.objects.count() == 1
    change = asked.json()
    assert change["differences"][0]["before_name"] == "Acme"
    made = api(client, "POST", f"policy-changes/{change['id']}/make", {"reason": "agreed"}).json()
    assert (made["state"], made["made_by"]) == ("made", "Bo")
    shown = api(client, "GET", f"{address}?mailbox=ceo@acme.example").json()
    assert shown["values"]["act_from"]["value"] == 9.0
    listed = api(client, "GET", "policy-changes?level=mailbox").json()["results"]
    assert [each["id"] for each in listed] == [change["id"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"version": 0}, 400),
        ({"version": -1, "states": {"act_from": 4}}, 400),
        ({"version": 0, "states": {"act_from": {}}}, 400),
        ({"version": 0, "states": [1]}, 400),
        ({"version": 0, "states": {"act_from": 4}, "inherits": ["act_from"]}, 400),
        ({"version": 7, "states": {"act_from": 4}}, 409),
        ({"version": 0, "mailbox": "ceo@globex.example", "states": {"act_from": 4}}, 404),
        ({"version": 0, "domain": "globex.example", "states": {"act_from": 4}}, 404),
        ({"version": 0, "template": "Lenient"}, 404),
    ],
)
def test_what_the_api_refuses(client, cast: Cast, body: dict[str, Any], status: int):
    client.force_login(cast.bo)
    assert api(client, "POST", "tenants/acme/policy", body).status_code == status


def test_a_lead_keeps_templates(client, cast: Cast):
    client.force_login(cast.mo)
    body = {"name": "Ours", "values": {"action.spam": "reject"}}
    made = api(client, "POST", "policy-templates", body)
    assert made.status_code == 201
    names = [each["name"] for each in api(client, "GET", "policy-templates").json()]
    assert names == ["Standard", "Strict", "Monitor only", "Ours"]
    address = f"policy-templates/{made.json()['id']}/remove"
    assert api(client, "POST", address).status_code == 204
    assert api(client, "POST", address).status_code == 404
