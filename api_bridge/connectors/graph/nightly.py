"""Folder by folder: which there are, and what changed in each since the last reading.

The list by time of receipt never shows a mail that was put into a mailbox with an old date; the
delta of its folder does, whatever its date.  No ``$filter`` is asked for: Graph freezes it into the
token, and with ``receivedDateTime ge`` just that mail would be left out.  There is no beginning
from now either, ``$deltatoken=latest`` does not work for messages, so that a folder is read once
from its beginning, in summaries.

Contract read 2026-11-30: microsoft-graph-docs ``message-delta``, ``delta-query-overview`` (an empty
page may have a next link; items come again; a token ends with 410 or ``syncStateNotFound``, its
life is not fixed), ``user-list-mailfolders``, ``mailfolder-list-childfolders``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from api_bridge.connectors import FolderAsk, FolderPage, Item, MailFolder
from api_bridge.connectors.graph.client import (
    Ask,
    BatchReply,
    GraphClient,
    entries_of,
    next_link_of,
    path,
)
from api_bridge.connectors.graph.folders import DEPTH_LIMIT, Folders
from api_bridge.connectors.graph.mapping import ITEM_FIELDS, Json, item_of, text_of
from api_bridge.errors import AuthExpired, BridgeError, NotFound, RateLimited, Rejected, Unexpected

# Who is asked for more answers with what it likes.
PAGE_SIZE = 500
FOLDER_PAGE = 250
MOST_FOLDERS = 2_000
SUMMARY_FIELDS = (
    "id,internetMessageId,subject,from,receivedDateTime,sentDateTime,parentFolderId,isRead,isDraft,"
    "hasAttachments,categories,importance"
)
FOLDER_FIELDS = (
    "id,displayName,parentFolderId,isHidden,childFolderCount,totalItemCount,unreadItemCount"
)
# It shows mail that lies in other folders.
SEARCH_FOLDER = "#microsoft.graph.mailsearchfolder"
LOST = frozenset(
    {"syncstatenotfound", "syncstateinvalid", "resyncrequired", "errorinvalidsyncstatedata"}
)


def folders_of(
    client: GraphClient, folders: Folders, mailbox_ids: Sequence[str]
) -> list[list[MailFolder] | BridgeError]:
    """All of each mailbox, level by level.  Raises ``BridgeError`` if a batch as such failed."""
    found: dict[int, list[Json]] = {number: [] for number in range(len(mailbox_ids))}
    failed: dict[int, BridgeError] = {}
    asked = [(number, _list_path(mailbox_id)) for number, mailbox_id in enumerate(mailbox_ids)]
    for _ in range(DEPTH_LIMIT):
        if not asked:
            break
        asks = [Ask(mailbox_id=mailbox_ids[number], path=target) for number, target in asked]
        below = []
        for (number, _), answer in zip(asked, client.batch(asks), strict=True):
            try:
                listed, link = _listed(answer)
            except BridgeError as error:
                failed.setdefault(number, error)
                continue
            if link:
                below.append((number, client.in_batch(link)))
            found[number] += listed
            mine = mailbox_ids[number]
            below += [(number, _list_path(mine, id)) for id in _with_children(listed)]
        asked = [each for each in below if len(found[each[0]]) < MOST_FOLDERS]
    return [
        failed.get(number) or _with_places(folders, mailbox_id, found[number])
        for number, mailbox_id in enumerate(mailbox_ids)
    ]


def _with_places(
    folders: Folders, mailbox_id: str, listed: list[Json]
) -> list[MailFolder] | BridgeError:
    try:
        places = folders.places_in(mailbox_id, listed)
    except BridgeError as error:
        return error
    by_id = {text_of(folder, "id"): folder for folder in listed}
    return [
        MailFolder(
            id=folder_id,
            place=places[folder_id],
            total=_count(folder, "totalItemCount"),
            unread=_count(folder, "unreadItemCount"),
        )
        for folder_id, folder in by_id.items()
        if folder_id
    ]


def _listed(answer: BatchReply | BridgeError) -> tuple[list[Json], str]:
    """Folders of one answer, and its next link.  Raises ``BridgeError``."""
    if isinstance(answer, BridgeError):
        raise answer
    data = answer.json()
    listed = [
        folder
        for folder in entries_of(data)
        if text_of(folder, "@odata.type").lower() != SEARCH_FOLDER
    ]
    return listed, next_link_of(data)


def _with_children(listed: Sequence[Json]) -> list[str]:
    return [text_of(each, "id") for each in listed if _count(each, "childFolderCount") != 0]


def _count(folder: Json, name: str) -> int | None:
    value = folder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list_path(mailbox_id: str, folder_id: str = "") -> str:
    below = (folder_id, "childFolders") if folder_id else ()
    return path(
        *("users", mailbox_id, "mailFolders", *below),
        includeHiddenFolders="true",
        top=str(FOLDER_PAGE),
        select=FOLDER_FIELDS,
    )


def folder_pages(
    client: GraphClient, wanted: Sequence[FolderAsk]
) -> list[FolderPage | BridgeError]:
    """Raises ``BridgeError`` if a batch as such failed."""
    now = datetime.now(UTC)
    found: list[FolderPage | BridgeError] = []
    asks: list[Ask | BridgeError] = [_ask(client, each) for each in wanted]
    sent = [ask for ask in asks if isinstance(ask, Ask)]
    answers = iter(client.batch(sent))
    for each, ask in zip(wanted, asks, strict=True):
        answer = next(answers) if isinstance(ask, Ask) else ask
        try:
            found.append(_page(each, answer, now))
        except BridgeError as error:
            found.append(error)
    return found


def _ask(client: GraphClient, wanted: FolderAsk) -> Ask | BridgeError:
    """An error where the kept link does not lead to this mail host."""
    if wanted.link:
        try:
            target = client.in_batch(wanted.link)
        except BridgeError as error:
            return error
    else:
        target = path(
            *("users", wanted.mailbox_id, "mailFolders", wanted.folder_id, "messages", "delta"),
            select=SUMMARY_FIELDS,
        )
    return Ask(mailbox_id=wanted.mailbox_id, path=target, prefer=f"odata.maxpagesize={PAGE_SIZE}")


def _page(wanted: FolderAsk, answer: BatchReply | BridgeError, now: datetime) -> FolderPage:
    """Raises ``BridgeError``."""
    if isinstance(answer, BridgeError):
        if wanted.link and _is_lost(answer):
            return FolderPage(more=True, restarted=True)
        raise answer
    data = answer.json()
    entries = entries_of(data)
    removed = tuple(text_of(each, "id") for each in entries if "@removed" in each)
    there = [each for each in entries if "@removed" not in each]
    listed = [item_of(each, wanted.mailbox_id, wanted.place, now) for each in there]
    # The same mail may come several times: what was said last counts.
    by_id = {item.ref.item_id: replace(item, is_summary=True) for item in listed if item}
    following, delta = next_link_of(data), text_of(data, "@odata.deltaLink")
    if not following and not delta:
        raise Unexpected("The answer has neither a next link nor a delta link.", code="no_link")
    if following and following == wanted.link:
        return FolderPage(more=True, restarted=True)
    return FolderPage(
        items=tuple(by_id.values()),
        removed=tuple(each for each in removed if each and each not in by_id),
        link=following or delta,
        more=bool(following),
        skipped=sum(item is None for item in listed),
    )


def _is_lost(error: BridgeError) -> bool:
    """The token has died.  A folder that is gone answers 404 with another code."""
    if error.status == 410 or error.code.lower() in LOST:
        return True
    return isinstance(error, Rejected) and error.status == 400


def whole_items(
    client: GraphClient, folders: Folders, mailbox_id: str, items: Sequence[Item]
) -> list[Item]:
    """Raises ``BridgeError`` for what says nothing of the mail: limits, tokens, an outage."""
    now = datetime.now(UTC)
    asks = [
        Ask(
            mailbox_id=mailbox_id,
            path=path("users", mailbox_id, "messages", item.ref.item_id, select=ITEM_FIELDS),
        )
        for item in items
    ]
    answers = client.batch(asks) if asks else []
    is_there = any(isinstance(answer, BatchReply) for answer in answers)
    found: list[Item] = []
    for brief, answer in zip(items, answers, strict=True):
        if isinstance(answer, BatchReply):
            data = answer.json()
            place = folders.place_of(mailbox_id, text_of(data, "parentFolderId"))
            found.append(item_of(data, mailbox_id, place, now) or brief)
        elif isinstance(answer, NotFound) and not answer.is_of_mailbox:
            continue
        elif _is_poison(answer, is_there=is_there):
            # It is tried, counted and given up like any other (trap 10).
            found.append(brief)
        else:
            raise answer
    return found


def _is_poison(error: BridgeError, *, is_there: bool) -> bool:
    """``is_there``: other mail of the same mailbox could be had just now, so neither an outage nor
    a missing permission keeps this one back.
    """
    if isinstance(error, AuthExpired | RateLimited | NotFound):
        return False
    return is_there or error.status == 500
