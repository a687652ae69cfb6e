"""The connector against the sandbox cloud, over TLS: tokens, mailboxes, changes, fetch, find."""

from datetime import UTC, datetime, timedelta

import pytest

from api_bridge.connectors import Action, MailboxState, Result
from api_bridge.errors import AuthExpired, Temporary
from incidents.words import Place
from tests.api_bridge.sandbox.running import simple_mail


def ago(minutes=60):
    return datetime.now(UTC) - timedelta(minutes=minutes)


def sync(connector, mailbox_id, cursor="", since=None):
    """All pages of one sync: items by id, and the last cursor."""
    items = {}
    while True:
        page = connector.changes(mailbox_id, cursor, since=since)
        items.update({item.ref.item_id: item for item in page.items})
        cursor = page.cursor
        if not page.more:
            return items, cursor


def fault(company, kind, **more):
    company.cloud.admin("POST", "faults", {"kind": kind, **more}, 201)


def test_mailboxes_are_listed_with_who_they_belong_to(company, connector):
    mailboxes = {mailbox.address: mailbox for mailbox in connector.list_mailboxes()}
    assert set(mailboxes) == {company.mail(name) for name in company.names}
    ana = mailboxes[company.mail("ana")]
    assert (ana.id, ana.display_name, ana.job_title) == (company.ids["ana"], "Ana Test", "Tester")
    assert connector.probe(ana.id) is MailboxState.ACTIVE


def test_someone_who_is_not_there_has_no_mailbox(connector):
    assert connector.probe("00000000-0000-0000-0000-000000000000") is MailboxState.NO_MAILBOX


def test_a_wrong_secret_is_said_in_words(company, connect):
    with pytest.raises(AuthExpired) as caught:
        list(connect(company, client_secret="wrong").list_mailboxes())
    assert caught.value.code == "bad_credentials"
    assert "wrong" not in str(caught.value)


def test_an_authority_that_does_not_know_the_tenant(company, connect):
    other = connect(company, cloud_tenant_id="99999999-0000-0000-0000-000000000000")
    with pytest.raises(AuthExpired):
        list(other.list_mailboxes())


def test_an_unknown_certificate_authority_is_not_trusted(company, connect):
    with pytest.raises(Temporary):
        list(connect(company, ca_file="").list_mailboxes())


def test_new_mail_is_found_once_with_headers_body_and_place(company, connector):
    ana = company.ids["ana"]
    _, cursor = sync(connector, ana)
    message_id = company.receive("ana", subject="Grüße")
    items, _ = sync(connector, ana, cursor)
    (item,) = items.values()
    assert (item.internet_message_id, item.subject) == (message_id, "Grüße")
    assert (item.place, item.is_read, item.is_draft) == (Place.INBOX, False, False)
    assert item.sender.address == "sender@sender.example.net"
    assert "Good morning." in item.html + item.text
    names = [name.lower() for name, _ in item.headers]
    assert names.index("received") < names.index("from")


def test_many_mails_over_many_pages_are_all_found(company, connector):
    wanted = {company.receive("bo", subject=f"mail {number}") for number in range(60)}
    items, _ = sync(connector, company.ids["bo"], since=ago())
    assert {item.internet_message_id for item in items.values()} == wanted


def test_a_sync_that_is_repeated_gives_the_same_ids(company, connector):
    company.receive("ana")
    first, cursor = sync(connector, company.ids["ana"], since=ago())
    again, _ = sync(connector, company.ids["ana"], cursor)
    assert set(again) == set(first)


def test_a_mail_that_a_rule_moved_is_found_in_its_folder(company, connector):
    ana = company.ids["ana"]
    company.receive("ana")
    (item,) = sync(connector, ana, since=ago())[0].values()
    company.post(f"users/{ana}/messages/{item.ref.item_id}/move", {"destinationId": "archive"})
    ((_, moved),) = sync(connector, ana, since=ago())[0].items()
    assert (moved.ref, moved.place) == (item.ref, Place.ARCHIVE)


def test_mail_sent_inside_carries_that_it_was(company, connector):
    raw = simple_mail(company.mail("bo"), subject="inside", message_id="<in@x>")
    company.send_inside("ana", ["bo"], raw)
    (got,) = sync(connector, company.ids["bo"], since=ago())[0].values()
    assert dict(got.headers)["X-MS-Exchange-Organization-AuthAs"] == "Internal"
    (sent,) = sync(connector, company.ids["ana"], since=ago())[0].values()
    assert sent.place is Place.SENT


def test_the_raw_mail_is_fetched_byte_for_byte(company, connector):
    raw = simple_mail(company.mail("ana"), subject="x", message_id="<raw@x>") + b"8 bit: \xe9\r\n"
    company.receive("ana", raw=raw)
    (item,) = sync(connector, company.ids["ana"], since=ago())[0].values()
    alone = connector.fetch(item.ref)
    together = connector.fetch_many([item.ref])[0]
    assert alone.raw.endswith(b"8 bit: \xe9\r\n")
    assert (together.raw, together.acquired) == (alone.raw, "graph-mime")


@pytest.mark.parametrize("kind", ["status_503", "truncated_body", "drop_before_commit"])
def test_a_reading_goes_on_after_a_fault(company, connector, kind):
    company.receive("ana")
    connector.probe(company.ids["ana"])
    fault(company, kind, match=f"users/{company.ids['ana']}/messages")
    try:
        items, _ = sync(connector, company.ids["ana"], since=ago())
    except Temporary:
        items, _ = sync(connector, company.ids["ana"], since=ago())
    assert len(items) == 1


def test_a_429_is_waited_out_alone_and_in_a_batch(company, connector):
    company.receive("ana")
    (item,) = sync(connector, company.ids["ana"], since=ago())[0].values()
    fault(company, "status_429", match=f"messages/{item.ref.item_id}", count=2)
    assert connector.read_state(item.ref).exists
    fault(company, "status_429", match=f"messages/{item.ref.item_id}")
    (state,) = connector.read_states([item.ref])
    assert state.place is Place.INBOX


@pytest.mark.parametrize(
    "message_id", ["<o'brien+1@x>", "<a%20b&c=d#e?@x>", "<twice@x>", "<ümlaut@x>", "<a b@x>"]
)
def test_every_copy_is_found_by_its_message_id(company, connector, message_id):
    raw = simple_mail(company.mail("ana"), subject="s", message_id=message_id)
    company.receive("ana", raw=raw)
    company.receive("ana", raw=raw)
    company.receive("ana")
    items, _ = sync(connector, company.ids["ana"], since=ago())
    wanted = {item.ref for item in items.values() if item.subject == "s"}
    stored = {item.internet_message_id for item in items.values() if item.subject == "s"}
    assert len(stored) == 1
    found = connector.find(company.ids["ana"], stored.pop())
    assert (set(found), len(found)) == (wanted, 2)


def test_a_pull_is_found_by_many_mailboxes_in_one_call(company, connector):
    raw = simple_mail(company.mail("ana"), subject="s", message_id="<all@x>")
    for name in ("ana", "bo"):
        company.receive(name, raw=raw)
    wanted = [(company.ids[name], "<all@x>") for name in ("ana", "bo", "cfo")]
    found = connector.find_many(wanted)
    assert [len(refs) for refs in found] == [1, 1, 0]
    records = [connector.prepare(refs[0], Action.QUARANTINE, "k") for refs in found if refs]
    assert [connector.act(record).result for record in records] == [Result.DONE] * 2
