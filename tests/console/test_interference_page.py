"""What disturbs the layers, on its page, in Health and in the API; blind is never "none"."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from api_bridge.models import Connection
from incidents.interference.hourly import compare
from incidents.models import Delivery, Incident, Interference
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.incidents.test_disagreements import INFO, IT, happened, inside, passed
from tests.incidents.test_interference import SHOP, WRAPPED, box, gate, no_trace
from tests.seg_bridge.conftest import make_gate

pytestmark = pytest.mark.usefixtures("no_broker")

SINCE = datetime(2026, 11, 22, 6, 12, tzinfo=UTC)


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def worker(cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


@pytest.fixture
def layers(cast):
    make_gate(cast, cast.acme)
    with worker(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph")


def look(cast, *seen):
    with worker(cast):
        happened(cast, *seen)
        compare(cast.acme)


def disturb(cast, one=1, other=2):
    """Two mails, by these numbers: a link wrapped for one of two recipients, and a trace lost."""
    look(
        cast,
        *(passed(cast, INFO, one, **gate(SHOP)), inside(cast, INFO, one, **box(WRAPPED))),
        *(passed(cast, IT, one, **gate(SHOP)), inside(cast, IT, one, **box(SHOP))),
        *(passed(cast, INFO, other), inside(cast, INFO, other, **no_trace())),
    )


def page(browser):
    return browser.get(reverse("client_interference", args=["acme"])).content.decode()


def health(browser):
    return browser.get(reverse("health")).content.decode()


def test_a_finding_says_how_many_of_how_many_what_to_set_and_opens_to_the_traces(
    cast, layers, as_ana
):
    disturb(cast)
    text = page(as_ana)
    assert "1 of 2 copies had their links wrapped by Safe Links of Microsoft Defender" in text
    assert "1 of 3 copies reached the mailbox without X-Bailey-Trace" in text
    assert "Do not rewrite URLs, do checks via Safe Links API only" in text
    with worker(cast):
        proof = {
            kind: found[0]["proof"]
            for kind, found in Interference.objects.values_list("kind", "findings")
            if found
        }
        wrapped = Delivery.objects.get(
            recipient=INFO, message__internet_message_id__startswith="<1@"
        )
    assert proof["links"] == [str(wrapped.id)]
    for (one,) in proof.values():
        assert reverse("trace", args=[one]) in text
    assert "None of 3 is disturbed: copies that the gateway passed as harmless" in text
    assert "Nothing to compare: since" in text  # the mail host's own results are not on record
    assert "2 findings" in health(as_ana)
    assert (
        reverse("client_interference", args=["acme"])
        in as_ana.get(reverse("client", args=["acme"])).content.decode()
    )


def test_where_nothing_is_found_it_says_in_how_much_mail_and_since_when(cast, layers, as_ana):
    look(cast, passed(cast, **gate(SHOP)), inside(cast, **box(SHOP)))
    text = page(as_ana)
    assert "None of 1 is disturbed: copies with links that both layers have read, since" in text
    assert "no finding in 1 copy since" in health(as_ana)


def test_where_nobody_has_looked_it_does_not_say_that_there_is_nothing(cast, layers, as_ana):
    assert page(as_ana).count("Not looked at yet") == 4
    assert "not looked at yet" in health(as_ana)
    assert "is disturbed" not in page(as_ana)


def test_without_a_layer_there_is_nothing_to_compare(cast, as_ana):
    assert page(as_ana).count("no gateway is connected for Acme") == 4
    make_gate(cast, cast.acme)
    assert page(as_ana).count("no mailbox layer is connected for Acme") == 4
    assert "nothing to compare" in health(as_ana)


@pytest.mark.parametrize("has_findings", [True, False])
def test_a_blind_layer_is_said_and_never_none_found(cast, layers, as_ana, has_findings):
    if has_findings:
        disturb(cast)
    else:
        look(cast, passed(cast), inside(cast))
    with worker(cast):
        Connection.objects.update(blind_since=SINCE)
    text, listed = page(as_ana), health(as_ana)
    assert "the mailbox layer is blind since" in text
    for words in ("is disturbed", "Nothing to compare", "Not looked at"):
        assert words not in text
    assert ("1 of 2 copies had their links wrapped" in text) is has_findings
    assert ("2 findings" if has_findings else "not known while blind") in listed
    assert "none in " not in listed


def test_mail_around_the_gateway_is_not_found_twice_but_linked(cast, layers, as_ana):
    look(cast, inside(cast, trace_ulid="", trace_state="missing"))
    with worker(cast):
        incident = Incident.objects.get(kind="health")
    text = page(as_ana)
    assert "1 mail came around the gateway" in text
    assert reverse("incident", args=[incident.id]) in text
    assert "without X-Bailey-Trace" not in text


def test_a_copy_that_is_gone_since_is_left_out_of_the_proof(cast, layers, as_ana):
    disturb(cast)
    with maintenance_scope():
        row = Interference.objects.get(kind="links")
        row.findings[0]["proof"].append("00000000-0000-0000-0000-000000000001")
        row.findings[0]["copies"] = 5
        row.save()
    assert "the newest 1 of 5 copies" in page(as_ana)


def test_the_api_says_the_same_with_its_proof(cast, layers, as_ana):
    disturb(cast)
    answer = as_ana.get("/api/v1/tenants/acme/interference").json()
    checks = {each["kind"]: each for each in answer["checks"]}
    assert {kind: (each["state"], each["copies"]) for kind, each in checks.items()} == {
        "header": ("found", 3),
        "connector": ("nothing", 0),
        "links": ("found", 2),
        "double_quarantine": ("clear", 3),
    }
    (found,) = checks["links"]["found"]
    assert (found["cause"], found["value"], found["copies"]) == ("wrapped", "safelinks", 1)
    assert found["fixes"][0]["source"].startswith("https://learn.microsoft.com/")
    trace = as_ana.get(f"/api/v1/deliveries/{found['proof'][0]}/trace")
    assert trace.status_code == 200
    assert answer["blind"] == []


def test_of_another_client_nothing_is_said(cast, layers, client):
    disturb(cast)
    client.force_login(cast.bo)
    assert client.get(reverse("client_interference", args=["globex"])).status_code == 404
    assert client.get("/api/v1/tenants/globex/interference").status_code == 404
    assert client.get("/api/v1/tenants/acme/interference").status_code == 200
