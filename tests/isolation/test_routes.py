"""The table of routes, walked: every address, method and person, and whose thing is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.urls import reverse

from tests.isolation.routes import BODIES, MORE_ARGUMENTS, TABLES, Row
from tests.isolation.surfaces import URL_TREES, surface
from tests.isolation.visits import Visitor, body_of, routes, visitors
from tests.isolation.world import Side, World, missing_id

METHODS = ("GET", "POST", "PUT", "DELETE")


def address_of(row: Row, ids: dict[str, str], visitor: Visitor) -> str:
    """The address of this row's thing; ids are a client's, or of nothing at all."""
    arguments = dict(MORE_ARGUMENTS.get(row.route, {}))
    if row.object in ("text", "html"):  # what this person has opened herself
        who = visitor.name.title() if visitor.name in ("mo", "ana", "bo") else "Mo"
        arguments["message_id"] = ids["message"]
        arguments["access_id"] = ids[f"{row.object} opened by {who}"]
    elif row.object == "client":
        arguments["slug"] = ids["client"]
    elif row.object not in ("-", "new-rule", "new-rehearsal", "new-hold"):
        name = _ARGUMENT.get(row.object, row.object)
        key = "object_id" if row.route.startswith("api-") else f"{name}_id"
        arguments[key] = ids[row.object]
    if row.route == "api-nothing":
        return "/api/v1/nothing"
    return reverse(row.route, kwargs=arguments)


def body_for(row: Row, ids: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = dict(BODIES.get(row.route, {}))
    if row.object in ("new-rule", "new-hold"):
        body["tenant"] = ids["client"]
    elif row.object == "new-rehearsal":
        body["tenants"] = [ids["client"]]
    elif row.route == "rule_new":
        body["clients"] = [ids["client"]]
    return body


# What an address calls the id of a thing, where that is not the thing's own name.
_ARGUMENT = {
    "own-group": "group",
    "directory-group": "group",
    "queue-item": "item",
    "queue-batch": "batch",
    "held": "delivery",
    "release-look": "look",
    "legal-hold": "hold",
    "gateway-rule": "rule",
    "disagreement": "item",
    "policy-change": "change",
    "submission-login": "login",
    "consent-link": "link",
    "scan-back": "run",
    "found-report": "report",
    "signing-key": "key",
    "sender-stop": "stop",
    "account-sign": "sign",
    "account-step": "step",
    "policy-push": "push",
    "log-entry": "entry",
}


class NoIds(defaultdict[str, str]):
    """The ids of a thing that does not exist."""

    def __init__(self) -> None:
        super().__init__(missing_id, client="nobody")


def answer_of(row: Row, visitor: Visitor, ids: dict[str, str]):
    return visitor.ask(row.method, address_of(row, ids, visitor), body_for(row, ids))


def seen_status(answer) -> str:
    if answer.status_code == 302 and "/login" in answer["Location"]:
        return "in"
    return str(answer.status_code)


def said_of(row: Row, visitor: Visitor) -> str:
    """The cell; of ``201/403`` the first for the lead's token, the second for the analysts'."""
    lead, _, analyst = row.answers[visitor.kind].partition("/")
    return analyst if analyst and visitor.name != "token of mo" else lead


def sides_of(visitor: Visitor, world: World) -> tuple[Side, Side | None]:
    """A client that she may see, and one that she may not.  Acme's things are Bo's to ask for:
    whoever sees both clients asks for Globex's, which stand behind them in every list.
    """
    name = visitor.name.removeprefix("token of ")
    if name in ("bo", "pia"):
        return world.acme, world.globex
    return world.globex, world.acme if name == "gus" else None


def mistakes_of(row: Row, visitor: Visitor, world: World) -> Iterator[str]:
    """Sentences about what differs from the table.  Others' things are asked for first: whoever
    looks for any mistake at all (test_bite.py) seldom needs more than one answer.
    """
    said = said_of(row, visitor)
    mine, foreign = sides_of(visitor, world)
    what = f"{row.method} {row.route} as {visitor.name}"
    if row.object != "-":
        expected = said if said in ("in", "401", "405") else "404"
        others = [(f"a thing of {foreign.tenant.slug}", foreign.ids)] if foreign else []
        if visitor.kind == "reader" and expected == "404":
            others.append(("a hidden thing of her own", mine.hidden_ids))
        for mistake in _mistakes_of_others(row, visitor, others, expected):
            yield f"{what}, {mistake}"
    answer = answer_of(row, visitor, mine.ids)
    # Signing out leads to the sign-in as well.
    status = seen_status(answer) if row.route != "logout" else str(answer.status_code)
    if status != said:
        yield f"{what}, a thing of {mine.tenant.slug}: {status} instead of {said}"


def _mistakes_of_others(
    row: Row, visitor: Visitor, others: list[tuple[str, dict[str, str]]], expected: str
) -> Iterator[str]:
    """Things that are not hers answer as one that does not exist, to the byte."""
    alike = []
    for name, ids in others:
        answer = answer_of(row, visitor, ids)
        if seen_status(answer) == expected:
            alike.append((name, body_of(answer)))
        else:
            yield f"{name}: {seen_status(answer)} instead of {expected}"
    missing = answer_of(row, visitor, NoIds())
    if seen_status(missing) != expected:
        yield f"nothing: {seen_status(missing)} instead of {expected}"
    elif expected == "404":
        for name, body in alike:
            if body != body_of(missing):
                yield f"{name}: another body than for nothing"


class Surfaces:
    """Everybody at the surface that is asked for.  It stays entered while the tests that follow
    ask for the same: signing in anew and reading the URL tree anew took a seventh of the time.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._entered = ExitStack()
        self._at = ""
        self._visitors: dict[str, Visitor] = {}

    def enter(self, name: str) -> dict[str, Visitor]:
        if self._at != name:
            self.leave()
            self._entered.enter_context(surface(name))
            self._at, self._visitors = name, visitors(self._world, name)
        return self._visitors

    def leave(self) -> None:
        self._entered.close()
        self._at = ""


