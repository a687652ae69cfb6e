"""Delta of one folder."""

from typing import Any

import pytest

from tests.api_bridge.sandbox.running import Company

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
NEVER = "receivedDateTime ge 2099-01-01T00:00:00Z"


def walk(company: Company, path: str, **options: Any) -> tuple[list[list[dict[str, Any]]], str]:
    """Pages up to the delta link, and the delta link."""
    pages = []
    while True:
        answer = company.get(path, headers=IMMUTABLE | options.pop("headers", {}), **options)
        pages.append(answer["value"])
        options = {}
        if "@odata.deltaLink" in answer:
            return pages, answer["@odata.deltaLink"]
        path = answer["@odata.nextLink"]


def inbox(company: Company) -> str:
    return f"users/{company.mail('ana')}/mailFolders/inbox/messages"


def test_delta_tells_what_came_changed_and_went(company: Company):
    for _ in range(3):
        company.receive("ana")
    pages, link = walk(company, f"{inbox(company)}/delta", params={"$select": "isRead,subject"})
    first, second, third = (mail["id"] for page in pages for mail in page)
    company.graph.patch(f"{inbox(company)}/{first}", json={"isRead": True})
    company.post(f"{inbox(company)}/{second}/move", {"destinationId": "junkemail"})
    company.graph.post(f"{inbox(company)}/{third}/permanentDelete")
    company.receive("ana", subject="new")
    pages, link = walk(company, link)
    told = {item["id"]: item for page in pages for item in page}
    assert told.pop(first)["isRead"] is True
    assert told.pop(second)["@removed"] == {"reason": "changed"}
    assert told.pop(third)["@removed"] == {"reason": "deleted"}
    (new,) = told.values()
    assert (new["subject"], set(new)) == ("new", {"@odata.etag", "id", "isRead", "subject"})
    pages, _ = walk(company, link)
    assert pages == [[]]


def test_pages_may_be_empty_and_still_have_a_next_link(company: Company):
    for _ in range(3):
        company.receive("ana")
    path = f"{inbox(company)}/delta"
    pages, link = walk(company, path, params={"$filter": NEVER},
                       headers={"prefer": 'IdType="ImmutableId", odata.maxpagesize=1'})  # fmt: skip
    assert pages == [[], []]  # the preference holds for the first page only
    company.receive("ana")
    pages, _ = walk(company, link)
    assert [item for page in pages for item in page] == []  # the filter stays in the token


def test_the_page_size_follows_the_preference(company: Company):
    for _ in range(5):
        company.receive("ana")
    answer = company.get(f"{inbox(company)}/delta", headers={"prefer": "odata.maxpagesize=2"})
    assert len(answer["value"]) == 2
    assert "$skiptoken=" in answer["@odata.nextLink"]


def test_change_types_limit_what_is_told(company: Company):
    _, link = walk(company, f"{inbox(company)}/delta", params={"changeType": "created"})
    company.receive("ana")
    mail = company.mails("ana", headers=IMMUTABLE)[0]["id"]
    pages, link = walk(company, link)
    assert [item["id"] for page in pages for item in page] == [mail]
    company.graph.patch(f"{inbox(company)}/{mail}", json={"isRead": True})
    company.post(f"{inbox(company)}/{mail}/move", {"destinationId": "junkemail"})
    pages, _ = walk(company, link)
    assert [item for page in pages for item in page] == []


def test_a_removed_message_carries_the_normal_id_it_had(company: Company):
    company.receive("ana")
    answer = company.get(f"{inbox(company)}/delta")
    old = answer["value"][0]["id"]
    company.post(f"{inbox(company)}/{old}/move", {"destinationId": "junkemail"})
    gone = company.get(answer["@odata.deltaLink"])["value"]
    assert [(item["id"], item["@removed"]["reason"]) for item in gone] == [(old, "changed")]


def test_expired_and_foreign_tokens_are_refused(company: Company, other: Company):
    _, link = walk(company, f"{inbox(company)}/delta")
    company.cloud.admin("POST", "faults", {"kind": "expired_delta"}, 201)
    response = company.graph.get(link)
    assert (response.status_code, response.json()["error"]["code"]) == (410, "syncStateNotFound")
    assert response.headers["location"].endswith("/delta?$deltatoken=")
    assert company.graph.get(link).status_code == 200
    token = link.partition("?")[2]
    elsewhere = f"users/{company.mail('ana')}/mailFolders/junkemail/messages/delta?{token}"
    assert company.get(elsewhere, 400)["error"]["code"] == "ErrorInvalidSyncStateData"
    foreign = f"users/{other.mail('ana')}/mailFolders/inbox/messages/delta?{token}"
    assert other.graph.get(foreign).status_code == 400
    assert company.graph.get(f"{inbox(company)}/delta?$deltatoken=garbage").status_code == 400


@pytest.mark.parametrize(
    "parameters",
    [{"$search": "x"}, {"$filter": "isRead eq true"}, {"changeType": "all"},
     {"$orderby": "subject"}, {"$skip": "1"}],
)  # fmt: skip
def test_delta_refuses_what_graph_refuses(company: Company, parameters: dict[str, str]):
    assert company.graph.get(f"{inbox(company)}/delta", params=parameters).status_code == 400
