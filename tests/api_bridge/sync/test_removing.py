"""Pull and restore through incidents.execution, against a cloud that loses answers and lies."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.errors import NotFound
from api_bridge.layer import ConnectedMailboxLayer
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import connector_of
from incidents.execution import serve_remediation
from incidents.intake import record
from incidents.layers import Copy, LayerError, mailbox_layer
from incidents.models import Delivery, Incident, Intent
from incidents.remediation import pull_incident
from incidents.taking_back import restore_incident
from incidents.words import Outcome, Place, Verdict
from seg_bridge.held.asked import send_digest_now
from seg_bridge.held.digest import waiting_for
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Mailbox, OutgoingMail
from tenants.outbox import _place
from tenants.secrets import unseal
from tests.api_bridge.sandbox.running import simple_mail
from tests.factories import gateway_saw, let_bailey_act, mail_json

PHISH = (
    "From: IT Support <helpdesk@secure-login.example.net>\r\nTo: {to}\r\n"
    "Subject: Your password expires today\r\nMessage-ID: <phish-1@secure-login.example.net>\r\n"
    "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n\r\n"
    "<p>Your mailbox password expires today. Sign in to keep your account:</p>"
    '<p><a href="http://203.0.113.9/login.php">https://login.microsoftonline.com/</a></p>'
    '<form action="http://203.0.113.9/p"><input type="password" name="p"></form>\r\n'
)


@pytest.fixture
def incident(client_) -> Incident:
    """A phish in the mailboxes of Ana and Bo, condemned by the mailbox layer."""
    for name in ("ana", "bo"):
        client_.company.receive(name, raw=PHISH.format(to=client_.company.mail(name)).encode())
    client_.sync()
    client_.make_sense()
    with client_.scope():
        return Incident.objects.exclude(kind=Incident.Kind.HEALTH).get()


def work(client_) -> None:
    """The worker until nothing is left to do, as if all pauses had passed."""
    claimed = ClaimedWork(client_.tenant.id, client_.tenant.provider_id, 1)
    for _ in range(20):
        with client_.scope():
            waiting = Intent.objects.exclude(state__in=Intent.OVER)
            waiting.update(due_at=timezone.now() - timedelta(seconds=1))
            if not waiting.exists():
                break
        serve_remediation(claimed)
    client_.make_sense()


def fault(client_, kind: str, **more: object) -> None:
    client_.company.cloud.admin("POST", "faults", {"kind": kind, **more}, 201)


def folders(client_, name: str) -> dict[str, int]:
    """Folder name → how many mails lie in it."""
    path = f"mailboxes/{client_.company.mail(name)}"
    shown = client_.company.cloud.admin("GET", path)["folders"]
    return {folder["name"]: len(folder["messages"]) for folder in shown if folder["messages"]}


def pull(client_, incident: Incident):
    let_bailey_act(client_.tenant)
    with client_.scope():
        job = pull_incident(incident=incident, actor=BAILEY)
    work(client_)
    with client_.scope():
        job.refresh_from_db()
    return job


@pytest.mark.parametrize(
    "trouble", ["", "drop_after_commit", "drop_before_commit", "lying_move", "status_503"]
)
def test_a_pull_ends_with_each_copy_once_in_quarantine(client_, incident, trouble):
    if trouble:
        fault(client_, trouble, match="/move")
    job = pull(client_, incident)
    assert job.state == "done"
    for name in ("ana", "bo"):
        assert folders(client_, name) == {"Bailey Quarantine": 1}
    assert {copy.place for copy in client_.deliveries()} == {Place.QUARANTINE}


def test_a_restore_puts_every_copy_back_where_it_was(client_, incident):
    company = client_.company
    company.cloud.admin(
        "POST",
        f"mailboxes/{company.mail('ana')}/read",
        {"internet_message_id": "<phish-1@secure-login.example.net>"},
    )
    pull(client_, incident)
    fault(client_, "drop_after_commit", match="/move")
    with client_.scope():
        restore_incident(incident=incident, actor=BAILEY)
    work(client_)
    for name in ("ana", "bo"):
        assert folders(client_, name) == {"Inbox": 1}
    assert [mail["isRead"] for mail in company.mails("ana")] == [True]
    assert [mail["isRead"] for mail in company.mails("bo")] == [False]


def test_a_mailbox_that_is_not_there_now_proves_no_removal(client_, incident, monkeypatch):
    """A licence is taken away in mid-pull, and given back: the copy lies there as before."""
    connector = connector_of(client_.wired())
    real, bo = connector.read_state, client_.company.ids["bo"]

    def read_state(ref):
        if ref.mailbox_id == bo:
            raise NotFound("404", code="MailboxNotEnabledForRESTAPI", status=404)
        return real(ref)

    let_bailey_act(client_.tenant)
    with monkeypatch.context() as patch:
        patch.setattr(connector, "read_state", read_state)
        with client_.scope():
            job = pull_incident(incident=incident, actor=BAILEY)
        serve_remediation(ClaimedWork(client_.tenant.id, client_.tenant.provider_id, 1))
        client_.make_sense()
        with client_.scope():
            (waiting,) = Intent.objects.filter(job=job).exclude(state__in=Intent.OVER)
        assert "The mailbox is not there now" in waiting.error
        places = {copy.recipient: copy.place for copy in client_.deliveries()}
        assert places[client_.company.mail("bo")] == Place.INBOX
    work(client_)
    assert {copy.place for copy in client_.deliveries()} == {Place.QUARANTINE}


def test_our_own_move_is_no_news(client_, incident):
    pull(client_, incident)
    before = len(client_.observations())
    client_.sync()
    assert len(client_.observations()) == before


def watch(client_) -> None:
    with client_.scope():
        later = timezone.now() + timedelta(hours=1)
        MailboxSync.objects.update(due_at=later, push_due_at=later)
        Connection.objects.update(watch_due_at=timezone.now())
    client_.sync(everything=False)


def test_exposed_copies_of_an_open_incident_are_looked_at_again(client_, incident):
    company = client_.company
    before = len(client_.observations())
    watch(client_)
    assert len(client_.observations()) == before  # nothing has changed
    company.cloud.admin(
        "POST",
        f"mailboxes/{company.mail('bo')}/read",
        {"internet_message_id": "<phish-1@secure-login.example.net>"},
    )
    (mail,) = company.mails("ana")
    company.post(f"users/{company.ids['ana']}/messages/{mail['id']}/permanentDelete", {}, 204)
    watch(client_)
    ana, bo = client_.deliveries()
    assert (ana.place, bo.place, bo.is_read) == (Place.GONE, Place.INBOX, True)
    with client_.scope():
        Delivery.objects.update(verified_at=timezone.now() - timedelta(hours=2))
    watch(client_)
    assert client_.observations()[-1].recipient == company.mail("bo")
    _, bo = client_.deliveries()
    assert bo.verified_at > timezone.now() - timedelta(minutes=1)


def test_copies_of_a_resolved_incident_are_left_alone(client_, incident):
    with client_.scope():
        Incident.objects.update(state=Incident.State.RESOLVED)
    client_.company.cloud.admin("POST", "faults", {"kind": "status_503", "match": "$batch"}, 201)
    watch(client_)
    faults = client_.company.cloud.admin("GET", "faults")["faults"]
    assert [fault["count"] for fault in faults] == [1]


def test_a_copy_that_no_sync_has_seen_is_found_by_its_message_id(client_):
    company = client_.company
    raw = PHISH.format(to=company.mail("ana")).encode()
    with client_.scope():
        seen = gateway_saw(
            client_.tenant,
            company.mail("ana"),
            internet_message_id="<phish-1@secure-login.example.net>",
            verdict="phish",
        )
        record([seen])
    (delivery,) = client_.deliveries()
    assert delivery.mailbox_item_id == ""
    with client_.scope():
        incident = Incident.objects.get()
    copy = _copy(client_, delivery)
    with pytest.raises(LayerError) as not_yet:
        mailbox_layer().read_state(copy)
    assert not_yet.value.again_after_s == 20
    company.receive("ana", raw=raw)
    assert pull(client_, incident).state == "done"
    assert folders(client_, "ana") == {"Bailey Quarantine": 1}


def test_of_several_mails_with_one_id_the_one_with_the_content_is_meant(client_):
    company = client_.company
    for text in (b"The minutes of our meeting today.", b"This text here is quite another one."):
        raw = simple_mail(company.mail("ana"), subject="One", message_id="<twice@x.example>")
        company.receive("ana", raw=raw.replace(b"Good morning.", text))
    client_.sync()
    for seen in client_.observations():
        copy = Copy(
            tenant_id=client_.tenant.id,
            delivery_id=new_id(),
            recipient=company.mail("ana"),
            mailbox_item_id="",
            internet_message_id="<twice@x.example>",
            fingerprint=seen.fingerprint,
        )
        assert mailbox_layer().read_state(copy).mailbox_item_id == seen.mailbox_item_id


def test_a_mailbox_that_no_connection_knows_is_a_lasting_error(client_, incident):
    (delivery, _) = client_.deliveries()
    copy = _copy(client_, delivery, recipient="nobody@elsewhere.example")
    with pytest.raises(LayerError) as refused:
        mailbox_layer().read_state(copy)
    assert refused.value.again_after_s is None


def test_a_refused_secret_makes_the_connection_blind(client_, incident):
    company = client_.company
    with client_.scope():
        connection = Connection.objects.get()
        Connection.objects.update(client_id="11111111-1111-1111-1111-111111111111")
    (delivery, _) = client_.deliveries()
    with pytest.raises(LayerError) as refused:
        mailbox_layer().read_state(_copy(client_, delivery))
    assert refused.value.again_after_s == 300
    with client_.scope():
        connection.refresh_from_db()
        assert connection.state == Connection.State.NEEDS_CONSENT
        assert connection.blind_since is not None
        Connection.objects.update(client_id=company.client_id, list_due_at=timezone.now())
    client_.sync()
    with client_.scope():
        connection.refresh_from_db()
        assert connection.state == Connection.State.ACTIVE
        assert connection.blind_since is None


def test_the_bytes_of_a_copy_can_be_had(client_, incident):
    (delivery, _) = client_.deliveries()
    raw, method = mailbox_layer().fetch(_copy(client_, delivery))
    assert method == "graph-mime"
    assert b"Your password expires today" in raw


def test_the_layer_of_this_process_is_the_graph_layer():
    assert isinstance(mailbox_layer(), ConnectedMailboxLayer)


def _copy(client_, delivery: Delivery, **changes: object) -> Copy:
    values: dict[str, object] = {
        "tenant_id": client_.tenant.id,
        "delivery_id": delivery.id,
        "recipient": delivery.recipient,
        "mailbox_item_id": delivery.mailbox_item_id,
        "internet_message_id": delivery.message.internet_message_id,
        "fingerprint": delivery.message.fingerprint,
    }
    return Copy(**(values | changes))  # type: ignore[arg-type]


def test_what_was_pulled_stands_in_the_digest_beside_what_the_gateway_holds(client_, incident):
    """The mail itself, pulled from a real mailbox; held once at the gateway too, and one more."""
    ana = client_.company.mail("ana")
    pull(client_, incident)
    with client_.scope():
        pulled = Delivery.objects.select_related("message").get(recipient=ana)
        common = {"action": Outcome.HELD, "place": Place.HOLD, "verdict": Verdict.PHISH}
        twin = mail_json(
            subject=pulled.message.subject,
            sender={"address": pulled.message.sender_address, "name": "", "raw": ""},
        )
        alias = f"ana.other@{ana.rpartition('@')[2]}"
        Mailbox.objects.filter(address=ana).update(aliases=[alias])
        record(
            [
                gateway_saw(
                    client_.tenant,
                    alias,
                    mail=twin,
                    internet_message_id=pulled.message.internet_message_id,
                    **common,
                ),
                gateway_saw(client_.tenant, ana, ulid="01J00000000000000000000009", **common),
            ]
        )
    client_.make_sense()
    with client_.scope():
        box = Mailbox.objects.get(address=ana)
        places = {copy.place for copy in waiting_for(box)}
        digest = send_digest_now(mailbox=box, actor=BAILEY)
        (row,) = OutgoingMail.objects.all()
        said = json.loads(unseal(bytes(row.sealed), place=_place(row)))["text"]
    assert (places, digest.items) == ({Place.HOLD, Place.QUARANTINE}, 2)
    assert said.count(pulled.message.subject) == 1
    assert "Invoice 4711" in said


def test_what_was_only_pulled_is_told_as_taken_out(client_, incident):
    pull(client_, incident)
    with client_.scope():
        box = Mailbox.objects.get(address=client_.company.mail("bo"))
        assert send_digest_now(mailbox=box, actor=BAILEY).items == 1
        (row,) = OutgoingMail.objects.all()
        said = json.loads(unseal(bytes(row.sealed), place=_place(row)))["text"]
    assert "taken out of your mailbox" in said
    assert "Your password expires today" in said
