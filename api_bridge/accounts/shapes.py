"""A mailbox's settings and what happened to its account, in words of no provider.  Pure.

Field words of rules, forwarding and delegates are those of ``api_bridge.connectors``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from api_bridge.connectors import Delegate, Forwarding, MailboxRule

# Scopes that let an application read or send mail, or change what the mailbox does with it.
MAIL_SCOPES = (
    *("mail.", "mail_", "mailboxsettings.", "ews.", "imap.", "pop.", "smtp."),
    *("https://mail.google.com/", "https://www.googleapis.com/auth/gmail."),
)
# Whoever holds such a grant keeps its access when the password is changed.
_STAYS = "offline_access"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppGrant:
    """An application that may act as this person.  ``scopes``: sorted, in its words."""

    id: str
    app_id: str
    app_name: str = ""
    scopes: tuple[str, ...] = ()

    @property
    def mail_scopes(self) -> tuple[str, ...]:
        return tuple(each for each in self.scopes if each.lower().startswith(MAIL_SCOPES))

    @property
    def stays(self) -> bool:
        return _STAYS in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInMethod:
    """A way to prove who one is; ``kind`` in plain words."""

    id: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """What a directory says of an account as it stands.  ``has_two_steps``: a password alone does
    not let in.
    """

    is_suspended: bool = False
    why_suspended: str = ""
    has_two_steps: bool = False
    is_admin: bool = False
    recovery_email: str = ""
    recovery_phone: str = ""


_PARTS = ("rules", "delegates", "grants", "methods", "state")
_LISTS = ("rules", "delegates", "grants", "methods")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All parts of which something is known; None: that part could not be read.  Of forwarding None
    is "no address", too, unless ``knows_forwarding`` is False.
    """

    rules: tuple[MailboxRule, ...] | None = None
    forwarding: Forwarding | None = None
    delegates: tuple[Delegate, ...] | None = None
    grants: tuple[AppGrant, ...] | None = None
    methods: tuple[SignInMethod, ...] | None = None
    state: AccountState | None = None
    knows_forwarding: bool = True

    def completed(self, before: Self | None) -> Self:
        """A part that could not be read this time stays as it was: nothing has "gone"."""
        if before is None:
            return self
        kept = {name: getattr(before, name) for name in _PARTS if getattr(self, name) is None}
        if not self.knows_forwarding:
            kept |= {"forwarding": before.forwarding}
        return replace(self, **kept, knows_forwarding=True)

    def as_json(self) -> dict[str, Any]:
        """Sorted, so that equal settings are equal text."""
        data = asdict(self)
        del data["knows_forwarding"]
        if self.state is None:
            del data["state"]  # as those were kept that were taken before it was looked at
        for name in _LISTS:
            if data[name] is not None:
                data[name] = sorted(data[name], key=lambda each: str(each.get("id", each)))
        return data

    @property
    def digest(self) -> str:
        return digest_of(self.as_json())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Of ``as_json``, as a database gives it back."""
        forwarding = data.get("forwarding")
        return cls(
            rules=_each(data, "rules", _rule),
            forwarding=Forwarding(**forwarding) if forwarding else None,
            delegates=_each(data, "delegates", lambda each: Delegate(**each)),
            grants=_each(data, "grants", _grant),
            methods=_each(data, "methods", lambda each: SignInMethod(**each)),
            state=AccountState(**data["state"]) if data.get("state") else None,
        )


def digest_of(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def grant_key(app_id: str, scopes: Sequence[str]) -> str:
    """Of the sign that an application was given these scopes, whoever tells of it."""
    return f"grant:{app_id}:{digest_of(list(scopes))[:16]}"


def rule_digest(rule: MailboxRule) -> str:
    """Of what it does and whether it does it; its name and place in the order do not count."""
    return digest_of(
        [rule.criteria, rule.forward_to, rule.moves_to, rule.deletes, rule.skips_inbox]
    )[:16]


def _each(data: Mapping[str, Any], name: str, made: Any) -> Any:
    rows = data.get(name)
    return None if rows is None else tuple(made(each) for each in rows)


def _rule(data: Mapping[str, Any]) -> MailboxRule:
    criteria = tuple((str(name), str(value)) for name, value in data["criteria"])
    plain = {**data, "criteria": criteria, "forward_to": tuple(data["forward_to"])}
    return MailboxRule(**plain)


def _grant(data: Mapping[str, Any]) -> AppGrant:
    return AppGrant(**{**data, "scopes": tuple(data["scopes"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSignIn:
    """One sign-in that succeeded.  Fields as in ``models.SignIn``; ``raw`` as it came."""

    external_id: str
    user_id: str
    at: datetime
    raw: dict[str, Any]
    ip: str = ""
    country: str = ""
    city: str = ""
    latitude: float | None = None
    longitude: float | None = None
    app: str = ""
    risk: str = ""

    @property
    def place(self) -> str:
        return ", ".join(filter(None, (self.city, self.country))) or "an unknown place"


DIRECTORY_AUDITS = "Directory audits"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAudit:
    """Something that was logged of an account, most often how somebody proves who she is.

    ``user_ids``: whose.  ``code``: of the sign.  ``key``: what makes two of them the same sign, "":
    each is its own.  ``domain``: it is no sign where this is the client's own, "": it always is.
    """

    external_id: str
    user_ids: tuple[str, ...]
    at: datetime
    what: str
    by: str
    raw: dict[str, Any]
    code: str = "mfa_added"
    key: str = ""
    source: str = DIRECTORY_AUDITS
    domain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskyUser:
    user_id: str
    level: str
    at: datetime
    detail: str
    raw: dict[str, Any]
