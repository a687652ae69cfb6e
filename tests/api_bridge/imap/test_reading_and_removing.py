"""Mail on a real Dovecot through sync, watch, pull and restore, as on any other mail host."""

from __future__ import annotations

import pytest

from api_bridge.models import Connection, MailboxSync
from incidents.models import Incident
from incidents.remediation import pull_incident, restore_incident
from incidents.words import Place, Verdict
from tenants.audit import BAILEY
from tenants.models import Mailbox
from tests.api_bridge.sync.test_removing import PHISH, work

PHISH_ID = "<phish-1@secure-login.example.net>"


@pytest.fixture
def incident(client_) -> Incident:
    """A phish in the mailboxes of Ana and Bo, condemned by the mailbox layer."""
    for name in ("ana", "bo"):
        client_.company.receive(name, raw=PHISH.format(to=client_.company.mail(name)).encode())
    client_.sync()
    client_.make_sense()
    with client_.scope():
        return Incident.objects.exclude(kind=Incident.Kind.HEALTH).get()


def folders(client_, name: str) -> dict[str, list[tuple[str, ...]]]:
    return client_.company.server.where(client_.company.mail(name), PHISH_ID)


def pull(client_, incident):
    with client_.scope():
        job = pull_incident(incident=incident, actor=BAILEY)
    work(client_)
    with client_.scope():
        job.refresh_from_db()
    return job


def test_a_connection_lists_the_clients_mailboxes(client_):
    with client_.scope():
        boxes = {box.address: box.external_id for box in Mailbox.objects.all()}
        assert boxes == {
            client_.company.mail(name): client_.company.mail(name) for name in ("ana", "bo", "cfo")
        }
        assert MailboxSync.objects.count() == 3
        assert Connection.objects.get().state == Connection.State.ACTIVE


def test_a_mail_becomes_one_observation_and_one_delivery(client_):
    message_id = client_.company.receive("ana")
    for _ in range(3):
        client_.sync()
    (seen,) = client_.observations()
    assert seen.source == f"imap:{client_.company.mail('ana')}"
    assert (seen.internet_message_id, seen.place) == (message_id, Place.INBOX)
    assert (seen.verdict, seen.trace_state) == (Verdict.CLEAN, "missing")
    (delivery,) = client_.deliveries()
    assert (delivery.mailbox_item_id, delivery.is_bypass) == (seen.mailbox_item_id, True)


def test_a_pull_and_a_restore_bring_every_copy_back_as_it_was(client_, incident):
    ana = client_.company.mail("ana")
    client_.company.server.flag(ana, PHISH_ID, "\\Seen", "\\Flagged", "$Work")
    assert pull(client_, incident).state == "done"
    assert folders(client_, "ana") == {"Bailey Quarantine": [("$Work", "\\Flagged", "\\Seen")]}
    assert folders(client_, "bo") == {"Bailey Quarantine": [()]}
    assert {copy.place for copy in client_.deliveries()} == {Place.QUARANTINE}
    before = len(client_.observations())
    client_.sync()
    assert len(client_.observations()) == before
    with client_.scope():
        restore_incident(incident=incident, actor=BAILEY)
    work(client_)
    assert folders(client_, "ana") == {"INBOX": [("$Work", "\\Flagged", "\\Seen")]}
    assert folders(client_, "bo") == {"INBOX": [()]}
