"""Opens the pushes that brought what changed, and looks only where a look is worth its request.

A genuine notice that brings all of a mail that a list would show is read in its stead.  For the
rest it decides no more than whether its mailbox is looked at now, or with the next whole listing.
Either way the mailbox counts as heard of until that is done, and no cursor moves: what was told is
held against the mailbox by the next whole listing.  What does not prove itself is dropped and
counted.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from api_bridge.connectors import Connector, Item
from api_bridge.connectors.notices import (
    NotGenuine,
    Noticed,
    PushKey,
    SealedNotice,
    SealsPushes,
)
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.models import Connection, MailboxSync, PushNotice, SeenItem
from api_bridge.push import note_heard
from api_bridge.push_keys import push_keys
from incidents.words import Place
from tenants.doors import ClaimedWork
from tenants.secrets import SecretDoesNotOpen
from tenants.work import work_scope

log = logging.getLogger(__name__)

AT_ONCE = 50
# Where Microsoft's own keys cannot be had, a notice waits for them so long.
WAITS, RETRY = timedelta(hours=1), timedelta(minutes=1)
# Our own moves, what people write and what they have sent: none of it is judged.
NOT_WORTH_A_LOOK = frozenset({Place.QUARANTINE, Place.SENT})


@dataclass(slots=True)
class _Opened:
    """``refused``: mailbox → why, once for each notice.  ``done``: rows that are settled."""

    genuine: list[tuple[UUID, Noticed, datetime]] = field(default_factory=list)
    refused: dict[UUID, list[str]] = field(default_factory=lambda: defaultdict(list))
    done: list[UUID] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """What was told of one mailbox.  ``is_all``: nothing else is to be looked for in it."""

    items: list[Item] = field(default_factory=list)
    is_all: bool = True


@dataclass(frozen=True, slots=True)
class Taken:
    """By mailbox.  ``came_at``: when the first of it came; ``more``: others wait."""

    told: dict[UUID, Told]
    came_at: datetime
    more: bool


def take_notices(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> Taken | None:
    """A number of those that wait for this connection; None: none does.  Raises ``AuthExpired``."""
    if not isinstance(connector, SealsPushes):
        return None
    with work_scope(claimed):
        rows, keys = _waiting(claimed.tenant_id, connection_id)
    if not rows:
        return None
    opened = _open(connector, rows, keys)
    with work_scope(claimed):
        told = _settle(claimed.tenant_id, opened)
    came_at = min((at for _, _, at in opened.genuine), default=timezone.now())
    return Taken(told, came_at, more=len(opened.done) == AT_ONCE)


def next_notice(now: datetime) -> datetime | None:
    """None where none waits.  Needs a scope."""
    return now + RETRY if PushNotice.objects.exists() else None


def _waiting(tenant_id: int, connection_id: UUID) -> tuple[list[PushNotice], list[PushKey]]:
    syncs = MailboxSync.objects.filter(tenant_id=tenant_id, connection_id=connection_id)
    rows = list(
        PushNotice.objects.filter(tenant_id=tenant_id, mailbox__in=syncs.values("mailbox"))
        .select_related("mailbox")
        .order_by("came_at")[:AT_ONCE]
    )
    if not rows:
        return [], []
    try:
        return rows, push_keys(Connection.objects.get(id=connection_id))
    except SecretDoesNotOpen:
        log.exception("the push keys of connection %s do not open", connection_id)
        return rows, []


def _open(connector: SealsPushes, rows: Sequence[PushNotice], keys: Sequence[PushKey]) -> _Opened:
    """Raises ``AuthExpired``."""
    opened, limit = _Opened(), timezone.now() - WAITS
    for row in rows:
        notice = SealedNotice(
            mailbox_id=row.mailbox.external_id,
            content=row.content,
            tokens=row.tokens,
            came_at=row.came_at,
        )
        try:
            noticed = connector.open_notice(notice, keys)
            opened.genuine.append((row.mailbox_id, noticed, row.came_at))
        except NotGenuine as error:
            opened.refused[row.mailbox_id].append(str(error))
        except AuthExpired:
            raise
        except BridgeError as error:
            log.warning("a notice cannot be checked now: %s", error)
            if row.came_at > limit:
                continue
            opened.refused[row.mailbox_id].append(f"It could not be checked: {error}")
        opened.done.append(row.id)
    return opened


def _settle(tenant_id: int, opened: _Opened) -> dict[UUID, Told]:
    """Must run in the client's scope."""
    worth = _worth_a_look(tenant_id, opened.genuine)
    told: dict[UUID, Told] = defaultdict(Told)
    for mailbox_id, each in worth:
        if each.item is not None:
            told[mailbox_id].items.append(each.item)
        else:
            told[mailbox_id].is_all = False
    syncs = MailboxSync.objects.filter(tenant_id=tenant_id)
    heard = syncs.filter(mailbox__in=told)
    for mailbox_id in heard.exclude(dirty_at=None).values_list("mailbox_id", flat=True):
        told[mailbox_id].is_all = False  # something else was heard before
    note_heard(heard)
    for mailbox_id, whys in opened.refused.items():
        log.warning("%d notices for mailbox %s were dropped: %s", len(whys), mailbox_id, whys[-1])
        note_refused(syncs.filter(mailbox=mailbox_id), whys)
    PushNotice.objects.filter(tenant_id=tenant_id, id__in=opened.done).delete()
    return dict(told)


def note_refused(rows: QuerySet[MailboxSync], whys: Sequence[str]) -> None:
    """Counts what was dropped.  Needs a scope."""
    rows.update(notices_refused=F("notices_refused") + len(whys), refused_why=whys[-1][:500])


def _worth_a_look(
    tenant_id: int, genuine: Sequence[tuple[UUID, Noticed, datetime]]
) -> list[tuple[UUID, Noticed]]:
    """What may be new for us: neither a draft, nor sent or put away by us, nor known already where
    and as it is.  Of what is known to lie elsewhere only that it changed is believed.
    """
    left = [
        (mailbox_id, each)
        for mailbox_id, each, _ in genuine
        if not each.is_draft and each.place not in NOT_WORTH_A_LOOK
    ]
    seen = SeenItem.objects.filter(
        tenant_id=tenant_id,
        mailbox__in={mailbox_id for mailbox_id, _ in left},
        item_id__in={each.item_id for _, each in left},
    )
    rows = seen.values_list("mailbox_id", "item_id", "place", "is_read")
    known = {
        (mailbox_id, item_id): (place, is_read) for mailbox_id, item_id, place, is_read in rows
    }
    worth = []
    for mailbox_id, each in left:
        state = known.get((mailbox_id, each.item_id))
        if state is None:
            worth.append((mailbox_id, each))
        elif state != (each.place.value, each.is_read):
            worth.append((mailbox_id, replace(each, item=None)))
    return worth
