"""The commands of a first real installation: provider, gate, client, people."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from api_bridge.hearing import push_url
from api_bridge.models import Connection
from incidents.models import TraceKey
from seg_bridge.models import Gate, GateClient
from seg_bridge.snapshot import find_gate
from tenants.models import Assignment, AuditEntry, Domain, Mailbox, Person, Provider, Tenant
from tenants.scope import maintenance_scope
from tests.api_bridge.sandbox.workspace import service_account
from tests.factories import PASSWORD, Cast

SECRET = "ab" * 32
GUID = "11111111-2222-3333-4444-555555555555"
GOOGLE = ["--google-customer", "C01abc234", "--google-admin", "admin@acme.example"]


@pytest.fixture
def run(db: None, monkeypatch: pytest.MonkeyPatch):
    """Run a command with a terminal's environment; answers what it printed."""
    monkeypatch.setenv("BAILEY_PASSWORD", PASSWORD)
    monkeypatch.setenv("BAILEY_GATE_NAME", "mx1")
    monkeypatch.setenv("BAILEY_GATE_SECRET", SECRET)
    monkeypatch.setenv("BAILEY_GATE_HOSTNAME", "mx1.north.example")
    monkeypatch.delenv("BAILEY_APP_SECRET", raising=False)

    def command(name: str, *arguments: str, **options: Any) -> str:
        out = StringIO()
        call_command(name, *arguments, stdout=out, **options)
        return out.getvalue()

    return command


@pytest.fixture
def provider(run):
    run("createprovider", *_provider("north"))
    with maintenance_scope():
        return Provider.objects.get(slug="north")


def _provider(slug: str) -> list[str]:
    lead = f"mo@{slug}.example"
    return ["--slug", slug, "--name", slug.title(), "--email", lead, "--person", "Mo"]


def _client(slug: str, *more: str) -> list[str]:
    made = ["--slug", slug, "--name", slug.title(), "--domain", f"{slug}.example"]
    return [*made, "--next-hop", f"mail.{slug}.example:25", *more]


def test_first_provider_has_a_lead_a_trace_key_and_the_gate_of_its_environment(provider: Provider):
    gate = find_gate("mx1")
    assert gate is not None
    assert (gate.provider_id, gate.hostname) == (provider.id, "mx1.north.example")
    assert gate.secret.hex() == SECRET
    with maintenance_scope():
        assert TraceKey.objects.filter(provider_id=provider.id, is_active=True).count() == 1
        lead = Person.objects.get(email="mo@north.example")
        assert lead.role == Person.Role.LEAD
        assert lead.check_password(PASSWORD)


def test_provider_without_a_gate_in_the_environment_says_so(run, monkeypatch):
    monkeypatch.delenv("BAILEY_GATE_NAME")
    assert "No gate was made" in run("createprovider", *_provider("south"))
    with maintenance_scope():
        assert not Gate.objects.exists()


def test_wrong_gate_name_leaves_nothing_behind(run, monkeypatch):
    monkeypatch.setenv("BAILEY_GATE_NAME", "Not A Name")
    with pytest.raises(CommandError, match="small letters"):
        run("createprovider", *_provider("south"))
    with maintenance_scope():
        assert not Provider.objects.filter(slug="south").exists()


def test_client_with_mailboxes_from_file_and_line_is_served_by_the_gate(
    run, provider: Provider, tmp_path: Path
):
    file = tmp_path / "boxes.csv"
    file.write_text("address,display_name,vip\nCEO@acme.example,Ada Lee,yes\nit@acme.example,,\n")
    said = run(
        "createclient",
        *_client("acme", "--mailboxes", str(file), "--mailbox", "cfo@acme.example,Cy Fox,CFO"),
        *("--contact-name", "Ida", "--time-zone", "Europe/Vienna"),
    )
    assert "3 mailboxes" in said
    assert "mx1" in said
    assert "protectclient acme" in said
    with maintenance_scope():
        acme = Tenant.objects.get(slug="acme")
        assert (acme.contact_name, acme.time_zone) == ("Ida", "Europe/Vienna")
        assert acme.protected_since is None
        domain = Domain.objects.get(tenant=acme)
        assert (domain.next_hop_host, domain.next_hop_port) == ("mail.acme.example", 25)
        boxes = {box.address: box for box in Mailbox.objects.filter(tenant=acme)}
        assert set(boxes) == {"ceo@acme.example", "it@acme.example", "cfo@acme.example"}
        assert [box.is_vip for box in boxes.values()].count(True) == 1
        assert boxes["ceo@acme.example"].is_vip
        assert boxes["cfo@acme.example"].job_title == "CFO"
        assert GateClient.objects.filter(tenant=acme).count() == 1
        assert not Connection.objects.exists()


