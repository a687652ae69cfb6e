"""A client is put behind the gateway from the console, step by step, and nobody else may."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from console.lib.onboard_forms import read_boxes
from console.queries.onboarding import onboard_page
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from seg_bridge.engines.embedded.resolver import ResolverFailed
from seg_bridge.models import DomainCheck, PolicyLayer, TrialMail
from seg_bridge.onboarding import look, work
from seg_bridge.onboarding.probe import smtp_address
from seg_bridge.snapshot import current_snapshot, note_in_force
from tenants.doors import ClaimedWork, find_client
from tenants.models import AuditEntry, Domain, Mailbox, Tenant
from tenants.scope import Role, tenant_scope
from tests.console.test_work_pages import browser
from tests.factories import gateway_saw
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.yard import SinkThread

pytestmark = pytest.mark.usefixtures("no_broker")

WAY = {
    "host": "mail.initech.example",
    "port": "25",
    "backup_host": "mail2.initech.example",
    "backup_port": "26",
    "tls": "must",
    "recipients_by": "list",
}


@pytest.fixture
def mx1(cast):
    return make_gate(cast, cast.acme, cast.globex)


class Names:
    """A DNS of what the test puts into it."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[str, ...]] = {}

    def __call__(self, name: str, kind: str) -> tuple[str, ...]:
        return self.records.get((name, kind), ())


@pytest.fixture
def names(monkeypatch) -> Names:
    found = Names()
    monkeypatch.setattr(work, "resolver", lambda: found)
    return found


def scope_of(slug: str):
    client = find_client(slug)
    assert client is not None
    return tenant_scope(Role.WORKER, [client.tenant_id], provider_id=client.provider_id)


def serve(slug: str):
    client = find_client(slug)
    assert client is not None
    return work.serve_onboarding(ClaimedWork(client.tenant_id, client.provider_id, 1))


def follow(mx) -> None:
    """The gate asks with the newest version, as it does a moment after a change."""
    gate = mx.known
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        note_in_force(gate, current_snapshot(gate).version)


def states(slug: str) -> dict[str, str]:
    with scope_of(slug):
        page = onboard_page(Tenant.objects.get(slug=slug))
        return {key: step.state for key, step in page.steps.items()}


def leads_on(mo: Client, slug: str) -> str:
    """The button that stands out."""
    page = mo.get(reverse("onboard", args=[slug])).content.decode()
    found = re.findall(r'class="btn primary" href="[^"]*/(\w+)"', page)
    assert len(found) <= 1, found
    return found[0] if found else ""


def initech(mo: Client) -> None:
    mo.post(
        reverse("client_new"),
        {"name": "Initech", "slug": "initech", "time_zone": "Europe/Vienna"},
    )


def post(mo: Client, name: str, what: object, /, **said: object):
    return mo.post(reverse(name, args=[what]), said)


