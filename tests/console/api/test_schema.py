"""The API's own description is enough to write a program by."""

from __future__ import annotations

import re
from typing import Any

from console.api.urls import urlpatterns


def operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (method, operation)
        for methods in schema["paths"].values()
        for method, operation in methods.items()
    ]


def test_it_says_how_a_program_signs_in(schema):
    scheme = schema["components"]["securitySchemes"]["token"]
    assert scheme == {"type": "http", "scheme": "bearer"}
    for _, operation in operations(schema):
        assert {"token": []} in operation["security"], operation["operationId"]


def test_it_says_where_a_key_counts(schema):
    keyed = {
        operation["operationId"]
        for _, operation in operations(schema)
        for each in operation.get("parameters", ())
        if (each["in"], each["name"]) == ("header", "Idempotency-Key")
    }
    posts = {
        operation["operationId"] for method, operation in operations(schema) if method == "post"
    }
    assert keyed < posts
    # What only looks ahead does nothing that could be done twice; a link is shown once.
    looks_ahead = re.compile(r"_(foresee|modes_rehearse|access_links)_create\Z")
    assert {name for name in posts - keyed if not looks_ahead.search(name)} == set()


def test_it_says_what_a_refusal_looks_like(schema):
    for _, operation in operations(schema):
        content = operation["responses"]["4XX"]["content"]
        assert content == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }, operation["operationId"]


def test_what_stands_on_one_page_is_said_as_it_is_sent(mo, schema):
    said = schema["paths"]["/api/v1/queue-hops/"]["get"]["responses"]["200"]["content"]
    name = said["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(mo.get("queue-hops/").json()) == set(
        schema["components"]["schemas"][name]["properties"]
    )


def test_a_report_is_a_file_of_two_kinds(schema):
    file = schema["paths"]["/api/v1/reports/{object_id}/{kind}/"]["get"]
    assert set(file["responses"]["200"]["content"]) == {"application/pdf", "text/csv"}


def test_the_way_in_names_all_that_can_be_read(mo):
    found = set()
    for route in urlpatterns:
        address = re.fullmatch(r"\^([a-z/-]+)/\?\$", str(route.pattern))
        if address and hasattr(route.callback.cls, "get"):  # type: ignore[attr-defined]
            found.add(address[1])
    assert set(mo.get("").json()) == found
