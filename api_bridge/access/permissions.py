"""What each registration needs in a client's cloud tenant, and what is off without it.  Pure.

Names and what covers what: Microsoft's permissions reference for application permissions
(https://learn.microsoft.com/graph/permissions-reference, as of August 2026).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.translation import gettext_noop as _

from api_bridge.access.models import Purpose
from api_bridge.connectors.google import tokens, verify


@dataclass(frozen=True, slots=True)
class Need:
    """``covered_by``: wider permissions that do as well.  ``without``: what is off, a sentence.
    ``is_extra``: reading and acting work without it, so its absence is shown and no alarm.
    """

    name: str
    without: str
    covered_by: frozenset[str] = frozenset()
    is_extra: bool = False

    @property
    def short(self) -> str:
        """For a sentence: a scope of Google's without the address that all of them begin with."""
        return self.name.removeprefix(tokens.SCOPE_HEAD)

    def is_met(self, roles: Collection[str]) -> bool:
        return self.name in roles or not self.covered_by.isdisjoint(roles)


_USERS = Need(
    "User.Read.All",
    "Mailboxes and aliases are not listed: joiners are not seen, and the tenant is not proven.",
    frozenset({"User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}),
)
MESSAGE_TRACE = Need(
    "ExchangeMessageTrace.Read.All",
    "Exchange's own record is not compared: mail that it delivered and that was never seen here is"
    " found only where it came through the gateway.",
    is_extra=True,
)
NEEDS: dict[str, tuple[Need, ...]] = {
    Purpose.DETECT: (
        Need(
            "Mail.Read",
            "No mail is read: nothing is detected after delivery, no copy is found.",
            frozenset({"Mail.ReadWrite"}),
        ),
        _USERS,
        MESSAGE_TRACE,
        Need(
            "GroupMember.Read.All",
            "Groups of the directory are not listed: no mode or entry holds for one.",
            frozenset({"Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All"}),
            is_extra=True,
        ),
        Need(
            "SecurityAlert.Read.All",
            "What Microsoft Defender says of delivered mail later is not known.",
            frozenset({"SecurityAlert.ReadWrite.All"}),
            is_extra=True,
        ),
    ),
    Purpose.REMEDIATE: (
        Need("Mail.ReadWrite", "No copy is pulled or restored: people are told instead."),
    ),
    Purpose.RESPOND: (
        Need("User.RevokeSessions.All", "Sessions of an account in other hands are not ended."),
        Need(
            "User.EnableDisableAccount.All",
            "An account in other hands is not switched off.",
            frozenset({"User.ReadWrite.All", "Directory.ReadWrite.All"}),
        ),
        Need(
            "AuditLog.Read.All",
            "Sign-ins, and new ways to sign in, are not looked at.",
        ),
        Need(
            "MailboxSettings.ReadWrite",
            "Mail rules are not looked at, and none is switched off.",
        ),
        Need(
            "DelegatedPermissionGrant.ReadWrite.All",
            "What applications may do in a person's name is not looked at, and not withdrawn.",
            frozenset({"Directory.ReadWrite.All"}),
        ),
        Need(
            "UserAuthenticationMethod.Read.All",
            "Ways to sign in are not listed.",
            frozenset({"UserAuthenticationMethod.ReadWrite.All"}),
        ),
        Need(
            "IdentityRiskyUser.Read.All",
            "Microsoft's own word on accounts at risk is not read.",
            frozenset({"IdentityRiskyUser.ReadWrite.All"}),
        ),
        Need(
            "User-PasswordProfile.ReadWrite.All",
            "Nobody is made to choose a new password.",
            frozenset({"User.ReadWrite.All", "Directory.ReadWrite.All"}),
        ),
        Need(
            "User.Read.All",
            "What was done with an account is not read back, so nothing is done with it.",
            _USERS.covered_by,
        ),
    ),
    Purpose.PARTNER: (
        Need(
            "DelegatedAdminRelationship.Read.All",
            "GDAP relationships are not listed: nobody is warned before one ends.",
            frozenset({"DelegatedAdminRelationship.ReadWrite.All"}),
        ),
    ),
}
# Scopes that an admin delegates in Google's console.  Each is asked for by itself: a wider one does
# not stand for it.
GOOGLE_NEEDS: dict[str, tuple[Need, ...]] = {
    purpose: tuple(
        Need(
            each.name,
            each.off_without,
            frozenset({tokens.MAIL}) if each is verify.READ_INSTEAD else frozenset(),
            is_extra=not each.is_needed and purpose != Purpose.RESPOND,
        )
        for each in (verify.READ_INSTEAD, *verify.SCOPES)
        if each.purpose == purpose
    )
    for purpose in (Purpose.DETECT, Purpose.REMEDIATE, Purpose.RESPOND)
}


def google_scopes(*purposes: str) -> str:
    """Those of these purposes, as the Admin console takes them: with commas."""
    return ",".join(need.name for purpose in purposes for need in GOOGLE_NEEDS[purpose])


WHAT_FOR = {
    Purpose.DETECT: _("Reads mail after delivery and lists mailboxes."),
    Purpose.REMEDIATE: _("Moves a mail to a hidden folder, and back."),
    Purpose.RESPOND: _(
        "Looks at rules, sign-ins and applications of accounts; ends sessions and switches"
        " off signing in, by a person's order."
    ),
    Purpose.PARTNER: "Lists your GDAP relationships with customers, in your own cloud tenant.",
}
WITHOUT_ANY = {
    Purpose.DETECT: _("Nothing is seen after delivery: the client has the gateway alone."),
    Purpose.REMEDIATE: _("Mail is found and not pulled: people are told what to delete."),
    Purpose.RESPOND: _(
        "Accounts are not watched, and the client's own admin must end sessions and lock them."
    ),
    Purpose.PARTNER: "GDAP relationships are not listed: nobody is warned before one ends.",
}


def needs_of(kind: str, purpose: str) -> tuple[Need, ...]:
    """``kind``: of the connection."""
    return (GOOGLE_NEEDS if kind == "google" else NEEDS)[purpose]


def missing(purpose: str, roles: Collection[str], kind: str = "graph") -> list[Need]:
    """What of the purpose's needs these permissions do not meet, in their order."""
    return [need for need in needs_of(kind, purpose) if not need.is_met(roles)]
