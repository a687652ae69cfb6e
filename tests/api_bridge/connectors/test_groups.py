"""Graph's groups and alerts, page by page: half a list is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api_bridge.connectors import Group, Members
from api_bridge.connectors.google.mapping import group_of as google_group
from api_bridge.connectors.google.mapping import members_of
from api_bridge.connectors.graph.security import verdicts_of
from api_bridge.errors import BridgeError, NotFound
from tests.api_bridge.connectors.fake import GRAPH, Graph, error, ok

NEXT = f"{GRAPH}/v1.0/groups/g/transitiveMembers?$skiptoken=2"
USER = {"@odata.type": "#microsoft.graph.user", "id": "u1"}


def test_members_are_people_of_all_pages_even_after_an_empty_one():
    graph = Graph()
    pages = [
        ok(value=[], **{"@odata.nextLink": NEXT}),
        ok(value=[USER, {"@odata.type": "#microsoft.graph.group", "id": "g2"}, {"id": "u3"}]),
    ]
    graph.routes["GET /groups/g/transitiveMembers"] = lambda query, body: pages.pop(0)
    assert graph.connector().members("g") == Members(frozenset({"u1"}))


def test_a_second_page_that_fails_is_an_error_and_no_shorter_list():
    graph = Graph()

    def answer(query: dict[str, str], body: object) -> Any:
        first = "$skiptoken" not in query
        return ok(value=[USER], **{"@odata.nextLink": NEXT}) if first else error(500, "Oops")

    graph.routes["GET /groups/g/transitiveMembers"] = answer
    with pytest.raises(BridgeError):
        graph.connector().members("g")
    with pytest.raises(NotFound):
        graph.connector().members("gone")


def test_a_group_is_called_by_what_it_has():
    graph = Graph()
    graph.routes["GET /groups"] = ok(
        value=[
            {"id": "1", "displayName": "Board", "mail": "Board@Acme.example"},
            {"id": "2", "displayName": None, "mail": "it@acme.example"},
            {"id": "3"},
            {"displayName": "No id"},
        ]
    )
    assert graph.connector().groups() == [
        Group(id="1", name="Board", address="board@acme.example"),
        Group(id="2", name="it@acme.example", address="it@acme.example"),
        Group(id="3", name="3"),
    ]


def test_google_names_people_groups_and_everybody():
    assert google_group({"id": "1", "name": "", "email": "Board@Acme.example"}) == Group(
        id="1", name="board@acme.example", address="board@acme.example"
    )
    assert google_group({"name": "Board"}) is None
    people = [{"type": "USER", "email": "A@x.example"}, {"type": "GROUP", "email": "g@x.example"}]
    assert members_of(people) == Members(frozenset({"a@x.example"}))
    assert members_of([{"type": "CUSTOMER"}]).is_everyone


AT = "2026-11-22T10:00:00.1234567Z"


def alert(**changes: Any) -> dict[str, Any]:
    mail = {
        "@odata.type": "#microsoft.graph.security.analyzedMessageEvidence",
        "verdict": "malicious",
        "threats": ["Spam", "Malware"],
        "internetMessageId": "1@x",
        "recipientEmailAddress": "Ana@Acme.example",
    }
    top: dict[str, Any] = {
        name: changes.pop(name) for name in ("classification", "id") if name in changes
    }
    return {"id": "a1", "createdDateTime": AT, "evidence": [mail | changes], **top}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "malware"),
        ({"threats": ["HighConfPhish"]}, "phish"),
        ({"threats": []}, "suspicious"),
        ({"verdict": "suspicious"}, "suspicious"),
        ({"verdict": "unknownFutureValue"}, None),
        ({"verdict": "noThreatsFound"}, None),
        ({"verdict": None}, None),
        ({"internetMessageId": None}, None),
        ({"recipientEmailAddress": None}, None),
        ({"@odata.type": "#microsoft.graph.security.newEvidence"}, None),
        ({"classification": "falsePositive"}, None),
        ({"id": ""}, None),
    ],
)
def test_an_alert_condemns_the_mails_that_it_names(changes: dict[str, Any], verdict: str | None):
    found = verdicts_of(alert(**changes))
    assert [each.verdict for each in found] == ([verdict] if verdict else [])
    for each in found:
        assert (each.recipient, each.internet_message_id) == ("ana@acme.example", "<1@x>")
        assert each.at == datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


PERSON = "#microsoft.graph.security.userEvidence"
CLICKED = "A potentially malicious URL click was detected"
EARLIER = "2026-11-22T09:58:00Z"


def click_alert(*people: str, title: str = CLICKED, **mail: Any) -> dict[str, Any]:
    """``people``: their names in the alert's evidence."""
    named = [{"@odata.type": PERSON, "userAccount": {"userPrincipalName": each}} for each in people]
    odd = [{"@odata.type": PERSON, "userAccount": None}, {"@odata.type": PERSON}]
    url = {"@odata.type": "#microsoft.graph.security.urlEvidence", "url": "https://evil.example/a"}
    one = alert(**mail)
    return one | {
        "title": title,
        "firstActivityDateTime": EARLIER,
        "evidence": [*one["evidence"], *named, *odd, url],
    }


BO = alert(recipientEmailAddress="bo@acme.example")["evidence"]


@pytest.mark.parametrize(
    ("said", "more", "clickers"),
    [
        (click_alert("ANA@acme.example"), BO, ["ana@acme.example"]),
        (click_alert(title="A user clicked through to a potentially malicious URL"), [], ["ana"]),
        (click_alert("someone@else.example"), [], ["ana"]),
        (click_alert("someone@else.example"), BO, []),
        (click_alert(), BO, []),
        (click_alert("ana@acme.example", title="Email removed after delivery"), [], []),
        (click_alert(verdict="noThreatsFound"), [], ["ana"]),
    ],
)
def test_an_alert_of_a_click_says_whose_copy_it_was(
    said: dict[str, Any], more: list[dict[str, Any]], clickers: list[str]
):
    found = verdicts_of(said | {"evidence": [*said["evidence"], *more]})
    clicks = [each for each in found if each.clicked_at]
    assert [each.recipient.partition("@")[0] for each in clicks] == [
        each.partition("@")[0] for each in clickers
    ]
    for each in clicks:
        assert each.clicked_at == datetime(2026, 11, 22, 9, 58, tzinfo=UTC)
        assert each.clicked_url == "https://evil.example/a"
