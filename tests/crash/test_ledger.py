"""The account over the kills notices what is lost and what is doubled."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.crash.kills import Ledger


def row(message_id: str, outcome: str = "delivered", recipient: str = "info") -> dict[str, Any]:
    return {"internet_message_id": message_id, "outcome": outcome, "recipient": recipient}


@pytest.mark.parametrize(
    ("mailboxes", "rows", "unsure", "wanted"),
    [
        pytest.param({"a": 1, "b": 1}, [], "", ("", "", "", 0), id="all delivered"),
        pytest.param({"a": 1}, [row("b", "held")], "", ("", "", "", 0), id="one held"),
        pytest.param({"a": 1}, [row("b", "deferred")], "", ("b", "", "", 0), id="put off is lost"),
        pytest.param({"a": 1}, [row("b", "delivered")], "", ("b", "", "", 0), id="only claimed"),
        pytest.param({"a": 2, "b": 1}, [], "", ("", "a", "", 0), id="one doubled"),
        pytest.param({"a": 2, "b": 1}, [], "a", ("", "", "a", 0), id="one sent again"),
        pytest.param(
            {"a": 1, "b": 1}, [row("a"), row("a")], "", ("", "", "", 1), id="one in two rows"
        ),
        pytest.param(
            {"a": 1, "b": 1}, [row("a"), row("a")], "a", ("", "", "", 0), id="its sender did it"
        ),
    ],
)
def test_the_account(mailboxes, rows, unsure, wanted):
    ledger = Ledger(accepted={"a", "b"}, unsure=set(unsure), delivered=Counter(mailboxes))
    ledger.learn(rows)
    found = (ledger.lost, ledger.doubled, ledger.repeated)
    assert (*("".join(sorted(each)) for each in found), len(ledger.twice_known)) == wanted
