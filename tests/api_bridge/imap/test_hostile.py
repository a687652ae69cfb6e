"""Servers that lie, stop in the middle, or never stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from api_bridge.connectors import Action, Ref, Result
from api_bridge.connectors.imap import wire
from api_bridge.errors import (
    AccessDenied,
    BridgeError,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from api_bridge.sandbox.certificates import ensure_server_certificate
from incidents.words import Place
from tests.api_bridge.imap.scripted import CAPABILITIES, Box, Mail, Scripted, fetched
from tests.api_bridge.imap.server import mail

ANA = "ana@delta.example"
SINCE = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripted")
    ensure_server_certificate(folder, [])
    return folder


@pytest.fixture
def server(certificates) -> Iterator[Scripted]:
    made = Scripted(certificates)
    yield made
    made.close()


@pytest.fixture
def connector(server):
    with closing(server.connector()) as made:
        yield made


def listed(connector, cursor=""):
    return connector.changes(ANA, cursor, since=SINCE)


def fill(server, *names: str) -> None:
    for name in names:
        server.boxes["INBOX"].put(Mail(mail(f"<{name}@x.example>")))


def subjects_ids(page) -> list[str]:
    return [item.internet_message_id for item in page.items]


# What the server sends, and what it is called.
@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (b"* 1 FETCH (UID 1 BODY[HEADER]<0> {4000000000}\r\nx", Unexpected, "too_much"),
        (b"* 1 FETCH (UID 1 FLAGS (" + b"x" * 70_000, Unexpected, "too_much"),
        (b"* 1 FETCH (UID 1 FL", Temporary, ""),
        (b"hello\r\n", Temporary, ""),
        (b"* BYE too tired\r\n", Temporary, ""),
    ],
    ids=["huge-literal", "endless-line", "half-answer", "no-imap", "bye"],
)
def test_what_is_too_much_or_not_whole_ends_the_connection(
    server, connector, monkeypatch, answer, error, code
):
    monkeypatch.setattr(wire, "LINE_LIMIT_BYTES", 20_000)
    monkeypatch.setattr(wire, "ANSWER_TIMEOUT_S", 0.3)
    fill(server, "a")

    def lie(tag, arguments):
        server.lies["FETCH"] = lambda *_: b""  # what it sends next is the end
        return answer

    server.lies["FETCH"] = lie
    with pytest.raises(error) as caught:
        listed(connector)
    assert caught.value.code == code
    assert not caught.value.may_have_happened


def test_more_answers_than_anybody_asked_for_end_the_connection(server, connector, monkeypatch):
    monkeypatch.setattr(wire, "ANSWER_LIMIT_BYTES", 50_000)
    fill(server, "a")
    server.lies["FETCH"] = lambda *_: b"* 5 EXISTS\r\n" * 10_000
    with pytest.raises(Unexpected, match="too big"):
        listed(connector)


def test_an_answer_that_drips_is_not_waited_for(server, connector, monkeypatch):
    monkeypatch.setattr(wire, "ANSWER_TIMEOUT_S", 0.2)
    fill(server, "a")
    server.lies["FETCH"] = lambda *_: b"* OK still here"
    began = time.monotonic()
    with pytest.raises(Temporary):
        listed(connector)
    assert time.monotonic() - began < 2


# A mail whose answer cannot be read, in the middle of good ones.
@pytest.mark.parametrize(
    "poison",
    [
        b"* 2 FETCH (UID 2 FLAGS (\r\n",
        b"* 2 FETCH (UID two FLAGS ())\r\n",
        b"* 2 FETCH " + b"(" * 5_000 + b"\r\n",
        b"* 2 FETCH (UID 2 FLAGS () RFC822.SIZE big INTERNALDATE NIL)\r\n",
        b"* 2 FETCH (FLAGS ())\r\n",
        b"",
    ],
    ids=["open", "no-number", "nested", "no-values", "no-uid", "nothing"],
)
def test_a_mail_that_cannot_be_listed_stops_no_other(server, connector, poison):
    fill(server, "a", "b", "c")
    box = server.boxes["INBOX"]

    def lie(tag, arguments):
        uids, _, what = arguments.partition(" ")
        good = b"".join(
            poison if uid == "2" else fetched(int(uid), box.mails[int(uid)], what)
            for uid in uids.split(",")
        )
        return good + f"{tag} OK done\r\n".encode()

    server.lies["FETCH"] = lie
    page = listed(connector)
    assert subjects_ids(page) == ["<a@x.example>", "<c@x.example>"]
    assert (page.skipped, page.more) == (1, False)
    assert listed(connector, page.cursor).items == ()


def test_answers_about_mail_nobody_asked_for_are_not_listed(server, connector):
    fill(server, "a")

    def lie(tag, arguments):
        what = arguments.partition(" ")[2]
        more = fetched(77, Mail(mail("<z@x.example>")), what)
        return (
            more + fetched(1, server.boxes["INBOX"].mails[1], what) + f"{tag} OK done\r\n".encode()
        )

    server.lies["FETCH"] = lie
    assert subjects_ids(listed(connector)) == ["<a@x.example>"]


def test_a_uidnext_that_lies_hides_nothing(server, connector):
    fill(server, "a")
    server.boxes["INBOX"].told_next = 4_294_967_295
    page = listed(connector)
    fill(server, "b")
    server.boxes["INBOX"].mails[2].modseq = 2
    assert subjects_ids(listed(connector, page.cursor)) == ["<b@x.example>"]


def test_a_new_uidvalidity_lists_the_folder_anew_under_the_same_names(server, connector):
    fill(server, "a", "b")
    page = listed(connector)
    box = server.boxes["INBOX"]
    box.validity, box.mails = 8, {uid + 40: each for uid, each in box.mails.items()}
    box.next_uid = 50
    again = listed(connector, page.cursor)
    assert again.restarted
    assert {item.ref for item in again.items} == {item.ref for item in page.items}
    # What is moved now is moved by its new number.
    record = connector.prepare(page.items[0].ref, Action.QUARANTINE, "k")
    assert connector.act(record).result is Result.DONE
    assert [each for each in server.asked if each.startswith("MOVE")] == [
        'MOVE 41 "Bailey Quarantine"'
    ]


def moving(server, connector, lie):
    fill(server, "a")
    (item,) = listed(connector).items
    record = connector.prepare(item.ref, Action.QUARANTINE, "k")
    server.lies["MOVE"] = lie
    seen = connector.act(record)
    server.lies.clear()
    return record, seen


def test_a_lost_answer_to_a_move_that_happened_is_settled_by_reading(server, connector):
    def lie(tag, arguments):
        server._move(arguments, ["INBOX"])
        return b""

    record, seen = moving(server, connector, lie)
    assert (seen.result, seen.state.place) == (Result.DONE, Place.QUARANTINE)
    assert connector.act(record).result is Result.ALREADY
    assert sum(each.startswith("MOVE") for each in server.asked) == 1


def test_a_lost_answer_to_a_move_that_did_not_happen_is_not_called_done(server, connector):
    record, seen = moving(server, connector, lambda *_: b"")
    assert (seen.result, seen.state.place) == (Result.UNKNOWN, Place.INBOX)
    assert connector.act(record).result is Result.DONE


# The server's word for it, and what becomes of it.
@pytest.mark.parametrize(
    ("word", "result"),
    [("OK", Result.NOT_DONE), ("NO [NONEXISTENT]", Result.NOT_DONE)],
)
def test_a_move_that_did_not_happen_is_seen(server, connector, word, result):
    _, seen = moving(server, connector, lambda tag, _: f"{tag} {word} done\r\n".encode())
    assert (seen.result, seen.state.place) == (result, Place.INBOX)


def test_a_move_that_is_refused_raises_and_touches_nothing(server, connector):
    with pytest.raises(Rejected):
        moving(server, connector, lambda tag, _: f"{tag} NO [OVERQUOTA] full\r\n".encode())
    assert list(server.boxes["INBOX"].mails) == [1]


def test_without_move_a_mail_is_copied_seen_and_only_then_taken_out(certificates):
    server = Scripted(certificates, capabilities=CAPABILITIES.replace(" MOVE", ""))
    with closing(server), closing(server.connector()) as connector:
        fill(server, "a", "b")
        server.boxes["INBOX"].mails[2].flags = "\\Deleted"
        first = listed(connector).items[0]
        record = connector.prepare(first.ref, Action.QUARANTINE, "k")
        assert connector.act(record).result is Result.DONE
        # What another program had marked stays.
        assert list(server.boxes["INBOX"].mails) == [2]
        assert connector.undo(record).result is Result.DONE
        assert server.boxes["Bailey Quarantine"].mails == {}


def test_with_neither_move_nor_uidplus_nothing_is_touched(certificates):
    bare = CAPABILITIES.replace(" MOVE", "").replace(" UIDPLUS", "")
    server = Scripted(certificates, capabilities=bare)
    with closing(server), closing(server.connector()) as connector:
        fill(server, "a")
        record = connector.prepare(listed(connector).items[0].ref, Action.QUARANTINE, "k")
        with pytest.raises(Rejected, match="neither MOVE nor UIDPLUS"):
            connector.act(record)
        assert not any(each.startswith(("COPY", "STORE", "EXPUNGE")) for each in server.asked)


def test_with_objectid_a_mail_has_the_servers_own_name(certificates):
    server = Scripted(certificates, capabilities=f"{CAPABILITIES} OBJECTID")
    with closing(server), closing(server.connector(identity="emailid")) as connector:
        for name in ("M1", "m1"):
            server.boxes["INBOX"].put(Mail(mail(), emailid=name))
        items = listed(connector).items
        assert len({item.ref.item_id for item in items}) == 2
        assert {item.ref.item_id.partition(".")[2] for item in items} == {"M1", "m1"}
        record = connector.prepare(items[0].ref, Action.JUNK, "k")
        assert connector.act(record).result is Result.DONE
        assert len(server.boxes["Junk"].mails) == 1


def test_names_of_folders_that_cannot_be_named_are_left_out(server, connector):
    honest = server._list

    def lie(tag, arguments):
        odd = (
            b'* LIST () "/" {7}\r\nTwo "Qu\r\n* LIST () "/" "a\x01b"\r\n* LIST (\r\n'
            b'* LIST (\\Noselect) "/" "Shut"\r\n* LIST () NIL 2026\r\n'
        )
        return odd + honest(arguments, []) + f"{tag} OK done\r\n".encode()

    server.lies["LIST"] = lie
    fill(server, "a")
    page = listed(connector)
    assert subjects_ids(page) == ["<a@x.example>"]
    # Two of them can be named; that they cannot be opened does not stop the others.
    opened = {each for each in server.asked if each.startswith("EXAMINE")}
    assert any("2026" in each for each in opened)
    assert not any("Shut" in each for each in opened)


def test_folders_of_other_people_are_not_read_and_the_own_prefix_is_kept(server, connector):
    said = b'* NAMESPACE (("INBOX." ".")) (("user." ".")) (("shared." "."))\r\n'
    server.lies["NAMESPACE"] = lambda tag, _: said + f"{tag} OK done\r\n".encode()
    for name in ("INBOX.Customers", "user.bo.INBOX", "shared.News"):
        server.boxes[name] = Box()
        server.boxes[name].put(Mail(mail(f"<{name}@x>")))
    (item,) = listed(connector).items
    assert item.folder_id == "INBOX.Customers"
    record = connector.prepare(item.ref, Action.QUARANTINE, "k")
    assert connector.act(record).result is Result.DONE
    assert len(server.boxes["INBOX.Bailey Quarantine"].mails) == 1
    assert not any("user.bo" in each or "shared" in each for each in server.asked)


# What greets us, and what it is called.
@pytest.mark.parametrize(
    ("lie", "error", "code"),
    [
        (b"NO [AUTHENTICATIONFAILED] no", AccessDenied, "login_refused"),
        (b"NO no", AccessDenied, "login_refused"),
        (b"NO [LIMIT] too many connections", RateLimited, "LIMIT"),
        (b"NO [UNAVAILABLE] later", Temporary, "UNAVAILABLE"),
        (b"", Temporary, ""),
    ],
)
def test_a_login_that_fails_says_whether_to_try_again(server, connector, lie, error, code):
    server.lies["AUTHENTICATE"] = lambda tag, _: f"{tag} ".encode() + lie + b"\r\n" if lie else b""
    with pytest.raises(error) as caught:
        listed(connector)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_a_server_that_is_logged_in_before_anybody_was_is_not_believed(server, connector):
    server.greeting = b"* PREAUTH welcome\r\n"
    with pytest.raises(Unexpected):
        listed(connector)


# STARTTLS: what the server does, and why nothing is sent over it.
@pytest.mark.parametrize(
    ("capabilities", "before_tls", "greeting"),
    [
        ("IMAP4rev1 AUTH=PLAIN", b"", b"* OK hello\r\n"),
        ("IMAP4rev1 STARTTLS", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"* OK hello\r\n"),
        ("IMAP4rev1 STARTTLS", b"", b"* PREAUTH hello\r\n"),
    ],
    ids=["not-offered", "slipped-in", "preauth"],
)
def test_nothing_is_said_without_tls(server, capabilities, before_tls, greeting):
    server.starts_plain, server.capabilities = True, capabilities
    server.before_tls, server.greeting = before_tls, greeting
    with closing(server.connector(security="starttls")) as connector, pytest.raises(BridgeError):
        listed(connector)
    assert not any(each.startswith(("AUTHENTICATE", "LOGIN")) for each in server.asked)


def test_a_fetch_is_put_together_from_pieces_and_believes_no_size(server, connector, monkeypatch):
    from api_bridge.connectors.imap import fetch

    monkeypatch.setattr(fetch, "PIECE_BYTES", 64)
    fill(server, "a")
    raw = server.boxes["INBOX"].mails[1].raw
    (item,) = listed(connector).items
    assert connector.fetch(item.ref).raw == raw
    monkeypatch.setattr(fetch, "MAIL_LIMIT_BYTES", 100)
    with pytest.raises(Rejected) as caught:
        connector.fetch(item.ref)
    assert caught.value.code == "too_big"


def test_a_mail_that_is_gone_is_a_state(server, connector):
    fill(server, "a")
    (item,) = listed(connector).items
    server.boxes["INBOX"].mails.clear()
    assert not connector.read_state(item.ref).exists
    for odd in ("", "x", "h1.2", "hNaN.1.a", "h99999999999999.1.a", 'e0.a"b'):
        assert not connector.read_state(Ref(ANA, odd)).exists
