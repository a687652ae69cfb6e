"""A Google connection, opened for looking at its accounts.  Calls Google: never inside a scope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from api_bridge.accounts.google_clicks import read_clicks
from api_bridge.accounts.google_read import (
    LATE,
    Activity,
    audits_of,
    read_grants,
    read_log,
    read_state,
    sign_ins_of,
)
from api_bridge.accounts.reading import Events, Noted
from api_bridge.accounts.shapes import Settings
from api_bridge.accounts.spans import Log
from api_bridge.connectors import VendorVerdict
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google.connector import GoogleConnector
from api_bridge.connectors.google.two_accounts import AccountCalls
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, NotFound

_T = TypeVar("_T")
# Two logs tell of the same changes, depending on the client's edition; both are read.
AUDITED = ("login", "user_accounts", "token", "admin")
NOT_AT_GOOGLE = (
    "Where on earth a sign-in was: Google tells the country and its part, so that none is found to"
    " be too far from the last. What its logs tell days late is not seen."
)


class GoogleSource:
    """Settings and the directory by the connector; logs and applications by the scopes of account
    response, with ``client``, which may be the connector's own.  What a scope does not cover is off
    by itself.
    """

    name = "Mailbox settings (Google Workspace)"

    def __init__(self, connector: GoogleConnector, client: AccountCalls) -> None:
        self._connector = connector
        self._client = client
        self.noted = Noted(off={"place": NOT_AT_GOOGLE})
        self._not_delegated: set[str] = set()

    def events(self, now: datetime, sign_ins_since: datetime, audits_since: datetime) -> Events:
        """Each log from as far back as Google may be late with it; what was told counts once."""
        logs: dict[str, Log[Activity]] = {}
        for application in AUDITED:
            since = sign_ins_since if application == "login" else audits_since
            reading = partial(self._log, application, since - LATE[application], now)
            if (log := self._try(scopes.REPORTS, reading)) is not None:
                logs[application] = log
        logins = logs.get("login")
        others = [log for name, log in logs.items() if name != "login"]
        is_whole = len(others) == len(AUDITED) - 1
        clicks = self._try(scopes.REPORTS, lambda: self._clicks(audits_since, now))
        ends = [log.until for log in others] + ([clicks.until] if clicks else [])
        return Events(
            sign_ins=sign_ins_of(logins.entries) if logins else (),
            sign_ins_until=logins.until if logins else None,
            audits=tuple(audits_of([e for log in logs.values() for e in log.entries])),
            # Not each edition has the log of Gmail: without it the others go on.
            audits_until=min(ends) if is_whole else None,
            clicks=clicks.entries if clicks else (),
        )

    def _clicks(self, since: datetime, now: datetime) -> Log[VendorVerdict]:
        log = read_clicks(self._client, since - LATE["gmail"], now)
        self.noted.read("Google's log “gmail”", log, now)
        return log

    def _log(self, application: str, since: datetime, now: datetime) -> Log[Activity]:
        log = read_log(self._client, application, since, now)
        self.noted.read(f"Google's log “{application}”", log, now)
        return log

    def settings(self, ids: Sequence[str]) -> dict[str, Settings]:
        return {each: found for each in ids if (found := self._settings(each)) is not None}

    def _settings(self, user_id: str) -> Settings | None:
        """None: nothing of it could be read."""
        connector = self._connector
        mail = scopes.MAIL_READ
        forwarding = self._try(mail, lambda: [connector.forwarding(user_id)])
        found = Settings(
            rules=self._try(mail, lambda: tuple(connector.rules(user_id))),
            forwarding=forwarding[0] if forwarding else None,
            knows_forwarding=forwarding is not None,
            delegates=self._try(mail, lambda: tuple(connector.delegates(user_id))),
            grants=self._try(scopes.USER_SECURITY, lambda: read_grants(self._client, user_id)),
            state=self._try(scopes.USERS, lambda: read_state(self._client, user_id)),
        )
        parts = (forwarding, found.rules, found.delegates, found.grants, found.state)
        return None if all(part is None for part in parts) else found

    def _try(self, scope: str, read: Callable[[], _T]) -> _T | None:
        if scope in self._not_delegated:
            return None
        try:
            return read()
        except NotFound:
            # A suspended person's mailbox answers nobody; one who has left is no longer listed.
            return None
        except AuthExpired as error:
            if error.code != "needs_consent":
                raise
            self._not_delegated.add(scope)
            self.noted.off[scope] = scope
        except AccessDenied as error:
            self.noted.off[scope] = f"{scope.removeprefix(scopes.SCOPE_HEAD)}: {error}"
        except BridgeError as error:
            self.noted.errors = [*self.noted.errors, str(error)][:5]
        return None