def test_client_connects_its_microsoft_tenant_by_secret(run, provider: Provider, monkeypatch):
    monkeypatch.setenv("BAILEY_APP_SECRET", "hush")
    run("createclient", *_client("acme", "--cloud-tenant", GUID, "--app", GUID))
    with maintenance_scope():
        connection = Connection.objects.get()
        assert connection.cloud_tenant_id == GUID
        assert connection.api_url == "https://graph.microsoft.com"
        assert bytes(connection.sealed_secret)
        assert b"hush" not in bytes(connection.sealed_secret)


def test_client_connects_its_google_customer_by_key_file(run, provider: Provider, tmp_path):
    key = tmp_path / "key.json"
    key.write_text(json.dumps(service_account("acme", "https://oauth2.googleapis.com/token")))
    topic = ["--google-topic", "projects/bailey/topics/gmail"]
    said = run("createclient", *_client("acme", *GOOGLE, *topic, "--google-key", str(key)))
    with maintenance_scope():
        connection = Connection.objects.get()
        assert (connection.kind, connection.cloud_tenant_id) == ("google", "c01abc234")
        assert connection.api_url == "https://gmail.googleapis.com"
        assert connection.settings == {
            "admin": "admin@acme.example", "topic": "projects/bailey/topics/gmail",
        }  # fmt: skip
        assert f"push to {push_url(connection)}" in said
        assert b"PRIVATE KEY" not in bytes(connection.sealed_secret)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--next-hop", "nowhere"], "--next-hop nowhere"),
        (["--mailbox", "nobody"], "not a mailbox's address"),
        (["--mailboxes", "/nothing/here.csv"], "cannot be read"),
        (["--cloud-tenant", GUID], "needs --app"),
        (["--cloud-tenant", GUID, "--app", GUID], "BAILEY_APP_SECRET"),
        (["--cloud-tenant", GUID, "--app", GUID, "--app-key", "k.pem"], "go together"),
        (["--google-customer", "C01abc234"], "--google-admin and --google-key"),
        (["--google-customer", "C0", "--cloud-tenant", GUID], "one mail host"),
        ([*GOOGLE, "--google-key", "/no"], "cannot be read"),
        (["--gate", "mx9"], "no gate named mx9"),
        (["--provider", "west"], "no provider named west"),
    ],
)
def test_wrong_option_is_named_and_makes_no_client(run, provider: Provider, more, sentence):
    with pytest.raises(CommandError, match=sentence):
        run("createclient", *_client("acme", *more))
    with maintenance_scope():
        assert not Tenant.objects.filter(slug="acme").exists()


def test_cloud_outside_the_allowed_hosts_makes_no_client(run, provider: Provider, monkeypatch):
    monkeypatch.setenv("BAILEY_APP_SECRET", "hush")
    cloud = ["--cloud-tenant", GUID, "--app", GUID, "--api-url", "https://evil.example"]
    with pytest.raises(CommandError):
        run("createclient", *_client("acme", *cloud))
    with maintenance_scope():
        assert not Tenant.objects.filter(slug="acme").exists()


def test_a_second_provider_has_to_be_named(run, cast: Cast, provider: Provider):
    with pytest.raises(CommandError, match="--provider"):
        run("createclient", *_client("umbrella"))
    run("createclient", *_client("umbrella", "--provider", "north"))
    with maintenance_scope():
        assert Tenant.objects.get(slug="umbrella").provider_id == provider.id


def test_people_get_role_and_clients_of_their_provider_only(run, provider: Provider, cast: Cast):
    run("createclient", *_client("umbrella", "--provider", "north"))
    ana = ["--email", "ana@north.example", "--name", "Ana", "--provider", "north"]
    run("createperson", *ana, "--role", "analyst", "--client", "umbrella")
    with maintenance_scope():
        person = Person.objects.get(email="ana@north.example")
        assert not person.may_open_content
        assert [one.tenant.slug for one in Assignment.objects.filter(person=person)] == ["umbrella"]
    bo = ["--email", "bo@north.example", "--name", "Bo", "--provider", "north"]
    with pytest.raises(CommandError, match="no client named acme"):
        run("createperson", *bo, "--role", "analyst", "--client", "acme")


def test_further_gate_serves_all_clients_and_shows_its_secret_once(run, provider: Provider):
    run("createclient", *_client("acme"))
    said = run("creategate", "mx2", "--hostname", "mx2.north.example")
    gate = find_gate("mx2")
    assert gate is not None
    assert gate.secret.hex() in said
    assert len(gate.tenant_ids) == 1


def test_client_is_protected_from_one_moment_on(run, provider: Provider):
    run("createclient", *_client("acme"))
    first = run("protectclient", "acme")
    assert run("protectclient", "acme") == first
    with maintenance_scope():
        assert Tenant.objects.get(slug="acme").protected_since is not None
        assert AuditEntry.objects.filter(action="tenants.client.protected").count() == 1
