"""A client is put behind the gateway by the API alone; and what surrounds held mail."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.client_words import ask_for_release
from seg_bridge.models import DomainCheck, PolicyLayer
from tenants.models import Domain, Tenant
from tenants.outbox import post
from tenants.scope import Role, tenant_scope
from tests.console.test_policies import api, scope
from tests.factories import Cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_rule_scopes import held

pytestmark = pytest.mark.usefixtures("no_broker")

WAY = {"host": "mail.acme-host.example", "tls": "must", "asks_host": True}


@pytest.fixture
def lead(client, cast: Cast):
    make_gate(cast, cast.acme, cast.globex)
    client.force_login(cast.mo)
    return client


def call(client: Any, what: str, body: Any = None, *, slug: str = "acme") -> Any:
    return api(client, "POST", f"tenants/{slug}/onboarding/{what}", body or {})


def steps(told: dict[str, Any]) -> dict[str, str]:
    return {step["key"]: step["state"] for step in told["steps"]}


def test_a_client_is_begun_by_a_lead(lead, cast: Cast):
    made = api(lead, "POST", "tenants", {"name": "Initech", "slug": "Initech"})
    assert (made.status_code, made.json()) == (201, {"tenant": "initech"})
    again = api(lead, "POST", "tenants", {"name": "Initech", "slug": "initech"})
    assert again.status_code == 409
    wrong = {"name": "X", "slug": "x1", "time_zone": "Mars/Base"}
    assert api(lead, "POST", "tenants", wrong).status_code == 400
    lead.force_login(cast.ana)
    assert api(lead, "POST", "tenants", {"name": "No", "slug": "no1"}).status_code == 403


def test_each_step_is_a_call_and_its_state_is_told(lead, cast: Cast):
    added = call(lead, "domains", {"name": "new.example", **WAY})
    assert added.status_code == 201
    (domain,) = [each for each in added.json()["domains"] if each["name"] == "new.example"]
    assert (domain["host"], domain["tls"], domain["asks_host"]) == (WAY["host"], "must", True)
    assert domain["txt_name"] == "_bailey.new.example"
    assert call(lead, "domains", {"name": "other.example", "host": "no host"}).status_code == 400
    boxes = [{"address": "ann@new.example", "is_vip": True}, {"address": "ceo@acme.example"}]
    assert call(lead, "recipients", {"recipients": boxes}).json() == {
        "new": 1,
        "known": 1,
        "back": 0,
    }
    assert call(lead, "recipients", {"recipients": []}).status_code == 400
    assert call(lead, "policy", {"template": "Strict"}).status_code == 200
    with scope(cast):
        assert PolicyLayer.objects.get(tenant=cast.acme).template == "Strict"
    assert call(lead, "gates", {"gates": ["mx9"]}).status_code == 400
    told = call(lead, "gates", {"gates": ["mx1"]}).json()
    assert [gate["name"] for gate in told["gates"]] == ["mx1"]
    with scope(cast):
        DomainCheck.objects.update(wanted_at=None)
    looked = call(lead, "look")
    assert (looked.status_code, looked.json()["is_moving"]) == (202, True)
    trial = call(lead, "trial", {"gate": "mx1", "recipient": "ann@new.example"})
    assert trial.status_code == 202
    assert [each["state"] for each in trial.json()["trials"]] == ["waiting"]
    assert call(lead, "trial", {"gate": "mx1", "recipient": "x@y.example"}).status_code == 400
    assert call(lead, "behind").status_code == 409
    behind = call(lead, "behind", {"despite": True}).json()
    assert steps(behind)["behind"] == "done"
    read = api(lead, "GET", "tenants/acme/onboarding").json()
    assert steps(read) == steps(behind)
    with scope(cast):
        assert Tenant.objects.get(id=cast.acme.id).protected_since is not None


def test_a_domains_way_is_changed_and_an_address_taken_out(lead, cast: Cast):
    with scope(cast):
        domain = Domain.objects.get(name="acme.example")
    changed = api(lead, "POST", f"domains/{domain.id}", {**WAY, "is_active": False})
    (told,) = changed.json()["domains"]
    assert (told["host"], told["is_active"]) == (WAY["host"], False)
    circle = api(lead, "POST", f"domains/{domain.id}", {"host": "mx1.keep.example"})
    assert (circle.status_code, "circle" in circle.content.decode()) == (400, True)
    (box,) = api(lead, "GET", "mailboxes?address=ceo@acme.example").json()["results"]
    assert api(lead, "POST", f"mailboxes/{box['id']}/remove", {}).status_code == 204
    (gone,) = api(lead, "GET", "mailboxes?address=ceo@acme.example").json()["results"]
    assert gone["state"] == "gone"


def test_an_analyst_looks_and_changes_nothing(lead, cast: Cast):
    lead.force_login(cast.bo)  # who sees Acme only
    assert api(lead, "GET", "tenants/acme/onboarding").status_code == 200
    assert api(lead, "GET", "tenants/globex/onboarding").status_code == 404
    assert call(lead, "look").status_code == 202
    assert call(lead, "look", slug="globex").status_code == 404
    for what in ("domains", "recipients", "policy", "gates", "trial", "behind"):
        assert call(lead, what).status_code == 403, what


def test_legal_holds_wishes_and_sent_mail(client, cast: Cast):
    client.force_login(cast.ana)
    with scope(cast):
        copy = held(cast)
        post(
            tenant_id=cast.acme.id,
            event="digest/1",
            kind="digest",
            to="ceo@acme.example",
            subject="Secret words",
            text="x",
        )
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        ask_for_release(delivery=copy, person=cast.pia, reason="We know them.")
    (word,) = api(client, "GET", "wishes?is_open=true&tenant=acme").json()["results"]
    assert (word["delivery"], word["text"], word["advice"]) == (
        str(copy.id),
        "We know them.",
        "",
    )
    assert api(client, "GET", "wishes?is_open=false").json()["results"] == []
    (mail,) = api(client, "GET", "sent-mail?to_address=ceo@acme.example").json()["results"]
    assert (mail["kind"], mail["state"], "sealed" in mail) == ("digest", "waiting", False)
    for body in ({}, {"tenant": "acme", "message": str(copy.message_id)}):
        refused = api(client, "POST", "legal-holds", {"reason": "A lawsuit", **body})
        assert refused.status_code == 400
    wish = {"reason": "A lawsuit", "message": str(copy.message_id)}
    made = api(client, "POST", "legal-holds", wish)
    assert (made.status_code, made.json()["message"]) == (201, str(copy.message_id))
    assert api(client, "POST", "legal-holds", wish).status_code == 409
    whole = api(client, "POST", "legal-holds", {"reason": "All of it", "tenant": "acme"})
    assert whole.json()["message"] is None
    assert len(api(client, "GET", "legal-holds?in_force=true").json()["results"]) == 2
    end = f"legal-holds/{made.json()['id']}/end"
    assert api(client, "POST", end, {"reason": "Settled"}).status_code == 403
    assert "A lead ends it." in client.get("/console/clients/acme").content.decode()
    client.force_login(cast.mo)
    assert "A lead ends it." not in client.get("/console/clients/acme").content.decode()
    assert api(client, "POST", end, {"reason": "Settled"}).json()["ended_by"] == "Mo"
    assert api(client, "POST", end, {"reason": "Settled"}).status_code == 409
    assert len(api(client, "GET", "legal-holds?in_force=true").json()["results"]) == 1
