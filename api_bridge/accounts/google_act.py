"""What a step does to an account at Google, and how it is read back.  Never inside a scope.

Sources: discovery documents admin.directory_v1 (users.update, users.signOut, tokens), gmail.v1
(users.settings) and admin.reports_v1; developers.google.com/workspace/admin/reports/v1/appendix/
activity/admin-user-settings (RESET_SIGNIN_COOKIES), read 2026-11-30.  A suspended person's mailbox
answers nobody: filters, forwarding and delegates must be changed before, or after she is let in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from api_bridge.accounts.acting import Sight, Task, not_shown
from api_bridge.accounts.google_read import google_time
from api_bridge.accounts.models import AccountStep
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google import units
from api_bridge.connectors.google.client import entries_of, path, text_of
from api_bridge.connectors.google.mapping import time_of
from api_bridge.connectors.google.two_accounts import AccountCalls
from api_bridge.errors import NotFound, Rejected
from incidents.mail.addresses import normal_address

Kind = AccountStep.Kind
# Google's clock and ours may differ by so much.
SKEW = timedelta(seconds=60)
_LOGGED_AS = "RESET_SIGNIN_COOKIES"
_SUSPENDED = (
    "Google opens no mailbox of a suspended person. Switch signing in on again first, or take this"
    " step in the Admin console."
)


class GoogleHand:
    """Each step by the scope of its own, and by the account that scope was delegated to."""

    def __init__(self, client: AccountCalls) -> None:
        self._client = client

    def read(self, task: Task) -> Sight:
        try:
            return _READ[task.kind](self._client, task)
        except NotFound as error:
            raise _of_suspended(error, task) from error

    def call(self, task: Task) -> None:
        try:
            _CALL[task.kind](self._client, task)
        except NotFound as error:
            raise _of_suspended(error, task) from error


def _of_suspended(error: NotFound, task: Task) -> NotFound | Rejected:
    """A token for a suspended person is refused as if nobody had that name."""
    if error.code == "invalid_grant" and task.kind in _IN_MAILBOX:
        return Rejected(_SUSPENDED, code=error.code, status=error.status)
    return error


# --- the account


def _user(client: AccountCalls, task: Task) -> Mapping[str, Any]:
    return client.directory(path("users", task.user_id))


def _set(client: AccountCalls, task: Task, **changes: bool) -> None:
    # It sets what is wanted, so repeating it changes nothing more.
    client.change(
        "PUT", path("users", task.user_id), scope=scopes.CHANGE_USERS, body=changes, is_safe=True
    )


def _read_enabled(client: AccountCalls, task: Task) -> Sight:
    user = _user(client, task)
    is_on = user.get("suspended") is not True
    why = text_of(user, "suspensionReason")
    words = "The account is not suspended."
    if not is_on:
        words = f"The account is suspended{f' ({why})' if why else ''}."
    return Sight(is_on is (task.kind == Kind.ENABLE), words, {"suspended": not is_on})


def _set_enabled(client: AccountCalls, task: Task) -> None:
    _set(client, task, suspended=task.kind == Kind.DISABLE)


def _read_password(client: AccountCalls, task: Task) -> Sight:
    asked = _user(client, task).get("changePasswordAtNextLogin") is True
    words = "The next sign-in asks for a new password."
    return Sight(asked, words if asked else "No new password is asked for.")


def _ask_password(client: AccountCalls, task: Task) -> None:
    _set(client, task, changePasswordAtNextLogin=True)


def _read_sessions(client: AccountCalls, task: Task) -> Sight:
    """The directory does not say since when sessions count; the administrators' log names who ended
    them.  Proof is a record that came by the call: in the name of the administrator as whom we act,
    not there before, and no older than the call.
    """
    since = (task.called_at or timezone.now()) - timedelta(hours=1)
    records = _ended(client, task.user_id, since)
    if task.called_at is None:
        return Sight(False, "Not ordered yet.", {"known": sorted(records)})
    known = set(task.before.get("known", ()))
    new = [
        at
        for record, (at, by) in records.items()
        if record not in known and by == client.customer.admin and at >= task.called_at - SKEW
    ]
    if new:
        said = f"{min(new):%H:%M:%S} (UTC)"
        return Sight(True, f"Google's log says that its sessions were ended at {said}.")
    words = "Google's log does not show yet that its sessions were ended."
    return not_shown(task, timezone.now(), words)


def _ended(client: AccountCalls, user_id: str, since: datetime) -> dict[str, tuple[datetime, str]]:
    """When, and by whom, by the record's own name."""

    def ask(token: str) -> Mapping[str, Any]:
        return client.reports(
            path(
                *("activity", "users", "all", "applications", "admin"),
                eventName=_LOGGED_AS,
                filters=f"USER_EMAIL=={user_id}",
                startTime=google_time(since),
                pageToken=token,
            )
        )

    found = {}
    for each in client.pages(ask, "items"):
        named, actor = each.get("id"), each.get("actor")
        named = named if isinstance(named, dict) else {}
        at = time_of(text_of(named, "time"))
        if at is not None:
            by = text_of(actor, "email") if isinstance(actor, dict) else ""
            record = f"{text_of(named, 'time')}/{text_of(named, 'uniqueQualifier')}"
            found[record] = (at, normal_address(by))
    return found


