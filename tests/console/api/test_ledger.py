"""The ledger in the API: every figure opens to a list that is as long as it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from incidents.ledger import FIGURES
from tests.console.api.caller import assert_problem

TODAY = datetime.now(UTC).date()
PERIODS: tuple[dict[str, str], ...] = (
    {},
    {"from": str(TODAY - timedelta(days=3)), "to": str(TODAY)},
    {"from": f"{TODAY - timedelta(days=3)}T06:30:00+02:00", "to": f"{TODAY}T23:59:59.5Z"},
)


def asked(caller, path: str, query: dict[str, str]):
    return caller.get(f"{path}?{urlencode(query)}")


def whole_list(mo, figure: str, query: dict[str, str]) -> list[Any]:
    answer = asked(mo, f"ledger/{figure}/", {**query, "page_size": "1"}).json()
    rows: list[Any] = answer["results"]
    while answer["next"]:
        answer = mo.get(answer["next"].partition("/api/v1/")[2]).json()
        rows += answer["results"]
    return rows


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("tenant", ["", "acme", "nobody"])
def test_a_list_is_as_long_as_its_figure(mo, tenant, period):
    query = {**period, **({"tenant": tenant} if tenant else {})}
    answer = asked(mo, "ledger/", query).json()
    figures = answer["figures"]
    assert set(figures) == set(FIGURES)
    for name, number in figures.items():
        rows = whole_list(mo, name, query)
        assert len({row["id"] for row in rows}) == len(rows) == number, name
        assert {row["tenant"] for row in rows} <= ({tenant} if tenant else {"acme", "globex"})
    assert figures["condemned"] == {"": 6, "acme": 3, "nobody": 0}[tenant]


def test_an_entry_says_who_condemned_it_and_when(mo, world):
    rows = whole_list(mo, "mailbox_only_passed", {"tenant": "acme"})
    row = next(row for row in rows if row["id"] == world.acme.ids["message"])
    assert row["internet_message_id"] == "<1.acme@evil.example>"
    assert (row["verdict"], row["gateway_at"], row["person_at"]) == ("phish", None, None)
    assert row["mailbox_at"] >= row["seen_at"]


def test_an_analyst_counts_her_own_clients_only(world, bo):
    figures = bo.get("ledger/").json()["figures"]
    assert figures["condemned"] == 3
    assert asked(bo, "ledger/", {"tenant": "globex"}).json()["figures"]["condemned"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-11-22T08:00:00"},
        {"from": "2026-11-22", "to": "2026-11-01"},
        {"from": "1999-01-01", "to": "2026-01-01"},
        {"to": "2026-13-01"},
        {"client": "acme"},
    ],
)
def test_a_period_that_is_none_is_said(mo, query):
    assert_problem(asked(mo, "ledger/", query), 400)
    assert_problem(asked(mo, "ledger/both/", query), 400)


def test_a_figure_that_is_none_is_not_there(mo):
    assert_problem(mo.get("ledger/no_such_figure/"), 404)


def test_a_mail_is_reported_once_for_all_its_copies(mo, world):
    body = {"verdict": "phish", "reason": "The bank did not write it"}
    answer = mo.post(f"messages/{world.acme.ids['message']}/report", body)
    assert answer.status_code == 202
    assert answer.json() == {
        "message": world.acme.ids["message"],
        "verdict": "phish",
        "copies": 1,
    }
    body = {"verdict": "unscannable", "reason": "?"}
    assert_problem(mo.post(f"messages/{world.acme.ids['message']}/report", body), 400)
