"""The watermark is the truth: nothing is missed, whatever links, pages and clocks do."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api_bridge.connectors import Page
from api_bridge.connectors.graph.changes import Cursor
from api_bridge.errors import NotFound, Rejected, Temporary, Unexpected
from incidents.words import Place
from tests.api_bridge.connectors.fake import GRAPH, Graph, error, message, ok

LIST = "GET /users/u/messages"
START = datetime(2026, 11, 22, 9, tzinfo=UTC)
DATE = {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}


def page(*messages, link="", headers=DATE):
    data: dict[str, Any] = {"value": list(messages)}
    if link:
        data["@odata.nextLink"] = f"{GRAPH}/v1.0/users/u/messages?$skiptoken={link}"
    return ok(headers=headers, **data)


def ids(page_):
    return [item.ref.item_id for item in page_.items]


@pytest.fixture
def graph():
    return Graph()


def test_the_first_window_begins_where_the_caller_says(graph):
    graph.routes[LIST] = page()
    graph.connector().changes("u", "", since=START)
    query = next(query for name, query, _ in graph.asked if name == LIST)
    assert query["$filter"] == "receivedDateTime ge 2026-11-22T09:00:00Z"
    assert query["$orderby"] == "receivedDateTime"
    assert {"body", "internetMessageHeaders"} <= set(query["$select"].split(","))


def test_the_next_window_begins_15_minutes_before_the_servers_clock(graph):
    graph.routes[LIST] = page(message("a", "2026-11-22T11:00:00Z"))
    first = graph.connector().changes("u", "", since=START)
    assert (ids(first), first.more) == (["a"], False)
    assert Cursor.from_text(first.cursor).since == datetime(2026, 11, 22, 11, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    "date", ["Wed, 22 Nov 2198 12:00:00 GMT", "Mon, 01 Jan 9" + "9" * 20 + " 00:00:00 GMT", "x"]
)
def test_a_clock_that_is_ahead_of_ours_or_none_loses_no_mail(graph, date):
    graph.routes[LIST] = page(headers={"Date": date})
    before = datetime.now(UTC)
    first = graph.connector().changes("u", "", since=START)
    assert Cursor.from_text(first.cursor).since <= max(START, before) - timedelta(minutes=14)


def test_a_mail_dated_in_the_future_does_not_move_the_watermark(graph):
    graph.routes[LIST] = page(message("a", "2027-01-01T00:00:00Z"))
    first = graph.connector().changes("u", "", since=START)
    assert Cursor.from_text(first.cursor).since < datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_watermark_of_many_pages_is_the_clock_of_the_first(graph):
    later = {"Date": "Sun, 22 Nov 2026 14:00:00 GMT"}
    graph.routes[LIST] = [page(link="2"), page(headers=later)]
    connector = graph.connector()
    second = connector.changes("u", connector.changes("u", "", since=START).cursor)
    assert Cursor.from_text(second.cursor).since == datetime(2026, 11, 22, 11, 45, tzinfo=UTC)


def test_an_empty_page_with_a_link_goes_on(graph):
    graph.routes[LIST] = [page(link="2"), page(message("a"))]
    connector = graph.connector()
    first = connector.changes("u", "", since=START)
    assert (first.items, first.more) == ((), True)
    assert ids(connector.changes("u", first.cursor)) == ["a"]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_link_that_died_restarts_at_the_last_mail_seen(graph, status):
    graph.routes[LIST] = [
        page(message("a", "2026-11-22T10:30:00Z"), link="2"),
        error(status, "syncStateNotFound"),
        page(message("a", "2026-11-22T10:30:00Z"), message("b", "2026-11-22T10:31:00Z")),
    ]
    connector = graph.connector()
    first = connector.changes("u", "", since=START)
    second = connector.changes("u", first.cursor)
    assert (second.items, second.more, second.restarted) == ((), True, True)
    assert ids(connector.changes("u", second.cursor)) == ["a", "b"]
    assert graph.asked[-1][1]["$filter"] == "receivedDateTime ge 2026-11-22T10:30:00Z"


def test_links_that_keep_dying_let_the_caller_rest_and_lose_nothing(graph):
    answers = [page(link="2"), error(410)] * 10
    graph.routes[LIST] = answers
    connector, cursor, calls = graph.connector(), "", 0
    while True:
        answer = connector.changes("u", cursor, since=START)
        cursor, calls = answer.cursor, calls + 1
        if not answer.more:
            break
    assert calls < 12
    assert Cursor.from_text(cursor).since == START


def test_a_link_that_leads_to_itself_ends(graph):
    first = message("a", "2026-11-22T10:00:00Z")
    graph.routes[LIST] = page(first, link="2")
    connector, cursor = graph.connector(), ""
    for _ in range(40):
        answer = connector.changes("u", cursor, since=START)
        cursor = answer.cursor
        if not answer.more:
            break
    assert graph.count(LIST) < 12


def test_a_foreign_link_is_never_followed(graph):
    evil = {"value": [], "@odata.nextLink": "https://evil.example/v1.0/users/u/messages"}
    graph.routes[LIST] = ok(**evil)
    connector = graph.connector()
    cursor = connector.changes("u", "", since=START).cursor
    with pytest.raises(Unexpected):
        connector.changes("u", cursor)
    refused, read = connector.changes_many([("u", cursor, START), ("u", "", START)])
    assert isinstance(refused, Unexpected)
    assert isinstance(read, Page), "the others go on"
    assert graph.count(LIST) == 2, "nothing but the first page, alone and in a batch"


def test_a_page_that_is_too_big_for_the_server_is_asked_smaller(graph):
    graph.routes[LIST] = [*[error(504)] * 4, page(message("a"))]
    connector = graph.connector()
    first = connector.changes("u", "", since=START)
    assert (first.items, first.more) == ((), True)
    connector.changes("u", first.cursor)
    tops = [int(query["$top"]) for name, query, _ in graph.asked if name == LIST]
    assert tops[-1] < tops[0]


def test_a_truncated_page_changes_nothing(graph):
    graph.routes[LIST] = httpx.Response(200, content=b'{"value": [{"id": "a"')
    with pytest.raises(Temporary):
        graph.connector().changes("u", "", since=START)


def test_a_mailbox_that_is_gone_is_said(graph):
    graph.routes[LIST] = error(404, "MailboxNotEnabledForRESTAPI")
    with pytest.raises(NotFound):
        graph.connector().changes("u", "", since=START)


def test_drafts_are_left_out_and_poison_is_counted(graph):
    draft = message("d", isDraft=True)
    graph.routes[LIST] = page(draft, {"parentFolderId": "F-inbox"}, "nonsense", message("a"))
    answer = graph.connector().changes("u", "", since=START)
    assert (ids(answer), answer.skipped) == (["a"], 1)


def test_places_are_looked_up_once_for_each_folder(graph):
    graph.routes["GET /users/u/mailFolders/F-sub"] = ok(id="F-sub", parentFolderId="F-junk")
    graph.routes["GET /users/u/mailFolders/F-own"] = ok(id="F-own", parentFolderId="F-inbox")
    graph.routes["GET /users/u/mailFolders/F-hid"] = ok(
        id="F-hid", parentFolderId="F-root", displayName="Bailey Quarantine", isHidden=True
    )
    graph.routes["GET /users/u/mailFolders/F-fake"] = ok(
        id="F-fake", parentFolderId="F-root", displayName="Bailey Quarantine", isHidden=False
    )
    graph.routes["GET /users/u/mailFolders/F-root"] = ok(id="F-root", parentFolderId="F-root")
    folders = ["F-inbox", "F-sub", "F-own", "F-hid", "F-fake", "F-gone", ""]
    graph.routes[LIST] = page(
        *(message(f"m{number}", parentFolderId=name) for number, name in enumerate(folders))
    )
    connector = graph.connector()
    connector.changes("u", "", since=START)
    answer = connector.changes("u", "", since=START)
    assert [item.place for item in answer.items] == [
        Place.INBOX, Place.JUNK, Place.OTHER, Place.QUARANTINE, Place.OTHER, Place.OTHER,
        Place.UNKNOWN,
    ]  # fmt: skip
    assert graph.count("GET /users/u/mailFolders/F-sub") == 1
    assert graph.count("GET /users/u/mailFolders/inbox") == 1


def test_folders_that_people_make_are_looked_up_again_after_an_hour_and_main_ones_are_not(
    graph, monkeypatch
):
    graph.routes["GET /users/u/mailFolders/F-own"] = [
        ok(id="F-own", parentFolderId="F-inbox"),
        ok(id="F-own", parentFolderId="F-deleted"),
    ]
    graph.routes[LIST] = page(message("a", parentFolderId="F-own"), message("b"))
    connector = graph.connector()
    first = connector.changes("u", "", since=START)
    now = time.time()
    monkeypatch.setattr("api_bridge.connectors.graph.folders.time.time", lambda: now + 3700)
    second = connector.changes("u", "", since=START)
    assert [item.place for item in first.items] == [Place.OTHER, Place.INBOX]
    assert [item.place for item in second.items] == [Place.DELETED, Place.INBOX]
    assert graph.count("GET /users/u/mailFolders/inbox") == 1


@pytest.mark.parametrize("text", ["x", "[]", "{}", '{"v": 2}', '{"v": 1, "since": 5}', "null"])
def test_a_cursor_that_is_none_is_refused(graph, text):
    with pytest.raises(Rejected):
        graph.connector().changes("u", text)


def test_a_cursor_survives_being_stored():
    cursor = Cursor(since=START, began=START, seen=START + timedelta(hours=1), link="l", restarts=2)
    assert Cursor.from_text(cursor.as_text()) == cursor
