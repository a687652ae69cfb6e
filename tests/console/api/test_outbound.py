"""Outbound mail in the API: settings without a secret in them, stopped senders, and their lift."""

from __future__ import annotations

import json

from seg_bridge.models import GateCommand
from seg_bridge.outbound.models import SenderStop
from tenants.scope import Role, tenant_scope
from tests.console.api.caller import assert_problem


def test_a_clients_settings_are_shown_without_any_secret(mo, world, settings):
    settings.SUBMISSION_AT = "mx1.example.com:587"
    shown = mo.get("tenants/acme/outbound").json()
    assert shown["tenant"] == "acme"
    assert shown["is_on"] is False, "the world's clients have set up all but the switch"
    assert shown["submission_at"] == "mx1.example.com:587"
    assert shown["limits"]["messages_per_hour"] == 100
    assert [host["network"] for host in shown["hosts"]] == ["203.0.113.5/32"]
    (login,) = shown["logins"]
    assert login["name"].startswith("acme.")
    (key,) = shown["keys"]
    assert key["record_name"].endswith("._domainkey.acme.example")
    text = json.dumps(shown)
    assert "scrypt" not in text
    assert "PRIVATE" not in text


def test_a_stop_is_listed_and_lifted_once_with_a_reason(mo, world):
    (stop,) = mo.get("sender-stops?tenant=acme&is_lifted=false").json()["results"]
    assert stop["lifted_at"] is None
    address = f"sender-stops/{stop['id']}/lift"
    assert_problem(mo.post(address, {"reason": " "}), 400)
    assert mo.post(address, {"reason": "Password changed"}).status_code == 204
    assert_problem(mo.post(address, {"reason": "Again"}), 409)
    assert mo.get("sender-stops?tenant=acme&is_lifted=false").json()["results"] == []
    lifted = mo.get(f"sender-stops/{stop['id']}").json()
    assert (lifted["lift_reason"], lifted["lifted_by"]) == ("Password changed", "Mo")
    with tenant_scope(Role.ANALYST, [world.acme.tenant.id]):
        row = SenderStop.objects.get(id=stop["id"])
        assert GateCommand.objects.filter(kind="lift", trace_ulid=row.stop_ulid).exists()
