"""What is new in a mailbox: Gmail's history since an id, or a bounded listing where there is none.

The id is what ``getProfile`` or the history's own answer says, never the newest message's: in an
idle mailbox that one grows old and dies (contract C, trap 2).  A page may have no ``history`` and
yet a next page.  A 404 says that the id is too old: the mailbox is listed again by time of receipt,
and the id to go on from is taken before that listing.
Contract read 2026-11-22: developers.google.com/gmail/api/guides/sync.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from api_bridge.connectors import Item, Page, Ref
from api_bridge.connectors.back import BackCursor
from api_bridge.connectors.google import units
from api_bridge.connectors.google.batching import Ask
from api_bridge.connectors.google.client import GoogleClient, entries_of, path, text_of
from api_bridge.connectors.google.fetch import get_many
from api_bridge.connectors.google.labels import Labels
from api_bridge.connectors.google.mapping import Json, item_of
from api_bridge.errors import BridgeError, NotFound, RateLimited, Rejected, Temporary, Unexpected
from incidents.words import Place

HISTORY_PAGE = 100
LIST_PAGE = 50
NEWEST_PAGE = 20
LARGEST_PAGE = 500
IDS_PAGE = 500
# Where nobody says since when: longer than any silence that a lost id comes from.
LOST_CURSOR = timedelta(days=1)
RESTARTS_IN_A_ROW = 4
CURSOR_VERSION = 1
KINDS = ("messageAdded", "labelAdded", "labelRemoved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """``history``: the id from which history is told.  ``since`` not None: first, what was received
    since then is listed.  ``token``: the next page.  ``until``: the id that the walk's first page
    named.  ``restarts``: how often in a row it began again.
    """

    history: str
    since: datetime | None = None
    token: str = ""
    until: str = ""
    restarts: int = 0

    def as_text(self) -> str:
        data = asdict(self) | {"since": self.since.isoformat() if self.since else None}
        return json.dumps({"v": CURSOR_VERSION, **data})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises ``Rejected`` if it is no cursor of ours."""
        try:
            data = json.loads(text)
            if data.pop("v") != CURSOR_VERSION:
                raise ValueError("another version")
            data["since"] = datetime.fromisoformat(data["since"]) if data["since"] else None
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Rejected("The cursor cannot be read.", code="bad_cursor") from error

    def again(self) -> Cursor:
        return replace(self, token="", until="", restarts=self.restarts + 1)


def changes_page(
    client: GoogleClient, labels: Labels, mailbox_id: str, cursor: str, since: datetime | None
) -> Page:
    """Raises ``BridgeError``; the old cursor then stays good."""
    if not cursor:
        return _begun(client, mailbox_id, since, Page(items=(), cursor="", more=True))
    at = Cursor.from_text(cursor)
    if at.since is not None:
        return _listed_page(client, labels, mailbox_id, at, at.since)
    try:
        return _history_page(client, labels, mailbox_id, at)
    except NotFound as error:
        # The mailbox itself is gone where there is no such person any more.
        if error.code in ("no_mail_service", "invalid_grant"):
            raise
        lost = since or datetime.now(UTC) - LOST_CURSOR
        return _begun(
            client, mailbox_id, lost, Page(items=(), cursor="", more=True, restarted=True)
        )


def _begun(client: GoogleClient, mailbox_id: str, since: datetime | None, page: Page) -> Page:
    """An empty page whose cursor lists what was received since then, or begins now."""
    profile = client.mail("GET", mailbox_id, path("profile"), cost=units.GET_PROFILE).json()
    at = Cursor(history=_history_id(profile), since=since)
    return replace(page, cursor=at.as_text(), more=since is not None)


def _history_id(data: Json) -> str:
    found = text_of(data, "historyId")
    if not found.isascii() or not found.isdigit():
        raise Unexpected("The answer names no history id.")
    return found


def _listed_page(
    client: GoogleClient, labels: Labels, mailbox_id: str, at: Cursor, since: datetime
) -> Page:
    try:
        data = _list(client, mailbox_id, since, at.token)
    except Rejected:
        # A page token that has died: the bounded listing begins again.
        if not at.token:
            raise
        return _restarted(at.again())
    ids = [text_of(entry, "id") for entry in entries_of(data, "messages")]
    items, skipped = _items(client, labels, mailbox_id, whole=ids, brief=())
    token = text_of(data, "nextPageToken")
    if token and token == at.token:
        return _restarted(at.again(), items, skipped)
    after = replace(at, token=token) if token else Cursor(history=at.history)
    # The history since the profile was read is told at the next call.
    return Page(items=items, cursor=after.as_text(), more=True, skipped=skipped)