def _end_sessions(client: AccountCalls, task: Task) -> None:
    # Not to be repeated: what one call did must be told from what another did.
    client.change("POST", path("users", task.user_id, "signOut"), scope=scopes.USER_SECURITY)


# --- applications


def _read_grant(client: AccountCalls, task: Task) -> Sight:
    listed = client.directory(path("users", task.user_id, "tokens"), scope=scopes.USER_SECURITY)
    kept = [e for e in entries_of(listed, "items") if text_of(e, "clientId") == task.target]
    if not kept:
        return Sight(True, "The application may no longer act for this person.")
    return Sight(False, "The application may still act for this person.", dict(kept[0]))


def _drop_grant(client: AccountCalls, task: Task) -> None:
    target = path("users", task.user_id, "tokens", task.target)
    client.change("DELETE", target, scope=scopes.USER_SECURITY, is_safe=True)


# --- what the mailbox does by itself


def _get(client: AccountCalls, task: Task, name: str) -> dict[str, Any]:
    target = path("settings", name)
    return client.mail("GET", task.user_id, target, cost=units.READ_SETTING).json()


def _change(
    client: AccountCalls,
    task: Task,
    method: str,
    target: str,
    scope: str,
    body: Mapping[str, Any] | None = None,
    *,
    is_safe: bool = True,
) -> None:
    cost = units.CHANGE_SETTING
    client.mail(method, task.user_id, target, cost=cost, body=body, is_safe=is_safe, scope=scope)


def _filter(data: Mapping[str, Any]) -> tuple[Any, Any]:
    """What makes two filters the same: neither a filter's name nor the order of labels counts."""
    action = data.get("action")
    action = action if isinstance(action, dict) else {}
    sorted_action = {
        name: sorted(value) if isinstance(value, list) else value for name, value in action.items()
    }
    return data.get("criteria"), sorted_action


def _filters(client: AccountCalls, task: Task) -> list[Mapping[str, Any]]:
    return entries_of(_get(client, task, "filters"), "filter")


def _read_filter_off(client: AccountCalls, task: Task) -> Sight:
    kept = [each for each in _filters(client, task) if text_of(each, "id") == task.target]
    if not kept:
        return Sight(True, "The filter is not there any more.")
    return Sight(False, "The filter is there.", dict(kept[0]))


def _drop_filter(client: AccountCalls, task: Task) -> None:
    target = path("settings", "filters", task.target)
    _change(client, task, "DELETE", target, scopes.SETTINGS_BASIC)


def _read_filter_on(client: AccountCalls, task: Task) -> Sight:
    wanted = _filter(task.before)
    is_there = any(_filter(each) == wanted for each in _filters(client, task))
    return Sight(is_there, f"The filter is {'there' if is_there else 'not there'}.")


