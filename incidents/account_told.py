"""What the mailbox layer tells of accounts, for the story and the report of an account's incident.

The steps of a response and the settings of mailboxes are that layer's own rows; it registers who
tells of them when its app is ready.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTold:
    """One step of a response.  ``kind`` and ``state``: of ``AccountStep``; ``is_done``: it was read
    back, or was so already.

    ``words``: what was read back, or why it was not done.  ``called_at`` None: the mail host was
    not called for it.  ``kept_sha256``: of what was there before the call, "" where nothing was
    kept.  ``undoes``: the step that this one takes back.
    The portal is told who did what when, and how it ended: the rest is "" and None there.
    """

    id: UUID
    mailbox: str
    kind: str
    state: str
    is_done: bool
    by: str
    asked_at: datetime
    finished_at: datetime | None
    undoes: UUID | None
    label: str = ""
    reason: str = ""
    words: str = ""
    called_at: datetime | None = None
    kept_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsTold:
    """``changes``: what was different at ``at`` from what was read before, each in words.

    ``sha256`` of all settings as they were read then.
    """

    id: UUID
    mailbox: str
    at: datetime
    changes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingTold:
    """What was done about an account's sending: a stop lifted, a login ended, in words."""

    source: str
    at: datetime
    words: str
    reason: str = ""


class SendingTeller(Protocol):
    def sending(self, tenant_id: int, incident_ids: Collection[UUID]) -> Sequence[SendingTold]:
        """Needs the client's scope; of the portal's what a client may read."""


class AccountTeller(Protocol):
    """Every method needs the client's scope."""

    def steps(self, tenant_id: int, incident_ids: Collection[UUID]) -> Sequence[StepTold]:
        """In the order in which they were asked for; the portal's scope is enough."""

    def changes(
        self, tenant_id: int, mailbox: str, since: datetime, until: datetime | None
    ) -> Sequence[SettingsTold]:
        """What changed in the mailbox's settings from ``since`` to ``until`` (None: now)."""

    def not_looked_at(self, tenant_id: int) -> Sequence[str]:
        """What nobody looks at of this client's accounts, and why, each a sentence."""


_tellers: list[AccountTeller] = []
_sending_tellers: list[SendingTeller] = []


def register_account_teller(teller: AccountTeller) -> None:
    _tellers.append(teller)


def register_sending_teller(teller: SendingTeller) -> None:
    _sending_tellers.append(teller)


def sending_told(tenant_id: int, incident_ids: Collection[UUID]) -> list[SendingTold]:
    found = [one for each in _sending_tellers for one in each.sending(tenant_id, incident_ids)]
    return sorted(found, key=lambda one: one.at)


def steps_told(tenant_id: int, incident_ids: Collection[UUID]) -> list[StepTold]:
    return [step for each in _tellers for step in each.steps(tenant_id, incident_ids)]


def changes_told(
    tenant_id: int, mailbox: str, since: datetime, until: datetime | None
) -> list[SettingsTold]:
    return [one for each in _tellers for one in each.changes(tenant_id, mailbox, since, until)]


def not_looked_at(tenant_id: int) -> list[str]:
    return [said for each in _tellers for said in each.not_looked_at(tenant_id)]
