"""What a starting gate makes of what an earlier one left.

1. A mail that was begun and not done: its relayed copies are *unknown* until the mailbox layer has
   looked; the others were never answered for.
2. A release that was begun and not done is *unknown* as well.
3. What the gate did just before it died may not have been heard by its sender, who then repeats the
   mail: it is noted, so that nothing is done twice (``repeats.py``).
4. Original bytes and spooled copies of mails that were never answered for are removed: their
   sender has kept them, and would otherwise be doubled.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from seg_bridge.gate.journal import Record, read_all
from seg_bridge.gate.records import observations, settle_unfinished
from seg_bridge.gate.repeats import KEEP_ANSWERED_S, Repeats

log = logging.getLogger(__name__)

MOST_LAST = 1000
UNHEARD_WITHIN = timedelta(minutes=1)
STOPPED: Record = {"kind": "stopped"}


@dataclass(frozen=True, slots=True)
class Last:
    """A mail that was done at ``at``, and the recipients for whom nothing may be done again."""

    ulid: str
    key: str
    settled: tuple[str, ...]
    at: datetime


@dataclass(slots=True)
class Leftovers:
    """``kept`` are the (tenant id, ulid) whose original bytes the journal answers for;
    ``answered`` the ulids of mails with an outcome; ``spooled`` those with copies still to be
    delivered, ``followed_up`` those copies (ulid/recipient) of which it is told what became of them
    later; ``commands`` acknowledged ones; ``last`` are the newest mails that are done, and what
    is settled of them.
    """

    begun: dict[str, Record] = field(default_factory=dict)
    begun_commands: dict[str, Record] = field(default_factory=dict)
    kept: set[tuple[int, str]] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    spooled: set[str] = field(default_factory=set)
    followed_up: set[str] = field(default_factory=set)
    commands: list[Record] = field(default_factory=list)
    last: deque[Last] = field(default_factory=lambda: deque(maxlen=MOST_LAST))

    def note(self, record: Record) -> None:
        match record["kind"]:
            case "begun":
                self.begun[record["ulid"]] = record
            case "done":
                self._note_done(record)
            case "followed_up":
                self.followed_up |= {each["source_key"] for each in observations(record)}
            case "stopped":
                self.last.clear()
            case "command_begun":
                self.begun_commands[record["command"]["command_id"]] = record
            case "command":
                self.begun_commands.pop(record["command"]["command_id"], None)
                self.commands.append(record)

    def _note_done(self, record: Record) -> None:
        self.begun.pop(record["ulid"], None)
        self.answered.add(record["ulid"])
        if repeat := record.get("repeat"):
            at = datetime.fromisoformat(record["mails"][0]["shared"]["observed_at"])
            self.last.append(Last(record["ulid"], repeat["key"], tuple(repeat["settled"]), at))
        for mail in record["mails"]:
            if mail["shared"].get("evidence"):
                self.kept.add((mail["shared"]["tenant_id"], record["ulid"]))
            if any(copy["detail"].get("is_spooled") for copy in mail["each"]):
                self.spooled.add(record["ulid"])

    def settling_records(self, at: datetime) -> list[Record]:
        """What has to be added to the journal before the first mail."""
        mails = [settle_unfinished(begun, at) for begun in self.begun.values()]
        commands = [{**begun, "kind": "command"} for begun in self.begun_commands.values()]
        if mails or commands:
            log.warning("unfinished: %d mails, %d releases", len(mails), len(commands))
        return [*mails, *commands]

    def note_unheard(self, repeats: Repeats) -> None:
        """Of the last minute before the end: those who heard our answer will not ask again."""
        if not self.last:
            return
        since = self.last[-1].at - UNHEARD_WITHIN
        for each in self.last:
            if each.at >= since:
                repeats.note(each.key, each.ulid, each.settled, keep_s=KEEP_ANSWERED_S)


def read_leftovers(journal_folder: Path) -> Leftovers:
    leftovers = Leftovers()
    for record in read_all(journal_folder):
        leftovers.note(record)
    return leftovers
