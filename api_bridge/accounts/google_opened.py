"""A Google customer, opened for looking at accounts and acting on them."""

from __future__ import annotations

from api_bridge import connectors
from api_bridge.connectors.google import GoogleConnector
from api_bridge.connectors.google.two_accounts import TwoAccounts
from api_bridge.runtime import connector_of


def google_of(
    reading: connectors.Connection, responding: connectors.Connection
) -> tuple[GoogleConnector, TwoAccounts]:
    """``reading`` is the connection as mail is read by it, ``responding`` the same by the account
    for account response, where there is one.  Raises ``Rejected`` for settings that cannot work.
    """
    read, respond = connector_of(reading), connector_of(responding)
    assert isinstance(read, GoogleConnector)  # by their kind
    assert isinstance(respond, GoogleConnector)
    return read, TwoAccounts(read.client, respond.client)
