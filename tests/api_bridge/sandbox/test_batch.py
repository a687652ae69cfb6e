"""Twenty calls in one."""

import base64
from typing import Any

import pytest

from tests.api_bridge.sandbox.running import Company


def batch(company: Company, *parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answers = company.post("$batch", {"requests": list(parts)}, 200)["responses"]
    return {answer["id"]: answer for answer in answers}


def part(number: int, url: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"id": str(number), "method": method, "url": url, **more}


def test_parts_are_answered_each_for_itself_and_not_in_order(company: Company):
    company.receive("ana")
    mail = company.mails("ana")[0]["id"]
    path = f"/users/{company.mail('ana')}/messages/{mail}"
    answers = company.post("$batch", {"requests": [
        part(1, f"{path}?$select=subject"), part(2, f"{path}/$value"), part(3, "/users/nobody"),
    ]}, 200)["responses"]  # fmt: skip
    assert [answer["id"] for answer in answers] == ["3", "2", "1"]
    by_id = {answer["id"]: answer for answer in answers}
    assert by_id["1"]["body"]["subject"] == "Hello"
    assert b"Good morning." in base64.b64decode(by_id["2"]["body"])
    assert by_id["3"]["status"] == 404


def test_a_429_stands_inside_a_200(company: Company):
    company.cloud.admin("POST", "faults", {"kind": "status_429", "match": "/organization"}, 201)
    answers = batch(company, part(1, "/organization"), part(2, "/organization"))
    assert (answers["1"]["status"], answers["1"]["headers"]["Retry-After"]) == (429, "1")
    assert answers["2"]["status"] == 200


def test_what_depends_on_a_failed_part_is_424_and_not_done(company: Company):
    company.receive("ana")
    mail = company.mails("ana")[0]["id"]
    move = part(2, f"/users/{company.mail('ana')}/messages/{mail}/move", "POST",
                body={"destinationId": "junkemail"}, headers={"Content-Type": "application/json"},
                dependsOn=["1"])  # fmt: skip
    answers = batch(company, part(1, "/users/nobody"), move)
    assert answers["2"]["status"] == 424
    answers = batch(company, part(1, "/organization"), move)
    assert (answers["2"]["status"], answers["2"]["body"]["subject"]) == (201, "Hello")


def test_the_token_of_the_batch_counts_whatever_a_part_brings(company: Company, other: Company):
    foreign = other.graph.headers["authorization"]
    answers = batch(company, part(1, "/organization", headers={"Authorization": foreign}))
    assert answers["1"]["body"]["value"][0]["id"] == company.tenant_id


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [part(n, "/organization") for n in range(21)],
        [part(1, "/organization"), part(1, "/users")],
        [part(1, "/organization", dependsOn=["2"]), part(2, "/users")],
        [part(1, "/users/x", "PATCH", body={})],
        [part(1, "/users", "TRACE")],
        [{"id": "1", "method": "GET"}],
        ["x"],
    ],
)
def test_a_batch_that_graph_refuses_is_refused(company: Company, parts: list[Any]):
    assert company.graph.post("$batch", json={"requests": parts}).status_code == 400
