"""Folders and their deltas: whatever pages, links and entries say."""

from __future__ import annotations

from typing import Any

import pytest

from api_bridge.connectors import FolderAsk, FolderPage, MailFolder
from api_bridge.errors import AccessDenied, BridgeError, NotFound, Unexpected
from incidents.words import Place
from tests.api_bridge.connectors.fake import GRAPH, Graph, error, message, ok

DELTA = "GET /users/u/mailFolders/F-inbox/messages/delta"
LINK = f"{GRAPH}/v1.0/users/u/mailFolders/F-inbox/messages/delta"


@pytest.fixture
def graph() -> Graph:
    return Graph()


def ask(graph: Graph, link: str = "") -> FolderPage | BridgeError:
    wanted = FolderAsk(mailbox_id="u", folder_id="F-inbox", place=Place.INBOX, link=link)
    answers: list[FolderPage | BridgeError] = graph.connector().folder_changes([wanted])
    (answer,) = answers
    return answer


def page(*entries: object, following: str = "", delta: str = "d") -> Any:
    data: dict[str, Any] = {"value": list(entries)}
    if following:
        data["@odata.nextLink"] = f"{LINK}?$skiptoken={following}"
    elif delta:
        data["@odata.deltaLink"] = f"{LINK}?$deltatoken={delta}"
    return ok(**data)


def gone(item_id: str, reason: str = "deleted") -> dict[str, object]:
    return {"id": item_id, "@removed": {"reason": reason}}


def test_a_folder_begins_without_a_filter_and_with_summaries_alone(graph):
    graph.routes[DELTA] = page(message("a", "2020-01-01T00:00:00Z"))
    answer = ask(graph)
    assert isinstance(answer, FolderPage)
    (item,) = answer.items
    assert (item.ref.item_id, item.place, item.is_summary) == ("a", Place.INBOX, True)
    query = next(query for name, query, _ in graph.asked if name == DELTA)
    assert set(query) == {"$select"}
    assert not {"body", "internetMessageHeaders"} & set(query["$select"].split(","))


@pytest.mark.parametrize(
    ("entries", "there", "removed"),
    [
        ([], [], []),
        ([message("a", "2020-01-01T00:00:00Z")] * 3, ["a"], []),
        ([message("a", "2020-01-01T00:00:00Z"), gone("a")], ["a"], []),
        ([gone("b", "changed"), gone("c")], [], ["b", "c"]),
        ([{"subject": "no id"}, "no object", {"@removed": None, "id": "d"}], [], ["d"]),
        ([message("a", "x"), message("A", "x")], ["a", "A"], []),
    ],
)
def test_entries_of_every_kind(graph, entries, there, removed):
    graph.routes[DELTA] = page(*entries)
    answer = ask(graph)
    assert isinstance(answer, FolderPage)
    assert [item.ref.item_id for item in answer.items] == there
    assert list(answer.removed) == removed


def test_an_empty_page_with_a_next_link_goes_on_and_the_link_is_kept_as_it_is(graph):
    graph.routes[DELTA] = [page(following="a+b/c=="), page()]
    first = ask(graph)
    assert isinstance(first, FolderPage)
    assert (first.items, first.more) == ((), True)
    second = ask(graph, first.link)
    assert isinstance(second, FolderPage)
    assert (second.more, second.link) == (False, f"{LINK}?$deltatoken=d")


@pytest.mark.parametrize(
    ("status", "code"),
    [(410, "syncStateNotFound"), (410, ""), (404, "SyncStateNotFound"), (400, "resyncRequired"),
     (400, "ErrorInvalidSyncStateData")],
)  # fmt: skip
def test_a_link_that_has_died_means_from_the_beginning(graph, status, code):
    graph.routes[DELTA] = error(status, code)
    answer = ask(graph, f"{LINK}?$deltatoken=old")
    assert answer == FolderPage(more=True, restarted=True)


