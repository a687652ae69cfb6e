"""What goes wrong harms one mail or one mailbox, loses nothing and repeats nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone

from api_bridge import history
from api_bridge import round as round_module
from api_bridge import store as store_module
from api_bridge.connectors.graph.changes import Cursor
from api_bridge.models import Connection, MailboxSync, SeenItem
from api_bridge.runtime import connector_of
from api_bridge.scan import judging
from api_bridge.services import Cloud, Credentials, create_connection, replace_credentials
from incidents.mail.reader import MailReader, ReaderUnavailable
from incidents.words import Place, Verdict
from tenants.audit import BAILEY
from tenants.errors import Conflict, WrongInput
from tenants.models import Mailbox
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sync.test_judging import with_attachment
from tests.incidents.mail.judges import DETECT


class Crash(BaseException):
    """The worker dies here."""


def fault(client_, kind: str, **more: object) -> None:
    client_.company.cloud.admin("POST", "faults", {"kind": kind, **more}, 201)


@pytest.fixture
def no_pauses(client_):
    """The connector tries again at once."""
    connector: Any = connector_of(client_.wired())

    def at_once(_seconds: float) -> None:
        pass

    connector._client._sleep = connector._client._http._sleep = at_once


@pytest.mark.parametrize("where", ["record", "learn", "remember"])
def test_a_crash_between_listing_and_commit_repeats_nothing(client_, monkeypatch, where):
    client_.company.receive("ana")
    before = client_.mailbox_sync("ana").cursor
    target = history if where == "learn" else store_module

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(target, where, crash)
        with pytest.raises(Crash):
            client_.sync()
    assert client_.observations() == []
    assert client_.mailbox_sync("ana").cursor == before
    for _ in range(2):
        client_.sync()
    assert len(client_.observations()) == 1
    assert len(client_.deliveries()) == 1


def test_two_workers_on_one_mailbox_count_once(client_, monkeypatch):
    client_.company.receive("ana")
    real = store_module.commit_page
    inside: list[object] = []

    def commit(mine, page, outcome):
        if not inside and page.items:
            inside.append(mine)
            assert real(mine, page, outcome)
        return real(mine, page, outcome)

    monkeypatch.setattr(round_module, "commit_page", commit)
    client_.sync()
    assert len(inside) == 1
    assert len(client_.observations()) == 1


@pytest.fixture
def bombable(monkeypatch):
    """The worker's reader, with a judge that does what the subject says, and little patience."""
    with MailReader(judge=DETECT, cpu_s=2, wall_s=4.0, memory_bytes=200_000_000) as reader:
        monkeypatch.setattr(judging, "mail_reader", lambda: reader)
        yield


@pytest.mark.usefixtures("bombable")
@pytest.mark.parametrize("poison", ["fail", "regex", "hog"])
def test_a_mail_that_breaks_the_scan_is_parked_after_three_tries_and_the_next_is_not(
    client_, poison
):
    company = client_.company
    company.receive("ana", subject=poison)
    company.receive("ana", subject="Fine")
    company.receive("bo", subject="Fine")
    before = client_.mailbox_sync("ana").cursor
    for failures in (1, 2):
        client_.sync()
        assert len(client_.observations()) == 2
        row = client_.mailbox_sync("ana")
        assert (row.failures, row.cursor) == (failures, before)
        assert "NotJudged" in row.last_error
        assert row.due_at > timezone.now() + timedelta(seconds=2)
    assert client_.mailbox_sync("bo").failures == 0
    client_.sync()
    parked = client_.observations(verdict="unscannable")
    assert [row.mail["subject"] for row in parked] == [poison]
    assert "could_not_be_scanned" in {reason["code"] for reason in parked[0].reasons}
    assert parked[0].evidence
    row = client_.mailbox_sync("ana")
    assert row.failures == 0
    assert row.whole_due_at > timezone.now()
    client_.sync()
    assert len(client_.observations()) == 3


def test_a_mail_that_the_database_refuses_is_parked_and_the_others_are_stored(client_, monkeypatch):
    real = judging.scan

    def scan(item, *arguments, **options):
        scanned: Any = real(item, *arguments, **options)
        if item.subject == "Poison":
            refused = replace(scanned.observation, score="no number")
            return replace(scanned, observation=refused)
        return scanned

    monkeypatch.setattr(round_module, "scan", scan)
    client_.company.receive("ana", subject="Fine")
    client_.company.receive("ana", subject="Poison")
    for failures in (1, 2):
        client_.sync()
        assert [row.mail["subject"] for row in client_.observations()] == ["Fine"]
        assert client_.mailbox_sync("ana").failures == failures
    client_.sync()
    assert len(client_.observations(verdict="unscannable")) == 1
    assert client_.mailbox_sync("ana").failures == 0
    client_.sync()
    assert len(client_.observations()) == 2


