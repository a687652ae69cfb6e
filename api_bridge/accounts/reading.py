"""One connection, opened for looking at its accounts.  Calls a mail host: never inside a scope.

What a permission does not cover is noted in ``off`` and left out; what failed for the moment is
noted in ``errors``.  Neither stops the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from api_bridge.accounts.graph_read import (
    ReadMailbox,
    read_app_names,
    read_audits,
    read_folder_names,
    read_mailboxes,
    read_risky_users,
    read_sign_ins,
)
from api_bridge.accounts.models import BEHIND
from api_bridge.accounts.shapes import RiskyUser, SeenAudit, SeenSignIn, Settings
from api_bridge.accounts.spans import MOST_AT_ONCE, Log
from api_bridge.connectors import VendorVerdict
from api_bridge.connectors.graph.client import GraphClient
from api_bridge.errors import AccessDenied, BridgeError

_T = TypeVar("_T")
# Microsoft shows a sign-in minutes after it happened.
OVERLAP = timedelta(minutes=30)
NOT_IN_GRAPH = (
    "Rules that are hidden, and forwarding that an admin set on the mailbox itself: Graph does not"
    " show them."
)


@dataclass(slots=True)
class Noted:
    """``off``: what is not looked at → the permission that is missing, or a sentence."""

    off: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def read(self, what: str, log: Log[Any], now: datetime) -> None:
        """Says where a log has more than one look reads."""
        if log.until < now:
            self.behind(what, log.until)
        if log.is_cut:
            self.errors.append(
                f"{what}: there is more in one minute than is read, and some of it was not looked"
                " at. Look at it at the mail host."
            )

    def behind(self, what: str, until: datetime) -> None:
        self.off[f"{what}{BEHIND}"] = (
            f"{what} from {until:%H:%M on %-d %B} (UTC) on: there are more than one look reads."
            " The next one goes on there."
        )


@dataclass(frozen=True, slots=True)
class Events:
    """``until``: from when on the next look reads; None: that could not be read this time.
    ``clicks``: who opened a link in which mail.
    """

    sign_ins: Sequence[SeenSignIn] = ()
    sign_ins_until: datetime | None = None
    audits: Sequence[SeenAudit] = ()
    audits_until: datetime | None = None
    risky: Sequence[RiskyUser] = ()
    clicks: Sequence[VendorVerdict] = ()


class Source(Protocol):
    """A host's accounts.  ``name`` stands in the evidence."""

    name: str
    noted: Noted

    def events(self, now: datetime, sign_ins_since: datetime, audits_since: datetime) -> Events: ...

    def settings(self, ids: Sequence[str]) -> dict[str, Settings]:
        """Of each that answered."""


class GraphSource:
    """``graph`` by the registration *account response*; ``mail``: by *detect*, which alone may name
    folders; None: folders have no names.
    """

    name = "Mailbox settings (Graph)"

    def __init__(self, graph: GraphClient, mail: GraphClient | None) -> None:
        self._graph, self._mail = graph, mail
        self.noted = Noted(off={"hidden": NOT_IN_GRAPH})
        self._app_names: dict[str, str] = {}
        self._folder_names: dict[tuple[str, str], str] = {}

    def events(self, now: datetime, sign_ins_since: datetime, audits_since: datetime) -> Events:
        found = self._try("AuditLog.Read.All", lambda: read_sign_ins(self._graph, sign_ins_since))
        sign_ins: Sequence[SeenSignIn] = ()
        until = None
        if found is not None:
            sign_ins, reached = found
            until = reached or now - OVERLAP
            if reached:
                self.noted.behind("Sign-ins", reached)
        audits = self._try("AuditLog.Read.All", lambda: read_audits(self._graph, audits_since, now))
        if audits:
            self.noted.read("Audits of ways to sign in", audits, now)
        risky, is_whole = self._try(
            "IdentityRiskyUser.Read.All", lambda: read_risky_users(self._graph)
        ) or ([], True)
        if not is_whole:
            self.noted.errors.append(
                f"Microsoft holds more accounts at risk than the {MOST_AT_ONCE:,} that are read:"
                " see the others in Entra."
            )
        return Events(
            sign_ins=sign_ins,
            sign_ins_until=until,
            audits=audits.entries if audits else (),
            audits_until=min(audits.until, now - OVERLAP) if audits else None,
            risky=risky,
        )

    def settings(self, ids: Sequence[str]) -> dict[str, Settings]:
        read = self._try("", lambda: read_mailboxes(self._graph, ids)) or {}
        self._note_parts(read)
        return {
            user_id: self._named(user_id, each.settings)
            for user_id, each in read.items()
            if len(each.denied) + len(each.failed) < len(_NEEDS_OF)
        }

    def _note_parts(self, read: dict[str, ReadMailbox]) -> None:
        for part, need in _NEEDS_OF.items():
            # One mailbox may be out of reach for a reason of its own; all are a permission.
            if read and all(part in each.denied for each in read.values()):
                self.noted.off[need] = need
        self.noted.errors += [words for each in read.values() for words in each.failed.values()][:1]

    def _named(self, user_id: str, settings: Settings) -> Settings:
        """Folders and applications by their names, where those can be read."""
        folders = {rule.moves_to for rule in settings.rules or () if rule.moves_to}
        new = sorted(each for each in folders if (user_id, each) not in self._folder_names)
        mail = self._mail
        if new and mail is not None:
            with suppress(BridgeError):
                found = read_folder_names(mail, user_id, new)
                self._folder_names |= {(user_id, each): name for each, name in found.items()}
        apps = {grant.app_id for grant in settings.grants or ()} - self._app_names.keys()
        if apps:
            with suppress(BridgeError):
                self._app_names |= read_app_names(self._graph, sorted(apps))
        rules = settings.rules and tuple(
            replace(rule, moves_to=self._folder_names.get((user_id, rule.moves_to), UNNAMED))
            if rule.moves_to
            else rule
            for rule in settings.rules
        )
        grants = settings.grants and tuple(
            replace(grant, app_name=self._app_names.get(grant.app_id, ""))
            for grant in settings.grants
        )
        return replace(settings, rules=rules, grants=grants)

    def _try(self, need: str, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except AccessDenied as error:
            self.noted.off[need or str(error)] = need or str(error)
        except BridgeError as error:
            self.noted.errors.append(str(error))
        return None


UNNAMED = "a folder whose name could not be read"
_NEEDS_OF = {
    "rules": "MailboxSettings.ReadWrite",
    "grants": "DelegatedPermissionGrant.ReadWrite.All",
    "methods": "UserAuthenticationMethod.Read.All",
}
