"""Pushes that bring what changed with them: sealed for us, with a proof of whom they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from api_bridge.connectors.shapes import Item, Subscription
from incidents.words import Place


class NotGenuine(Exception):
    """A notice that does not prove what it says.  The text says why, for a log; it holds nothing of
    the notice.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PushKey:
    """A key pair of ours for one connection.  ``id`` goes with every notice that it seals."""

    id: str
    private_key_pem: str = field(repr=False)
    certificate_pem: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedNotice:
    """As it came.  ``content`` is the host's own envelope, ``tokens`` its proofs; ``came_at``: at
    that time the proofs had to be good.
    """

    mailbox_id: str
    content: Mapping[str, Any]
    tokens: Sequence[str]
    came_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """What a genuine notice says of one copy: enough to know whether a look at the mailbox is worth
    its request.  ``item``: the copy as a list would show it, where the notice brings all of that.
    """

    item_id: str
    place: Place
    is_draft: bool
    is_read: bool
    item: Item | None = None


@runtime_checkable
class SealsPushes(Protocol):
    """Such pushes can be ordered, and opened."""

    def ensure_sealed_push(
        self,
        mailbox_id: str,
        *,
        notification_url: str,
        client_state: str,
        key: PushKey,
        current: Subscription | None,
    ) -> Subscription:
        """As ``ensure_push``.  A standing order gets ``key`` as it is renewed; one without any is
        made anew.
        """

    def open_notice(self, notice: SealedNotice, keys: Sequence[PushKey]) -> Noticed:
        """Raises ``NotGenuine``; ``BridgeError`` where the host's own keys cannot be had."""
