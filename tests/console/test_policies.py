"""Policies on pages and in the API: origin, the way back, a look before the change."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from seg_bridge.models import GatewayRule, PolicyChange, PolicyLayer
from seg_bridge.policies.keys import KEYS
from seg_bridge.policies.push import serve_policies
from seg_bridge.services import add_rule
from tenants.doors import ClaimedWork
from tenants.groups import save_group
from tenants.models import ClientGroup, Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, state_policy
from tests.seg_bridge.test_rule_scopes import held

pytestmark = pytest.mark.usefixtures("no_broker")


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
    answer = client.post(address, {**sent, "action.spam": "reject", "held.keep_days": "90"})
    page = client.get(answer["Location"]).content.decode()
    assert "Nothing has been changed." in page
    assert "<b>Reject</b>" in page
    assert "<b>90 days</b>" in page
    done = make(client, answer)
    assert done["Location"] == address
    page = client.get(address).content.decode()
    assert "States 2 values of its own" in page
    assert re.search(r"<b>Stated here</b>, Bo .*: agreed", page)
    again = client.get(answer["Location"]).content.decode()
    assert "Made by Bo" in again


def test_one_button_gives_a_value_back_and_another_gives_all_back(client, cast: Cast):
    with scope(cast):
        state_policy(cast.acme, act_from=9.0, action_spam="tag")
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
    body = {"version": 0, "mailbox": "ceo@acme.example", "states": {"act_from": 3}}
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
    assert shown["values"]["act_from"]["value"] == 3.0
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


def test_a_push_is_shown_approved_and_told_client_by_client(client, cast: Cast):
    client.force_login(cast.ana)
    address = reverse("policy_push_new")
    assert "Choose" not in client.get(address).content.decode()
    empty = client.post(address, {"what": "template:Strict"})
    assert empty.status_code == 200
    answer = client.post(address, {"what": "template:Strict", "clients": ["acme", "globex"]})
    push = answer["Location"]
    page = client.get(push).content.decode()
    assert "Waiting for its rehearsal: 2." in page
    assert page.count(">not known<") == 4, "no number stands for what nobody has looked at"
    serve(cast.acme, cast.globex)
    page = client.get(push).content.decode()
    assert "Rehearsed: 2." in page
    assert "not known" not in page
    assert "Nothing is changed yet" in page
    done = client.post(push + "/approve", {"reason": "agreed"})
    assert done["Location"] == push
    serve(cast.acme, cast.globex)
    page = client.get(push).content.decode()
    assert "<h2>Success</h2>" in page
    assert client.post(push + "/retry").status_code == 409


def serve(*tenants: Any) -> None:
    for tenant in tenants:
        while serve_policies(ClaimedWork(tenant.id, tenant.provider_id, 1)) is not None:
            pass


def test_a_change_of_one_client_is_pushed_to_others(client, cast: Cast):
    client.force_login(cast.ana)
    asked = client.post(reverse("policy_client", args=["acme"]), {"version": "0", "act_from": "4"})
    make(client, asked)
    change_id = asked["Location"].rsplit("/", 1)[-1]
    assert "Push to other clients" in client.get(asked["Location"]).content.decode()
    address = reverse("policy_push_new") + f"?change={change_id}"
    assert "changed at Acme" in client.get(address).content.decode()
    push = client.post(address, {"what": f"change:{change_id}", "clients": ["globex"]})
    shown = api(client, "GET", "policy-pushes").json()["results"]
    assert (shown[0]["states"], shown[0]["items"][0]["tenant"]) == ({"act_from": 4.0}, "globex")
    assert push["Location"].endswith(shown[0]["id"])


# --- list entries


def test_a_lead_makes_an_entry_for_all_clients_and_an_analyst_is_not_asked(client, cast: Cast):
    client.force_login(cast.ana)
    assert "For all clients" not in client.get(reverse("rule_new")).content.decode()
    client.force_login(cast.mo)
    form = {"kind": "block", "match": "sender", "value": "eve@evil.example", "days": "0"}
    refused = client.post(reverse("rule_new"), {**form, "everywhere": "on"})
    assert "Say why this entry has no end" in refused.content.decode()
    refused = client.post(reverse("rule_new"), {**form, "days": "30"})
    assert "Choose at least one client" in refused.content.decode()
    asked = client.post(
        reverse("rule_new"), {**form, "everywhere": "on", "no_end_because": "A sworn enemy"}
    )
    saved = client.post(asked["Location"] + "/save", {"reason": "seen", "despite": "on"})
    assert saved.status_code == 302
    page = client.get(reverse("rules"), {"client": "globex"}).content.decode()
    assert "All clients</b>" in page
    assert "no end: A sworn enemy" in page
    listed = api(client, "GET", "gateway-rules").json()["results"]
    assert (listed[0]["tenant"], listed[0]["state"]) == (None, "in_force")
    removed = api(client, "POST", f"gateway-rules/{listed[0]['id']}/remove", {"reason": "wrong"})
    assert removed.json()["state"] == "removed"


def test_an_entry_that_lets_threats_pass_is_a_leads_and_says_so(client, cast: Cast):
    form = {"kind": "allow", "match": "dkim_domain", "value": "bank.example", "days": "7"}
    form |= {"clients": "acme", "beats_threats": "on"}
    client.force_login(cast.ana)
    assert "malware or phishing" not in client.get(reverse("rule_new")).content.decode()
    asked = client.post(reverse("rule_new"), form)
    assert "malware and phishing" not in client.get(asked["Location"]).content.decode()
    client.force_login(cast.mo)
    for wrong, words in (({"kind": "block"}, "Only an allow"), ({"days": "0"}, "needs an end")):
        refused = client.post(reverse("rule_new"), {**form, "no_end_because": "So", **wrong})
        assert words in refused.content.decode()
    asked = client.post(reverse("rule_new"), form)
    assert "It lets malware and phishing pass." in client.get(asked["Location"]).content.decode()
    saved = client.post(asked["Location"] + "/save", {"reason": "agreed", "despite": "on"})
    assert saved.status_code == 302
    assert "beats threats" in client.get(reverse("rules")).content.decode()


def test_a_block_holds_or_refuses(client, cast: Cast):
    client.force_login(cast.ana)
    form = {"kind": "block", "match": "sender", "value": "eve@evil.example", "days": "7"}
    asked = client.post(reverse("rule_new"), {**form, "clients": "acme", "action": "reject"})
    assert client.post(asked["Location"] + "/save", {"reason": "seen"}).status_code == 302
    with scope(cast):
        assert GatewayRule.objects.get().action == "reject"
    allow = {**form, "kind": "allow", "clients": "globex", "action": "reject"}
    assert client.post(reverse("rule_new"), allow).status_code == 302


def test_the_api_wants_a_client_or_all_of_them(client, cast: Cast):
    client.force_login(cast.mo)
    body = {"value": "eve@evil.example", "reason": "seen"}
    assert api(client, "POST", "gateway-rules", body).status_code == 400
    both = {**body, "tenant": "acme", "everywhere": True}
    assert api(client, "POST", "gateway-rules", both).status_code == 400
    made = api(client, "POST", "gateway-rules", {**body, "everywhere": True})
    assert (made.status_code, made.json()["tenant"]) == (201, None)
    client.force_login(cast.ana)
    other = {"value": "x@evil.example", "reason": "seen", "everywhere": True}
    assert api(client, "POST", "gateway-rules", other).status_code == 403


@pytest.fixture
def banks(cast: Cast) -> ClientGroup:
    with scope(cast):
        return save_group(name="Banks", clients=[cast.globex], actor=cast.mo)


def test_an_entry_for_a_group_on_pages(client, cast: Cast, banks: ClientGroup):
    client.force_login(cast.ana)
    assert "clients of a group" not in client.get(reverse("rule_new")).content.decode()
    client.force_login(cast.mo)
    assert "clients of a group" in client.get(reverse("rule_new")).content.decode()
    form = {"kind": "block", "match": "sender", "value": "eve@evil.example", "days": "30"}
    form["group"] = str(banks.id)
    refused = client.post(reverse("rule_new"), {**form, "clients": ["acme"]})
    assert "Choose the group or clients" in refused.content.decode()
    asked = client.post(reverse("rule_new"), form)
    assert "For the group Banks: one entry" in client.get(asked["Location"]).content.decode()
    client.post(asked["Location"] + "/save", {"reason": "seen", "despite": "on"})
    assert "<b>The group Banks</b>" in client.get(reverse("rules")).content.decode()
    assert "for the group Banks" in client.get(reverse("client", args=["globex"])).content.decode()
    assert "Banks" not in client.get(reverse("client", args=["acme"])).content.decode()
    assert '"group:Banks"' in client.get(reverse("rules_export")).content.decode()
    with scope(cast):
        rule = GatewayRule.objects.get()
    client.force_login(cast.bo)  # who sees Acme only
    for address in (reverse("rules"), reverse("rules_export")):
        assert "eve@evil.example" not in client.get(address).content.decode()
    assert client.post(reverse("rule_remove", args=[rule.id])).status_code == 404
    assert api(client, "GET", f"gateway-rules/{rule.id}").status_code == 404
    assert api(client, "POST", f"gateway-rules/{rule.id}/remove", {}).status_code == 404
    assert api(client, "GET", "gateway-rules").json()["results"] == []


def test_an_entry_for_a_group_by_the_api(client, cast: Cast, banks: ClientGroup):
    body = {"value": "eve@evil.example", "reason": "seen", "group": str(banks.id)}
    client.force_login(cast.ana)
    assert api(client, "POST", "gateway-rules", body).status_code == 403
    client.force_login(cast.bo)
    assert api(client, "POST", "gateway-rules", body).status_code == 404
    client.force_login(cast.mo)
    assert api(client, "POST", "gateway-rules", {**body, "tenant": "acme"}).status_code == 400
    made = api(client, "POST", "gateway-rules", body)
    assert (made.status_code, made.json()["tenant"], made.json()["group"]) == (
        *(201, None),
        str(banks.id),
    )
    asked = {"tenants": ["acme"], "do": "add_rule", "value": "x@evil.example"}
    rehearsed = api(client, "POST", "rehearsals", {**asked, "group": str(banks.id)})
    assert [each["tenant"] for each in rehearsed.json()] == ["globex"]
    listed = api(client, "GET", f"gateway-rules?group={banks.id}").json()["results"]
    assert [each["id"] for each in listed] == [made.json()["id"]]
    assert api(client, "GET", "gateway-rules?tenant=acme").json()["results"] == []


def test_a_digest_is_sent_and_listed_by_the_api(client, cast: Cast):
    client.force_login(cast.ana)
    body = {"mailbox": "ceo@acme.example"}
    assert api(client, "POST", "digests", {"mailbox": "no@acme.example"}).status_code == 400
    assert api(client, "POST", "digests", body).status_code == 409
    with scope(cast):
        held(cast)
    made = api(client, "POST", "digests", body)
    assert (made.status_code, made.json()["items"], made.json()["asked_by"]) == (201, 1, "Ana")
    found = api(client, "GET", "digests?mailbox=CEO@acme.example&tenant=acme").json()["results"]
    assert [each["id"] for each in found] == [made.json()["id"]]
    assert api(client, "GET", f"digests/{made.json()['id']}").json()["mailbox"] == body["mailbox"]


def test_a_list_goes_out_and_comes_in_as_a_file(client, cast: Cast):
    client.force_login(cast.ana)
    lines = "client,kind,match,value,reason\nacme,block,sender,eve@evil.example,=1+1\n"
    file = SimpleUploadedFile("list.csv", lines.encode(), "text/csv")
    asked = client.post(reverse("rules_import"), {"file": file})
    page = client.get(asked["Location"]).content.decode()
    assert "Import a list" in page
    client.post(asked["Location"] + "/save", {"reason": "a list"})
    answer = client.get(reverse("rules_export"))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert '"eve@evil.example"' in answer.content.decode()
    assert '"\'=1+1"' in answer.content.decode()
    bad = SimpleUploadedFile("list.csv", b"client,kind\n", "text/csv")
    refused = client.post(reverse("rules_import"), {"file": bad})
    assert refused.status_code == 400
    assert "missing: match, value" in refused.content.decode()


def test_expired_entries_are_listed_as_such(client, cast: Cast):
    with scope(cast):
        for value in ("old@evil.example", "new@evil.example"):
            add_rule(
                tenant_id=cast.acme.id,
                kind="block",
                match="sender",
                value=value,
                reason="seen",
                actor=cast.ana,
            )
        past = timezone.now() - timedelta(seconds=1)
        GatewayRule.objects.filter(value="old@evil.example").update(expires_at=past)
    client.force_login(cast.ana)
    shown = {
        state: client.get(reverse("rules"), {"state": state}).content.decode()
        for state in ("in_force", "expired", "removed", "all")
    }
    assert [("old@" in page, "new@" in page) for page in shown.values()] == [
        *((False, True), (True, False)),
        *((False, False), (True, True)),
    ]
    assert ">expired</span>" in shown["expired"]


def test_from_a_held_mail_the_narrowest_exception_is_filled_in(client, cast: Cast):
    with scope(cast):
        copy = held(cast, ("dkim", "pass", "shop.example"))
    client.force_login(cast.ana)
    address = reverse("rule_new") + f"?copy={copy.id}"
    assert address in client.get(reverse("held_release", args=[copy.id])).content.decode()
    page = client.get(address).content.decode()
    assert 'value="shop.example"' in page
    assert '<option value="dkim_domain" selected>' in page
    assert 'value="ceo@acme.example"' in page
    assert '<option value="30" selected>' in page