def _list(
    client: GoogleClient, mailbox_id: str, since: datetime, token: str, size: int = LIST_PAGE
) -> Json:
    target = list_path(since, token=token, size=size)
    return client.mail("GET", mailbox_id, target, cost=units.LIST_MESSAGES).json()


def list_path(
    since: datetime, *, before: datetime | None = None, token: str = "", size: int = LIST_PAGE
) -> str:
    """Everything received since then, and before that, spam and trash included; newest first."""
    until = f" before:{int(before.timestamp())}" if before else ""
    return path(
        "messages",
        q=f"after:{int(since.timestamp())}{until}",
        includeSpamTrash="true",
        maxResults=str(size),
        pageToken=token,
    )


def _history_page(client: GoogleClient, labels: Labels, mailbox_id: str, at: Cursor) -> Page:
    target = path(
        "history",
        startHistoryId=at.history,
        historyTypes=KINDS,
        maxResults=str(HISTORY_PAGE),
        pageToken=at.token,
    )
    try:
        data = client.mail("GET", mailbox_id, target, cost=units.LIST_HISTORY).json()
    except Rejected:
        if not at.token:
            raise
        return _restarted(at.again())
    added, changed = _told(data)
    items, skipped = _items(client, labels, mailbox_id, whole=added, brief=changed)
    token, until = text_of(data, "nextPageToken"), at.until or _history_id(data)
    if not token:
        after = Cursor(history=until)
        cursor = after.as_text()
        return Page(items=items, cursor=cursor, more=False, skipped=skipped, came=frozenset(added))
    if token == at.token:
        return _restarted(at.again(), items, skipped)
    after = replace(at, token=token, until=until, restarts=0 if items else at.restarts)
    cursor = after.as_text()
    return Page(items=items, cursor=cursor, more=True, skipped=skipped, came=frozenset(added))


def _told(data: Json) -> tuple[list[str], list[str]]:
    """Ids of mails that came, and of others whose labels changed."""
    added: dict[str, None] = {}
    changed: dict[str, None] = {}
    for record in entries_of(data, "history"):
        for name, into in (
            ("messagesAdded", added),
            ("labelsAdded", changed),
            ("labelsRemoved", changed),
        ):
            for entry in entries_of(record, name):
                message = entry.get("message")
                if isinstance(message, dict) and text_of(message, "id"):
                    into[text_of(message, "id")] = None
    return list(added), [each for each in changed if each not in added]


def _restarted(at: Cursor, items: tuple[Item, ...] = (), skipped: int = 0) -> Page:
    """Nothing is lost by a restart; after several in a row the caller rests first."""
    return Page(
        items=items,
        cursor=at.as_text(),
        more=at.restarts < RESTARTS_IN_A_ROW,
        skipped=skipped,
        restarted=True,
    )


def _items(
    client: GoogleClient,
    labels: Labels,
    mailbox_id: str,
    *,
    whole: Sequence[str],
    brief: Sequence[str],
) -> tuple[tuple[Item, ...], int]:
    """Oldest first.  What is gone meanwhile is left out; what cannot be had at all is an item
    without content, so that it is tried, counted and given up like any other (trap 10).  Of a
    mail that ``brief`` names it is left out: only its labels changed, and they are read again.

    Raises ``BridgeError`` for what says nothing of the mail: limits, tokens, an outage.
    """
    if not whole and not brief:
        return (), 0
    now = datetime.now(UTC)
    quarantine = labels.quarantine(mailbox_id)
    items, skipped = [], 0
    answers = get_many(client, mailbox_id, whole, brief)
    is_there = any(not isinstance(answer, BridgeError) for answer in answers.values())
    for item_id, answer in answers.items():
        if isinstance(answer, NotFound) and answer.code not in ("no_mail_service", "invalid_grant"):
            continue
        if isinstance(answer, BridgeError):
            if not _is_poison(answer, is_there=is_there):
                raise answer
            item = _bare(mailbox_id, item_id, now) if item_id in whole else None
        else:
            item = item_of(answer, mailbox_id, quarantine, now)
        if item is None:
            skipped += 1
        elif not item.is_draft:
            items.append(item)
    return tuple(sorted(items, key=lambda item: item.received_at)), skipped


