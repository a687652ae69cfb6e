"""The queue in front of the next hops: told to the console, and changed at its word.

``Queue`` is either Postfix's, by its clerk (desk.py), or the gate's own spool.  ``QueueWatch``
tells ingest what is in it (``POST /gate/queue``): at once where it has changed, else now and then.
Nothing of it is kept: the next telling replaces the last.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from seg_bridge.gate.desk import NO_CLERK, Desk, Listed
from seg_bridge.gate.ingest import IngestClient, IngestError
from seg_bridge.gate.maillog import Queued
from seg_bridge.gate.maps import smart_hosts
from seg_bridge.gate.policy import PolicySnapshot, normalise_address
from seg_bridge.gate.release import Command, Done
from seg_bridge.gate.returning import may_return
from seg_bridge.gate.spool import Spool
from seg_bridge.gate.spool_entry import SpoolEntry
from seg_bridge.gate.ways import Way, mx_hop

log = logging.getLogger(__name__)

KINDS = {f"q_{name}": name for name in ("retry", "hold", "free", "remove", "return")}
LOOK_EVERY_S = 2.0
TELL_EVERY_S = 60.0
MOST_ITEMS = 2000
MAX_REASON_CHARS = 500

GONE = "This mail is no longer in the queue."
NOT_OURS = "This mail is not this client's alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One recipient of one mail that waits.  ``where``: ``deferred``, ``active``, ``incoming`` or
    ``hold``.
    """

    tenant_id: int
    queue_id: str
    where: str
    recipient: str
    sender: str
    next_hop: str
    reason: str
    arrived_at: str
    size_bytes: int
    trace_ulid: str
    may_return: bool


@dataclass(frozen=True, slots=True)
class Told:
    """``others``: recipients that are nobody's client, like senders who get a notice."""

    items: tuple[Item, ...]
    left_out: int = 0
    others: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "items": [asdict(each) for each in self.items],
            "left_out": self.left_out,
            "others": self.others,
        }


class Queue(Protocol):
    def look(self) -> Told | None:
        """None: nobody knows what is in it.  Raises ``OSError``."""
        ...

    async def do(self, command: Command, action: str) -> Done:
        """Raises ``OSError`` or ``JournalError``: nothing is acknowledged."""
        ...


Latest = Callable[[], PolicySnapshot | None]


class PostfixQueue:
    """``queued``: Postfix's queue id → what its log told of the mail, None: nothing."""

    def __init__(self, desk: Desk, latest: Latest, queued: Callable[[str], Queued | None]) -> None:
        self._desk = desk
        self._latest = latest
        self._queued = queued

    def look(self) -> Told | None:
        listing = self._desk.read()
        if listing is None:
            return None
        items = [each for mail in listing.mails for each in self._items(mail)]
        ours = [each for each in items if each is not None]
        left_out = listing.left_out + max(0, len(ours) - MOST_ITEMS)
        return Told(tuple(ours[:MOST_ITEMS]), left_out, len(items) - len(ours))

    def _items(self, mail: Listed) -> list[Item | None]:
        return [self._item(mail, address, why) for address, why in mail.recipients]

    def _item(self, mail: Listed, address: str, why: str) -> Item | None:
        snapshot, known = self._latest(), self._queued(mail.queue_id)
        route = snapshot.find(address) if snapshot is not None else None
        if known is not None and known.is_outbound:
            tenant_id, next_hop = (
                known.tenant_id,
                _way_out(snapshot, known.tenant_id, mail, address),
            )
        elif route is not None:
            tenant_id, next_hop = route.tenant.tenant_id, str(route.domain.way)
        else:
            return None
        return Item(
            tenant_id=tenant_id,
            queue_id=mail.queue_id,
            where=mail.where,
            recipient=normalise_address(address),
            sender=mail.sender,
            next_hop=next_hop,
            reason=why[:MAX_REASON_CHARS],
            arrived_at=datetime.fromtimestamp(mail.arrived_at_s, UTC).isoformat(),
            size_bytes=mail.size_bytes,
            trace_ulid=known.ulid if known is not None else "",
            may_return=mail.sender not in ("", "MAILER-DAEMON"),
        )

    async def do(self, command: Command, action: str) -> Done:
        listing = self._desk.read()
        if listing is None:
            return Done(False, NO_CLERK)
        mail = next((each for each in listing.mails if each.queue_id == command.queue_id), None)
        if mail is None:
            return Done(False, GONE)
        if not self._is_whole(mail, command.tenant_id):
            return Done(False, NOT_OURS)
        return Done(*await self._desk.ask(command.id, do=action, queue_id=command.queue_id))

    def _is_whole(self, mail: Listed, tenant_id: int) -> bool:
        items = self._items(mail)
        return all(each is not None and each.tenant_id == tenant_id for each in items)


