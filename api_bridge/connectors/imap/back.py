"""What lies in a mailbox from before a time, over all its folders, the newest first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from api_bridge.connectors import Page
from api_bridge.connectors.back import BackCursor
from api_bridge.connectors.imap.changes import TIMES, Changes, Listing
from api_bridge.connectors.imap.folders import Folder
from api_bridge.connectors.imap.mapping import day, received_at
from api_bridge.connectors.imap.session import Session
from api_bridge.errors import NotFound, Rejected

log = logging.getLogger(__name__)


class ChangesAndBack(Changes):
    """Lists one server's mailboxes, in both directions."""

    def older(self, session: Session, at: BackCursor, *, since: datetime, most: int) -> Page:
        """Mail received before ``at``, newest first.  SEARCH knows days only, so that the times of
        a stretch of days are asked for first; the stretch grows while nothing lies in it.
        """
        folders = [each for each in self.locator.folders(session) if not each.is_drafts]
        high, length = at.upper, timedelta(days=1)
        while True:
            low = max(since, high - length)
            times, skipped = self._times(session, folders, low, high)
            if times or low <= since:
                break
            high, length = low, length * 2
        listing = Listing(len(times))
        ordered = sorted(times, key=lambda each: each[0], reverse=True)
        # Names are told with the mail itself: what lies at the edge is taken, and left out again.
        chosen = ordered[: most + len(at.edge)]
        for folder in folders:
            uids = sorted(uid for _, name, uid in chosen if name == folder.name)
            if uids:
                opened = session.open(folder.name)
                self.take(session, folder, opened, uids, low, listing)
        self.settle_copies(session, folders, listing)
        found = [each for each in listing.items.values() if each.ref.item_id not in at.edge]
        more = len(chosen) < len(ordered) or low > since
        after = at.after(found)
        if len(chosen) == len(ordered):
            # The whole stretch is listed, whether or not all of it could be named.
            after = BackCursor(low)
        elif not found:
            after = BackCursor(chosen[-1][0], at.edge)
        newest_first = sorted(found, key=lambda item: item.received_at, reverse=True)
        return Page(
            items=tuple(newest_first),
            cursor=after.as_text(),
            more=more,
            skipped=skipped + listing.skipped,
        )

    def _times(
        self, session: Session, folders: Sequence[Folder], low: datetime, high: datetime
    ) -> tuple[list[tuple[datetime, str, int]], int]:
        """When each mail of these days was received, with its folder and UID; and how many folders
        the server refused.
        """
        one_day = timedelta(days=1)
        criteria = f"SINCE {day(low - one_day)} BEFORE {day(high + 2 * one_day)}"
        found, refused = [], 0
        for folder in folders:
            try:
                session.open(folder.name)
                uids = session.search(criteria)
                answered = session.fetch(uids, TIMES) if uids else {}
            except (NotFound, Rejected) as error:
                if session.is_dead:
                    raise
                log.warning("a folder cannot be listed: %s", error)
                refused += 1
                continue
            for uid, fields in answered.items():
                at = received_at(fields)
                if at is not None and low <= at < high:
                    found.append((at, folder.name, uid))
        return found, refused
