"""Two service accounts of one customer, as if they were one: each call goes by the account that the
scope was delegated to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google.client import GoogleClient
from api_bridge.connectors.google.settings import Customer
from api_bridge.http import Reply

# Delegated for account response; every other scope is detection's or removal's.
OF_RESPONSE = frozenset(
    {
        *(scopes.REPORTS, scopes.USER_SECURITY, scopes.CHANGE_USERS),
        *(scopes.SETTINGS_BASIC, scopes.SETTINGS_SHARING),
    }
)


class AccountCalls(Protocol):
    """What looking at accounts and acting on them calls; as in ``GoogleClient``."""

    @property
    def customer(self) -> Customer: ...

    def mail(
        self,
        method: str,
        mailbox_id: str,
        target: str,
        *,
        cost: int,
        body: Mapping[str, Any] | None = None,
        is_safe: bool | None = None,
        scope: str = "",
    ) -> Reply: ...

    def directory(self, target: str, *, scope: str = scopes.USERS) -> Mapping[str, Any]: ...

    def change(
        self,
        method: str,
        target: str,
        *,
        scope: str,
        body: Mapping[str, Any] | None = None,
        is_safe: bool = False,
    ) -> None: ...

    def reports(self, target: str) -> Mapping[str, Any]: ...

    def pages(
        self, ask: Callable[[str], Mapping[str, Any]], name: str
    ) -> Iterator[Mapping[str, Any]]: ...


class TwoAccounts:
    """``reading``: the connection's own; ``responding``: the one for account response.  The same
    client for both is one account for everything.
    """

    def __init__(self, reading: GoogleClient, responding: GoogleClient) -> None:
        self._reading, self._responding = reading, responding

    @property
    def customer(self) -> Customer:
        return self._responding.customer

    def _by(self, scope: str) -> GoogleClient:
        return self._responding if scope in OF_RESPONSE else self._reading

    def mail(
        self,
        method: str,
        mailbox_id: str,
        target: str,
        *,
        cost: int,
        body: Mapping[str, Any] | None = None,
        is_safe: bool | None = None,
        scope: str = "",
    ) -> Reply:
        return self._by(scope).mail(
            method, mailbox_id, target, cost=cost, body=body, is_safe=is_safe, scope=scope
        )

    def directory(self, target: str, *, scope: str = scopes.USERS) -> Mapping[str, Any]:
        return self._by(scope).directory(target, scope=scope)

    def change(
        self,
        method: str,
        target: str,
        *,
        scope: str,
        body: Mapping[str, Any] | None = None,
        is_safe: bool = False,
    ) -> None:
        self._by(scope).change(method, target, scope=scope, body=body, is_safe=is_safe)

    def reports(self, target: str) -> Mapping[str, Any]:
        return self._responding.reports(target)

    def pages(
        self, ask: Callable[[str], Mapping[str, Any]], name: str
    ) -> Iterator[Mapping[str, Any]]:
        return self._responding.pages(ask, name)