@pytest.fixture(scope="module")
def surfaces(world: World) -> Iterator[Surfaces]:
    surfaces = Surfaces(world)
    yield surfaces
    surfaces.leave()


@pytest.mark.parametrize("name", TABLES)
def test_every_route_stands_in_the_table(name):
    named = {row.route for row in TABLES[name]}
    there = set(routes(URL_TREES[name]))
    assert there - named == set(), "a route without its row"
    assert named - there == set(), "a row without its route"


@pytest.mark.parametrize(
    ("name", "row"),
    [(name, row) for name, found in TABLES.items() for row in found],
    ids=lambda value: f"{value.method}-{value.route}" if isinstance(value, Row) else value,
)
def test_a_route_answers_as_the_table_says(name, row, world, surfaces):
    mistakes = [
        mistake
        for visitor in surfaces.enter(name).values()
        if visitor.kind in row.answers
        for mistake in mistakes_of(row, visitor, world)
    ]
    assert not mistakes, "\n".join(mistakes)


@pytest.mark.parametrize("name", TABLES)
def test_a_method_that_is_not_in_the_table_does_nothing(name, world, surfaces):
    """It is refused, or answered like a GET; outsiders get no more than the table gives them."""
    mistakes = []
    insiders = {"console": "bo", "portal": "pia", "ingest": "anonymous"}
    everybody = surfaces.enter(name)
    by_route: dict[str, list[Row]] = defaultdict(list)
    for row in TABLES[name]:
        by_route[row.route].append(row)
    for route, rows in by_route.items():
        for method in set(METHODS) - {row.method for row in rows}:
            for who in (insiders[name], "anonymous"):
                visitor = everybody[who]
                allowed = {said_of(row, visitor) for row in rows} - {"201", "202"}
                allowed |= {"405"} if route.startswith("api-") else {"405", "422"}
                # A page with a guard knows what links and forms send, and nothing else.
                is_guarded_page = rows[0].answers["nobody"] == "in" and method in ("PUT", "DELETE")
                if is_guarded_page and visitor.kind != "nobody":
                    allowed = {"405"}
                row = Row(route, method, rows[0].object, {})
                status = seen_status(answer_of(row, visitor, world.acme.ids))
                if status not in allowed:
                    mistakes.append(f"{method} {route} as {who}: {status}")
    assert not mistakes, "\n".join(mistakes)
