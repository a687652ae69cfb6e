"""What is new in a mailbox: a list over all folders since a watermark, one page a call.

Truth is the watermark, never a notification.  The listing is ordered by time of receipt; a window
begins 15 minutes before the last one did, because mail becomes visible late.  The watermark is the
server's clock at the first page, never the newest mail: an idle mailbox must not stand still.

Contract read 2026-11-22: microsoft-graph-docs ``user-list-messages`` (the property of ``$orderby``
comes first in ``$filter``; ``$skip`` is never parsed out of a link).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from api_bridge.connectors import Item, Page
from api_bridge.connectors.back import BackCursor
from api_bridge.connectors.graph.client import Ask, GraphClient, entries_of, next_link_of, path
from api_bridge.connectors.graph.folders import Folders
from api_bridge.connectors.graph.mapping import ITEM_FIELDS, Json, item_of, text_of
from api_bridge.errors import BridgeError, NotFound, Rejected, Temporary
from api_bridge.http import date_of

OVERLAP = timedelta(minutes=15)
PAGE_SIZE = 50
SMALLEST_PAGE, LARGEST_PAGE = 5, 1_000
RESTARTS_IN_A_ROW = 4
CURSOR_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """``since``: the window's start; ``began``: server time at its first page (None: not begun);
    ``seen``: receipt of the last mail listed; ``link``: the next page ("": the first);
    ``restarts``: how often in a row the window began again without a new mail.
    """

    since: datetime
    began: datetime | None = None
    seen: datetime | None = None
    link: str = ""
    page_size: int = PAGE_SIZE
    restarts: int = 0

    def as_text(self) -> str:
        data = asdict(self)
        for name in ("since", "began", "seen"):
            data[name] = data[name].isoformat() if data[name] else None
        return json.dumps({"v": CURSOR_VERSION, **data})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises ``Rejected`` if it is no cursor of ours."""
        try:
            data = json.loads(text)
            if data.pop("v") != CURSOR_VERSION:
                raise ValueError("another version")
            for name in ("since", "began", "seen"):
                data[name] = datetime.fromisoformat(data[name]) if data[name] else None
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Rejected("The cursor cannot be read.", code="bad_cursor") from error

    def again(self, page_size: int | None = None) -> Cursor:
        """The window goes on at the last mail listed, without the link that failed."""
        return replace(
            self,
            since=self.seen or self.since,
            link="",
            page_size=page_size or self.page_size,
            restarts=self.restarts + 1,
        )


def changes_page(
    client: GraphClient, folders: Folders, mailbox_id: str, cursor: str, since: datetime | None
) -> Page:
    """Raises ``BridgeError``; the old cursor then stays good."""
    now = datetime.now(UTC)
    at = Cursor.from_text(cursor) if cursor else Cursor(since=since or now)
    try:
        reply = client.call("GET", at.link or _first_page(mailbox_id, at), mailbox_id=mailbox_id)
        data = reply.json()
    except BridgeError as error:
        return _after_refusal(at, error)
    return _listed(folders, mailbox_id, at, data, _server_time(reply.headers, now))


def changes_pages(
    client: GraphClient, folders: Folders, wanted: Sequence[tuple[str, str, datetime]]
) -> list[Page | BridgeError]:
    """``changes_page`` of many in few calls, in order.  Raises ``BridgeError`` if the batch as such
    failed.
    """
    now = datetime.now(UTC)
    at_of: dict[int, Cursor | BridgeError] = {}
    asks: dict[int, Ask] = {}
    for number, (mailbox_id, cursor, since) in enumerate(wanted):
        try:
            at = Cursor.from_text(cursor) if cursor else Cursor(since=since)
            asks[number], at_of[number] = _ask(client, mailbox_id, at), at
        except BridgeError as error:
            at_of[number] = error
    answers = client.batch(list(asks.values()))
    answer_of = dict(zip(asks, answers, strict=True))

    def one(number: int) -> Page | BridgeError:
        mailbox_id, at = wanted[number][0], at_of[number]
        if isinstance(at, BridgeError):
            return at
        answer = answer_of[number]
        try:
            if isinstance(answer, BridgeError):
                return _after_refusal(at, answer)
            began = _server_time(answer.headers, now)
            return _listed(folders, mailbox_id, at, answer.json(), began)
        except BridgeError as error:
            return error

    return [one(number) for number in range(len(wanted))]


def _ask(client: GraphClient, mailbox_id: str, at: Cursor) -> Ask:
    """Raises ``Unexpected`` for a link to another host."""
    target = client.in_batch(at.link) if at.link else _first_page(mailbox_id, at)
    return Ask(mailbox_id=mailbox_id, path=target)


