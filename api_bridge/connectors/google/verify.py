"""Which scopes were delegated: each asked for by itself, and used once.

A token proves that the scope was delegated, the call that the API is switched on and answers.
Nothing is changed.  Scopes are all or nothing in a request, so each has its own token.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from api_bridge.cache import LocalCache
from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google import units
from api_bridge.connectors.google.client import GoogleClient, path, text_of
from api_bridge.errors import AuthExpired, BridgeError, NotFound, Temporary


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeCheck:
    """``scope`` as it stands in the Admin console.  ``tried``: what was called, in words.
    ``off_without``: what Bailey cannot do without it.  ``problem`` "" where it works;
    ``may_pass``: Google did not answer, which says nothing of the scope; nor does ``is_refused``:
    Google does not take the service account's key.
    """

    scope: str
    is_needed: bool
    tried: str
    off_without: str
    problem: str = ""
    may_pass: bool = False
    is_refused: bool = False

    @property
    def is_ok(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True)
class Scope:
    """``purpose``: ``detect``, ``remediate`` or ``respond``; nobody's token carries the scopes of
    two.
    """

    name: str
    purpose: str
    is_needed: bool
    tried: str
    off_without: str
    call: Callable[[GoogleClient, str], object]


def _own_directory(client: GoogleClient, scope: str) -> object:
    """Raises ``AuthExpired`` if the administrator belongs to another customer than was named."""
    user = client.directory(path("users", client.customer.admin), scope=scope)
    if text_of(user, "customerId").lower() != client.customer.customer_id.lower():
        raise AuthExpired(
            "The administrator belongs to another Google customer than the id says.",
            code="tenant_gone",
        )
    return user


def _mail(target: str, cost: int) -> Callable[[GoogleClient, str], object]:
    return lambda client, scope: client.mail(
        "GET", client.customer.admin, target, cost=cost, scope=scope
    )


def _token_only(client: GoogleClient, scope: str) -> object:
    return client.token(client.customer.admin, scope)


def _alerts(client: GoogleClient, scope: str) -> object:
    return client.alerts(path("alerts", pageSize="1"))


def _groups(client: GoogleClient, scope: str) -> object:
    return client.directory(path("groups", customer="my_customer", maxResults="1"), scope=scope)


def _pull(client: GoogleClient, scope: str) -> Mapping[str, Any]:
    """One message is looked at and comes again."""
    return client.pubsub("pull", {"maxMessages": 1, "returnImmediately": True})


def _logged(client: GoogleClient, scope: str) -> object:
    return client.reports(path("activity", "users", "all", "applications", "admin", maxResults="1"))


SCOPES = (
    Scope(
        scopes.USERS,
        "detect",
        True,
        "read the administrator in the directory",
        "Mailboxes cannot be listed: nothing is read.",
        _own_directory,
    ),
    Scope(
        scopes.MAIL,
        "remediate",
        True,
        "read the profile of the administrator's mailbox",
        "Mail is not removed. With gmail.readonly instead it is still read and judged.",
        _mail(path("profile"), units.GET_PROFILE),
    ),
    Scope(
        scopes.GROUPS,
        "detect",
        False,
        "list one group of the directory",
        "Groups are not listed: no mode or entry holds for one.",
        _groups,
    ),
    Scope(
        scopes.ALERTS,
        "detect",
        False,
        "list one warning of the Alert Center",
        "What Google's own protection says of a mail is not known.",
        _alerts,
    ),
    Scope(
        scopes.REPORTS,
        "respond",
        False,
        "list one record of the administrators' log",
        "Sign-ins, changes of 2-step verification and of recovery data, and applications that"
        " people let in are not looked at. Sessions are not ended, for nothing would prove it.",
        _logged,
    ),
    Scope(
        scopes.USER_SECURITY,
        "respond",
        False,
        "list the applications that the administrator let in",
        "Applications that act for people are not listed and not shut out, and sessions of a"
        " taken-over account cannot be ended.",
        lambda client, scope: client.directory(
            path("users", client.customer.admin, "tokens"), scope=scope
        ),
    ),
    Scope(
        scopes.CHANGE_USERS,
        "respond",
        False,
        "read the administrator in the directory",
        "A taken-over account cannot be suspended, and nobody is made to choose a new password.",
        _own_directory,
    ),
    Scope(
        scopes.SETTINGS_BASIC,
        "respond",
        False,
        "list the filters of the administrator's mailbox",
        "Filters of a taken-over mailbox can be seen and not removed.",
        _mail(path("settings", "filters"), units.READ_SETTING),
    ),
    Scope(
        scopes.SETTINGS_SHARING,
        "respond",
        False,
        "get a token (every call of this scope would change something)",
        "Forwarding and delegates of a taken-over mailbox can be seen and not ended.",
        _token_only,
    ),
)
READ_INSTEAD = Scope(
    scopes.MAIL_READ,
    "detect",
    True,
    "read the profile of the administrator's mailbox",
    "Mail is not read.",
    _mail(path("profile"), units.GET_PROFILE),
)
_PUBSUB = Scope(
    scopes.PUBSUB,
    "detect",
    False,
    "pull from the subscription (a role of the service account in its project, no delegation)",
    "Changes are found by asking every half minute instead of being told.",
    _pull,
)


ALL_PURPOSES = frozenset({"detect", "remediate", "respond"})
_OF_THE_KEY = frozenset({"bad_credentials", "app_missing"})


def check_scopes(
    connection: Connection,
    runtime: Runtime,
    *,
    purposes: Collection[str] = ALL_PURPOSES,
    transport: httpx.BaseTransport | None = None,
) -> list[ScopeCheck]:
    """One result for each scope of ``purposes``, the needed ones first; ``gmail.readonly`` only
    where ``gmail.modify`` does not work.  Raises ``Rejected`` for settings that
    cannot work at all.  Calls Google: never inside a scope of the database.
    """
    # Tokens of its own: one that another process was given before may outlive its delegation.
    client = GoogleClient(connection, replace(runtime, cache=LocalCache()), transport=transport)
    asked = (*SCOPES, *((_PUBSUB,) if client.customer.subscription else ()))
    wanted = [each for each in asked if each.purpose in purposes]
    try:
        checks = [_checked(client, each) for each in wanted]
        moving = next((each for each in checks if each.scope == scopes.MAIL), None)
        if moving is not None and not moving.is_ok:
            reading = _checked(client, READ_INSTEAD)
            at = checks.index(moving)
            # Who says no to removal alone is connected all the same.
            checks[at : at + 1] = [replace(moving, is_needed=not reading.is_ok), reading]
        return checks
    finally:
        client.close()


def _checked(client: GoogleClient, scope: Scope) -> ScopeCheck:
    problem, may_pass, is_refused = "", False, False
    try:
        scope.call(client, scope.name)
    except NotFound as error:
        problem = {
            "no_mail_service": "The administrator has no mailbox: name one who has.",
            "invalid_grant": f"Google knows no active person {client.customer.admin}.",
        }.get(error.code, str(error))
    except BridgeError as error:
        problem, may_pass = str(error), isinstance(error, Temporary)
        is_refused = error.code in _OF_THE_KEY
    return ScopeCheck(
        scope=scope.name,
        is_needed=scope.is_needed,
        tried=scope.tried,
        off_without=scope.off_without,
        problem=problem,
        may_pass=may_pass,
        is_refused=is_refused,
    )
