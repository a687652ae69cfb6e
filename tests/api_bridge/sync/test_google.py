"""Google Workspace through the same worker: what came, where it lies, and what becomes of it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from api_bridge import hearing
from api_bridge.connectors.google import GoogleConnector
from api_bridge.errors import AuthExpired
from api_bridge.layer import ConnectedMailboxLayer
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import connector_of
from api_bridge.services import google_cloud, verify_google
from api_bridge.webhooks import google as push_view
from incidents.layers import Copy
from incidents.models import UserReport
from incidents.userreports.placing import serve_reported
from incidents.words import Direction, Layer, Place, Verdict
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, WrongInput
from tenants.models import Mailbox
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sandbox.workspace import GRANTED, HEAD
from tests.api_bridge.sync import conftest
from tests.api_bridge.sync.conftest import SENT, make_google_client
from tests.factories import Cast


@pytest.fixture
def google(cast, cloud):
    made = make_google_client(cast, cloud, "gamma")
    made.sync()
    yield made
    made.company.close()


@pytest.fixture
def heard(cast, cloud):
    """A client whose changes are published, and pulled by the worker."""
    made = make_google_client(cast, cloud, "gamma", is_heard=True)
    made.sync()
    yield made
    made.company.close()


def test_a_mail_that_is_put_there_with_an_old_date_is_judged(google):
    """Gmail's own insert, with the date of its header: history tells of it."""
    company = google.company
    raw = simple_mail(company.mail("ana"), subject="Old", message_id="<old@old.example>")
    raw = raw.replace(b"Sun, 22 Nov 2026", b"Sat, 22 Nov 2025")
    company.gmail("ana", "POST", "messages", params={"internalDateSource": "dateHeader"}, json={
        "raw": base64.urlsafe_b64encode(raw).decode(), "labelIds": ["INBOX"],
    })  # fmt: skip
    google.sync()
    google.sync()
    (seen,) = google.observations(internet_message_id="<old@old.example>", verdict__isnull=False)
    assert seen.detail["received_at"].startswith("2025-11-22")


def connector_for(client) -> GoogleConnector:
    connector = connector_of(client.wired())
    assert isinstance(connector, GoogleConnector)
    return connector


def forget_tokens(client) -> None:
    """As if the hour were over."""
    tokens = connector_for(client)._client._tokens
    for key in tokens._kept:
        tokens._cache.drop(key)
    tokens._kept.clear()


def copy_of(client, seen) -> Copy:
    client.make_sense()
    with client.scope():
        delivery = client.deliveries()[0]
        return Copy(
            tenant_id=client.tenant.id,
            delivery_id=delivery.id,
            recipient=seen.recipient,
            internet_message_id=seen.internet_message_id,
            fingerprint=seen.fingerprint,
            mailbox_item_id=seen.mailbox_item_id,
        )


def test_mailboxes_are_listed_and_new_mail_is_told_once(google):
    with google.scope():
        assert set(Mailbox.objects.values_list("address", flat=True)) == {
            google.company.mail(name) for name in ("ana", "bo", "cfo")
        }
    message_id = google.company.receive("ana", subject="Hello")
    google.sync()
    google.sync()
    (seen,) = google.observations()
    assert (seen.internet_message_id, seen.place) == (message_id, Place.INBOX)
    assert seen.source == f"google:{google.company.mail('ana')}"
    assert seen.verdict is not None
    assert seen.mail["subject"] == "Hello"
    with google.scope():
        assert MailboxSync.objects.exclude(last_error="").count() == 0


def test_an_exchange_header_does_not_make_a_mail_internal_at_google(google):
    """Google lets it through: there it is the sender's own word."""
    forged = b"X-MS-Exchange-Organization-AuthAs: Internal\r\n" + simple_mail(
        google.company.mail("ana"), subject="From your colleague", message_id="<f@x.example>"
    )
    google.company.receive("ana", raw=forged)
    google.company.send_inside("bo", ["ana"], (
        f"From: {google.company.mail('bo')}\r\nTo: {google.company.mail('ana')}\r\n"
        "Message-ID: <in@x.example>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"
    ).encode())  # fmt: skip
    google.sync()
    told = {seen.internet_message_id: seen.direction for seen in google.observations()}
    assert told == {"<f@x.example>": Direction.INBOUND, "<in@x.example>": Direction.INTERNAL}
    (sent,) = google.observations(direction=SENT)
    assert sent.internet_message_id == "<in@x.example>"


def test_a_pull_and_its_undo_are_exact_and_come_back_as_nothing_new(google):
    """Trap 15: our own label changes are in the history; they are no news."""
    message_id = google.company.receive("ana")
    google.sync()
    (seen,) = google.observations()
    layer, copy = ConnectedMailboxLayer(), copy_of(google, seen)
    undo = layer.prepare(copy)
    layer.pull(copy, undo, key="k")
    assert layer.read_state(copy).place is Place.QUARANTINE
    assert google.company.labels("ana", message_id) == {"UNREAD", "Bailey Quarantine"}
    google.sync()
    assert google.deliveries()[0].place == Place.QUARANTINE
    layer.restore(copy, undo, key="k")
    assert google.company.labels("ana", message_id) == {"INBOX", "UNREAD"}
    google.sync()
    google.sync()
    judged = [each for each in google.observations() if each.verdict is not None]
    assert [each.internet_message_id for each in judged] == [message_id]
    assert google.deliveries()[0].place == Place.INBOX
    raw, method = layer.fetch(copy)
    assert (b"Good morning" in raw, method) == (True, "gmail-raw")


