"""Going back through a mailbox: where a listing from the newest mail to the oldest stands.

A page begins at the time of the last mail that was listed, that second included, because several
mails may have come in it; ``edge`` names those of it that were listed already.  Links and page
tokens of the mail host are not kept: they die, and a time does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from api_bridge.connectors import Item
from api_bridge.errors import Rejected

CURSOR_VERSION = 1
MOST_EDGE = 900
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class BackCursor:
    """``before``: what was received at or after it is not listed any more, but for the items of
    that very second; ``edge``: items that were listed and would come again.
    """

    before: datetime
    edge: frozenset[str] = frozenset()

    def as_text(self) -> str:
        data = {"v": CURSOR_VERSION, "before": self.before.isoformat(), "edge": sorted(self.edge)}
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def of(cls, text: str, until: datetime) -> Self:
        """``text`` "" begins at ``until``.  Raises ``Rejected`` if it is no cursor of ours."""
        if not text:
            return cls(until)
        try:
            data = json.loads(text)
            if data["v"] != CURSOR_VERSION:
                raise ValueError("another version")
            at = datetime.fromisoformat(data["before"])
            if at.tzinfo is None:
                raise ValueError("a time without a zone")
            return cls(at, frozenset(str(each) for each in data["edge"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Rejected("The cursor cannot be read.", code="bad_cursor") from error

    @property
    def upper(self) -> datetime:
        """Mail received before it is wanted (``edge`` apart), in whole seconds."""
        second = self.before.replace(microsecond=0)
        return second + _SECOND if self.edge or self.before > second else second

    def after(self, items: Iterable[Item], *, timeless: Iterable[str] = ()) -> BackCursor:
        """Where the listing stands after these.  ``timeless``: ids of items whose time of receipt
        is not known, to be kept out of the pages that follow.
        """
        unknown = frozenset(timeless)
        timed = [item for item in items if item.ref.item_id not in unknown]
        if not timed:
            return BackCursor(self.before, _bounded(self.edge | unknown))
        last = min(item.received_at for item in timed).replace(microsecond=0)
        here = {
            item.ref.item_id for item in timed if item.received_at.replace(microsecond=0) == last
        }
        kept = self.edge if last == self.before.replace(microsecond=0) else frozenset()
        return BackCursor(last, _bounded(kept | here | unknown))


def _bounded(edge: frozenset[str]) -> frozenset[str]:
    return edge if len(edge) <= MOST_EDGE else frozenset(sorted(edge)[:MOST_EDGE])
