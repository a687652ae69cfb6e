"""Google's service account for account response in the API: entered, never shown, removed."""

from __future__ import annotations

import json

import pytest

from api_bridge.access.models import Grant
from tenants.scope import Role, tenant_scope
from tests.api_bridge.sandbox.workspace import service_account
from tests.console.api.caller import Caller, assert_problem
from tests.isolation.world import World

TOKENS = "https://oauth2.googleapis.com/token"
KEY = service_account("api", TOKENS)


@pytest.mark.usefixtures("undone")
def test_it_is_entered_and_removed_and_its_key_is_never_given_back(mo: Caller, world: World):
    before = mo.get("google-accounts/respond").json()
    entered = mo.post("google-accounts/respond", {"key_json": json.dumps(KEY)})
    assert entered.status_code == 200, entered.content
    shown = entered.json()
    assert before["client_id"] != shown["client_id"] == KEY["client_id"]
    assert (shown["client_email"], shown["changed_by"]) == (KEY["client_email"], "Mo")
    assert "admin.reports.audit.readonly" in shown["scopes"]
    assert mo.get("google-accounts/respond").json() == shown
    assert KEY["private_key"][40:80] not in json.dumps(shown)
    assert mo.post("google-accounts/respond/remove").status_code == 204
    gone = mo.get("google-accounts/respond").json()
    assert (gone["client_id"], gone["clients"], gone["changed_at"]) == ("", [], None)
    assert_problem(mo.post("google-accounts/respond/remove"), 404)


@pytest.mark.usefixtures("undone")
def test_another_one_is_refused_while_clients_delegate_to_the_first(mo: Caller, world: World):
    mo.post("google-accounts/respond", {"key_json": json.dumps(KEY)})
    acme = world.acme.tenant
    with tenant_scope(Role.ANALYST, [acme.id], provider_id=acme.provider_id):
        granted = Grant.objects.filter(tenant=acme, purpose="respond")
        assert granted.update(client_id=KEY["client_id"], lost_at=None)
    (delegating,) = mo.get("google-accounts/respond").json()["clients"]
    assert delegating.startswith("Acme")
    other = json.dumps(service_account("other", TOKENS))
    refused = mo.post("google-accounts/respond", {"key_json": other})
    assert_problem(refused, 409)
    assert delegating in refused.json()["detail"]
    assert mo.get("google-accounts/respond").json()["client_id"] == KEY["client_id"]


@pytest.mark.parametrize(
    ("address", "body", "status"),
    [
        ("google-accounts/detect", {"key_json": "{}"}, 404),
        ("google-accounts/respond", {}, 400),
        ("google-accounts/respond", {"key_json": "{}"}, 400),
        ("google-accounts/respond", {"key_json": json.dumps({**KEY, "private_key": "x"})}, 400),
    ],
)
@pytest.mark.usefixtures("undone")
def test_what_cannot_be_is_refused_in_words(mo: Caller, address, body, status):
    assert_problem(mo.post(address, body), status)
