"""What goes wrong on demand goes wrong in just that way."""

import time
from typing import Any

import httpx
import pytest

from tests.api_bridge.sandbox.running import Company

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


@pytest.fixture
def mail(company: Company) -> str:
    """The path of a mail in Ana's inbox, by its immutable id."""
    company.receive("ana")
    found = company.mails("ana", headers=IMMUTABLE)[0]
    return f"users/{company.mail('ana')}/messages/{found['id']}"


def break_next(company: Company, kind: str, **more: Any) -> None:
    company.cloud.admin("POST", "faults", {"kind": kind, "match": company.domain, **more}, 201)


def folder_of(company: Company, mail: str) -> str:
    folder = company.get(mail)["parentFolderId"]
    name: str = company.get(f"users/{company.mail('ana')}/mailFolders/{folder}")["displayName"]
    return name


def move(company: Company, mail: str) -> httpx.Response:
    return company.graph.post(f"{mail}/move", json={"destinationId": "junkemail"})


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("status_429", 429, "ApplicationThrottled"), ("status_503", 503, "serviceNotAvailable")],
)
def test_throttling_and_outage_say_when_to_come_back_and_change_nothing(
    company: Company, mail: str, kind: str, status: int, code: str
):
    break_next(company, kind, count=2, seconds=7)
    for _ in range(2):
        answer = move(company, mail)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
        assert answer.json()["error"]["code"] == code
    assert folder_of(company, mail) == "Inbox"
    assert move(company, mail).status_code == 201


def test_a_fault_strikes_only_what_it_matches(company: Company, mail: str):
    company.cloud.admin("POST", "faults", {"kind": "status_503", "match": "/move"}, 201)
    assert company.graph.get(mail).status_code == 200
    assert move(company, mail).status_code == 503
    assert company.cloud.admin("GET", "faults") == {"faults": []}


@pytest.mark.parametrize(
    ("kind", "place"), [("drop_before_commit", "Inbox"), ("drop_after_commit", "Junk Email")]
)
def test_a_dropped_connection_hides_whether_the_move_was_made(
    company: Company, mail: str, kind: str, place: str
):
    break_next(company, kind)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        move(company, mail)
    assert folder_of(company, mail) == place


def test_a_dropped_part_breaks_the_whole_batch_after_the_other_parts_are_done(
    company: Company, mail: str
):
    company.cloud.admin("POST", "faults", {"kind": "drop_after_commit", "match": "/move"}, 201)
    parts = [
        {"id": "1", "method": "POST", "url": f"/{mail}/move", "body": {"destinationId": "archive"},
         "headers": {"content-type": "application/json"}},
        {"id": "2", "method": "GET", "url": "/organization"},
    ]  # fmt: skip
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        company.graph.post("$batch", json={"requests": parts})
    assert folder_of(company, mail) == "Archive"


def test_a_timeout_keeps_the_caller_waiting_and_others_are_served(company: Company, mail: str):
    break_next(company, "timeout", seconds=3)
    with pytest.raises(httpx.ReadTimeout):
        company.graph.get(mail, timeout=0.3)
    started = time.monotonic()
    assert company.graph.get(mail).status_code == 200
    assert time.monotonic() - started < 2


def test_a_truncated_body_ends_before_its_length(company: Company, mail: str):
    break_next(company, "truncated_body")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        company.graph.get(mail)
    assert company.graph.get(mail).status_code == 200


def test_a_lying_move_says_201_and_leaves_the_mail_where_it_was(company: Company, mail: str):
    break_next(company, "lying_move")
    answer = move(company, mail)
    junk = company.get(f"users/{company.mail('ana')}/mailFolders/junkemail")["id"]
    assert (answer.status_code, answer.json()["parentFolderId"]) == (201, junk)
    assert folder_of(company, mail) == "Inbox"


def test_a_mail_that_moves_back_is_gone_first_and_returns(company: Company, mail: str):
    break_next(company, "move_back", seconds=0.8)
    move(company, mail)
    assert folder_of(company, mail) == "Junk Email"
    deadline = time.monotonic() + 5
    while folder_of(company, mail) != "Inbox":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_repeated_link_leads_to_the_same_page_again(company: Company, mail: str):
    company.receive("ana")
    base = f"users/{company.mail('ana')}/messages"
    break_next(company, "repeated_link")
    page = company.get(base, params={"$top": "1"})
    again = company.get(page["@odata.nextLink"])
    assert again["value"] == page["value"]
    assert company.get(again["@odata.nextLink"])["value"] != page["value"]


def test_cleared_faults_do_not_strike(company: Company, mail: str):
    break_next(company, "status_503", count=50)
    company.cloud.admin("DELETE", "faults", status=204)
    assert company.graph.get(mail).status_code == 200