def _make_filter(client: AccountCalls, task: Task) -> None:
    if not task.before:
        raise Rejected("What the filter was is not known, so it cannot be made anew.")
    kept = ("criteria", "action")
    body: dict[str, Any] = {name: task.before[name] for name in kept if name in task.before}
    target = path("settings", "filters")
    # Not safe to repeat: after a lost answer the list of filters is read.
    _change(client, task, "POST", target, scopes.SETTINGS_BASIC, body, is_safe=False)


def _forwarding(data: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(data.get(name) for name in ("enabled", "emailAddress", "disposition"))


def _read_forwarding_off(client: AccountCalls, task: Task) -> Sight:
    found = _get(client, task, "autoForwarding")
    is_off = found.get("enabled") is not True
    words = "Mail is not passed on." if is_off else f"Mail goes on to {found.get('emailAddress')}."
    return Sight(is_off, words, found)


def _read_forwarding_on(client: AccountCalls, task: Task) -> Sight:
    found = _get(client, task, "autoForwarding")
    is_back = _forwarding(found) == _forwarding(task.before)
    return Sight(is_back, f"Mail {'goes on again' if is_back else 'is not passed on'} as before.")


def _set_forwarding(client: AccountCalls, task: Task) -> None:
    is_off = task.kind == Kind.FORWARDING_OFF
    if not is_off and not task.before:
        raise Rejected("What was passed on is not known, so it cannot be put back.")
    body = {"enabled": False} if is_off else task.before
    target = path("settings", "autoForwarding")
    _change(client, task, "PUT", target, scopes.SETTINGS_SHARING, body)


def _read_delegate(client: AccountCalls, task: Task) -> Sight:
    listed = entries_of(_get(client, task, "delegates"), "delegates")
    kept = [each for each in listed if text_of(each, "delegateEmail").lower() == task.target]
    is_there = bool(kept)
    words = f"{task.target} {'may' if is_there else 'may not'} open this mailbox."
    is_wanted = task.kind == Kind.ADD_DELEGATE
    return Sight(is_there is is_wanted, words, dict(kept[0]) if kept else {})


def _drop_delegate(client: AccountCalls, task: Task) -> None:
    target = path("settings", "delegates", task.target)
    _change(client, task, "DELETE", target, scopes.SETTINGS_SHARING)


def _add_delegate(client: AccountCalls, task: Task) -> None:
    body = {"delegateEmail": task.target}
    target = path("settings", "delegates")
    _change(client, task, "POST", target, scopes.SETTINGS_SHARING, body, is_safe=False)


_READ: dict[str, Callable[[AccountCalls, Task], Sight]] = {
    Kind.REVOKE_SESSIONS: _read_sessions,
    Kind.DISABLE: _read_enabled,
    Kind.ENABLE: _read_enabled,
    Kind.NEW_PASSWORD: _read_password,
    Kind.REVOKE_GRANT: _read_grant,
    Kind.DISABLE_RULE: _read_filter_off,
    Kind.ENABLE_RULE: _read_filter_on,
    Kind.FORWARDING_OFF: _read_forwarding_off,
    Kind.FORWARDING_ON: _read_forwarding_on,
    Kind.REMOVE_DELEGATE: _read_delegate,
    Kind.ADD_DELEGATE: _read_delegate,
}
_CALL: dict[str, Callable[[AccountCalls, Task], None]] = {
    Kind.REVOKE_SESSIONS: _end_sessions,
    Kind.DISABLE: _set_enabled,
    Kind.ENABLE: _set_enabled,
    Kind.NEW_PASSWORD: _ask_password,
    Kind.REVOKE_GRANT: _drop_grant,
    Kind.DISABLE_RULE: _drop_filter,
    Kind.ENABLE_RULE: _make_filter,
    Kind.FORWARDING_OFF: _set_forwarding,
    Kind.FORWARDING_ON: _set_forwarding,
    Kind.REMOVE_DELEGATE: _drop_delegate,
    Kind.ADD_DELEGATE: _add_delegate,
}
_IN_MAILBOX = frozenset(
    {
        *(Kind.DISABLE_RULE, Kind.ENABLE_RULE, Kind.FORWARDING_OFF, Kind.FORWARDING_ON),
        *(Kind.REMOVE_DELEGATE, Kind.ADD_DELEGATE),
    }
)
