"""Which folder is which: folder id → place, for one mailbox at a time, kept in the shared cache.

Folder ids never change in Graph.  Contract read 2026-11-22: microsoft-graph-docs ``mailfolder``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from api_bridge.cache import SharedCache
from api_bridge.connectors import Connection
from api_bridge.connectors.graph.client import (
    Ask,
    BatchReply,
    GraphClient,
    entries_of,
    odata_text,
    path,
)
from api_bridge.connectors.graph.mapping import Json, is_true, text_of
from api_bridge.errors import NotFound, Rejected, Unexpected
from incidents.words import Place

# Main folders never change; people move, make and delete the others, our quarantine among them.
MAIN_KEPT_S = 7 * 86_400.0
OTHERS_KEPT_S = 3_600.0
DEPTH_LIMIT = 20
WELL_KNOWN = {
    "inbox": Place.INBOX,
    "junkemail": Place.JUNK,
    "deleteditems": Place.DELETED,
    "recoverableitemsdeletions": Place.DELETED,
    "sentitems": Place.SENT,
    "archive": Place.ARCHIVE,
}
# A folder inside one of these is what its parent is; one inside the inbox is another folder.
HANDED_DOWN = frozenset({Place.JUNK, Place.DELETED, Place.SENT, Place.ARCHIVE, Place.QUARANTINE})


@dataclass(slots=True)
class FolderMap:
    """``main``: the one folder that stands for a place; ``places``: all folders seen so far;
    ``others_at``: since when those that are not main are remembered (Unix seconds).
    """

    main: dict[Place, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    others_at: float = field(default_factory=time.time)

    def add_main(self, folder_id: str, place: Place) -> None:
        self.main.setdefault(place, folder_id)
        self.places[folder_id] = place

    def as_json(self) -> str:
        return json.dumps([self.main, self.places, self.others_at])

    def without_old(self) -> Self:
        """Only what cannot have changed, if the rest has been remembered for long."""
        if time.time() - self.others_at < OTHERS_KEPT_S:
            return self
        fixed: dict[Place, str] = {
            place: folder_id
            for place, folder_id in self.main.items()
            if place is not Place.QUARANTINE
        }
        places = {id: place for id, place in self.places.items() if id in fixed.values()}
        return type(self)(fixed, places)

    @classmethod
    def from_json(cls, kept: str) -> Self:
        main, places, others_at = json.loads(kept)
        return cls(
            {Place(place): folder_id for place, folder_id in main.items()},
            {folder_id: Place(place) for folder_id, place in places.items()},
            others_at,
        )


class Folders:
    """Places of one tenant's mailboxes."""

    def __init__(self, client: GraphClient, cache: SharedCache, connection: Connection) -> None:
        self._client = client
        self._cache = cache
        self._tenant_guid = connection.cloud_tenant_id
        self._quarantine_name = connection.quarantine_folder

    def place_of(self, mailbox_id: str, folder_id: str) -> Place:
        """Asks only about folders not seen before.  Raises ``BridgeError``."""
        if not folder_id:
            return Place.UNKNOWN
        known = self._known(mailbox_id)
        if folder_id not in known.places:
            known.places[folder_id] = self._look_up(mailbox_id, folder_id, known)
            self._keep(mailbox_id, known)
        return known.places[folder_id]

    def places_in(self, mailbox_id: str, listed: Sequence[Json]) -> dict[str, Place]:
        """The place of each of a mailbox's folders, all of which were just listed; of what is
        known already nothing is asked.  Raises ``BridgeError``.
        """
        known = self._known(mailbox_id)
        fixed = {folder_id: known.places[folder_id] for folder_id in known.main.values()}
        by_id = {text_of(folder, "id"): folder for folder in listed}
        places = {id: self._place_in(id, by_id, fixed) for id in by_id if id}
        if places | fixed != known.places:
            known.places = places | fixed
            self._keep(mailbox_id, known)
        return places

    def _place_in(
        self, folder_id: str, by_id: Mapping[str, Json], fixed: Mapping[str, Place]
    ) -> Place:
        """As ``_look_up`` finds it."""
        if folder_id in fixed:
            return fixed[folder_id]
        current, is_quarantine = folder_id, False
        for _ in range(DEPTH_LIMIT):
            folder = by_id.get(current)
            if folder is None:
                break
            is_quarantine = is_quarantine or self._is_quarantine(folder)
            current = text_of(folder, "parentFolderId")
            place = fixed.get(current)
            if place in HANDED_DOWN:
                return place
            if place is not None:
                break
        return Place.QUARANTINE if is_quarantine else Place.OTHER

    def place_now(self, mailbox_id: str, folder_id: str) -> Place:
        """As ``place_of``, but asks; ``gone`` if there is no such folder.  Raises ``BridgeError``.

        Main folders do not move, and are not asked about.
        """
        known = self._known(mailbox_id)
        if folder_id in known.main.values():
            return known.places[folder_id]
        try:
            self._client.call("GET", _folder_path(mailbox_id, folder_id), mailbox_id=mailbox_id)
        except NotFound:
            return Place.GONE
        known.places[folder_id] = self._look_up(mailbox_id, folder_id, known)
        self._keep(mailbox_id, known)
        return known.places[folder_id]

    def folder_for(self, mailbox_id: str, place: Place) -> str:
        """The id of the folder that is this place; the hidden quarantine is made if missing.

        Raises ``NotFound`` if the mailbox has no such folder.
        """
        known = self._known(mailbox_id)
        if place in known.main:
            return known.main[place]
        if place is not Place.QUARANTINE:
            raise NotFound(f"The mailbox has no folder {place}.")
        known.add_main(self._make_quarantine(mailbox_id), Place.QUARANTINE)
        self._keep(mailbox_id, known)
        return known.main[place]

    def forget(self, mailbox_id: str) -> None:
        """After a folder turned out to be gone."""
        self._cache.drop(self._key(mailbox_id))

    def _known(self, mailbox_id: str) -> FolderMap:
        kept = self._cache.get(self._key(mailbox_id))
        if kept is not None:
            return FolderMap.from_json(kept).without_old()
        known = self._read_main(mailbox_id)
        self._keep(mailbox_id, known)
        return known

    def _keep(self, mailbox_id: str, known: FolderMap) -> None:
        self._cache.set(self._key(mailbox_id), known.as_json(), ttl_s=MAIN_KEPT_S)

    def _key(self, mailbox_id: str) -> str:
        return f"folders.2.{self._tenant_guid.lower()}.{mailbox_id}"

    def _read_main(self, mailbox_id: str) -> FolderMap:
        """One batch.  A folder that a mailbox does not have (archive) answers 404 and is left out.

        Raises whatever else an answer says, so that half a map is never kept.
        """
        asks = [
            Ask(mailbox_id=mailbox_id, path=_folder_path(mailbox_id, name)) for name in WELL_KNOWN
        ]
        asks.append(Ask(mailbox_id=mailbox_id, path=self._quarantine_path(mailbox_id)))
        *answers, listed = self._client.batch(asks)
        known = FolderMap()
        for place, answer in zip(WELL_KNOWN.values(), answers, strict=True):
            if isinstance(answer, BatchReply):
                known.add_main(text_of(answer.json(), "id"), place)
            elif not isinstance(answer, NotFound):
                raise answer
        if not isinstance(listed, BatchReply):
            raise listed
        if found := self._quarantine_in(entries_of(listed.json())):
            known.add_main(found, Place.QUARANTINE)
        return known

    def _look_up(self, mailbox_id: str, folder_id: str, known: FolderMap) -> Place:
        """Walks up to the first other folder whose place is known.

        A folder that a person deletes goes into Deleted Items with its id, the quarantine too.
        """
        current, is_quarantine = folder_id, False
        for _ in range(DEPTH_LIMIT):
            try:
                folder = self._client.call(
                    "GET", _folder_path(mailbox_id, current), mailbox_id=mailbox_id
                ).json()
            except NotFound:
                return Place.OTHER
            is_quarantine = is_quarantine or self._is_quarantine(folder)
            parent = text_of(folder, "parentFolderId")
            place = known.places.get(parent, Place.OTHER)
            if place in HANDED_DOWN:
                return place
            if parent in known.places or not parent or parent == current:
                break
            current = parent
        return Place.QUARANTINE if is_quarantine else Place.OTHER

    def _make_quarantine(self, mailbox_id: str) -> str:
        """Making it twice would hide mail in two places: a lost answer is settled by looking."""
        body = {"displayName": self._quarantine_name, "isHidden": True}
        try:
            made = self._client.call(
                "POST", path("users", mailbox_id, "mailFolders"), mailbox_id=mailbox_id, body=body
            )
            folder_id = text_of(made.json(), "id")
        except Rejected as error:
            # 409 ErrorFolderExists: another worker was faster.
            if error.status != 409:
                raise
            folder_id = ""
        if folder_id:
            return folder_id
        listed = self._client.call("GET", self._quarantine_path(mailbox_id), mailbox_id=mailbox_id)
        if found := self._quarantine_in(entries_of(listed.json())):
            return found
        raise Unexpected("The quarantine folder exists and cannot be found.", code="no_quarantine")

    def _quarantine_path(self, mailbox_id: str) -> str:
        return path(
            "users",
            mailbox_id,
            "mailFolders",
            includeHiddenFolders="true",
            filter=f"displayName eq {odata_text(self._quarantine_name)}",
            top="100",
        )

    def _is_quarantine(self, folder: Json) -> bool:
        """A visible folder of that name is a person's own."""
        return text_of(folder, "displayName") == self._quarantine_name and is_true(
            folder, "isHidden"
        )

    def _quarantine_in(self, folders: list[Json]) -> str:
        """The same one for every worker, should there be two; "" if there is none."""
        found = (text_of(folder, "id") for folder in folders if self._is_quarantine(folder))
        return min(found, default="")


def _folder_path(mailbox_id: str, folder: str) -> str:
    return path(
        "users", mailbox_id, "mailFolders", folder, select="id,displayName,parentFolderId,isHidden"
    )