def _is_poison(error: BridgeError, *, is_there: bool) -> bool:
    """``is_there``: other mail of the same mailbox could be had just now, so neither an outage nor
    a missing permission keeps this one back.
    """
    if isinstance(error, RateLimited):
        return False
    if isinstance(error, Temporary):
        return is_there or error.status == 500
    return isinstance(error, Rejected | Unexpected) and (is_there or error.status != 403)


def _bare(mailbox_id: str, item_id: str, now: datetime) -> Item:
    return Item(
        ref=Ref(mailbox_id, item_id),
        received_at=now,
        folder_id="",
        place=Place.UNKNOWN,
        is_summary=True,
    )


def older_page(
    client: GoogleClient,
    labels: Labels,
    mailbox_id: str,
    at: BackCursor,
    *,
    since: datetime,
    most: int,
) -> Page:
    """Raises ``BridgeError``; the old cursor then stays good.

    Only whole mails tell when they were received.  Where a page names none of which that is known
    (drafts, or what cannot be had), the next one is asked for at once.
    """
    token, skipped, met = "", 0, at
    while True:
        target = list_path(
            since, before=at.upper, token=token, size=min(most + len(at.edge), LARGEST_PAGE)
        )
        data = client.mail("GET", mailbox_id, target, cost=units.LIST_MESSAGES).json()
        ids = [text_of(entry, "id") for entry in entries_of(data, "messages")]
        wanted = [each for each in ids if each not in met.edge][:most]
        items, lost = _items(client, labels, mailbox_id, whole=wanted, brief=())
        skipped += lost
        met = met.after(items, timeless=[item.ref.item_id for item in items if _is_bare(item)])
        following = text_of(data, "nextPageToken")
        more = bool(following) or len(ids) > len(wanted) + len(at.edge.intersection(ids))
        if items or not following or following == token:
            newest_first = tuple(reversed(items))
            return Page(items=newest_first, cursor=met.as_text(), more=more, skipped=skipped)
        token = following


def _is_bare(item: Item) -> bool:
    return item.is_summary and item.place is Place.UNKNOWN


def ids_since(client: GoogleClient, mailbox_id: str, since: datetime) -> list[str]:
    """Ids of all mail received since then, spam and trash included.  Raises ``BridgeError``."""

    def ask(token: str) -> Json:
        return _list(client, mailbox_id, since, token, IDS_PAGE)

    return [text_of(entry, "id") for entry in client.pages(ask, "messages")]


def page_of(client: GoogleClient, labels: Labels, mailbox_id: str, ids: Sequence[str]) -> Page:
    """Those of them that are there.  Raises ``BridgeError``."""
    items, skipped = _items(client, labels, mailbox_id, whole=ids, brief=())
    return Page(items=items, cursor="", more=False, skipped=skipped)


def newest_pages(
    client: GoogleClient, labels: Labels, wanted: Sequence[tuple[str, datetime]]
) -> list[Page | BridgeError]:
    """The newest of each since a time.  Raises ``BridgeError`` if the batch as such failed."""
    asks = [
        Ask(
            mailbox_id=mailbox_id,
            path=list_path(since, size=NEWEST_PAGE),
            cost=units.LIST_MESSAGES,
        )
        for mailbox_id, since in wanted
    ]
    pages: list[Page | BridgeError] = []
    for (mailbox_id, _), answer in zip(wanted, client.batch(asks), strict=True):
        try:
            pages.append(_newest(client, labels, mailbox_id, answer))
        except BridgeError as error:
            pages.append(error)
    return pages


def _newest(
    client: GoogleClient, labels: Labels, mailbox_id: str, answer: Json | BridgeError
) -> Page:
    if isinstance(answer, BridgeError):
        raise answer
    ids = [text_of(entry, "id") for entry in entries_of(answer, "messages")]
    items, skipped = _items(client, labels, mailbox_id, whole=ids, brief=())
    more = bool(text_of(answer, "nextPageToken"))
    return Page(items=items, cursor="", more=more, skipped=skipped)
