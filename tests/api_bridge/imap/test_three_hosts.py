"""One client on three mail hosts, two of them entered as the console does: a mail that is condemned
in one is found, pulled and restored in all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_bridge.access.hosts import ask_host, try_hosts
from api_bridge.access.models import HostTrial
from api_bridge.known import forget_profiles
from api_bridge.models import Connection
from api_bridge.runtime import close_connectors, shared_runtime
from console.lib.host_forms import GoogleForm, HostForm, ImapForm
from incidents.models import Incident
from incidents.remediation import pull_incident
from incidents.taking_back import restore_incident
from incidents.words import Place
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.models import Domain, Mailbox
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.api_bridge.imap.server import MASTER, MASTER_PASSWORD, ImapServer
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import Workspace
from tests.api_bridge.sync.conftest import Client, make_client
from tests.api_bridge.sync.test_removing import PHISH, folders, work
from tests.factories import Cast, let_bailey_act

PHISH_ID = "<phish-1@secure-login.example.net>"
DAN = "dan@lambda-office.example"


@pytest.fixture
def cloud(server, settings, tmp_path) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path / "cloud") as process:
        settings.OUTGOING_HOSTS = [process.addresses["https"], *sorted(server.allowed)]
        settings.OTHER_CLOUD = (process.https, process.http, str(process.ca))
        settings.EVIDENCE_DIR = tmp_path / "evidence"
        settings.INGEST_URL = "http://127.0.0.1:9"  # nobody listens: no push
        settings.IMAP_IDLE_AT_MOST = 0
        shared_runtime.cache_clear()
        forget_profiles()
        yield process
        close_connectors()
        shared_runtime.cache_clear()


def at_google(company: Workspace) -> dict[str, str]:
    company.subscribe()
    return {
        "cloud": "own",
        "customer_id": company.customer_id,
        "admin": company.admin,
        "service_account_key": company.key_json,
        "topic": company.topic,
        "subscription": company.subscription,
    }


def at_dovecot(server: ImapServer) -> dict[str, str]:
    return {
        "host": server.host,
        "port": str(server.imaps_port),
        "security": "tls",
        "auth": "master",
        "login": MASTER,
        "secret": MASTER_PASSWORD,
        "ca_pem": server.ca.read_text(),
    }


def enter(client: Client, cast: Cast, kind: str, form: HostForm) -> HostTrial:
    """A lead fills the form in, and a worker tries it."""
    assert form.is_valid(), form.errors
    with tenant_scope(Role.ANALYST, [client.tenant.id], provider_id=cast.provider.id):
        ask_host(tenant=client.tenant, kind=kind, entered=form.entered, actor=cast.mo)
    try_hosts(ClaimedWork(client.tenant.id, client.tenant.provider_id, 1))
    with client.scope():
        return HostTrial.objects.latest("asked_at")


@pytest.fixture
def everywhere(cast, cloud, server) -> Iterator[tuple[Client, Workspace]]:
    """Ana, Bo and the CFO are on Microsoft 365, others at Google, Dan on the office's server."""
    client, google = make_client(cast, cloud, "lambda"), Workspace(cloud)
    with maintenance_scope():
        for name in (google.domain, DAN.partition("@")[2]):
            domain = Domain.objects.create(
                tenant=client.tenant, name=name, next_hop_host="127.0.0.1"
            )
        Mailbox.objects.create(tenant=client.tenant, domain=domain, address=DAN)
    for kind, form in (
        ("google", GoogleForm(at_google(google))),
        ("imap", ImapForm(at_dovecot(server))),
    ):
        trial = enter(client, cast, kind, form)
        assert trial.stage == HostTrial.Stage.CONNECTED, (trial.words, trial.checks)
        client.sync()  # what each host lists is known before the next is tried
    yield client, google
    client.company.close()
    google.close()


def google_labels(google: Workspace) -> set[str]:
    found = google.gmail("ana", "GET", f"messages?includeSpamTrash=true&q=rfc822msgid:{PHISH_ID}")
    (mail,) = found["messages"]
    return set(google.gmail("ana", "GET", f"messages/{mail['id']}?format=minimal")["labelIds"])


def test_a_mail_condemned_in_one_host_is_found_pulled_and_restored_in_all(everywhere, server):
    client, google = everywhere
    client.company.receive("ana", raw=PHISH.format(to=client.company.mail("ana")).encode())
    google.receive("ana", raw=PHISH.format(to=google.mail("ana")).encode())
    server.put(DAN, PHISH.format(to=DAN).encode())
    client.sync()
    sources = {seen.source.partition(":")[0] for seen in client.observations()}
    assert sources == {"graph", "google", "imap"}
    client.make_sense()
    let_bailey_act(client.tenant)
    with client.scope():
        incident = Incident.objects.exclude(kind=Incident.Kind.HEALTH).get()
        pull_incident(incident=incident, actor=BAILEY)
    work(client)
    assert {copy.place for copy in client.deliveries()} == {Place.QUARANTINE}
    assert folders(client, "ana") == {"Bailey Quarantine": 1}
    assert "INBOX" not in google_labels(google)
    assert list(server.where(DAN, PHISH_ID)) == ["Bailey Quarantine"]
    with client.scope():
        restore_incident(incident=incident, actor=BAILEY)
    work(client)
    assert folders(client, "ana") == {"Inbox": 1}
    assert "INBOX" in google_labels(google)
    assert list(server.where(DAN, PHISH_ID)) == ["INBOX"]


def test_a_server_of_an_unknown_authority_is_refused_with_what_to_do(
    cast, cloud, server, everywhere
):
    client, _ = everywhere
    with client.scope():
        before = Connection.objects.count()
    trial = enter(client, cast, "imap", ImapForm(at_dovecot(server) | {"ca_pem": ""}))
    assert trial.stage == HostTrial.Stage.FAILED
    assert "enter that authority's certificate" in str(trial.checks)
    with client.scope():
        assert Connection.objects.count() == before
