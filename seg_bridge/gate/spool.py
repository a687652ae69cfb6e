"""Copies that the gate has answered for and must still deliver.

A next hop may take some recipients of a mail and put others off; the sender gets one answer for
all, so what is left over is spooled before the 250.  Each entry is ``spool/<name>.eml`` with
``<name>.json``; the name ends in ``.new`` until the journal holds the mail's ``done`` record.

The gate tries for five days, then holds the copy for a person to decide.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from incidents.observations import Observation
from incidents.words import Direction, Layer, Outcome, Place
from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.files import make_folder, replace_file, sync_folder, write_synced
from seg_bridge.gate.hop import HopAnswer, OutgoingMail
from seg_bridge.gate.journal import Journal, JournalError
from seg_bridge.gate.outbound.ways_out import WaysOut
from seg_bridge.gate.policy import PolicySnapshot, normalise_address
from seg_bridge.gate.records import observation_record
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.returning import Returner
from seg_bridge.gate.spool_entry import SpoolEntry
from seg_bridge.gate.ways import Way

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32  # each has a mail's bytes in memory


@dataclass(frozen=True, slots=True)
class SpoolTimes:
    """Seconds.  Waits double from the first to the longest."""

    first_retry_s: float = 15.0
    longest_retry_s: float = 900.0
    give_up_after_s: float = 5 * 24 * 3600.0


_PLACE = {Outcome.HELD: Place.HOLD, Outcome.REJECTED: Place.NOWHERE}


def follow_up(
    *,
    source: str,
    entry: SpoolEntry,
    recipient: str,
    outcome: Outcome,
    rule: str,
    next_hop: str,
    answer: HopAnswer,
) -> Observation:
    """What became of one copy later; verdict and facts are in the earlier observation."""
    recipient = normalise_address(recipient)
    return Observation(
        tenant_id=entry.tenant_id,
        layer=Layer.GATEWAY,
        source=source,
        source_key=_key(entry, recipient),
        observed_at=datetime.now(UTC),
        recipient=recipient,
        direction=entry.direction,
        internet_message_id=entry.internet_message_id,
        trace_ulid=entry.ulid,
        action=outcome,
        rule=rule,
        place=_PLACE.get(outcome),
        evidence=entry.sha256,
        detail={"next_hop": next_hop, "next_hop_reply": answer.text, "mail_from": entry.mail_from},
    )


class Spool:
    def __init__(
        self,
        folder: Path,
        *,
        journal: Journal,
        relay: Relay,
        source: str,
        snapshot: Callable[[], PolicySnapshot | None],
        times: SpoolTimes,
        ways_out: WaysOut | None = None,
        returner: Returner | None = None,
    ) -> None:
        self._returner = returner
        self._ways_out = ways_out or WaysOut()
        self._folder = folder
        self._journal = journal
        self._relay = relay
        self._source = source
        self._snapshot = snapshot
        self._times = times
        self._entries: dict[str, SpoolEntry] = {}
        self._trying: set[str] = set()
        # Client → what tries its entries now.
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._wake = asyncio.Event()
        make_folder(folder)

    def put(self, entry: SpoolEntry, data: bytes) -> None:
        """Durable on return, but not tried before ``activate``.  Raises ``OSError``."""
        write_synced(self._path(entry.name, ".eml"), data)
        write_synced(self._path(entry.name, ".json.new"), entry.encode())
        sync_folder(self._folder)
        failpoint("spool.after_files")

    def activate(self, entry: SpoolEntry) -> None:
        """The journal answers for the entry now.  Raises ``OSError``."""
        self._path(entry.name, ".json.new").rename(self._path(entry.name, ".json"))
        failpoint("spool.after_rename")
        self._entries[entry.name] = replace(entry, due_at_s=time.time() + self._times.first_retry_s)
        self._wake.set()

    def discard(self, entry: SpoolEntry) -> None:
        """The sender was told to repeat the mail, so ours must not go out as well."""
        for suffix in (".json.new", ".eml"):
            self._path(entry.name, suffix).unlink(missing_ok=True)

    def recover(self, answered_for: Collection[str], followed_up: Collection[str] = ()) -> None:
        """Takes up what an earlier process left; ``answered_for`` are ulids with spooled copies in
        the journal, ``followed_up`` copies of which it tells what became of them: they are done.
        """
        for path in self._folder.glob("*.json.new"):
            name = path.name.removesuffix(".json.new")
            is_activated = self._path(name, ".json").exists()  # then this is half a change of it
            if name.partition(".")[0] in answered_for and not is_activated:
                # no failpoint: the next start would do the same
                path.rename(self._path(name, ".json"))
            else:
                path.unlink()
        for path in self._folder.glob("*.json"):
            entry = SpoolEntry.decode(path.read_bytes())
            left = tuple(each for each in entry.recipients if _key(entry, each) not in followed_up)
            self._entries[entry.name] = replace(entry, recipients=left)
            if not left:
                self._forget(entry)
        for path in self._folder.glob("*.eml"):
            if path.stem not in self._entries:
                path.unlink()

    def entries(self) -> list[SpoolEntry]:
        return list(self._entries.values())

    def entry(self, name: str) -> SpoolEntry | None:
        return self._entries.get(name)

    def size_of(self, entry: SpoolEntry) -> int:
        """In bytes; 0 where it has just gone."""
        try:
            return self._path(entry.name, ".eml").stat().st_size
        except FileNotFoundError:
            return 0

    async def order(self, entry: SpoolEntry, action: str, *, by: str) -> str:
        """Does what a person wants with it: ``retry``, ``hold``, ``free``, ``remove``, ``return``.

        "" when it is done and durable, else why not.  Raises ``OSError`` or ``JournalError``:
        nothing has changed, and the order is to be repeated.
        """
        if entry.name in self._trying:
            return "It is being tried at this moment. Look again."
        match action:
            case "retry" if entry.is_held:
                return "It is on hold: let it go on first."
            case "retry" | "free":
                self._store(replace(entry, due_at_s=time.time(), is_held=False))
            case "hold":
                self._store(replace(entry, is_held=True))
            case "remove":
                await self._take_out(entry, f"taken out of the queue by {by}")
            case "return" if self._returner is not None:
                return await self._return(entry, by)
            case _:
                return f"This gate cannot do {action!r} with it."
        self._wake.set()
        return ""

    async def _return(self, entry: SpoolEntry, by: str) -> str:
        """As ``order``.  Meanwhile it is not tried; where its sender cannot be told, it stays."""
        assert self._returner is not None
        data = await asyncio.to_thread(self._path(entry.name, ".eml").read_bytes)
        waiting = replace(entry, is_held=True)
        self._store(waiting)  # else a gate that dies now would return it and deliver it too
        trouble = await self._returner.send_back(entry, data)
        if self._entries.get(entry.name) != waiting:
            return trouble or "Another order came first."
        if trouble:
            self._replace(entry)
        else:
            await self._take_out(entry, f"returned to its sender by {by}")
        self._wake.set()
        return trouble

    async def _take_out(self, entry: SpoolEntry, rule: str) -> None:
        gone = [
            follow_up(
                source=self._source,
                entry=entry,
                recipient=recipient,
                outcome=Outcome.REJECTED,
                rule=rule,
                next_hop=str(self.way_of(entry) or ""),
                answer=HopAnswer("refused", entry.last_reply),
            )
            for recipient in entry.recipients
        ]
        await self._journal.append(observation_record("followed_up", gone))
        self._forget(entry)

    async def run(self) -> None:
        """Tries what is due, for ever; each client's by itself, so that one whose mail host hangs
        holds up no other.
        """
        try:
            while True:
                self._wake.clear()
                idle = [each for each in self._entries.values() if self._may_be_tried(each)]
                for tenant_id in {each.tenant_id for each in idle if each.due_at_s <= time.time()}:
                    self._busy[tenant_id] = asyncio.create_task(self._try_all_of(tenant_id))
                waiting = [each.due_at_s for each in idle if each.tenant_id not in self._busy]
                wait_s = max(0.05, min(waiting) - time.time()) if waiting else 60.0
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def _may_be_tried(self, entry: SpoolEntry) -> bool:
        return not entry.is_held and entry.tenant_id not in self._busy

    async def _try_all_of(self, tenant_id: int) -> None:
        """What is due of one client, one after the other."""
        try:
            entries = [each for each in self._entries.values() if each.tenant_id == tenant_id]
            for entry in entries:
                is_due = not entry.is_held and entry.due_at_s <= time.time()
                # An order may have changed it while another one was tried.
                if is_due and self._entries.get(entry.name) == entry:
                    async with self._places:
                        await self._try(entry)
        finally:
            del self._busy[tenant_id]
            self._wake.set()

    async def _try(self, entry: SpoolEntry) -> None:
        self._trying.add(entry.name)
        try:
            await self._deliver(entry)
        except (OSError, JournalError) as error:
            log.error("spool entry %s stays: %s", entry.name, error)
            self._put_off(entry)
        except Exception:  # a bug must not stop the copies behind it
            log.exception("spool entry %s stays", entry.name)
            self._put_off(entry)
        finally:
            self._trying.discard(entry.name)

    async def _deliver(self, entry: SpoolEntry) -> None:
        """Raises ``OSError`` or ``JournalError``; the entry is then tried again."""
        data = await asyncio.to_thread(self._path(entry.name, ".eml").read_bytes)
        way = self.way_of(entry)
        if way is None:
            answers = dict.fromkeys(entry.recipients, HopAnswer("deferred", "no route by policy"))
        else:
            mail = OutgoingMail(
                mail_from=entry.mail_from,
                recipients=entry.recipients,
                data=data,
                is_smtputf8=entry.is_smtputf8,
                is_8bit=entry.is_8bit,
                claimed=entry.claimed,
            )
            answers = await self._relay.send(way, mail)
        failpoint("spool.after_relay")
        has_expired = time.time() - entry.spooled_at_s >= self._times.give_up_after_s
        due = {
            recipient: answer
            for recipient, answer in answers.items()
            if answer.state in ("accepted", "refused") or has_expired
        }
        settled = [
            follow_up(
                source=self._source,
                entry=entry,
                recipient=recipient,
                outcome=Outcome.DELIVERED if answer.state == "accepted" else Outcome.HELD,
                rule=_rule(answer),
                next_hop=answer.hop or str(way or ""),
                answer=answer,
            )
            for recipient, answer in due.items()
        ]
        if settled:
            await self._journal.append(observation_record("followed_up", settled))
            failpoint("spool.after_done")
        left = set(entry.recipients) - due.keys()
        if left:
            why = next(answer.text for name, answer in answers.items() if name in left)
            self._put_off(replace(entry, recipients=tuple(sorted(left)), last_reply=why[:500]))
        else:
            self._forget(entry)

    def way_of(self, entry: SpoolEntry) -> Way | None:
        """None: by the policy of now there is none."""
        snapshot = self._snapshot()
        if entry.direction == Direction.OUTBOUND:
            tenant = snapshot.tenant(entry.tenant_id) if snapshot is not None else None
            terms = tenant.outbound if tenant is not None else None
            if snapshot is None:
                return None
            recipient = normalise_address(entry.recipients[0])
            return self._ways_out.way(terms, recipient, snapshot, sender=entry.mail_from)
        route = snapshot.find(entry.recipients[0]) if snapshot is not None else None
        if route is None or route.tenant.tenant_id != entry.tenant_id:
            return None
        return route.domain.way

    def _put_off(self, entry: SpoolEntry) -> None:
        wait_s = min(self._times.longest_retry_s, self._times.first_retry_s * 2**entry.attempts)
        self._replace(replace(entry, attempts=entry.attempts + 1, due_at_s=time.time() + wait_s))

    def _replace(self, entry: SpoolEntry) -> None:
        """What the gate itself notes: it holds even where the disk refuses it."""
        try:
            self._store(entry)
        except OSError as error:
            self._entries[entry.name] = entry
            log.error("spool entry %s keeps its old times on disk: %s", entry.name, error)

    def _store(self, entry: SpoolEntry) -> None:
        """Durable on return.  Raises ``OSError``: nothing has changed."""
        replace_file(self._path(entry.name, ".json"), entry.encode())
        self._entries[entry.name] = entry

    def _forget(self, entry: SpoolEntry) -> None:
        self._path(entry.name, ".json").unlink(missing_ok=True)
        self._path(entry.name, ".eml").unlink(missing_ok=True)
        del self._entries[entry.name]

    def _path(self, name: str, suffix: str) -> Path:
        return self._folder / f"{name}{suffix}"


def _key(entry: SpoolEntry, recipient: str) -> str:
    return f"{entry.ulid}/{normalise_address(recipient)}"


def _rule(answer: HopAnswer) -> str:
    if answer.state == "accepted":
        return "delivered by the gate on a later try"
    if answer.state == "refused":
        return "held: the next hop refused this recipient after the gate had taken the mail"
    return "held: the next hop did not take this recipient within five days"
