"""What is off, and what goes on, where a mail host shows only some of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_bridge.accounts.graph_read import (
    MOST_AT_ONCE,
    read_mailboxes,
    read_sign_ins,
    rules_of,
)
from api_bridge.accounts.reading import ConnectorSource
from api_bridge.connectors import Delegate, Forwarding, MailboxRule
from api_bridge.connectors.graph.client import Ask
from api_bridge.errors import AccessDenied, Temporary


class SomeHost:
    """A connector that shows settings of ``a``, fails for ``b`` and refuses ``c``."""

    def rules(self, mailbox_id: str) -> list[MailboxRule]:
        if mailbox_id == "b":
            raise Temporary("No answer.")
        if mailbox_id == "c":
            raise AccessDenied("gmail.settings.basic is not delegated.")
        return [MailboxRule(id="f1", name="", criteria=())]

    def forwarding(self, mailbox_id: str) -> Forwarding | None:
        return Forwarding(address="x@evil.example", is_enabled=True, keeps_copy=False)

    def delegates(self, mailbox_id: str) -> list[Delegate]:
        return []


def test_one_mailbox_never_stops_the_next() -> None:
    host: Any = SomeHost()
    source = ConnectorSource(host, "Google Workspace")
    read = source.settings(["c", "b", "a"])
    assert read.keys() == {"a"}
    assert (len(read["a"].rules or ()), read["a"].grants) == (1, None)
    assert source.noted.errors == ["No answer."]
    assert "gmail.settings.basic is not delegated." in source.noted.off["settings"]
    assert "Sign-ins and applications" in source.noted.off["events"]


@pytest.mark.parametrize(
    ("name", "is_fixed", "is_shown"),
    [
        ("Junk E-Mail Rule", True, False),
        ("Microsoft.Exchange.OOF.KnownExternalSenders.Global", True, False),
        ("Delegate Rule -1", True, True),
        ("Junk E-Mail Rule", False, True),
        ("Junk E-Mail Rule 2", False, True),
    ],
)
def test_outlooks_own_rules_are_left_out_and_nobody_hides_behind_their_names(
    name: str, is_fixed: bool, is_shown: bool
) -> None:
    found = rules_of([{"id": "r", "displayName": name, "isReadOnly": is_fixed}])
    assert [rule.name for rule in found] == ([name] if is_shown else [])


class ManyGrants:
    """Graph that tells of a user's grants in two pages."""

    def batch(self, asks: Sequence[Ask]) -> list[Any]:
        return [
            Answer({"value": [GRANT | {"id": "g1"}], "@odata.nextLink": "more"})
            if ask.path.endswith("/oauth2PermissionGrants")
            else Answer({"value": []})
            for ask in asks
        ]

    def pages(self, target: str) -> Any:
        assert target == "more"
        yield [GRANT | {"id": "g2"}]


@dataclass
class Answer:
    content: dict[str, Any]

    def json(self) -> dict[str, Any]:
        return self.content


GRANT = {"clientId": "c", "scope": "Mail.Read", "consentType": "Principal"}


def test_a_second_page_of_grants_is_read_too() -> None:
    graph: Any = ManyGrants()
    grants = read_mailboxes(graph, ["u"])["u"].settings.grants
    assert [each.id for each in grants or ()] == ["g1", "g2"]


class TriedPasswords:
    """Graph with more failed sign-ins than anybody wants to read at once, one a second."""

    def __init__(self, began: datetime) -> None:
        self.began, self.asked = began, 0

    def pages(self, target: str) -> Any:
        for number in range(2 * MOST_AT_ONCE // 500):
            self.asked += 1
            first = self.began + timedelta(seconds=500 * number)
            yield [
                {
                    "id": f"{number}-{second}",
                    "userId": "u",
                    "createdDateTime": (first + timedelta(seconds=second)).isoformat(),
                    "status": {"errorCode": 50126 if second else 0},
                }
                for second in range(500)
            ]


def test_failed_sign_ins_end_a_reading_and_the_next_goes_on_there() -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    graph: Any = TriedPasswords(began)
    found, reached = read_sign_ins(graph, began)
    assert (len(found), graph.asked) == (MOST_AT_ONCE // 500, MOST_AT_ONCE // 500 + 1)
    assert reached == began + timedelta(seconds=MOST_AT_ONCE - 1)
