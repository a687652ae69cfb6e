"""The demo of `make run` tells a story of every kind: what its opening sends and what people do in
it become these incidents, in the real processes.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from console.demo import letters
from tests.installation import Installation, wait_for

# A mail or an act a second; two cores, shared with everything else.
OPENING_WITHIN_S = 420
TOLD = {
    ("acme", "bec", letters.BEC_CFO.subject),
    ("globex", "bec", "New bank details for invoice"),
    ("globex", "phish", letters.LATERAL.subject),
    ("globex", "malware", letters.MALWARE_CONTRACT.subject),
    ("acme", "malware", letters.MALWARE_LOCKED.subject),
    ("acme", "suspicious", letters.REGISTER_CALL.subject),
    ("globex", "suspicious", letters.SURVEY.subject),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("demo"), is_migrated=True)
    try:
        facts = made.start()
        with httpx.Client(
            base_url=f"{facts['console']}/api/v1/",
            headers={"Authorization": f"Bearer {facts['api_token']}"},
            timeout=30,
            trust_env=False,
        ) as client:
            wait_for(lambda: not missing(client), OPENING_WITHIN_S, "a story of every kind")
            yield client
    finally:
        made.remove()


def rows(api: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = api.get(path, params={"page_size": 100})
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def missing(api: httpx.Client) -> set[tuple[str, str, str]]:
    """Which stories stand nowhere yet; a report counts when its last act is done."""
    found = {(each["tenant"], each["kind"], each["subject"]) for each in rows(api, "incidents/")}
    left = {
        story
        for story in TOLD
        if not any(story[:2] == one[:2] and one[2].startswith(story[2]) for one in found)
    }
    if not any(each["outcome_at"] for each in rows(api, "user-reports/")):
        left.add(("globex", "suspicious", "the reporter's answer"))
    return left


def story_of(api: httpx.Client, subject: str) -> dict[str, Any]:
    [incident] = [each for each in rows(api, "incidents/") if each["subject"] == subject]
    told: dict[str, Any] = api.get(f"incidents/{incident['id']}/story").json()
    return told


def test_malware_reached_mailboxes_around_the_gateway_and_through_it(api):
    around = story_of(api, letters.MALWARE_CONTRACT.subject)
    leads = [line["lead"] for line in around["lines"] if line["lane"] == "gateway"]
    assert leads == ["Never saw it."]
    through = story_of(api, letters.MALWARE_LOCKED.subject)
    leads = [line["lead"] for line in through["lines"] if line["lane"] == "gateway"]
    assert leads == ["Let it through."]


def test_malware_that_the_gateway_stops_alone_is_counted_and_opens_nothing(api):
    subject = letters.MALWARE_CRUDE.subject.partition("{")[0]
    assert not [each for each in rows(api, "incidents/") if each["subject"].startswith(subject)]
    stopped = [
        each
        for each in rows(api, "messages/")
        if each["subject"].startswith(subject) and each["tenant"] == "initech"
    ]
    assert len(stopped) == 1


def test_reports_of_one_mail_are_one_incident_that_names_its_reporters(api):
    told = story_of(api, letters.REGISTER_CALL.subject)
    people = " ".join(line["lead"] for line in told["lines"] if line["lane"] == "person")
    assert "sofie@" in people
    assert "jonas@" in people
    reported = {
        each["reporter"]: bool(each["receipt_at"]) and each["state"]
        for each in rows(api, "user-reports/")
    }
    assert reported == {
        "sofie@acme.example": "placed",
        "jonas@acme.example": "placed",
        "nils@globex.example": "placed",
    }
