"""Things that mail has in common, in the API: the same as on their pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from console.queries.entities import KINDS
from tests.console.api.caller import assert_problem


def asked(caller, path: str, **query: str):
    return caller.get(f"entities/{path}?{urlencode(query)}")


def whole_list(caller, path: str, **query: str) -> list[dict[str, Any]]:
    answer = asked(caller, path, **query, page_size="1").json()
    rows: list[dict[str, Any]] = answer["results"]
    while answer["next"]:
        answer = caller.get(answer["next"].partition("/api/v1/")[2]).json()
        rows += answer["results"]
    return rows


def test_a_sender_has_its_numbers_its_mails_and_its_incidents(mo, world):
    word = world.acme.open
    found = asked(mo, "sender/", value=f"{word.upper()}@evil.example").json()
    assert (found["kind"], found["value"]) == ("sender", f"{word}@evil.example")
    mails = whole_list(mo, "sender/mails/", value=f"{word}@evil.example")
    assert len({mail["id"] for mail in mails}) == len(mails) == found["mails"] > 0
    assert [each["tenant"] for each in found["at"]] == ["acme"]
    assert {mail["tenant"] for mail in mails} == {"acme"}
    incidents = whole_list(mo, "sender/incidents/", value=f"{word}@evil.example")
    assert len(incidents) == found["incidents"] > 0
    assert {mail["incident"] for mail in mails} >= {row["id"] for row in incidents}


@pytest.mark.parametrize("path", ["sender/", "sender/mails/", "sender/incidents/"])
def test_what_is_somebody_elses_is_as_if_it_were_not(bo, world, path):
    foreign = asked(bo, path, value=f"{world.globex.open}@evil.example").json()
    nobody = asked(bo, path, value="nobody@nowhere.example").json()
    for answer in (foreign, nobody):
        for name in ("value", "since", "until", "of_mails"):
            answer.pop(name, None)
    assert foreign == nobody


def test_a_period_and_a_client_narrow_the_lists(mo, world):
    value = f"{world.acme.open}@evil.example"
    assert asked(mo, "sender/mails/", value=value, tenant="globex").json()["results"] == []
    long_ago = {"from": "2020-01-01", "to": "2020-02-01"}
    assert asked(mo, "sender/mails/", value=value, **long_ago).json()["results"] == []
    assert asked(mo, "sender/incidents/", value=value, **long_ago).json()["results"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_answers_for_what_nobody_has(mo, kind):
    for path in (f"{kind}/", f"{kind}/mails/", f"{kind}/incidents/"):
        assert asked(mo, path, value="nothing.nowhere.example/x").status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"value": " "}, 400),
        ({"value": "a@b.example", "colour": "red"}, 400),
        ({"value": "a@b.example", "cursor": "nonsense"}, 400),
        ({"value": "a@b.example", "page_size": "0"}, 400),
        ({"value": "a@b.example", "from": "yesterday"}, 400),
    ],
)
def test_wrong_input_says_what_to_do(mo, query, status):
    assert_problem(asked(mo, "sender/mails/", **query), status)


def test_a_kind_that_is_none_is_not_there(mo):
    assert_problem(asked(mo, "colour/", value="red"), 404)