def test_a_suspended_person_is_no_mailbox_and_stops_nobody(google):
    """Trap 12, and 14: a mailbox of its own state."""
    company = google.company
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
        "domain": company.domain,
        "users": [{"id": company.ids["bo"], "mail": company.mail("bo"), "account_enabled": False}],
    })  # fmt: skip
    forget_tokens(google)
    message_id = company.receive("ana")
    google.sync()
    assert [seen.internet_message_id for seen in google.observations()] == [message_id]
    assert google.mailbox_sync("bo").mailbox.state == Mailbox.State.NO_MAILBOX


def test_delegation_taken_back_makes_the_layer_blind_and_says_why(google):
    """Trap 14."""
    google.company.delegate(f"{HEAD}apps.alerts")
    forget_tokens(google)
    google.sync()
    with google.scope():
        connection = Connection.objects.get()
        assert connection.state == Connection.State.NEEDS_CONSENT
        assert "delegation" in connection.last_error
        Connection.objects.update(list_due_at=timezone.now() - timedelta(seconds=1))
    google.company.delegate(*GRANTED)
    google.sync()
    with google.scope():
        assert Connection.objects.get().state == Connection.State.ACTIVE


def test_a_mail_that_can_never_be_had_is_kept_as_unscannable(google, monkeypatch):
    """Trap 10."""
    connector = connector_for(google)
    monkeypatch.setattr(connector._client, "_sleep", lambda seconds: None)
    monkeypatch.setattr(connector._client._gmail, "_sleep", lambda seconds: None)
    poison, good = google.company.receive("ana"), google.company.receive("ana")
    (ref,) = connector.find(google.company.mail("ana"), poison)
    fault = {"kind": "status_500", "match": ref.item_id, "count": 200}
    google.company.cloud.admin("POST", "faults", fault, 201)
    for _ in range(3):
        google.sync()
    told = {seen.mailbox_item_id: seen.verdict for seen in google.observations()}
    assert told[ref.item_id] == Verdict.UNSCANNABLE
    assert len(told) == 2
    assert good in [seen.internet_message_id for seen in google.observations()]
    sync = google.mailbox_sync("ana")
    assert (sync.failures, sync.last_error) == (0, "")


def test_nothing_counts_that_was_not_stored(google, monkeypatch):
    """Trap 11: the cursor moves with the rows or not at all."""
    google.company.receive("ana")
    before = google.mailbox_sync("ana").cursor
    with monkeypatch.context() as patched:
        patched.setattr("api_bridge.store.record", _fails)
        with pytest.raises(RuntimeError):
            google.sync()
    assert google.mailbox_sync("ana").cursor == before
    google.sync()
    assert len(google.observations()) == 1


def _fails(observations):
    raise RuntimeError("the database went away")


def test_what_is_published_is_pulled_and_read_at_once(heard):
    watched = heard.mailbox_sync("ana")
    assert (watched.push_error, watched.push_id) == ("", f"watch/{heard.company.mail('ana')}")
    due = watched.push_due_at - timezone.now()
    assert timedelta(hours=23) < due <= timedelta(days=1)
    message_id = heard.company.receive("ana")
    heard.sync(everything=False)
    assert [seen.internet_message_id for seen in heard.observations()] == [message_id]
    assert heard.sync(everything=False) <= timezone.now() + hearing.PULLED_EVERY


@pytest.mark.parametrize("kind", ["lost_notification", "duplicate_notification"])
def test_hints_lost_or_doubled_change_nothing(heard, kind):
    """Traps 4 and 5: the history is the truth."""
    fault = {"kind": kind, "match": heard.company.mail("ana")}
    heard.company.cloud.admin("POST", "faults", fault, 201)
    message_id = heard.company.receive("ana")
    heard.sync(everything=False)
    heard.sync()
    heard.sync(everything=False)
    assert [seen.internet_message_id for seen in heard.observations()] == [message_id]


def test_a_hint_is_settled_after_it_is_stored(heard, monkeypatch):
    """Trap 11: what was pulled and not marked comes again."""
    heard.company.receive("ana")
    connector = connector_of(heard.wired())
    settled: list[object] = []
    with monkeypatch.context() as patched:
        patched.setattr(connector, "settle_pushes", settled.append)
        patched.setattr(hearing, "mark_heard", lambda *_: _fails(()))
        with pytest.raises(RuntimeError):
            heard.sync(everything=False)
    assert settled == []


