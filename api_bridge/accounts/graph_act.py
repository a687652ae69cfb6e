"""What a step does to an account by Graph, and how it is read back.  Never inside a scope.

Contract A.10, and learn.microsoft.com/graph/api (user-revokesigninsessions, user-update,
messagerule-update, oauth2permissiongrant-delete), as of 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils import timezone

from api_bridge.accounts.acting import Sight, Task, not_shown
from api_bridge.accounts.models import AccountStep
from api_bridge.connectors.graph.client import GraphClient, path
from api_bridge.connectors.graph.mapping import time_of
from api_bridge.errors import NotFound, Rejected

Kind = AccountStep.Kind
_NOT_SENT_BACK = frozenset({"id", "hasError", "isReadOnly"})


class GraphHand:
    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    def read(self, task: Task) -> Sight:
        return _READ[task.kind](self._graph, task)

    def call(self, task: Task) -> None:
        _CALL[task.kind](self._graph, task)


def _user(graph: GraphClient, task: Task) -> Mapping[str, Any]:
    names = "id,accountEnabled,signInSessionsValidFromDateTime"
    if task.kind == Kind.NEW_PASSWORD:
        names += ",passwordProfile"
    return graph.call("GET", path("users", task.user_id, select=names)).json()


def _patch_user(graph: GraphClient, task: Task, body: Mapping[str, Any]) -> None:
    # It sets what is wanted, so repeating it changes nothing more.
    graph.call("PATCH", path("users", task.user_id), body=body, is_safe=True)


# --- sessions, signing in, password


_VALID_FROM = "signInSessionsValidFromDateTime"


def _read_sessions(graph: GraphClient, task: Task) -> Sight:
    """Proof is a time that has moved since the call: one that stood before it is another's."""
    user = _user(graph, task)
    said = str(user.get(_VALID_FROM) or "")
    if task.called_at is None:
        return Sight(False, "Not ordered yet.", {_VALID_FROM: said})
    at, was = time_of(user, _VALID_FROM), time_of(task.before, _VALID_FROM)
    if at is not None and (was is None or at > was):
        return Sight(True, f"Sessions from before {at:%H:%M:%S on %-d %B} (UTC) count no more.")
    return not_shown(task, timezone.now(), f"Sessions since {said or 'ever'} still count.")


def _end_sessions(graph: GraphClient, task: Task) -> None:
    # Not to be repeated: what one call did must be told from what another did.
    graph.call("POST", path("users", task.user_id, "revokeSignInSessions"))


def _read_enabled(graph: GraphClient, task: Task) -> Sight:
    is_on = _user(graph, task).get("accountEnabled") is True
    words = "Signing in is on." if is_on else "Signing in is off."
    return Sight(is_on is (task.kind == Kind.ENABLE), words, {"accountEnabled": is_on})


def _set_enabled(graph: GraphClient, task: Task) -> None:
    _patch_user(graph, task, {"accountEnabled": task.kind == Kind.ENABLE})


def _read_password(graph: GraphClient, task: Task) -> Sight:
    profile = _user(graph, task).get("passwordProfile")
    asked = isinstance(profile, dict) and profile.get("forceChangePasswordNextSignIn") is True
    words = "The next sign-in asks for a new password."
    return Sight(asked, words if asked else "No new password is asked for.")


def _ask_password(graph: GraphClient, task: Task) -> None:
    _patch_user(graph, task, {"passwordProfile": {"forceChangePasswordNextSignIn": True}})


# --- rules


def _rule_path(task: Task, rule_id: str = "") -> str:
    parts = ("users", task.user_id, "mailFolders", "inbox", "messageRules")
    return path(*parts, rule_id) if rule_id else path(*parts)


def _rule(graph: GraphClient, task: Task) -> dict[str, Any] | None:
    try:
        found = graph.call("GET", _rule_path(task, task.target), mailbox_id=task.user_id)
    except NotFound:
        return None
    return found.json()


def _read_rule_off(graph: GraphClient, task: Task) -> Sight:
    rule = _rule(graph, task)
    if rule is None:
        return Sight(True, "The rule is not there any more.")
    is_off = rule.get("isEnabled") is False
    return Sight(is_off, f"The rule is switched {'off' if is_off else 'on'}.", rule)


def _rule_off(graph: GraphClient, task: Task) -> None:
    target = _rule_path(task, task.target)
    body = {"isEnabled": False}
    graph.call("PATCH", target, mailbox_id=task.user_id, body=body, is_safe=True)


def _read_rule_on(graph: GraphClient, task: Task) -> Sight:
    rule = _rule(graph, task) or _twin(graph, task)
    if rule is None:
        return Sight(False, "The rule is not there.")
    is_on = rule.get("isEnabled") is not False
    return Sight(is_on, f"The rule is switched {'on' if is_on else 'off'}.", rule)


def _twin(graph: GraphClient, task: Task) -> dict[str, Any] | None:
    """The rule as it was made anew from what was kept: its id is another then."""
    rows = graph.call("GET", _rule_path(task), mailbox_id=task.user_id).json().get("value")
    same = ("displayName", "conditions", "actions", "exceptions")
    for each in rows if isinstance(rows, list) else ():
        if isinstance(each, dict) and all(each.get(n) == task.before.get(n) for n in same):
            return each
    return None


def _rule_on(graph: GraphClient, task: Task) -> None:
    if _rule(graph, task) is not None:
        target = _rule_path(task, task.target)
        body: dict[str, Any] = {"isEnabled": True}
        graph.call("PATCH", target, mailbox_id=task.user_id, body=body, is_safe=True)
        return
    if not task.before:
        raise Rejected("What the rule was is not known, so it cannot be made anew.")
    kept = {
        name: value
        for name, value in task.before.items()
        if name not in _NOT_SENT_BACK and not name.startswith("@odata")
    }
    # Not safe to repeat: after a lost answer the list of rules is read.
    body = {**kept, "isEnabled": True}
    graph.call("POST", _rule_path(task), mailbox_id=task.user_id, body=body)


# --- grants


def _read_grant(graph: GraphClient, task: Task) -> Sight:
    try:
        grant = graph.call("GET", path("oauth2PermissionGrants", task.target)).json()
    except NotFound:
        return Sight(True, "The application may no longer act for this person.")
    return Sight(False, "The application may still act for this person.", grant)


def _drop_grant(graph: GraphClient, task: Task) -> None:
    graph.call("DELETE", path("oauth2PermissionGrants", task.target), is_safe=True)


_READ: dict[str, Callable[[GraphClient, Task], Sight]] = {
    Kind.REVOKE_SESSIONS: _read_sessions,
    Kind.DISABLE: _read_enabled,
    Kind.ENABLE: _read_enabled,
    Kind.NEW_PASSWORD: _read_password,
    Kind.DISABLE_RULE: _read_rule_off,
    Kind.ENABLE_RULE: _read_rule_on,
    Kind.REVOKE_GRANT: _read_grant,
}
_CALL: dict[str, Callable[[GraphClient, Task], None]] = {
    Kind.REVOKE_SESSIONS: _end_sessions,
    Kind.DISABLE: _set_enabled,
    Kind.ENABLE: _set_enabled,
    Kind.NEW_PASSWORD: _ask_password,
    Kind.DISABLE_RULE: _rule_off,
    Kind.ENABLE_RULE: _rule_on,
    Kind.REVOKE_GRANT: _drop_grant,
}
