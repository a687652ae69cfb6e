"""Settings of a mailbox that pass mail on or let others in, in words of no provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxRule:
    """What a mailbox does with mail by itself, in words of no provider.

    ``criteria``: name and value of what it looks for, as the provider names it.  ``forward_to``:
    addresses that get a copy or the mail itself.  ``moves_to``: a folder's or label's name, "" for
    none.  ``is_enabled`` is always True where the provider cannot switch one off.  ``definition``
    is the provider's own form, enough to make it anew.
    """

    id: str
    name: str
    criteria: tuple[tuple[str, str], ...]
    forward_to: tuple[str, ...] = ()
    moves_to: str = ""
    deletes: bool = False
    skips_inbox: bool = False
    marks_read: bool = False
    is_enabled: bool = True
    definition: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """Every mail goes on to ``address``.  ``keeps_copy`` False: the mailbox itself shows none."""

    address: str
    is_enabled: bool
    keeps_copy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """Somebody who may read and send as this mailbox.  ``is_active`` False: not accepted yet."""

    address: str
    is_active: bool
