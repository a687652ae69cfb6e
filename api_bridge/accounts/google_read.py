"""Reads accounts from Google: what its logs say of them, their applications, the directory's word.

Sources: discovery documents admin.reports_v1 and admin.directory_v1 (2026); developers.google.com/
workspace/admin/reports/v1/appendix/activity (login, user-accounts, token, admin-user-settings) and
support.google.com/a/answer/7061566 (lag times), read 2026-11-30.  What Google shows nobody: where
on earth a sign-in was (a country and its part are told), and delegates' own sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api_bridge.accounts.shapes import AccountState, AppGrant, SeenAudit, SeenSignIn, grant_key
from api_bridge.accounts.spans import MOST_AT_ONCE, Log, read_in_parts
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google.client import entries_of, path, text_of
from api_bridge.connectors.google.mapping import time_of
from api_bridge.connectors.google.two_accounts import AccountCalls
from incidents.mail.addresses import normal_address

Activity = Mapping[str, Any]
# How late Google says that a log may be ("couple of minutes", "up to a few hours"), doubled.
# Rarely it is later still, up to days: what comes then is not seen.
LATE = {
    "login": timedelta(hours=6),
    "user_accounts": timedelta(hours=6),
    "token": timedelta(hours=6),
    "admin": timedelta(hours=1),
    "gmail": timedelta(hours=6),
}
# Of applications' tokens only what was granted: each use of one is an event, too.
ONLY = {"token": "authorize"}
PAGE = "1000"
SOURCE = "Google's audit log"


def read_log(
    client: AccountCalls,
    application: str,
    since: datetime,
    now: datetime,
    *,
    most: int = MOST_AT_ONCE,
    filters: str = "",
) -> Log[Activity]:
    """Raises ``BridgeError``."""

    def span(start: datetime, end: datetime) -> Iterator[Activity]:
        def ask(token: str) -> Mapping[str, Any]:
            return client.reports(
                path(
                    *("activity", "users", "all", "applications", application),
                    startTime=google_time(start),
                    endTime=google_time(max(end, start + timedelta(seconds=1))),
                    eventName=ONLY.get(application, ""),
                    filters=filters,
                    maxResults=PAGE,
                    pageToken=token,
                )
            )

        return client.pages(ask, "items")

    return read_in_parts(span, since, now, most=most)


def google_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- sign-ins


def sign_ins_of(activities: Sequence[Activity]) -> list[SeenSignIn]:
    """Those that succeeded, oldest first."""
    found = [each for each in map(_sign_in, activities) if each is not None]
    return sorted(found, key=lambda each: (each.at, each.external_id))


def _sign_in(activity: Activity) -> SeenSignIn | None:
    events = [e for e in entries_of(activity, "events") if e.get("name") == "login_success"]
    at, who = activity_at(activity), actor_of(activity)
    if not events or at is None or not who:
        return None
    network = activity.get("networkInfo")
    where = network if isinstance(network, dict) else {}
    said = parameters(events[0])
    return SeenSignIn(
        external_id=f"{google_time(at)}/{activity_id(activity, 'uniqueQualifier')}"[:100],
        user_id=who,
        at=at,
        raw=dict(activity),
        ip=text_of(activity, "ipAddress")[:45],
        country=text_of(where, "regionCode")[:2].upper(),
        city=text_of(where, "subdivisionCode").rpartition("-")[2][:120],
        app=_LOGIN_TYPES.get(str(said.get("login_type", "")), ""),
        risk="suspicious" if said.get("is_suspicious") is True else "",
    )


_LOGIN_TYPES = {
    "google_password": "a Google password",
    "saml": "the company's own sign-in (SAML)",
    "exchange": "a session that was there",
    "reauth": "a password asked for again",
}


# --- what speaks for other hands


def audits_of(activities: Sequence[Activity]) -> list[SeenAudit]:
    """Oldest first, each once: some events stand in two logs."""
    found = {
        audit.external_id: audit
        for activity in activities
        for event in entries_of(activity, "events")
        if (audit := _audit(activity, event)) is not None
    }
    return sorted(found.values(), key=lambda each: (each.at, each.external_id))


@dataclass(frozen=True, slots=True)
class _Kind:
    """``key``: what makes two of them the same sign, "": each is its own."""

    code: str
    words: str
    key: Callable[[Mapping[str, Any], datetime], str] = lambda said, at: ""


def _day(said: Mapping[str, Any], at: datetime) -> str:
    return f"blocked:{at:%Y-%m-%d}"


def _forwarded(said: Mapping[str, Any], at: datetime) -> str:
    return f"forwarding:{_forwarded_to(said)}"


def _forwarded_to(said: Mapping[str, Any]) -> str:
    address = str(said.get("email_forwarding_destination_address", "")).strip()
    return normal_address(address) or address.lower()


_RISK, _BLOCKED = "risky_user", "blocked_sign_in"
_ADDED, _REMOVED, _RECOVERY = "mfa_added", "mfa_removed", "recovery_changed"
EVENTS = {
    "2sv_enroll": _Kind(_ADDED, "2-step verification was set up"),
    "passkey_enrolled": _Kind(_ADDED, "A passkey was added"),
    "GENERATE_2SV_SCRATCH_CODES": _Kind(_ADDED, "Backup codes for 2-step verification were made"),
    "SECURITY_KEY_REGISTERED_FOR_USER": _Kind(_ADDED, "A security key was added"),
    "2sv_disable": _Kind(_REMOVED, "2-step verification was switched off"),
    "TURN_OFF_2_STEP_VERIFICATION": _Kind(_REMOVED, "2-step verification was switched off"),
    "titanium_unenroll": _Kind(_REMOVED, "Advanced Protection was left"),
    "UNENROLL_USER_FROM_TITANIUM": _Kind(_REMOVED, "Advanced Protection was left"),
    "recovery_email_edit": _Kind(_RECOVERY, "The recovery address was changed"),
    "recovery_phone_edit": _Kind(_RECOVERY, "The recovery phone was changed"),
    "recovery_secret_qa_edit": _Kind(_RECOVERY, "The recovery question was changed"),
    "ADD_RECOVERY_EMAIL": _Kind(_RECOVERY, "A recovery address was added"),
    "CHANGE_RECOVERY_EMAIL": _Kind(_RECOVERY, "The recovery address was changed"),
    "ADD_RECOVERY_PHONE": _Kind(_RECOVERY, "A recovery phone was added"),
    "CHANGE_RECOVERY_PHONE": _Kind(_RECOVERY, "The recovery phone was changed"),
    "suspicious_login": _Kind(_BLOCKED, "Google blocked a suspicious sign-in", _day),
    "suspicious_login_less_secure_app": _Kind(
        _BLOCKED, "Google blocked a suspicious sign-in by a less secure app", _day
    ),
    "suspicious_programmatic_login": _Kind(
        _BLOCKED, "Google blocked a suspicious sign-in by a program", _day
    ),
    "account_disabled_hijacked": _Kind(_RISK, "Google suspended it: it seems to be hijacked"),
    "account_disabled_password_leak": _Kind(
        _RISK, "Google disabled it: somebody else knows its password"
    ),
    "account_disabled_spamming": _Kind(_RISK, "Google suspended it: it sent spam"),
    "account_disabled_spamming_through_relay": _Kind(
        _RISK, "Google suspended it: it sent spam through a relay"
    ),
    "gov_attack_warning": _Kind(_RISK, "Google believes that a government's attackers want in"),
    "user_signed_out_due_to_suspicious_session_cookie": _Kind(
        _RISK, "Google ended a session whose cookie seemed to be stolen"
    ),
    "email_forwarding_out_of_domain": _Kind(
        "forward_outside", "Forwarding to outside was set up", _forwarded
    ),
}


def _audit(activity: Activity, event: Mapping[str, Any]) -> SeenAudit | None:
    name, at = text_of(event, "name"), activity_at(activity)
    said = parameters(event)
    if at is None:
        return None
    if name == "authorize":
        return _grant_audit(activity, said, at)
    kind = EVENTS.get(name)
    whom = said.get("affected_email_address") or said.get("USER_EMAIL") or actor_of(activity)
    who = normal_address(str(whom))
    if kind is None or not who:
        return None
    by = actor_of(activity)
    to = _forwarded_to(said) if kind.code == "forward_outside" else ""
    if kind.code == "forward_outside" and not to:
        return None  # the mailbox's own settings will tell
    return SeenAudit(
        external_id=f"{name}/{google_time(at)}/{who}"[:150],
        user_ids=(who,),
        at=at,
        what=f"{kind.words}: {to}" if to else kind.words,
        by="" if by == who else by,
        raw=dict(activity),
        code=kind.code,
        key=kind.key(said, at),
        source=SOURCE,
        domain=to.rpartition("@")[2],
    )


def _grant_audit(activity: Activity, said: Mapping[str, Any], at: datetime) -> SeenAudit | None:
    """None: the application may not touch mail."""
    who, app = actor_of(activity), str(said.get("client_id", ""))
    given = said.get("scope")
    listed = tuple(sorted(map(str, given))) if isinstance(given, list) else ()
    grant = AppGrant(id=app, app_id=app, app_name=str(said.get("app_name", "")), scopes=listed)
    if not who or not app or not grant.mail_scopes:
        return None
    named = f"“{grant.app_name or app}”"
    return SeenAudit(
        external_id=f"authorize/{google_time(at)}/{who}/{app}"[:150],
        user_ids=(who,),
        at=at,
        what=f"Application {named} was given {', '.join(grant.mail_scopes)}",
        by="",
        raw=dict(activity),
        code="mail_grant",
        key=grant_key(app, grant.mail_scopes),
        source=SOURCE,
    )


def parameters(event: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name: a text, a truth, or a list of texts.  What stands within a message has its
    full name, like ``event_info.mail_event_type``.
    """
    found: dict[str, Any] = {}
    waiting = [("", entries_of(event, "parameters"))]
    while waiting:
        head, said = waiting.pop()
        for each in said:
            name, inner = f"{head}{text_of(each, 'name')}", each.get("messageValue")
            if isinstance(inner, dict):
                waiting.append((f"{name}.", entries_of(inner, "parameter")))
            for field in ("value", "boolValue", "multiValue", "intValue"):
                if field in each:
                    found[name] = each[field]
    return found