def test_without_its_subscription_a_mailbox_is_polled_and_says_why(heard, monkeypatch):
    def refused():
        raise AuthExpired("no role on the subscription", code="needs_consent")

    connector = connector_of(heard.wired())
    with monkeypatch.context() as patched:
        patched.setattr(connector, "pull_pushes", refused)
        heard.sync()
    sync = heard.mailbox_sync("ana")
    assert "no role on the subscription" in sync.push_error
    assert sync.due_at <= timezone.now() + timedelta(seconds=31)
    with heard.scope():
        assert Connection.objects.get().state == Connection.State.ACTIVE
    heard.sync()
    assert heard.mailbox_sync("ana").push_error == ""


def pushed(rf, client, address: str, token: str | None = None) -> int:
    data = base64.b64encode(json.dumps({"emailAddress": address, "historyId": 9}).encode()).decode()
    token = token or hearing.push_url(client.connection).rpartition("/")[2]
    body = {"message": {"data": data, "messageId": "1"}, "subscription": "s"}
    request = rf.post(f"/google/{token}", body, content_type="application/json")
    return push_view(request, token).status_code


def test_a_push_marks_the_mailbox_that_it_names(rf, google, cast: Cast, cloud):
    other = make_google_client(cast, cloud, "delta")
    other.sync()
    ana, hers = google.company.mail("ana"), other.company.mail("ana")
    assert pushed(rf, google, ana) == 204
    assert google.mailbox_sync("ana").dirty_at is not None
    assert google.mailbox_sync("bo").dirty_at is None
    # One client's address never reaches another's mailbox, nor does a changed one open.
    assert pushed(rf, google, hers) == 204
    assert other.mailbox_sync("ana").dirty_at is None
    token = hearing.push_url(google.connection).rpartition("/")[2]
    foreign = f"{other.tenant.id}.{token.partition('.')[2]}"
    for wrong in (foreign, token[:-1], "x", "1.2.3"):
        assert pushed(rf, google, hers, wrong) == 404
    assert other.mailbox_sync("ana").dirty_at is None
    other.company.close()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"message": {"data": "%"}}', b'{"message": 1}'])
def test_a_push_that_cannot_be_read_is_taken_and_means_nothing(rf, google, body):
    token = hearing.push_url(google.connection).rpartition("/")[2]
    request = rf.post(f"/google/{token}", body, content_type="application/json")
    assert push_view(request, token).status_code == 204


def test_what_google_says_of_a_mail_stands_beside_our_verdict(google):
    message_id = google.company.receive("ana")
    google.sync()
    google.company.cloud.admin("POST", f"google/{google.company.tenant_id}/alerts", {
        "type": "Phishing message detected post-delivery",
        "data": {"messages": [
            {"messageId": message_id, "recipient": google.company.mail("ana")},
            {"messageId": message_id, "recipient": "ana@elsewhere.example"},
        ]},
    }, 201)  # fmt: skip
    for _ in range(2):
        with google.scope():
            now = timezone.now()
            Connection.objects.update(watch_due_at=now, verdicts_due_at=now)
        google.sync()
    (said,) = google.observations(layer=Layer.VENDOR)
    assert (said.verdict, said.recipient) == (Verdict.PHISH, google.company.mail("ana"))
    # It is said of the mail that is known already, not of one more.
    (delivery,) = google.deliveries()
    assert delivery.message.internet_message_id == message_id
    assert delivery.vendor_verdict == Verdict.PHISH


def test_what_people_press_in_gmail_is_a_report_and_no_word_of_google(google):
    message_id = google.company.receive("ana")
    google.sync()
    google.company.cloud.admin("POST", f"google/{google.company.tenant_id}/alerts", {
        "type": "User reported phishing",
        "data": {"messages": [{"messageId": message_id, "recipient": google.company.mail("ana")}]},
    }, 201)  # fmt: skip
    for _ in range(2):
        with google.scope():
            now = timezone.now()
            Connection.objects.update(watch_due_at=now, verdicts_due_at=now)
        google.sync()
        google.make_sense()
        serve_reported(ClaimedWork(google.tenant.id, google.tenant.provider_id, 1))
    assert not google.observations(layer=Layer.VENDOR)
    with google.scope():
        told = UserReport.objects.get()
    assert (told.way, told.trust, told.said) == ("gmail", "own", "phish")
    assert told.delivery_id == google.deliveries()[0].id


def test_a_customer_belongs_to_one_client(google, cast, cloud, monkeypatch):
    monkeypatch.setattr(conftest, "Workspace", lambda cloud: google.company)
    monkeypatch.setattr(conftest, "make_tenant", lambda *_: cast.acme)
    with pytest.raises(Conflict, match="connected already"):
        make_google_client(cast, cloud, "thief")


def test_scopes_are_proved_before_anything_is_stored(google):
    company = google.company
    cloud = google_cloud(admin=company.admin)
    here = google.connection
    cloud = type(cloud)(
        authority_url=here.authority_url, api_url=here.api_url, ca_file=here.ca_file,
        settings=cloud.settings,
    )  # fmt: skip
    given = {"customer_id": company.customer_id, "admin": company.admin, "cloud": cloud}
    checks = verify_google(key_json=company.key_json, **given)
    assert [check.is_ok for check in checks] == [True] * 9
    with pytest.raises(WrongInput, match="key file"):
        verify_google(key_json="{}", **given)
