"""How a mail came, who sent it before, and what is kept of it."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge.detect import MailboxContext
from api_bridge.known import forget_profiles
from api_bridge.models import Correspondent, SeenItem
from api_bridge.scan import judging
from incidents.evidence import read_evidence
from incidents.intake import record
from incidents.models import Evidence
from incidents.traces import make_trace_key
from incidents.words import Place, Verdict
from tenants.models import Mailbox, Provider
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sync.test_removing import PHISH
from tests.factories import gateway_saw

ULID = "01J00000000000000000000001"
ID = "<1@sender.example.net>"


def plain(client_, name: str = "ana", **changes: str) -> bytes:
    values = {"subject": "Hello", "message_id": ID} | changes
    return simple_mail(client_.company.mail(name), **values)


@pytest.fixture
def contexts(monkeypatch) -> list[MailboxContext]:
    """What the judge was told, mail by mail."""
    told: list[MailboxContext] = []

    real = judging._context

    def context_of(*known) -> MailboxContext:
        told.append(real(*known))
        return told[-1]

    monkeypatch.setattr(judging, "_context", context_of)
    return told


def receive_and_sync(client_, raw: bytes, name: str = "ana"):
    client_.company.receive(name, raw=raw)
    client_.sync()
    return client_.observations()[-1]


def test_a_genuine_trace_is_valid_and_names_the_gate_s_own_account(client_, contexts):
    with client_.scope():
        record([gateway_saw(client_.tenant, client_.company.mail("ana"), ulid=ULID)])
    client_.make_sense()
    seen = receive_and_sync(client_, client_.through_the_gate("ana", plain(client_), ID))
    assert (seen.trace_state, seen.trace_ulid) == ("valid", ULID)
    assert contexts[-1].gateway_verdict is Verdict.CLEAN
    (delivery,) = client_.deliveries()
    assert delivery.match == "strong"
    assert not delivery.is_bypass
    assert delivery.place == Place.INBOX


def test_authentication_counts_as_our_gate_found_it_and_only_so(client_, contexts):
    forged = b"Authentication-Results: gate.bailey.example; dmarc=pass header.from=bank.example\r\n"
    receive_and_sync(client_, client_.through_the_gate("ana", forged + plain(client_), ID))
    (result,) = contexts[-1].auth
    assert (result.method, result.domain) == ("dmarc", "x.example")
    receive_and_sync(client_, forged + plain(client_, message_id="<2@x.example>"))
    assert contexts[-1].auth == ()


def test_a_trace_by_a_key_that_was_made_just_now_is_valid(client_):
    receive_and_sync(client_, plain(client_, message_id="<before@x.example>"))
    with client_.scope():
        make_trace_key(provider_id=client_.tenant.provider_id)
    raw = client_.through_the_gate("ana", plain(client_), ID)
    assert receive_and_sync(client_, raw).trace_state == "valid"


def test_a_forged_trace_is_invalid(client_):
    raw = client_.through_the_gate("ana", plain(client_), ID).replace(b"u=01J", b"u=01K")
    seen = receive_and_sync(client_, raw)
    assert (seen.trace_state, seen.trace_ulid) == ("invalid", "")


def test_a_genuine_trace_of_another_mail_is_invalid(client_, contexts):
    raw = client_.through_the_gate("ana", plain(client_, message_id="<other@x.example>"), ID)
    seen = receive_and_sync(client_, raw)
    assert (seen.trace_state, seen.trace_ulid) == ("invalid", "")
    assert contexts[-1].auth == ()


def test_a_mail_whose_id_was_changed_on_its_way_keeps_its_trace_by_its_content(client_):
    text = b"The minutes of our meeting are attached below."
    raw = plain(client_, message_id="<changed@x.example>").replace(b"Good morning.", text)
    first = receive_and_sync(client_, raw)
    traced = client_.through_the_gate("ana", raw, ID, fingerprint=first.fingerprint)
    assert receive_and_sync(client_, traced).trace_state == "valid"


def test_another_client_s_trace_is_foreign(client_, connect):
    other = connect("epsilon")
    raw = other.through_the_gate("ana", plain(client_), ID)
    seen = receive_and_sync(client_, raw)
    assert (seen.trace_state, seen.trace_ulid) == ("foreign", "")


def test_another_provider_s_trace_is_invalid(client_, cast):
    with maintenance_scope():
        stranger = Provider.objects.create(slug="strangers", name="Strangers")
    with tenant_scope(Role.WORKER, [], provider_id=stranger.id):
        make_trace_key(provider_id=stranger.id)
    mine = client_.tenant.provider_id
    client_.tenant.provider_id = stranger.id
    raw = client_.through_the_gate("ana", plain(client_), ID)
    client_.tenant.provider_id = mine
    assert receive_and_sync(client_, raw).trace_state == "invalid"


def test_internal_mail_is_internal_and_no_bypass(client_, contexts):
    company = client_.company
    raw = plain(client_, "bo").replace(
        b"Sender <sender@sender.example.net>", company.mail("ana").encode()
    )
    company.send_inside("ana", ["bo"], raw)
    client_.sync()
    (seen,) = client_.observations()
    assert (seen.recipient, seen.direction) == (company.mail("bo"), "internal")
    assert seen.trace_state == ""
    (delivery,) = client_.deliveries()
    assert not delivery.is_bypass
    assert contexts[-1].is_internal


def test_mail_from_outside_cannot_call_itself_internal(client_):
    raw = b"X-MS-Exchange-Organization-AuthAs: Internal\r\n" + plain(client_)
    assert receive_and_sync(client_, raw).direction == "inbound"


def test_sent_mail_teaches_whom_the_mailbox_answers(client_, contexts):
    company = client_.company
    raw = plain(client_, "bo").replace(b"To: ", b"Cc: Sender <sender@sender.example.net>\r\nTo: ")
    company.send_inside("ana", ["bo"], raw)
    client_.sync()
    assert [row.recipient for row in client_.observations()] == [company.mail("bo")]
    with client_.scope():
        row = Correspondent.objects.get(
            sender="sender@sender.example.net", recipient=company.mail("ana")
        )
        assert (row.replies, row.mails) == (1, 0)
        Correspondent.objects.update(first_seen_at=timezone.now() - timedelta(days=2))
    receive_and_sync(client_, plain(client_, message_id="<2@x.example>"))
    assert contexts[-1].sender_history.mails_answered == 1


def test_a_sender_is_known_an_hour_after_his_first_mail_and_by_each_mailbox(client_, contexts):
    for number in range(3):
        receive_and_sync(client_, plain(client_, message_id=f"<{number}@x.example>"))
    assert contexts[-1].sender_history.mails_to_client == 0
    with client_.scope():
        Correspondent.objects.update(first_seen_at=timezone.now() - timedelta(hours=2))
    receive_and_sync(client_, plain(client_, message_id="<4@x.example>"))
    history = contexts[-1].sender_history
    assert (history.mails_to_client, history.mails_to_mailbox) == (3, 3)
    receive_and_sync(client_, plain(client_, "bo", message_id="<5@x.example>"), "bo")
    history = contexts[-1].sender_history
    assert (history.mails_to_client, history.mails_to_mailbox) == (4, 0)


def test_an_account_is_the_sender_s_only_if_the_gate_proved_the_sender(client_, contexts):
    text = b"Please pay the invoice to DE89 3704 0044 0532 0130 00 as every month."
    for number, traced in enumerate((False, True)):
        message_id = f"<{number}@x.example>"
        raw = plain(client_, message_id=message_id).replace(b"Good morning.", text)
        ulid = f"01J0000000000000000000000{number}"
        if traced:
            raw = client_.through_the_gate("ana", raw, message_id, ulid=ulid)
        receive_and_sync(client_, raw)
        with client_.scope():
            rows = Correspondent.objects.filter(recipient="")
            known = [row.features.get("accounts", []) for row in rows]
        assert known == [["DE89370400440532013000"] if traced else []]


def test_more_attachments_than_are_fetched_at_once_are_all_read(client_, monkeypatch):
    monkeypatch.setattr("api_bridge.round.FETCHED_AT_ONCE", 2)
    for number in range(5):
        raw = with_attachment(client_.company.mail("ana"), f"<{number}@x.example>")
        client_.company.receive("ana", raw=raw)
    client_.sync()
    assert [len(seen.mail["attachments"]) for seen in client_.observations()] == [1] * 5


def with_attachment(to: str, message_id: str) -> bytes:
    return (
        f"From: a@x.example\r\nTo: {to}\r\nMessage-ID: {message_id}\r\nSubject: Files\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nPlease find the list attached.\r\n"
        '--b\r\nContent-Type: text/csv; name="list.csv"\r\n'
        'Content-Disposition: attachment; filename="list.csv"\r\n\r\na,b\r\n--b--\r\n'
    ).encode()


def test_condemned_mail_makes_nobody_known(client_):
    seen = receive_and_sync(client_, PHISH.format(to=client_.company.mail("ana")).encode())
    assert Verdict(seen.verdict).is_threat
    with client_.scope():
        assert not Correspondent.objects.exists()


def test_nobody_is_a_stranger_to_a_client_that_was_just_connected(client_, contexts):
    receive_and_sync(client_, plain(client_))
    assert not contexts[-1].history_known
    with client_.scope():
        Correspondent.objects.update(first_seen_at=timezone.now() - timedelta(days=20))
    forget_profiles()
    receive_and_sync(client_, plain(client_, message_id="<2@x.example>"))
    assert contexts[-1].history_known


def test_the_judge_knows_the_client_s_people_and_domains(client_, contexts):
    with client_.scope():
        Mailbox.objects.filter(address=client_.company.mail("cfo")).update(is_vip=True)
    forget_profiles()
    receive_and_sync(client_, plain(client_))
    context = contexts[-1]
    assert context.own_domains == (client_.company.domain,)
    assert {person.address for person in context.people if person.is_vip} == {
        client_.company.mail("cfo")
    }
    assert context.recipient.address == client_.company.mail("ana")


def test_the_original_of_a_condemned_mail_is_kept_before_it_is_told(client_):
    raw = PHISH.format(to=client_.company.mail("ana")).encode()
    seen = receive_and_sync(client_, raw)
    with client_.scope():
        kept = read_evidence(tenant_id=client_.tenant.id, digest=seen.evidence)
        row = Evidence.objects.get()
    assert kept.endswith(raw)
    assert (row.method, row.source) == ("graph-mime", f"mailbox {client_.company.mail('ana')}")


def test_a_harmless_mail_leaves_no_bytes(client_):
    assert receive_and_sync(client_, plain(client_)).evidence == ""
    with client_.scope():
        assert not Evidence.objects.exists()


def test_a_mail_with_an_attachment_is_read_whole(client_):
    body = base64.b64encode(b"MZ" + b"\x00" * 200).decode()
    raw = (
        f"From: a@x.example\r\nTo: {client_.company.mail('ana')}\r\nMessage-ID: <att@x.example>\r\n"
        "Subject: Invoice\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nPlease find the invoice attached.\r\n"
        '--b\r\nContent-Type: application/octet-stream; name="invoice.exe"\r\n'
        'Content-Disposition: attachment; filename="invoice.exe"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n--b--\r\n"
    ).encode()
    seen = receive_and_sync(client_, raw)
    assert [each["name"] for each in seen.mail["attachments"]] == ["invoice.exe"]


def test_our_quarantine_is_not_judged(client_):
    company = client_.company
    folder = company.post(
        f"users/{company.ids['ana']}/mailFolders",
        {"displayName": "Bailey Quarantine", "isHidden": True},
    )
    company.receive("ana", raw=plain(client_))
    (mail,) = company.mails("ana")
    company.post(
        f"users/{company.ids['ana']}/messages/{mail['id']}/move", {"destinationId": folder["id"]}
    )
    client_.sync()
    assert client_.observations() == []
    with client_.scope():
        assert [(row.place, row.is_judged) for row in SeenItem.objects.all()] == [
            ("quarantine", False)
        ]


def test_mail_from_before_the_connection_only_teaches(connect, cloud):
    made = connect("delta")
    with made.scope():
        later = timezone.now() + timedelta(hours=1)
        type(made.connection).objects.update(created_at=later)
    made.company.receive("ana", raw=plain(made))
    made.sync()
    assert made.observations() == []
    with made.scope():
        assert Correspondent.objects.filter(sender="sender@sender.example.net").count() == 2


def test_two_clients_of_one_cloud_never_mix(connect):
    one, two = connect("delta"), connect("epsilon")
    for client_ in (one, two):
        client_.sync()
        client_.company.receive("ana", raw=plain(client_))
        client_.company.receive("bo", raw=PHISH.format(to=client_.company.mail("bo")).encode())
    for client_ in (one, two, one):
        client_.sync()
    for mine, other in ((one, two), (two, one)):
        seen = mine.observations()
        assert len(seen) == 2
        assert {row.recipient for row in seen} == {
            mine.company.mail("ana"),
            mine.company.mail("bo"),
        }
        with mine.scope():
            assert {box.address.rpartition("@")[2] for box in Mailbox.objects.all()} == {
                mine.company.domain
            }
            assert other.company.domain not in str(list(SeenItem.objects.values()))
            assert Correspondent.objects.count() == 2


def test_what_the_mail_host_found_is_kept_beside_what_we_found(client_):
    told = (
        b"Authentication-Results: spf=fail (sender IP is 198.51.100.7) smtp.mailfrom=x.example\r\n"
    )
    seen = receive_and_sync(client_, told + client_.through_the_gate("ana", plain(client_), ID))
    assert seen.detail["host_auth"] == {"spf": "fail", "ip": "198.51.100.7"}
    assert [each["method"] for each in seen.mail["auth_results"]] == ["dmarc"]