def test_a_link_that_repeats_itself_means_from_the_beginning(graph):
    graph.routes[DELTA] = page(following="x")
    assert ask(graph, f"{LINK}?$skiptoken=x") == FolderPage(more=True, restarted=True)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(404, "ErrorItemNotFound"), NotFound),
        (error(403, "ErrorAccessDenied"), AccessDenied),
        (page(delta=""), Unexpected),
        (ok(value="x"), Unexpected),
    ],
)
def test_what_is_no_lost_place_is_its_error(graph, answer, kind):
    graph.routes[DELTA] = answer
    assert isinstance(ask(graph, f"{LINK}?$deltatoken=x"), kind)


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/v1.0/users/u/x", "https://graph.example.evil.example/v1.0/x",
     f"{GRAPH}/beta/users/u/x", f"{GRAPH}/v1.0/../beta/x", "http://graph.example/v1.0/x"],
)  # fmt: skip
def test_a_link_that_leads_elsewhere_is_not_followed(graph, link):
    answer = ask(graph, link)
    assert isinstance(answer, Unexpected)
    assert [name for name, _, _ in graph.asked] == []


def folder(id: str, parent: str, children: int = 0, **more: object) -> dict[str, object]:
    """``more``: ``kind`` stands for what OData calls the type."""
    kind = {"@odata.type": more.pop("kind")} if "kind" in more else {}
    return {"id": id, "displayName": id, "parentFolderId": parent, "childFolderCount": children,
            "totalItemCount": 1, "unreadItemCount": 0} | more | kind  # fmt: skip


def test_folders_at_any_depth_with_their_places(graph):
    graph.routes["GET /users/u/mailFolders"] = ok(value=[
        folder("F-inbox", "root", 1), folder("F-junk", "root", 1),
        folder("S", "root", kind="#microsoft.graph.mailSearchFolder"),
        folder("Q", "root", displayName="Bailey Quarantine", isHidden=True),
        {"id": "X"}, {"displayName": "no id"},
    ])  # fmt: skip
    graph.routes["GET /users/u/mailFolders/F-inbox/childFolders"] = ok(
        value=[folder("deep", "F-inbox", 1)]
    )
    graph.routes["GET /users/u/mailFolders/deep/childFolders"] = ok(value=[folder("end", "deep")])
    graph.routes["GET /users/u/mailFolders/X/childFolders"] = ok(value=[])
    graph.routes["GET /users/u/mailFolders/F-junk/childFolders"] = ok(
        value=[folder("below", "F-junk", totalItemCount="many")]
    )
    (found,) = graph.connector().folders_many(["u"])
    assert isinstance(found, list)
    assert {each.id: each.place for each in found} == {
        "F-inbox": Place.INBOX, "F-junk": Place.JUNK, "Q": Place.QUARANTINE, "X": Place.OTHER,
        "deep": Place.OTHER, "end": Place.OTHER, "below": Place.JUNK,
    }  # fmt: skip
    assert MailFolder(id="below", place=Place.JUNK, total=None, unread=0) in found
    assert MailFolder(id="X", place=Place.OTHER, total=None, unread=None) in found


def test_one_mailbox_that_is_refused_keeps_no_other_waiting(graph):
    graph.routes["GET /users/u/mailFolders"] = ok(value=[folder("F-inbox", "root")])
    graph.routes["GET /users/w/mailFolders"] = error(403, "ErrorAccessDenied")
    refused, found = graph.connector().folders_many(["w", "u"])
    assert isinstance(refused, AccessDenied)
    assert isinstance(found, list)
    assert [each.id for each in found] == ["F-inbox"]


def test_folders_of_more_than_one_page(graph):
    following = {"@odata.nextLink": f"{GRAPH}/v1.0/users/u/mailFolders?$skip=1"}
    graph.routes["GET /users/u/mailFolders"] = lambda query, _body: (
        ok(value=[folder("b", "root")])
        if "$skip" in query
        else ok(value=[folder("a", "root")], **following)
    )
    (found,) = graph.connector().folders_many(["u"])
    assert isinstance(found, list)
    assert [each.id for each in found] == ["a", "b"]
