"""One client on two mail hosts: a mail that is condemned in one is pulled and restored in both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_bridge.known import forget_profiles
from api_bridge.runtime import close_connectors, shared_runtime
from api_bridge.services import connect_imap
from incidents.models import Incident
from incidents.remediation import pull_incident, restore_incident
from incidents.words import Place
from tenants.audit import BAILEY
from tests.api_bridge.imap.test_connecting import settings_of
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sync.conftest import Client, make_client
from tests.api_bridge.sync.test_removing import PHISH, folders, work
from tests.factories import let_bailey_act

PHISH_ID = "<phish-1@secure-login.example.net>"


@pytest.fixture
def both(cast, server, settings, tmp_path) -> Iterator[Client]:
    """Ana, Bo and the CFO are on Microsoft 365, Dan on the office's own server."""
    with SandboxProcess(tmp_path / "cloud") as cloud:
        settings.OUTGOING_HOSTS = [cloud.addresses["https"], *sorted(server.allowed)]
        settings.EVIDENCE_DIR = tmp_path / "evidence"
        settings.INGEST_URL = "http://127.0.0.1:9"  # nobody listens: no push
        settings.IMAP_IDLE_AT_MOST = 0
        shared_runtime.cache_clear()
        forget_profiles()
        client = make_client(cast, cloud, "lambda")
        with client.scope():
            connect_imap(
                tenant=client.tenant,
                settings=settings_of(server, mailboxes=[client.company.mail("dan")]),
                actor=BAILEY,
            )
        client.sync()
        yield client
        close_connectors()
        shared_runtime.cache_clear()
        client.company.close()


def test_a_mail_condemned_in_one_host_is_pulled_and_restored_in_both(both, server):
    dan = both.company.mail("dan")
    both.company.receive("ana", raw=PHISH.format(to=both.company.mail("ana")).encode())
    server.put(dan, PHISH.format(to=dan).encode())
    both.sync()
    sources = {seen.source.partition(":")[0] for seen in both.observations()}
    assert sources == {"graph", "imap"}
    both.make_sense()
    let_bailey_act(both.tenant)
    with both.scope():
        incident = Incident.objects.exclude(kind=Incident.Kind.HEALTH).get()
        pull_incident(incident=incident, actor=BAILEY)
    work(both)
    assert {copy.place for copy in both.deliveries()} == {Place.QUARANTINE}
    assert folders(both, "ana") == {"Bailey Quarantine": 1}
    assert list(server.where(dan, PHISH_ID)) == ["Bailey Quarantine"]
    with both.scope():
        restore_incident(incident=incident, actor=BAILEY)
    work(both)
    assert folders(both, "ana") == {"Inbox": 1}
    assert list(server.where(dan, PHISH_ID)) == ["INBOX"]
