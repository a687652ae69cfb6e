"""Mail on a real Dovecot through sync, watch, pull and restore, as on any other mail host."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.connectors.imap import fetch
from api_bridge.errors import Rejected
from api_bridge.models import Connection, MailboxSync, SeenItem
from incidents.models import Incident
from incidents.remediation import pull_incident
from incidents.taking_back import restore_incident
from incidents.words import Place, Verdict
from tenants.audit import BAILEY
from tenants.models import Mailbox
from tests.api_bridge.imap.server import mail
from tests.api_bridge.sync.test_removing import PHISH, work
from tests.factories import let_bailey_act

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


def folders(client_, name: str):
    return client_.company.server.where(client_.company.mail(name), PHISH_ID)


def pull(client_, incident):
    let_bailey_act(client_.tenant)
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


def test_a_host_that_calls_nobody_is_polled_and_not_asked_to_call(client_):
    due = client_.sync()
    assert due is not None
    assert due > timezone.now() + timedelta(seconds=5)
    assert "calls nobody" in client_.mailbox_sync("ana").push_error


def test_a_server_that_shows_another_certificate_blinds_the_connection(client_):
    with client_.scope():
        Connection.objects.update(ca_file="", list_due_at=timezone.now())
    client_.sync()
    with client_.scope():
        row = Connection.objects.get()
    assert row.blind_since is not None
    assert "certificate of localhost is not accepted" in row.last_error


def test_a_quick_look_finds_what_just_came(client_):
    client_.company.receive("ana")
    client_.company.receive("bo", folder="Junk")
    with client_.scope():
        MailboxSync.objects.update(due_at=timezone.now())
    client_.sync(everything=False)
    assert {seen.place for seen in client_.observations()} == {Place.INBOX, Place.JUNK}


def test_sent_mail_is_an_answer_and_not_judged(client_):
    ana = client_.company.mail("ana")
    raw = f"From: {ana}\r\nTo: kim@sender.example\r\nMessage-ID: <s@x>\r\n\r\nFine.\r\n"
    client_.company.receive("ana", raw=raw.encode(), folder="Sent")
    client_.sync()
    assert client_.observations() == []
    (sent,) = client_.observations(direction="outbound")
    assert (sent.place, sent.verdict) == (Place.SENT, None)


def test_a_mark_of_another_host_does_not_make_a_mail_internal(client_):
    raw = mail("<a@x>", **{"X-MS-Exchange-Organization-AuthAs": "Internal"})
    client_.company.receive("ana", raw=raw)
    client_.sync()
    (seen,) = client_.observations()
    assert seen.direction == "inbound"


def test_a_poison_mail_is_given_up_and_the_others_of_its_mailbox_go_on(client_, monkeypatch):
    real = fetch.read_raw

    def read_raw(session, found):
        if "poison" in found.message_id:
            raise Rejected("The server's answer is no piece of a mail.")
        return real(session, found)

    monkeypatch.setattr(fetch, "read_raw", read_raw)
    client_.company.receive("ana", raw=mail("<poison@x>"))
    good = client_.company.receive("ana")
    for _ in range(4):
        client_.sync()
    verdicts = {seen.internet_message_id: seen.verdict for seen in client_.observations()}
    assert verdicts == {"<poison@x>": Verdict.UNSCANNABLE, good: Verdict.CLEAN}
    assert client_.mailbox_sync("ana").failures == 0


def test_a_mail_that_went_is_seen_to_be_gone(client_, incident):
    ana = client_.company.mail("ana")
    client_.company.server.expunge(ana, PHISH_ID)
    with client_.scope():
        Connection.objects.update(watch_due_at=timezone.now())
    client_.sync()
    places = {copy.recipient: copy.place for copy in client_.deliveries()}
    assert places == {ana: Place.GONE, client_.company.mail("bo"): Place.INBOX}


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


def test_a_mail_that_is_put_there_with_an_old_date_is_seen(client_):
    """APPEND gives it the date that it is told, and a new UID.  What bears a date after the
    connection is judged; before it the mail may as well have been moved from another folder, long
    known and forgotten, and only teaches.
    """
    company, address = client_.company, client_.company.mail("ana")
    now = timezone.now()
    with client_.scope():
        Connection.objects.update(created_at=now - timedelta(days=60))
    for name, days in (("since", 50), ("before", 700)):
        raw = mail(f"<{name}@old.example>", to=address)
        company.server.put(address, raw, at=now - timedelta(days=days))
    client_.sync()
    judged = [row.internet_message_id for row in client_.observations(verdict__isnull=False)]
    assert judged == ["<since@old.example>"]
    with client_.scope():
        rows = SeenItem.objects.filter(received_at__lt=now - timedelta(days=40))
        assert sorted(rows.values_list("is_judged", flat=True)) == [False, True]
