"""What is off, and what goes on, where a mail host shows only some of it."""

from __future__ import annotations

from typing import Any

from api_bridge.accounts.reading import ConnectorSource
from api_bridge.connectors import Delegate, Forwarding, MailboxRule
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
