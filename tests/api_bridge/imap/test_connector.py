"""The connector against a real Dovecot: what a person does in the mailbox, and what we do."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api_bridge.connectors import Action, ActionRecord, Connection, MailboxState, Result, Runtime
from api_bridge.connectors.imap import ImapConnector, changes, options
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, Rejected, Temporary
from api_bridge.limits import LocalLimits, Quota
from incidents.words import Place
from tests.api_bridge.imap.server import MASTER_PASSWORD, mail


def since(**ago: float) -> datetime:
    return datetime.now(UTC) - timedelta(**(ago or {"days": 1}))


def ids(page) -> list[str]:
    return [item.internet_message_id for item in page.items]


def the_one(connector, ana):
    (item,) = connector.changes(ana, "", since=since()).items
    return item


def test_an_item_says_what_the_mail_says(server, connector, ana):
    raw = mail(
        "<a@x>",
        to=f"Ana <{ana}>",
        Subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        Reply_To="other@reply.example",
        Cc="bo@delta.example",
    )
    server.put(ana, raw, flags="(\\Seen $Work)")
    item = the_one(connector, ana)
    assert (item.subject, item.sender.address) == ("Grüße", "kim@sender.example")
    assert [each.address for each in (*item.to, *item.cc, *item.reply_to)] == [
        ana,
        "bo@delta.example",
        "other@reply.example",
    ]
    assert (item.is_read, item.categories, item.place) == (True, ("$Work",), Place.INBOX)
    assert item.sent_at == datetime(2026, 11, 29, 10, tzinfo=UTC)
    assert abs(item.received_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert item.is_partial
    fetched = connector.fetch(item.ref)
    assert (fetched.raw, fetched.acquired) == (raw, "imap")


def test_eight_bit_headers_and_bodies_come_as_they_are(server, connector, ana):
    raw = (
        b"From: b\xf6se@x.example\r\nMessage-ID: <\xfc@x>\r\n\r\nna\xefve \x00 text\r\n"
    ).replace(b"\x00", b"")
    server.put(ana, raw)
    item = the_one(connector, ana)
    assert connector.fetch(item.ref).raw == raw
    connector.find(ana, item.internet_message_id)


def test_pages_are_small_and_end(server, connector, ana, monkeypatch):
    monkeypatch.setattr(changes, "PAGE_SIZE", 2)
    for number in range(3):
        server.put(ana, mail(f"<{number}@x>"))
        server.put(ana, mail(f"<a{number}@x>"), folder="Archive")
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = connector.changes(ana, cursor, since=since())
        seen, cursor, pages = seen + ids(page), page.cursor, pages + 1
        if not page.more:
            break
    assert len(seen) == len(set(seen)) == 6
    assert pages <= 5
    assert connector.changes(ana, cursor).items == ()


def test_flags_of_many_come_page_by_page_and_once(server, connector, ana, monkeypatch):
    for number in range(5):
        server.put(ana, mail(f"<{number}@x>"))
    cursor = connector.changes(ana, "", since=since()).cursor
    with server.person(ana) as imap:
        imap.store("1:*", "+FLAGS", "\\Seen")
    monkeypatch.setattr(changes, "PAGE_SIZE", 2)
    seen: list[bool] = []
    while True:
        page = connector.changes(ana, cursor)
        seen, cursor = seen + [item.is_read for item in page.items], page.cursor
        if not page.more:
            break
    assert seen == [True] * 5
    assert connector.changes(ana, cursor).items == ()


def test_mail_from_before_is_not_listed_and_its_flags_neither(server, connector, ana):
    server.put(ana, mail("<old@x>"), at=since(days=50))
    server.put(ana, mail("<new@x>"))
    page = connector.changes(ana, "", since=since(days=30))
    server.flag(ana, "<old@x>", "\\Seen")
    assert ids(page) == ["<new@x>"]
    assert connector.changes(ana, page.cursor).items == ()


def test_a_quick_look_shows_what_just_came_in_any_folder(server, connect, ana):
    bo = ana.replace("ana", "bo")
    connector = connect(ana, bo)
    server.put(ana, mail("<old@x>"), at=since(hours=2))
    server.put(ana, mail("<a@x>"))
    server.put(ana, mail("<b@x>"), folder="Archive")
    first, other = connector.newest_many([(ana, since(minutes=2)), (bo, since(minutes=2))])
    assert (sorted(ids(first)), ids(other)) == (["<a@x>", "<b@x>"], [])
    server.put(ana, mail("<c@x>"), folder="Junk")
    (again,) = connector.newest_many([(ana, since(minutes=2))])
    assert "<c@x>" in ids(again)


def test_a_mail_keeps_its_name_wherever_it_is_moved(server, connector, ana):
    server.put(ana, mail("<a@x>"))
    item = the_one(connector, ana)
    for source, folder, place in (
        ("INBOX", "Archive", Place.ARCHIVE),
        ("Archive", "Trash", Place.DELETED),
        ("Trash", "INBOX", Place.INBOX),
    ):
        server.move(ana, "<a@x>", folder, source=source)
        (moved,) = connector.changes(ana, "", since=since()).items
        assert (moved.ref, moved.place) == (item.ref, place)
        assert connector.read_state(item.ref).place is place
    server.expunge(ana, "<a@x>")
    assert not connector.read_state(item.ref).exists


def test_two_mails_that_look_alike_have_two_names(server, connector, ana):
    at = since(hours=1)
    for subject in ("Numbers", "numbers"):
        server.put(ana, mail(Subject=subject), at=at)
    items = connector.changes(ana, "", since=since()).items
    assert len({item.ref for item in items}) == 2
    assert {item.internet_message_id for item in items} == {""}


def test_a_message_id_that_is_there_twice_finds_both(server, connector, ana):
    server.put(ana, mail("<a@x>"))
    server.put(ana, mail("<a@x>"), folder="Junk")
    server.put(ana, mail("<aa@x>"))
    assert len(connector.find(ana, "<a@x>")) == 2
    assert connector.find(ana, '<not "there@x>') == []
    assert connector.find(ana, "<a@x>\r\nA1 DELETE INBOX") == []
    found, none = connector.find_many([(ana, "<a@x>"), (ana, "")])
    assert (len(found), none) == (2, [])


def test_a_copy_in_another_folder_does_not_hide_the_one_in_the_inbox(server, connector, ana):
    server.put(ana, mail("<a@x>"))
    page = connector.changes(ana, "", since=since())
    server.copy(ana, "<a@x>", "Trash")
    (item,) = connector.changes(ana, page.cursor).items
    assert item.place is Place.INBOX
    assert connector.read_state(item.ref).place is Place.INBOX


def test_all_copies_go_and_all_come_back(server, connector, ana):
    server.put(ana, mail("<a@x>"), flags="(\\Flagged $Work)")
    for folder in ("Archive", "Trash"):
        server.copy(ana, "<a@x>", folder)
    before = server.where(ana, "<a@x>")
    record = connector.prepare(the_one(connector, ana).ref, Action.QUARANTINE, "k")
    record = ActionRecord.from_json(record.as_json())
    assert connector.act(record).result is Result.DONE
    assert {name: len(each) for name, each in server.where(ana, "<a@x>").items()} == {
        "Bailey Quarantine": 3
    }
    assert connector.act(record).result is Result.ALREADY
    assert connector.undo(record).result is Result.DONE
    assert server.where(ana, "<a@x>") == before
    assert connector.undo(record).result is Result.ALREADY


def test_what_a_person_changed_in_quarantine_is_put_back_as_it_was(server, connector, ana):
    server.put(ana, mail("<a@x>"), flags="(\\Answered Blue)")
    record = connector.prepare(the_one(connector, ana).ref, Action.QUARANTINE, "k")
    connector.act(record)
    server.flag(ana, "<a@x>", "\\Seen", "Red", folder="Bailey Quarantine")
    server.flag(ana, "<a@x>", "Blue", folder="Bailey Quarantine", by="-")
    assert connector.undo(record).result is Result.DONE
    assert server.where(ana, "<a@x>") == {"INBOX": [("Blue", "\\Answered")]}


def test_a_copy_that_changed_since_is_not_touched(server, connector, ana):
    server.put(ana, mail("<a@x>"))
    record = connector.prepare(the_one(connector, ana).ref, Action.QUARANTINE, "k")
    server.flag(ana, "<a@x>", "\\Seen")
    assert connector.act(record).result is Result.STALE
    assert list(server.where(ana, "<a@x>")) == ["INBOX"]


def test_a_folder_that_is_gone_is_replaced_by_the_inbox(server, connector, ana):
    with server.person(ana) as imap:
        imap.create("Customers")
    server.put(ana, mail("<a@x>"), folder="Customers")
    record = connector.prepare(the_one(connector, ana).ref, Action.QUARANTINE, "k")
    connector.act(record)
    with server.person(ana) as imap:
        imap.delete("Customers")
    seen = connector.undo(record)
    assert (list(server.where(ana, "<a@x>")), "inbox" in seen.detail) == (["INBOX"], True)


def test_a_mail_that_went_meanwhile_is_gone(server, connector, ana):
    server.put(ana, mail("<a@x>"))
    record = connector.prepare(the_one(connector, ana).ref, Action.QUARANTINE, "k")
    server.expunge(ana, "<a@x>")
    assert connector.act(record).result is Result.GONE
    assert connector.undo(record).result is Result.GONE


def test_the_quarantine_is_not_among_the_subscribed_folders(server, connector, ana):
    server.put(ana, mail("<a@x>"))
    connector.act(connector.prepare(the_one(connector, ana).ref, Action.QUARANTINE, "k"))
    with server.person(ana) as imap:
        _, shown = imap.lsub()
    assert not any(b"Bailey" in line for line in shown if line)


# How one logs in, and what must not work.
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"security": "starttls"},
        {"auth": "password"},
        {"auth": "password", "security": "starttls"},
    ],
)
def test_every_way_to_log_in_opens_the_mailbox(server, ana, how):
    port = str(server.imap_port if how.get("security") == "starttls" else server.imaps_port)
    given = server.connection(ana, port=port, **how)
    secret = f'{{"{ana}": "secret"}}' if how.get("auth") == "password" else MASTER_PASSWORD
    with closing(connector_with(server, given, client_secret=secret)) as connector:
        assert connector.probe(ana) is MailboxState.ACTIVE


def connector_with(server, given: Connection, **changes) -> ImapConnector:
    runtime = Runtime(limits=LocalLimits(wait_s=1), allowed_hosts=server.allowed)
    return ImapConnector(replace(given, **changes), runtime)


def test_a_wrong_password_of_one_mailbox_is_that_mailboxs_trouble(server, ana):
    bo = ana.replace("ana", "bo")
    given = server.connection(auth="password")
    secret = f'{{"{ana}": "secret", "{bo}": "wrong"}}'
    with closing(connector_with(server, given, client_secret=secret)) as connector:
        assert [box.state for box in connector.list_mailboxes()] == [
            MailboxState.ACTIVE,
            MailboxState.DENIED,
        ]
        with pytest.raises(AccessDenied):
            connector.changes(bo, "")


def test_a_wrong_master_password_blinds_the_connection(server, ana):
    names = [ana, *(ana.replace("ana", name) for name in ("bo", "cfo", "dan"))]
    given = server.connection(*names)
    with closing(connector_with(server, given, client_secret="wrong")) as connector:
        with pytest.raises(AuthExpired) as caught:
            list(connector.list_mailboxes())
        assert caught.value.code == "bad_credentials"
        assert "wrong" not in str(caught.value)


def test_a_certificate_of_another_name_or_authority_is_refused(server, ana, tmp_path):
    given = server.connection(ana)
    with closing(connector_with(server, given, ca_file="")) as connector:
        with pytest.raises(Rejected) as caught:
            connector.probe(ana)
        assert caught.value.code == "bad_certificate"


def test_an_address_inside_is_called_only_where_the_operator_names_it(server, ana):
    runtime = Runtime(allowed_hosts={f"localhost:{server.imaps_port}"})
    with closing(ImapConnector(server.connection(ana), runtime)) as connector:
        with pytest.raises(Rejected) as caught:
            connector.probe(ana)
        assert caught.value.code == "private_address"
    with pytest.raises(Rejected) as caught:
        ImapConnector(server.connection(ana), Runtime(allowed_hosts=set()))
    assert caught.value.code == "host_not_allowed"


def test_no_more_connections_of_a_mailbox_than_the_quota(server, ana):
    limits = LocalLimits(Quota(concurrent=1), wait_s=0.1)
    runtime = Runtime(limits=limits, allowed_hosts=server.allowed)
    with closing(ImapConnector(server.connection(ana), runtime)) as connector:
        with connector.pool.session(ana), pytest.raises(Temporary) as caught:
            connector.probe(ana)
        assert caught.value.code == "own_limit"
        assert connector.probe(ana) is MailboxState.ACTIVE


def test_a_mailbox_with_all_connections_in_use_is_tried_later(server, connector, ana):
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(server.person(ana))
        with pytest.raises(Temporary) as caught:
            connector.probe(ana)
        assert caught.value.retry_after_s >= 30
    assert connector.probe(ana) is MailboxState.ACTIVE


def test_a_server_that_is_away_says_so(server, ana):
    given = server.connection(ana, port="9")
    runtime = Runtime(allowed_hosts={"localhost:9", "127.0.0.1:9", "[::1]:9"})
    with closing(ImapConnector(given, runtime)) as connector:
        for ask in (lambda: connector.probe(ana), lambda: list(connector.list_mailboxes())):
            with pytest.raises(Temporary) as caught:
                ask()
            assert caught.value.code == "no_connection"


# Settings, and what is said of them.
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"host": ""}, "name is missing"),
        ({"host": "mail.example/path"}, "no host name"),
        ({"port": "0"}, "from 1 to 65535"),
        ({"port": "99x"}, "from 1 to 65535"),
        ({"security": "none"}, "tls or starttls"),
        ({"auth": "cram"}, "password or master or oauth"),
        ({"auth": "oauth"}, "token endpoint"),
        ({"identity": "uid"}, "content or emailid"),
        ({"mailboxes": "ana"}, "no mailbox address"),
        ({"mailboxes": 'a"b@x.example'}, "no mailbox address"),
        ({"colour": "red"}, "no setting colour"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_sentence(changes, says):
    settings = {"host": "mail.example", "auth": "master", **changes}
    given = Connection(
        kind="imap",
        cloud_tenant_id="x",
        client_id="bailey",
        client_secret="s",
        authority_url="",
        settings=tuple(settings.items()),
    )
    with pytest.raises(Rejected, match=says):
        options.Options.of(given)


@pytest.mark.parametrize("text", ["[]", '{"v": 2}', '{"v": 1, "folders": {"a": [1]}}', "{"])
def test_a_cursor_that_is_none_of_ours_is_refused(text):
    with pytest.raises(BridgeError) as caught:
        changes.Cursor.from_text(text)
    assert caught.value.code == "bad_cursor"