def test_a_lead_puts_a_new_client_behind_the_gateway(cast, mx1, names, monkeypatch):
    """All eight steps; each is saved by itself and shown as done."""
    mo = browser(cast.mo)
    initech(mo)
    assert leads_on(mo, "initech") == "domain"
    assert post(mo, "onboard_domain", "initech", name="Initech.example", **WAY).status_code == 302
    assert leads_on(mo, "initech") == "recipients"
    post(
        mo,
        "onboard_recipients",
        "initech",
        pasted="Bill <BILL@initech.example>\npeter@initech.example,Peter,,x",
    )
    assert leads_on(mo, "initech") == "trial"
    question = mo.get(reverse("onboard_trial", args=["initech"])).content.decode()
    assert 'value="bill@initech.example"' in question
    post(mo, "onboard_policy", "initech", template="Strict")
    assert states("initech")["gates"] == "todo"
    follow(mx1)
    assert states("initech")["gates"] == "done"

    with SinkThread() as sink:
        monkeypatch.setenv("BAILEY_GATE_NAME", "mx1")
        monkeypatch.setenv("BAILEY_GATE_LISTEN", f"0.0.0.0:{sink.port}")
        post(mo, "onboard_trial", "initech", recipient="bill@initech.example", gate="mx1")
        assert serve("initech") is not None, "DNS is asked again later"
        serve("initech")
        [sent] = sink.mails
        assert (sent.mail_from, sent.recipients) == ("", ["bill@initech.example"])
    with scope_of("initech"):
        trial = TrialMail.objects.get()
        assert (trial.state, trial.reply) == ("taken", "250 taken")
        tenant = Tenant.objects.get(slug="initech")
        message_id = trial.internet_message_id
        record([gateway_saw(tenant, trial.recipient, internet_message_id=message_id)])
        make_sense_of_backlog(tenant)
    page = mo.get(reverse("onboard", args=["initech"])).content.decode()
    assert "MX 10 mx1.keep.example." in page
    assert "250 taken" in page
    assert "/trace" in page

    refused = post(mo, "onboard_behind", "initech").content.decode()
    assert "do not name our gates alone" in refused
    with scope_of("initech"):
        token = DomainCheck.objects.get().token
    names.records |= {
        ("initech.example", "MX"): ("10 MX1.keep.example.",),
        ("_bailey.initech.example", "TXT"): (f"bailey-domain={token}",),
        ("mx1.keep.example", "A"): ("203.0.113.7",),
    }
    post(mo, "onboard_look", "initech")
    assert serve("initech") is None, "all was seen"
    assert post(mo, "onboard_behind", "initech").status_code == 302
    assert set(states("initech").values()) == {"done", "note"}
    assert "203.0.113.7" in mo.get(reverse("onboard", args=["initech"])).content.decode()
    with scope_of("initech"):
        assert set(Mailbox.objects.values_list("address", "display_name", "is_vip")) == {
            ("bill@initech.example", "Bill", False),
            ("peter@initech.example", "Peter", True),
        }
        assert PolicyLayer.objects.get(level="client").template == "Strict"
        written = set(AuditEntry.objects.values_list("action", flat=True))
        assert written >= {
            "tenants.client.created",
            "tenants.domain.added",
            "tenants.mailboxes.added",
            "seg_bridge.gate.client_added",
            "seg_bridge.policy.changed",
            "seg_bridge.trial_mail.asked",
            "tenants.client.protected",
        }
    gate = mx1.known
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        told = {each["slug"]: each for each in current_snapshot(gate).data["tenants"]}
        (domain,) = told["initech"]["domains"]
        assert domain == {
            "name": "initech.example",
            "next_hop": "mail.initech.example:25",
            "backup_hop": "mail2.initech.example:26",
            "tls": "must",
            "asks_hop": False,
            "recipients": ["bill@initech.example", "peter@initech.example"],
        }


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [
        ("client_new", {"name": "A", "slug": "acme", "time_zone": "UTC"}, "is taken"),
        ("client_new", {"name": "A", "slug": "new", "time_zone": "UTC"}, "Choose another one"),
        ("client_new", {"name": "A", "slug": "a b", "time_zone": "UTC"}, "letters, digits"),
        ("client_new", {"name": "A", "slug": "a", "time_zone": "Mars"}, "not a time zone"),
        ("onboard_domain", {**WAY, "name": "globex.example"}, "belongs to a client already"),
        ("onboard_domain", {**WAY, "name": "no domain"}, "is not a mail domain"),
        ("onboard_domain", {**WAY, "name": "10.0.0.1"}, "is not a mail domain"),
        ("onboard_domain", {**WAY, "name": "b.example", "host": "a:25"}, "is not a mail host"),
        ("onboard_domain", {**WAY, "name": "b.example", "port": "0"}, "greater than or equal"),
        (
            "onboard_domain",
            {**WAY, "name": "b.example", "host": "MX1.keep.example"},
            "go in a circle",
        ),
        ("onboard_recipients", {"pasted": "nobody"}, "Not an address: “nobody”"),
        ("onboard_recipients", {"pasted": "a@globex.example"}, "Not of this client"),
        ("onboard_recipients", {"pasted": " "}, "no address in it"),
        ("onboard_gates", {}, "at least one gate"),
        ("onboard_trial", {"recipient": "x@evil.example", "gate": "mx1"}, "is no address of"),
    ],
)
def test_bad_input_is_answered_in_the_form_and_nothing_is_kept(cast, mx1, name, said, words):
    mo = browser(cast.mo)
    where = reverse(name, args=[] if name == "client_new" else ["acme"])
    with scope_of("acme"):
        before = Mailbox.objects.count(), Domain.objects.count()
    answer = mo.post(where, said)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    with scope_of("acme"):
        assert (Mailbox.objects.count(), Domain.objects.count()) == before


@pytest.mark.parametrize(
    "step",
    ["domain", "recipients", "policy", "gates", "trial", "behind"],
)
def test_an_analyst_looks_and_a_lead_changes(cast, mx1, step):
    ana = browser(cast.ana)
    assert ana.get(reverse("onboard", args=["acme"])).status_code == 200
    assert ana.post(reverse("onboard_look", args=["acme"])).status_code == 302
    for method in (ana.get, ana.post):
        assert method(reverse(f"onboard_{step}", args=["acme"])).status_code == 403
    assert ana.post(reverse("client_new")).status_code == 403
    assert "Add a domain" not in ana.get(reverse("onboard", args=["acme"])).content.decode()