def _way_out(snapshot: PolicySnapshot | None, tenant_id: int, mail: Listed, address: str) -> str:
    """As Postfix finds it by the sender: the client's next mail server, else the MX."""
    hop = smart_hosts(snapshot).get(mail.sender.rpartition("@")[2].lower()) if snapshot else None
    tenant = snapshot.tenant(tenant_id) if snapshot is not None else None
    is_theirs = tenant is not None and tenant.outbound and tenant.outbound.next_hop == hop
    return hop if hop and is_theirs else str(Way.of(mx_hop(address)))


class SpoolQueue:
    """What the gate has answered for and must still deliver."""

    def __init__(self, spool: Spool, latest: Latest) -> None:
        self._spool = spool
        self._latest = latest

    def look(self) -> Told:
        items = [each for entry in self._spool.entries() for each in self._items(entry)]
        return Told(tuple(items[:MOST_ITEMS]), max(0, len(items) - MOST_ITEMS))

    def _items(self, entry: SpoolEntry) -> list[Item]:
        return [
            Item(
                tenant_id=entry.tenant_id,
                queue_id=entry.name,
                where="hold" if entry.is_held else "deferred",
                recipient=recipient,
                sender=entry.mail_from,
                next_hop=str(self._spool.way_of(entry) or ""),
                reason=entry.last_reply[:MAX_REASON_CHARS],
                arrived_at=datetime.fromtimestamp(entry.spooled_at_s, UTC).isoformat(),
                size_bytes=self._spool.size_of(entry),
                trace_ulid=entry.ulid,
                may_return=may_return(entry),
            )
            for recipient in entry.recipients
        ]

    async def do(self, command: Command, action: str) -> Done:
        entry = self._spool.entry(command.queue_id)
        if entry is None:
            return Done(False, GONE)
        if entry.tenant_id != command.tenant_id:
            return Done(False, NOT_OURS)
        trouble = await self._spool.order(entry, action, by=command.by)
        return Done(not trouble, trouble or "done")


class QueueHands:
    """Does what a command says, and lets the console know at once."""

    def __init__(self, queue: Queue, watch: QueueWatch) -> None:
        self._queue = queue
        self._watch = watch

    async def do(self, command: Command) -> Done:
        done = await self._queue.do(command, KINDS[command.kind])
        self._watch.wake()
        return done


class QueueWatch:
    def __init__(self, queue: Queue, client: IngestClient) -> None:
        self._queue = queue
        self._client = client
        self._woken = asyncio.Event()
        self._last: Told | None = None
        self._tell_at_s = 0.0

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """For ever.  What cannot be told is told the next time."""
        while True:
            try:
                await self.step()
            except (IngestError, OSError) as error:
                log.warning("the queue is not told of: %s", error)
                self._last = None
            except Exception:  # a bug here must not end the mail flow beside it
                log.exception("the queue is not told of")
            self._woken.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def step(self) -> bool:
        """False: there was nothing to tell.  Raises ``IngestError`` or ``OSError``."""
        told = await asyncio.to_thread(self._queue.look)
        now_s = asyncio.get_running_loop().time()
        if told is None or (told == self._last and now_s < self._tell_at_s):
            return False
        body: Mapping[str, Any] = {"at": datetime.now(UTC).isoformat(), **told.as_json()}
        await self._client.ask("POST", "/gate/queue", body=json.dumps(body).encode())
        self._last, self._tell_at_s = told, now_s + TELL_EVERY_S
        return True
