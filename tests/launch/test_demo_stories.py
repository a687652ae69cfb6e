"""The demo as `make run` shows it: its opening flows, and each account's story is an incident."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest

from console.demo.accounts import MISUSED, TAKEN
from console.demo.stories import Author
from tests.installation import Installation, wait_for


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path, is_migrated=True, DEMO_MAIL="0")
    yield made
    made.remove()


def ask(facts: dict[str, Any], path: str, **query: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{facts['console']}/api/v1/{path}?{urlencode(query)}",
        headers={"Authorization": f"Bearer {facts['api_token']}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def account_of(facts: dict[str, Any], client: str) -> dict[str, Any]:
    found = ask(facts, "incidents/", tenant=client, kind="account")["results"]
    assert len(found) == 1, found
    only: dict[str, Any] = found[0]
    return only


@pytest.mark.crash
def test_the_opening_tells_of_an_account_in_other_hands_and_of_a_stopped_sender(installation):
    facts = installation.start()
    steps = len(list(Author().opening()))
    told = installation.manage("demo", "mail", "--limit", str(steps), "--pace", "0.1")
    assert told.returncode == 0, told.stderr
    assert "not done" not in told.stdout, told.stdout
    assert "nothing to act on" not in told.stdout, told.stdout
    taken, stopped = account_of(facts, "globex"), account_of(facts, "acme")
    assert (taken["sender"], stopped["sender"]) == (TAKEN, MISUSED)

    def steps_done() -> bool:
        steps = ask(facts, "accounts/steps/", incident=taken["id"])["results"]
        return [each["state"] for each in steps] == ["verified"] * 4

    wait_for(steps_done, 60, "the response")
    signs = ask(facts, "accounts/signs/", incident=taken["id"])["results"]
    assert {each["code"] for each in signs} >= {
        "far_sign_in",
        "new_country",
        "mfa_after_risk",
        "hides_money",
        "mail_grant",
    }

    def has_all_mails() -> bool:
        return bool(ask(facts, f"incidents/{stopped['id']}/")["counts"]["held"] == 5)

    wait_for(has_all_mails, 60, "the mails behind the stop")