def test_a_domain_gets_another_way_and_is_switched_off(cast, mx1):
    mo = browser(cast.mo)
    with scope_of("acme"):
        domain = Domain.objects.get()
    way = {**WAY, "recipients_by": "next_hop"}
    post(mo, "domain_way", domain.id, **way)
    with scope_of("acme"):
        domain.refresh_from_db()
        assert (domain.backup_hop_host, domain.hop_tls) == ("mail2.initech.example", "must")
        assert (domain.asks_hop, domain.is_active) == (True, False)
        actions = set(AuditEntry.objects.values_list("action", flat=True))
        assert actions >= {
            "tenants.domain.way_set",
            "tenants.domain.switched",
            "tenants.domain.recipients_set",
        }


def test_recipients_are_listed_found_and_removed(cast, mx1):
    mo = browser(cast.mo)
    where = reverse("recipients", args=["acme"])
    lines = "\n".join(f"box{n:02}@acme.example,Box {n}" for n in range(60))
    post(mo, "onboard_recipients", "acme", pasted=lines)
    first = mo.get(where).content.decode()
    assert first.count("<tr data-row") == 50
    older = mo.get(where, {"after": "box49@acme.example"}).content.decode()
    assert "box50@acme.example" in older
    found = mo.get(where, {"q": "Box 7"}).content.decode()
    assert found.count("<tr data-row") == 1
    with scope_of("acme"):
        box = Mailbox.objects.get(address="box07@acme.example")
        Mailbox.objects.filter(address="ceo@acme.example").update(external_id="1")
        listed = Mailbox.objects.get(address="ceo@acme.example")
    assert post(mo, "recipient_remove", box.id).status_code == 302
    assert f"row-{box.id}" not in mo.get(where, {"q": "box07"}).content.decode()
    assert post(mo, "recipient_remove", listed.id).status_code == 409
    assert post(browser(cast.ana), "recipient_remove", box.id).status_code == 403
    post(mo, "onboard_recipients", "acme", pasted="box07@acme.example")
    assert f"row-{box.id}" in mo.get(where, {"q": "box07"}).content.decode()


def silent(name: str, kind: str) -> tuple[str, ...]:
    raise ResolverFailed("no resolver")


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ((), "not_seen"),
        (("10 mx1.keep.example.",), "seen"),
        (("10 mx1.keep.example.", "20 other.example."), "partly"),
        (("10 other.example.",), "not_seen"),
        (("0 .",), "not_seen"),
    ],
)
def test_mx_records_are_seen_partly_or_not(records, state):
    found = look.look_for_mx(lambda name, kind: records, "acme.example", ["MX1.keep.example"])
    assert found.state == state
    assert look.look_for_mx(silent, "acme.example", ["mx1"]).state == "no_answer"


@pytest.mark.parametrize(
    ("texts", "state"),
    [((), "not_seen"), (("v=spf1",), "not_seen"), (("x", "bailey-domain=t1"), "seen")],
)
def test_ownership_is_what_the_record_says(texts, state):
    assert look.look_for_owner(lambda name, kind: texts, "acme.example", "t1").state == state
    assert look.look_for_owner(silent, "acme.example", "t1").state == "no_answer"


def test_a_test_mail_is_sent_once_even_where_a_worker_died_over_it(cast, mx1, names, monkeypatch):
    post(browser(cast.mo), "onboard_trial", "acme", recipient="ceo@acme.example", gate="mx1")
    with scope_of("acme"):
        TrialMail.objects.update(state="sending")
    monkeypatch.setattr(work, "send_trial_mail", lambda *_, **__: pytest.fail("sent again"))
    serve("acme")


def test_a_gate_that_cannot_be_reached_is_told_of(cast, mx1, names, monkeypatch):
    monkeypatch.setenv("BAILEY_GATE_NAME", "mx1")
    monkeypatch.setenv("BAILEY_GATE_LISTEN", "127.0.0.1:1")
    mo = browser(cast.mo)
    post(mo, "onboard_trial", "acme", recipient="ceo@acme.example", gate="mx1")
    serve("acme")
    page = mo.get(reverse("onboard", args=["acme"])).content.decode()
    assert "The gate could not be reached: <bdi>127.0.0.1:1 could not be reached" in page


def test_another_gate_is_asked_on_port_25(monkeypatch):
    monkeypatch.setenv("BAILEY_GATE_NAME", "mx1")
    monkeypatch.setenv("BAILEY_GATE_LISTEN", "0.0.0.0:2525")
    assert smtp_address("mx1", "mx1.keep.example") == ("127.0.0.1", 2525)
    assert smtp_address("mx2", "mx2.keep.example") == ("mx2.keep.example", 25)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a@x.example\nb@x.example\n\n", ["a@x.example", "b@x.example"]),
        ("Ann Lee <a@x.example>", ["a@x.example"]),
        ("address,vip\na@x.example,x", ["a@x.example"]),
        ("a@x.example;Ann;CEO", ["a@x.example"]),
        ('"Lee, Ann" <a@x.example>', ["a@x.example"]),
    ],
)
def test_pasted_addresses_are_read_as_people_write_them(text, addresses):
    assert [box.address for box in read_boxes(text)] == addresses