def activity_at(activity: Activity) -> datetime | None:
    return time_of(activity_id(activity, "time"))


def activity_id(activity: Activity, name: str) -> str:
    named = activity.get("id")
    return text_of(named, name) if isinstance(named, dict) else ""


def actor_of(activity: Activity) -> str:
    """In small letters, as mailboxes of Google are named; "" where it is no person."""
    actor = activity.get("actor")
    return normal_address(text_of(actor, "email")) if isinstance(actor, dict) else ""


# --- what stands now


def read_grants(client: AccountCalls, user_id: str) -> tuple[AppGrant, ...]:
    """Applications that she let in.  Raises ``BridgeError``."""
    data = client.directory(path("users", user_id, "tokens"), scope=scopes.USER_SECURITY)
    return tuple(
        AppGrant(
            id=text_of(each, "clientId")[:300],
            app_id=text_of(each, "clientId"),
            app_name=text_of(each, "displayText")[:200],
            scopes=tuple(sorted(_texts(each.get("scopes")))),
        )
        for each in entries_of(data, "items")
        if text_of(each, "clientId")
    )


def _texts(value: object) -> Iterator[str]:
    return (each for each in (value if isinstance(value, list) else ()) if isinstance(each, str))


def read_state(client: AccountCalls, user_id: str) -> AccountState:
    """Raises ``BridgeError``."""
    return state_of(client.directory(path("users", user_id)))


def state_of(user: Mapping[str, Any]) -> AccountState:
    return AccountState(
        is_suspended=user.get("suspended") is True,
        why_suspended=text_of(user, "suspensionReason")[:100],
        has_two_steps=user.get("isEnrolledIn2Sv") is True,
        is_admin=user.get("isAdmin") is True or user.get("isDelegatedAdmin") is True,
        recovery_email=text_of(user, "recoveryEmail")[:320],
        recovery_phone=text_of(user, "recoveryPhone")[:40],
    )
