"""The API against its own schema: whatever is sent, never a 500, and refusals are problems."""

from __future__ import annotations

import random
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from tests.console.api.caller import Caller, assert_problem

TRIES = 5
METHODS = ("get", "post")
ODD: tuple[Any, ...] = (
    *("", " ", "x", "\x00", "\ud7ff", "é" * 400, "%", "'", '"', "\\", "../..", "<b>", "0", "-1"),
    *("1e999", "NaN", "null", "true", "2026-02-30", "2026-11-22T25:00:00Z", "00000000-0000"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "[]", "{}", "acme", "globex", "x" * 5000),
)
ODD_JSON: tuple[Any, ...] = (*ODD, None, True, 0, -1, 2**70, 1.5, [], {}, [[]], {"x": {"y": []}})


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    found = [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    assert len(found) > 30
    return found


def ids(world) -> list[str]:
    return [*world.acme.ids.values(), *world.globex.hidden_ids.values(), str(uuid4())]


def fill_path(path: str, dice: random.Random, world) -> str:
    """The address with ids in it: real ones, of other kinds, and none at all."""
    parts = path.removeprefix("/api/v1/").split("{")
    filled = parts[0]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        filled += (
            dice.choice(["pdf", "csv"]) if name == "kind" else dice.choice(ids(world))
        ) + rest
    return filled


def body_of(schema: dict[str, Any], operation: dict[str, Any], dice: random.Random) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    properties = schema["components"]["schemas"].get(name, {}).get("properties", {})
    if dice.random() < 0.1:
        return dice.choice(ODD_JSON)
    return {key: dice.choice(ODD_JSON) for key in properties if dice.random() < 0.8}


def ask_and_undo(mo: Caller, committing, method: str, path: str, body: Any, **more: Any) -> Any:
    """The answer, with all that a commit would check and start; then it never was."""
    with transaction.atomic():
        with committing(execute=True):
            answer = mo.ask(method, path, body, **more)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)
    return answer


@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_the_schema_allows_or_forbids_breaks_it(
    seed, mo: Caller, schema, world, django_capture_on_commit_callbacks
):
    dice = random.Random(seed)
    asked = 0
    for path, method, operation in operations(schema):
        names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
        for _ in range(TRIES):
            query = {name: dice.choice(ODD) for name in names if dice.random() < 0.3}
            answer = ask_and_undo(
                mo,
                django_capture_on_commit_callbacks,
                method.upper(),
                fill_path(path, dice, world),
                body_of(schema, operation, dice),
                key=dice.choice(["", str(uuid4())]),
                query=query,
            )
            asked += 1
            if answer.status_code >= 400:
                assert_problem(answer, 400, 403, 404, 409, 422)
    assert asked > 200
