"""What the sandbox cannot be made to do: a target that vanished, a patch that is refused."""

import pytest

from api_bridge.connectors import Action, Ref, Result
from api_bridge.errors import Rejected
from incidents.words import Place
from tests.api_bridge.connectors.fake import Graph, error, message, ok

REF = Ref("u", "a")
MESSAGE = "GET /users/u/messages/a"
MOVE = "POST /users/u/messages/a/move"
FOLDERS = "GET /users/u/mailFolders"
QUARANTINE = {"id": "F-q", "displayName": "Bailey Quarantine", "isHidden": True}


@pytest.fixture
def graph():
    graph = Graph()
    graph.routes[MESSAGE] = ok(**message("a"))
    graph.routes[FOLDERS] = ok(value=[QUARANTINE])
    return graph


def test_a_target_that_vanished_is_not_done_and_made_anew_the_next_time(graph):
    connector = graph.connector()
    record = connector.prepare(REF, Action.QUARANTINE, "k")
    graph.routes[MOVE] = error(404, "ErrorFolderNotFound")
    seen = connector.act(record)
    assert (seen.result, seen.state.place) == (Result.NOT_DONE, Place.INBOX)
    graph.routes[FOLDERS] = ok(value=[])
    graph.routes["POST /users/u/mailFolders"] = ok(201, **{**QUARANTINE, "id": "F-new"})
    graph.routes[MOVE] = lambda query, body: ok(201, id="a", to=body["destinationId"])
    connector.act(record)
    moved_to = [body["destinationId"] for name, _, body in graph.asked if name == MOVE]
    assert moved_to == ["F-q", "F-new"]


def test_a_folder_that_another_worker_just_made_is_used(graph):
    graph.routes[FOLDERS] = [ok(value=[]), ok(value=[QUARANTINE])]
    graph.routes["POST /users/u/mailFolders"] = error(409, "ErrorFolderExists")
    graph.routes[MOVE] = ok(201, id="a")
    connector = graph.connector()
    connector.act(connector.prepare(REF, Action.QUARANTINE, "k"))
    assert graph.asked[-2][2] == {"destinationId": "F-q"}


def test_a_visible_folder_of_the_same_name_is_not_ours(graph):
    graph.routes[FOLDERS] = ok(value=[{**QUARANTINE, "isHidden": False}])
    graph.routes["POST /users/u/mailFolders"] = error(400, "ErrorInvalidRequest")
    connector = graph.connector()
    with pytest.raises(Rejected):
        connector.act(connector.prepare(REF, Action.QUARANTINE, "k"))
    assert graph.count(MOVE) == 0


def test_half_a_folder_map_is_never_used(graph):
    graph.routes["GET /users/u/mailFolders/junkemail"] = error(403, "ErrorAccessDenied")
    connector = graph.connector()
    with pytest.raises(Rejected):
        connector.act(connector.prepare(REF, Action.JUNK, "k"))
    assert graph.count(MOVE) == 0


def test_undo_that_brings_the_folder_but_not_the_flags_is_not_done(graph):
    connector = graph.connector()
    record = connector.prepare(REF, Action.QUARANTINE, "k")
    graph.routes[MESSAGE] = ok(**message("a", isRead=True))
    graph.routes["PATCH /users/u/messages/a"] = ok(id="a")
    seen = connector.undo(record)
    assert seen.result is Result.NOT_DONE
    assert graph.count(MOVE) == 0


def test_undo_says_if_the_content_is_not_what_was_recorded(graph):
    body = {"contentType": "text", "content": "old"}
    graph.routes[MESSAGE] = ok(**message("a", body=body))
    connector = graph.connector()
    record = connector.prepare(REF, Action.QUARANTINE, "k")
    states = [
        message("a", parentFolderId="F-q"),
        message("a", body={**body, "content": "edited"}),
    ]
    graph.routes[MESSAGE] = [ok(**state) for state in states]
    graph.routes[MOVE] = ok(201, id="a")
    seen = connector.undo(record)
    assert seen.result is Result.DONE
    assert "content is not what was recorded" in seen.detail