def _after_refusal(at: Cursor, error: BridgeError) -> Page:
    """Raises the error where beginning the window again does not help."""
    if isinstance(error, NotFound | Rejected) and at.link:
        # 410, syncStateNotFound, a skip token that has died: bounded resync by time of receipt.
        return _restarted(at.again())
    if isinstance(error, Temporary) and error.status == 504 and at.page_size > SMALLEST_PAGE:
        # A big page of whole bodies ends in 504.
        return _restarted(at.again(page_size=max(SMALLEST_PAGE, at.page_size // 3)))
    raise error


def _listed(folders: Folders, mailbox_id: str, at: Cursor, data: Json, began: datetime) -> Page:
    """Raises ``BridgeError``."""
    at = replace(at, began=at.began or began)
    items, skipped = _items(folders, mailbox_id, entries_of(data), datetime.now(UTC))
    return _page(at, items, skipped, next_link_of(data))


def older_page(
    client: GraphClient,
    folders: Folders,
    mailbox_id: str,
    at: BackCursor,
    *,
    since: datetime,
    most: int,
) -> Page:
    """Raises ``BridgeError``; the old cursor then stays good."""
    now = datetime.now(UTC)
    size = most + len(at.edge)
    target = _back_path(mailbox_id, since, at.upper, size)
    while True:
        try:
            data = client.call("GET", target, mailbox_id=mailbox_id).json()
        except Temporary as error:
            # A big page of whole bodies ends in 504.
            if error.status != 504 or size <= SMALLEST_PAGE:
                raise
            size = max(SMALLEST_PAGE, size // 3)
            target = _back_path(mailbox_id, since, at.upper, size)
            continue
        found, skipped = _items(folders, mailbox_id, entries_of(data), now)
        items = [item for item in found if item.ref.item_id not in at.edge]
        target = next_link_of(data)
        if items or not target:
            break
    kept = tuple(item for item in items if not item.is_draft)
    return Page(items=kept, cursor=at.after(items).as_text(), more=bool(target), skipped=skipped)


def _back_path(mailbox_id: str, since: datetime, upper: datetime, size: int) -> str:
    first, last = (each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for each in (since, upper))
    return path(
        "users",
        mailbox_id,
        "messages",
        filter=f"receivedDateTime ge {first} and receivedDateTime lt {last}",
        orderby="receivedDateTime desc",
        top=str(min(size, LARGEST_PAGE)),
        select=ITEM_FIELDS,
    )


def _page(at: Cursor, items: list[Item], skipped: int, link: str) -> Page:
    seen = max([item.received_at for item in items] + ([at.seen] if at.seen else []), default=None)
    kept = tuple(item for item in items if not item.is_draft)
    if not link:
        began = at.began or at.since
        after = Cursor(since=max(began, at.since) - OVERLAP)
        return Page(items=kept, cursor=after.as_text(), more=False, skipped=skipped)
    if seen != at.seen:
        at = replace(at, seen=seen, restarts=0)
    if link == at.link:
        return _restarted(at.again(), kept, skipped)
    return Page(items=kept, cursor=replace(at, link=link).as_text(), more=True, skipped=skipped)


def _restarted(at: Cursor, items: tuple[Item, ...] = (), skipped: int = 0) -> Page:
    """Nothing is lost by a restart; after several without a new mail the caller rests first."""
    return Page(
        items=items,
        cursor=at.as_text(),
        more=at.restarts < RESTARTS_IN_A_ROW,
        skipped=skipped,
        restarted=True,
    )


def _first_page(mailbox_id: str, at: Cursor) -> str:
    since = at.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return path(
        "users",
        mailbox_id,
        "messages",
        filter=f"receivedDateTime ge {since}",
        orderby="receivedDateTime",
        top=str(at.page_size),
        select=ITEM_FIELDS,
    )


def _items(
    folders: Folders, mailbox_id: str, listed: list[Json], now: datetime
) -> tuple[list[Item], int]:
    items = []
    for entry in listed:
        place = folders.place_of(mailbox_id, text_of(entry, "parentFolderId"))
        item = item_of(entry, mailbox_id, place, now)
        if item is not None:
            items.append(item)
    return items, len(listed) - len(items)


def _server_time(headers: Mapping[str, str], now: datetime) -> datetime:
    """Receipt is written by the server's clock, so the watermark is too.  Ours if it says none, or
    where it is ahead of ours: a watermark that is too early lists mail twice, one that is too late
    never lists it.
    """
    at = date_of(headers.get("date", ""))
    return min(at, now) if at else now
