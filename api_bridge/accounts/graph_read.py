"""Reads accounts from Graph: rules, grants, ways to sign in, sign-ins, audits, risk.

Sources: learn.microsoft.com/graph/api (mailfolder-list-messagerules, user-list-oauth2permission\
grants, authentication-list-methods, signin-list, directoryaudit-list, riskyuser-list), as of 2026.
What Graph shows nobody: hidden rules, and forwarding that an admin set on the mailbox itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from api_bridge.accounts.shapes import (
    AppGrant,
    RiskyUser,
    SeenAudit,
    SeenSignIn,
    Settings,
    SignInMethod,
)
from api_bridge.accounts.spans import MOST_AT_ONCE, Log, read_in_parts
from api_bridge.connectors import MailboxRule
from api_bridge.connectors.graph.client import (
    LOGS,
    RISKS,
    Ask,
    BatchReply,
    GraphClient,
    entries_of,
    next_link_of,
    path,
)
from api_bridge.connectors.graph.mapping import time_of
from api_bridge.errors import AccessDenied, BridgeError, Unexpected

# Outlook's own rules (contract A.10): nobody made them, and they refuse to be changed.
SYSTEM_RULES = ("Junk E-Mail Rule", "Microsoft.Exchange.OOF")
PARTS = ("rules", "grants", "methods")
_METHODS = {
    "passwordAuthenticationMethod": "password",
    "phoneAuthenticationMethod": "phone",
    "emailAuthenticationMethod": "e-mail",
    "fido2AuthenticationMethod": "security key",
    "microsoftAuthenticatorAuthenticationMethod": "Microsoft Authenticator",
    "softwareOathAuthenticationMethod": "code generator",
    "temporaryAccessPassAuthenticationMethod": "temporary pass",
    "windowsHelloForBusinessAuthenticationMethod": "Windows Hello",
    "platformCredentialAuthenticationMethod": "platform credential",
}
PAGE = "500"
_AUDITED_BY = "Authentication Methods"
# In Microsoft's names of activities (learn.microsoft.com/entra/identity/monitoring-health/
# reference-audit-activities, "User deleted security info" and the like), and the sign of each.
_CHANGES = (
    ("deleted security info", "mfa_removed"),
    ("updated security info", "mfa_added"),
    ("changed default", "mfa_added"),
    ("registered", "mfa_added"),
    ("added", "mfa_added"),
)


@dataclass(slots=True)
class ReadMailbox:
    """``denied``: parts for which the permission is missing; ``failed``: an error by part."""

    settings: Settings
    denied: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


def read_mailboxes(graph: GraphClient, user_ids: Sequence[str]) -> dict[str, ReadMailbox]:
    """All parts of all these, 20 questions to a call.  Raises ``BridgeError`` where the calls as
    such failed.
    """
    asks = [
        Ask(mailbox_id=user_id, path=target)
        for user_id in user_ids
        for target in (
            path("users", user_id, "mailFolders", "inbox", "messageRules"),
            path("users", user_id, "oauth2PermissionGrants"),
            path("users", user_id, "authentication", "methods"),
        )
    ]
    answers = iter(graph.batch(asks))
    return {
        user_id: _put_together(graph, {part: next(answers) for part in PARTS})
        for user_id in user_ids
    }


def _put_together(
    graph: GraphClient, answers: Mapping[str, BatchReply | BridgeError]
) -> ReadMailbox:
    made = ReadMailbox(Settings())
    parts: dict[str, Any] = {}
    readers = {"rules": rules_of, "grants": grants_of, "methods": methods_of}
    for part, answer in answers.items():
        try:
            if isinstance(answer, BridgeError):
                raise answer
            found = entries_of(answer.json())
            if link := next_link_of(answer.json()):  # a part of them would look like a change
                found += [each for page in graph.pages(link) for each in page]
            parts[part] = readers[part](found)
        except AccessDenied:
            made.denied.add(part)
        except BridgeError as error:
            made.failed[part] = str(error)
    made.settings = Settings(**parts)
    return made


def rules_of(entries: Sequence[Mapping[str, Any]]) -> tuple[MailboxRule, ...]:
    """Those that people made.  ``moves_to`` is a folder's id yet (``name_folders``).

    A name is anybody's to choose: Outlook's own are those, too, that nobody can change.
    """
    found = (rule_of(each) for each in entries)
    return tuple(rule for rule in found if not _is_outlooks(rule))


def _is_outlooks(rule: MailboxRule) -> bool:
    is_fixed = rule.definition.get("isReadOnly") is True
    return is_fixed and rule.name.startswith(SYSTEM_RULES)


def rule_of(data: Mapping[str, Any]) -> MailboxRule:
    """Raises ``Unexpected`` for one without an id."""
    actions = _object(data, "actions")
    if not isinstance(data.get("id"), str):
        raise Unexpected("A rule has no id.")
    forwards = [
        address
        for name in ("forwardTo", "forwardAsAttachmentTo", "redirectTo")
        for address in _addresses(actions.get(name))
    ]
    moves_to = str(actions.get("moveToFolder") or "")
    deletes = bool(actions.get("delete") or actions.get("permanentDelete"))
    return MailboxRule(
        id=data["id"],
        name=str(data.get("displayName") or "")[:200],
        criteria=_criteria(_object(data, "conditions")),
        forward_to=tuple(dict.fromkeys(forwards)),
        moves_to=moves_to,
        deletes=deletes,
        skips_inbox=bool(moves_to) or deletes,
        marks_read=bool(actions.get("markAsRead")),
        is_enabled=data.get("isEnabled") is not False,
        definition={name: value for name, value in data.items() if not name.startswith("@odata")},
    )


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _addresses(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else ():
        held = _object(each, "emailAddress") if isinstance(each, dict) else {}
        if isinstance(address := held.get("address"), str) and address:
            yield address.lower()


def _criteria(conditions: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in sorted(conditions.items()):
        if name.startswith("@odata") or value in (None, False, [], ""):
            continue
        if isinstance(value, list):
            people = list(_addresses(value))
            found += [(name, text) for text in people or map(str, value)]
        else:
            found.append((name, str(value)))
    return tuple(found)


def grants_of(entries: Sequence[Mapping[str, Any]]) -> tuple[AppGrant, ...]:
    """``app_id`` is the id of the application's service principal in the client's tenant."""
    return tuple(
        AppGrant(
            id=str(each.get("id") or "")[:300],
            app_id=str(each.get("clientId") or ""),
            scopes=tuple(sorted(str(each.get("scope") or "").split())),
        )
        for each in entries
        if each.get("id")
    )


def methods_of(entries: Sequence[Mapping[str, Any]]) -> tuple[SignInMethod, ...]:
    """The password is no news: everybody has one."""
    found = []
    for each in entries:
        name = str(each.get("@odata.type") or "").rpartition(".")[2]
        if name == "passwordAuthenticationMethod":
            continue
        detail = each.get("phoneNumber") or each.get("emailAddress") or each.get("displayName")
        kind = _METHODS.get(name, name or "unknown")
        found.append(SignInMethod(id=str(each.get("id")), kind=kind, detail=str(detail or "")))
    return tuple(found)


def read_app_names(graph: GraphClient, app_ids: Sequence[str]) -> dict[str, str]:
    """Names of service principals; what cannot be read is left out."""
    asks = [
        Ask(mailbox_id="", path=path("servicePrincipals", each, select="id,displayName"))
        for each in app_ids
    ]
    return _names(app_ids, graph.batch(asks)) if asks else {}


def read_folder_names(graph: GraphClient, user_id: str, ids: Sequence[str]) -> dict[str, str]:
    asks = [
        Ask(mailbox_id=user_id, path=path("users", user_id, "mailFolders", each)) for each in ids
    ]
    return _names(ids, graph.batch(asks)) if asks else {}


def _names(ids: Sequence[str], answers: Sequence[BatchReply | BridgeError]) -> dict[str, str]:
    found = {}
    for each, answer in zip(ids, answers, strict=True):
        if isinstance(answer, BatchReply) and isinstance(answer.body, dict):
            found[each] = str(answer.body.get("displayName") or "")[:200]
    return found


def read_sign_ins(graph: GraphClient, since: datetime) -> tuple[list[SeenSignIn], datetime | None]:
    """Those that succeeded, of everybody, oldest first; and up to when they were read, where there
    are more: None, all were.  Who tries passwords makes many that failed: they count, too.
    """
    target = path(
        "auditLogs",
        "signIns",
        filter=f"createdDateTime ge {_odata_time(since)}",
        orderby="createdDateTime",
        top=PAGE,
    )
    found: list[SeenSignIn] = []
    read, reached = 0, since
    for page in graph.pages(target, slot=LOGS):
        if read >= MOST_AT_ONCE and reached > since:
            return _in_order(found), reached
        found += [each for each in map(sign_in_of, page) if each is not None]
        read += len(page)
        reached = max([reached, *filter(None, map(_at, page))])
    return _in_order(found), None


def _in_order(found: Sequence[SeenSignIn]) -> list[SeenSignIn]:
    return sorted(found, key=lambda each: (each.at, each.external_id))


def _at(data: Mapping[str, Any]) -> datetime | None:
    return time_of(data, "createdDateTime")


def sign_in_of(data: Mapping[str, Any]) -> SeenSignIn | None:
    """None: it failed, or names nobody."""
    at = _at(data)
    failed = _object(data, "status").get("errorCode") not in (0, None)
    if failed or at is None or not data.get("id") or not data.get("userId"):
        return None
    location = _object(data, "location")
    where = _object(location, "geoCoordinates")
    risk = data.get("riskLevelDuringSignIn")
    return SeenSignIn(
        external_id=str(data["id"])[:100],
        user_id=str(data["userId"]).lower(),
        at=at,
        raw=dict(data),
        ip=str(data.get("ipAddress") or "")[:45],
        country=str(location.get("countryOrRegion") or "")[:2].upper(),
        city=str(location.get("city") or "")[:120],
        latitude=_degrees(where.get("latitude")),
        longitude=_degrees(where.get("longitude")),
        app=str(data.get("appDisplayName") or "")[:200],
        risk=str(risk)[:20] if risk not in (None, "none", "hidden") else "",
    )


def _degrees(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -180 <= value <= 180 else None  # type: ignore[arg-type,operator]


def read_audits(
    graph: GraphClient, since: datetime, now: datetime, *, most: int = MOST_AT_ONCE
) -> Log[SeenAudit]:
    """Ways to sign in that were added, changed or taken away, oldest first."""

    def span(start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
        wanted = (
            f"activityDateTime ge {_odata_time(start)} and activityDateTime le {_odata_time(end)}"
            f" and loggedByService eq '{_AUDITED_BY}'"
        )
        target = path("auditLogs", "directoryAudits", filter=wanted, top=PAGE)
        return (each for page in graph.pages(target, slot=LOGS) for each in page)

    log = read_in_parts(span, since, now, most=most)
    found = [each for each in map(audit_of, log.entries) if each is not None]
    return Log(sorted(found, key=lambda e: (e.at, e.external_id)), log.until, log.is_cut)


def audit_of(data: Mapping[str, Any]) -> SeenAudit | None:
    """None: it changed no way to sign in, or it failed."""
    at = time_of(data, "activityDateTime")
    what = str(data.get("activityDisplayName") or "")
    code = next((code for word, code in _CHANGES if word in what.lower()), "")
    if at is None or not data.get("id") or not code or data.get("result") not in ("success", None):
        return None
    targets = data.get("targetResources")
    by = _object(_object(data, "initiatedBy"), "user")
    return SeenAudit(
        external_id=str(data["id"])[:100],
        user_ids=tuple(
            str(each["id"]).lower()
            for each in (targets if isinstance(targets, list) else ())
            if isinstance(each, dict) and each.get("type") == "User" and each.get("id")
        ),
        at=at,
        what=what[:200],
        by=str(by.get("userPrincipalName") or "")[:200],
        raw=dict(data),
        code=code,
    )


def read_risky_users(graph: GraphClient) -> tuple[list[RiskyUser], bool]:
    """Those whom Microsoft holds at risk now, medium or high.  False: there are more."""
    target = path("identityProtection", "riskyUsers", filter="riskState eq 'atRisk'", top=PAGE)
    found: list[RiskyUser] = []
    read = 0
    for page in graph.pages(target, slot=RISKS):
        if read >= MOST_AT_ONCE:
            return found, False
        read += len(page)
        found += [each for each in map(_risky_user, page) if each is not None]
    return found, True


def _risky_user(data: Mapping[str, Any]) -> RiskyUser | None:
    at = time_of(data, "riskLastUpdatedDateTime")
    if data.get("riskLevel") not in ("medium", "high") or not at or not data.get("id"):
        return None
    return RiskyUser(
        user_id=str(data["id"]).lower(),
        level=str(data["riskLevel"]),
        at=at,
        detail=str(data.get("riskDetail") or ""),
        raw=dict(data),
    )


def _odata_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