def test_a_mail_that_the_mail_host_never_gives_is_parked(client_, no_pauses):
    client_.company.receive(
        "ana", raw=with_attachment(client_.company.mail("ana"), "<never@x.example>")
    )
    fault(client_, "status_503", count=100, match="$batch", seconds=0)
    fault(client_, "status_503", count=100, match="$value", seconds=0)
    for _ in range(3):
        client_.sync()
    (seen,) = client_.observations()
    assert seen.verdict == Verdict.UNSCANNABLE
    assert seen.internet_message_id == "<never@x.example>"


def test_a_mail_without_a_mime_form_is_judged_from_its_properties(client_):
    address = client_.company.mail("ana")
    client_.company.receive("ana", raw=with_attachment(address, "<smime@x.example>"))
    fault(client_, "no_mime", count=100, match=f"{client_.company.ids['ana']}/messages/")
    client_.sync()
    (seen,) = client_.observations()
    assert seen.internet_message_id == "<smime@x.example>"
    assert seen.verdict != Verdict.UNSCANNABLE
    assert [name["name"] for name in seen.mail["attachments"]]
    assert client_.mailbox_sync("ana").failures == 0


def test_being_told_to_slow_down_is_no_fault_of_the_mail(client_):
    client_.company.receive(
        "ana", raw=with_attachment(client_.company.mail("ana"), "<slow@x.example>")
    )
    fault(client_, "status_429", count=1, match="$value", seconds=60)
    client_.sync()
    with client_.scope():
        assert [row.failures for row in SeenItem.objects.all()] == [0]
    assert client_.observations() == []


def test_a_host_that_cannot_read_mail_counts_nothing_against_it(client_, monkeypatch):
    client_.company.receive("ana")

    def unavailable(*_: object, **__: object) -> None:
        raise ReaderUnavailable("no reading process")

    with monkeypatch.context() as patch:
        patch.setattr(round_module, "scan", unavailable)
        client_.sync()
    assert client_.mailbox_sync("ana").failures == 1
    with client_.scope():
        assert not SeenItem.objects.exists()
    client_.sync()
    assert len(client_.observations()) == 1


def test_an_error_of_one_mailbox_parks_that_mailbox_alone(client_, no_pauses):
    company = client_.company
    company.receive("ana")
    company.receive("bo")
    fault(client_, "status_503", count=20, match=company.ids["ana"], seconds=0)
    client_.sync()
    assert [row.recipient for row in client_.observations()] == [company.mail("bo")]
    row = client_.mailbox_sync("ana")
    assert row.failures == 1
    assert row.due_at > timezone.now()
    company.cloud.admin("DELETE", "faults", status=204)
    client_.sync()
    assert len(client_.observations()) == 2
    assert client_.mailbox_sync("ana").failures == 0


def test_a_cursor_that_cannot_be_read_leads_to_a_bounded_resync(client_):
    client_.company.receive("ana")
    client_.sync()
    with client_.scope():
        MailboxSync.objects.update(cursor="from another version")
    client_.company.receive("ana")
    client_.sync()
    client_.sync()
    assert len(client_.observations()) == 2
    assert Cursor.from_text(client_.mailbox_sync("ana").cursor).link == ""


def test_a_page_whose_link_died_begins_again_and_repeats_nothing(client_):
    ids = [client_.company.receive("ana") for _ in range(5)]
    with client_.scope():
        row = MailboxSync.objects.get(mailbox__address=client_.company.mail("ana"))
        at = Cursor.from_text(row.cursor)
        row.cursor = Cursor(since=at.since, page_size=2).as_text()
        row.save(update_fields=["cursor"])
    fault(client_, "status_503", count=4, match="skip", seconds=0)
    for _ in range(4):
        client_.sync()
    seen = [row.internet_message_id for row in client_.observations()]
    assert sorted(seen) == sorted(ids)


