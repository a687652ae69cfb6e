"""Finds the copies of a mail in a mailbox, wherever they were moved to.

UIDs belong to folders and change with every move, so what we keep of a mail is its own name
(``mapping.item_id_of``).  Where it was seen last stands in the shared cache, which may forget: then
all folders are searched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from weakref import WeakKeyDictionary

from api_bridge.cache import SharedCache
from api_bridge.connectors.imap import answers
from api_bridge.connectors.imap.folders import Folder, read_folders
from api_bridge.connectors.imap.mapping import (
    Found,
    Spot,
    found_of,
    item_fields,
    item_id_of,
    search_for,
)
from api_bridge.connectors.imap.options import Options
from api_bridge.connectors.imap.session import Session
from api_bridge.errors import BridgeError, NotFound
from incidents.words import Place

REMEMBERED_S = 14 * 86_400.0
LATELY_S = 10.0
MOST_SPOTS = 50
FETCHED_AT_ONCE = 100


class Locator:
    """Of one server's mailboxes.  Every method may raise ``BridgeError``."""

    def __init__(self, options: Options, cache: SharedCache) -> None:
        self._options = options
        self._cache = cache
        self._fields = item_fields(uses_emailid=options.uses_emailid)
        self._listed: WeakKeyDictionary[Session, tuple[float, list[Folder]]] = WeakKeyDictionary()

    def folders(self, session: Session) -> list[Folder]:
        """As they are now."""
        listed = read_folders(session, self._options.quarantine)
        self._listed[session] = (time.monotonic(), listed)
        return listed

    def folders_lately(self, session: Session) -> list[Folder]:
        """As they were a moment ago: enough to say which place a folder is, not what is in it."""
        at, listed = self._listed.get(session, (0.0, []))
        if listed and time.monotonic() - at < LATELY_S:
            return listed
        return self.folders(session)

    def last_seen(self, session: Session, item_id: str, folders: Sequence[Folder]) -> list[Found]:
        """The copies that still lie where they were seen last; there may be others."""
        found = []
        places = {folder.name: folder.place for folder in folders}
        for spot in self.remembered(session.mailbox, item_id):
            if spot.folder in places:
                found += self._at(session, item_id, spot, places[spot.folder])
        return found

    def everywhere(
        self, session: Session, item_id: str, folders: Sequence[Folder] | None = None
    ) -> list[Found]:
        """All copies, in all folders.

        A mail that is moved from a folder not yet searched into one already searched is not seen,
        so [] is believed only after a second search the other way round.
        """
        folders = folders or self.folders(session)
        found = self._search(session, item_id, folders)
        if not found:
            found = self._search(session, item_id, self.folders(session)[::-1])
        self.remember(session.mailbox, item_id, [each.spot for each in found])
        return found

    def _search(self, session: Session, item_id: str, folders: Iterable[Folder]) -> list[Found]:
        criteria = search_for(item_id)
        found: list[Found] = []
        for folder in folders if criteria else ():
            if folder.status.get("MESSAGES") == 0:
                continue
            try:
                opened = session.open(folder.name)
                uids = session.search(criteria)
                found += self._known_among(
                    session, item_id, folder.name, opened.validity, uids, folder.place
                )
            except NotFound:
                # The folder went while we looked.
                continue
        return found

    def _at(self, session: Session, item_id: str, spot: Spot, place: Place) -> list[Found]:
        try:
            opened = session.open(spot.folder)
        except NotFound:
            return []
        if opened.validity != spot.validity:
            return []
        return self._known_among(session, item_id, spot.folder, spot.validity, [spot.uid], place)

    def _known_among(
        self,
        session: Session,
        item_id: str,
        folder: str,
        validity: int,
        uids: Sequence[int],
        place: Place,
    ) -> list[Found]:
        """Of these UIDs of the opened folder the ones that are this mail."""
        found = []
        for start in range(0, len(uids), FETCHED_AT_ONCE):
            some = session.fetch(uids[start : start + FETCHED_AT_ONCE], self._fields)
            for uid, fields in some.items():
                if self.name_of(session.mailbox, fields) == item_id:
                    found.append(found_of(fields, Spot(folder, validity, uid), place))
        return found

    def with_message_id(
        self, session: Session, message_id: str, folders: Sequence[Folder]
    ) -> list[str]:
        """Item ids of every copy with that Message-ID, which need not be unique."""
        wanted = message_id.strip()
        if not wanted or any(c in wanted for c in "\r\n\0"):
            return []
        ids: dict[str, list[Spot]] = {}
        for folder in folders:
            if folder.status.get("MESSAGES") == 0:
                continue
            try:
                opened = session.open(folder.name)
                uids = _search_message_id(session, wanted)
            except NotFound:
                continue
            for uid, fields in session.fetch(uids[:FETCHED_AT_ONCE], self._fields).items():
                spot = Spot(folder.name, opened.validity, uid)
                # The server looks for a part of it.
                if found_of(fields, spot, folder.place).message_id.strip() == wanted and (
                    item_id := self.name_of(session.mailbox, fields)
                ):
                    ids.setdefault(item_id, []).append(spot)
        for item_id, spots in ids.items():
            self.remember(session.mailbox, item_id, spots)
        return list(ids)

    def name_of(self, mailbox: str, fields: dict[bytes, object]) -> str:
        return item_id_of(mailbox, fields, uses_emailid=self._options.uses_emailid)

    def remembered(self, mailbox: str, item_id: str) -> list[Spot]:
        kept = self._cache.get(self._key(mailbox, item_id))
        try:
            return [Spot(*each) for each in json.loads(kept)] if kept else []
        except (ValueError, TypeError):
            return []

    def remember(self, mailbox: str, item_id: str, spots: Sequence[Spot]) -> None:
        key = self._key(mailbox, item_id)
        if spots:
            kept = json.dumps([astuple(spot) for spot in spots[:MOST_SPOTS]])
            self._cache.set(key, kept, ttl_s=REMEMBERED_S)
        else:
            self._cache.drop(key)

    def _key(self, mailbox: str, item_id: str) -> str:
        return f"imap.spot.{self._options.owner}.{mailbox}.{item_id}"


def _search_message_id(session: Session, wanted: str) -> list[int]:
    """Ids with other letters than ASCII are sent as they are; a server that minds finds none."""
    if wanted.isascii():
        return session.search(f"HEADER Message-ID {answers.quoted(wanted)}")
    try:
        return session.search(f"CHARSET UTF-8 HEADER Message-ID {answers.quoted(wanted)}".encode())
    except BridgeError:
        if session.is_dead:
            raise
        return []