def test_a_mail_that_was_moved_or_read_is_told_without_a_verdict(client_):
    company = client_.company
    message_id = company.receive("ana")
    client_.sync()
    client_.make_sense()
    company.cloud.admin(
        "POST", f"mailboxes/{company.mail('ana')}/read", {"internet_message_id": message_id}
    )
    client_.sync()
    seen = client_.observations()[-1]
    assert (seen.verdict, seen.place, seen.is_read) == (None, Place.INBOX, True)
    (mail,) = company.mails("ana")
    address = f"users/{company.ids['ana']}/messages/{mail['id']}/move"
    company.post(address, {"destinationId": "deleteditems"})
    client_.sync()
    client_.sync()
    assert len(client_.observations()) == 3
    (delivery,) = client_.deliveries()
    assert (delivery.place, delivery.is_read) == (Place.DELETED, True)
    assert delivery.mailbox_verdict == Verdict.CLEAN


def test_a_wrong_secret_blinds_the_connection_until_it_is_replaced(client_, settings):
    company = client_.company
    with client_.scope():
        connection = Connection.objects.get()
        wrong = Credentials(client_id=company.client_id, secret="wrong")
        replace_credentials(connection=connection, credentials=wrong, actor=BAILEY)
    # A token lives on for an hour; losing the shared cache costs no more than another one.
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    client_.sync()
    with client_.scope():
        connection.refresh_from_db()
        assert connection.state == Connection.State.CREDENTIALS_EXPIRED
        assert connection.blind_since is not None
    company.receive("ana")
    client_.sync()  # not due to be tried: nothing is called
    assert client_.observations() == []
    with client_.scope():
        right = Credentials(client_id=company.client_id, secret=company.secret)
        replace_credentials(connection=connection, credentials=right, actor=BAILEY)
    client_.sync()
    with client_.scope():
        connection.refresh_from_db()
        assert (connection.state, connection.last_error) == (Connection.State.ACTIVE, "")
        assert connection.blind_since is None
    assert len(client_.observations()) == 1


def test_one_cloud_tenant_belongs_to_one_client(client_, connect):
    other = connect("epsilon")
    with other.scope(), pytest.raises(Conflict):
        create_connection(
            tenant=other.tenant,
            cloud_tenant_id=client_.company.tenant_id.upper(),
            credentials=Credentials(client_id="x", secret="y"),
            cloud=_cloud(client_),
            actor=BAILEY,
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"cloud_tenant_id": "common"},
        {"credentials": Credentials(client_id="x")},
        {"cloud": Cloud(authority_url="https://evil.example", api_url="https://evil.example")},
        {"cloud": Cloud(authority_url="http://127.0.0.1:1", api_url="http://127.0.0.1:1")},
    ],
)
def test_settings_that_cannot_work_are_refused(client_, changes):
    values = {
        "tenant": client_.tenant,
        "cloud_tenant_id": "11111111-2222-3333-4444-555555555555",
        "credentials": Credentials(client_id="x", secret="y"),
        "cloud": _cloud(client_),
        "actor": BAILEY,
    }
    with client_.scope(), pytest.raises(WrongInput):
        create_connection(**(values | changes))


def test_no_secret_of_a_connection_is_stored_in_the_clear(client_):
    with client_.scope():
        row = Connection.objects.get()
    assert client_.company.secret.encode() not in bytes(row.sealed_secret)
    assert client_.company.secret not in repr(row.__dict__)


def test_a_mailbox_that_is_no_longer_listed_is_gone_and_not_read(client_):
    company = client_.company
    people = [
        {"id": company.ids[name], "mail": company.mail(name), "display_name": name}
        for name in ("ana", "bo")
    ]
    company.cloud.admin("DELETE", f"tenants/{company.tenant_id}", status=204)
    company.cloud.admin(
        "PUT",
        f"tenants/{company.tenant_id}",
        {
            "domain": company.domain,
            "display_name": "x",
            "users": people,
            "apps": [{"client_id": company.client_id, "secret": company.secret}],
        },
    )
    with client_.scope():
        Connection.objects.update(list_due_at=timezone.now())
    client_.sync()
    with client_.scope():
        states = {box.address: box.state for box in Mailbox.objects.all()}
    assert states[company.mail("cfo")] == Mailbox.State.GONE
    assert states[company.mail("ana")] == Mailbox.State.ACTIVE


def test_hostile_text_is_stored_whole_or_marked_never_refused(client_):
    raw = simple_mail(
        client_.company.mail("ana"), subject="A\x00B", message_id="<n@x.example>"
    ).replace(b"Good morning.", b"\x00\xff\xfe\xed\xa0\x80 text")
    client_.company.receive("ana", raw=raw)
    client_.sync()
    assert len(client_.observations()) == 1


def _cloud(client_) -> Cloud:
    cloud = client_.company.cloud
    return Cloud(authority_url=cloud.https, api_url=cloud.https, ca_file=str(cloud.ca))
