"""What ingest asks of the gate: follow a newer policy, release held mail, let it go, learn of it,
change the queue.

The gate asks (a long poll), so it needs no open port towards the console.  A command is carried
out once: begin and outcome are in the journal, and a repeat of its id is acknowledged again from
memory.  A release that the gate died over is *unknown* and never repeated by itself; a lesson is
offered again and may be repeated.  Releases wait in a line for each client (``lines.py``), lessons
in one of their own: no policy waits for either.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seg_bridge.gate.failpoints import failpoint
from seg_bridge.gate.files import replace_file
from seg_bridge.gate.ingest import IngestClient, IngestError, json_object
from seg_bridge.gate.journal import Journal, JournalError, Record
from seg_bridge.gate.lessons import Learner
from seg_bridge.gate.lines import Lines
from seg_bridge.gate.policy import BadSnapshot
from seg_bridge.gate.queues import KINDS, QueueHands
from seg_bridge.gate.release import Command, Done, Releaser
from seg_bridge.gate.snapshots import SnapshotKeeper
from seg_bridge.gate.submission import Submission

log = logging.getLogger(__name__)

WAIT_S = 20
PAUSE_S = 0.2
ACKNOWLEDGE_EVERY_S = 60.0
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 15.0
MOST_LESSONS = 500
ORDERS_AT_ONCE = 32
_MAX_REMEMBERED = 10_000


class Memory:
    """Which commands are done, and up to which number: ``commands.json``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.after = 0
        self.done: dict[str, dict[str, Any]] = {}

    def load(self, records: Iterable[Record]) -> None:
        """From the file and from what the journal knows beyond it."""
        try:
            data = json.loads(self._path.read_bytes())
            self.after, self.done = int(data["after"]), dict(data["done"])
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            # Every command has its id in the journal until it is shipped, and ingest offers only
            # what was not acknowledged: starting over repeats nothing.
            log.exception("%s cannot be read and is begun anew", self._path)
        for record in records:
            if "command" in record:
                self.add(record["command"])

    def add(self, done: dict[str, Any]) -> None:
        self.done[done["command_id"]] = done
        self.after = max(self.after, int(done["seq"]))
        while len(self.done) > _MAX_REMEMBERED:
            del self.done[next(iter(self.done))]

    def save(self) -> None:
        """Raises ``OSError``."""
        replace_file(self._path, json.dumps({"after": self.after, "done": self.done}).encode())


class CommandLoop:
    def __init__(
        self,
        *,
        client: IngestClient,
        keeper: SnapshotKeeper,
        journal: Journal,
        releaser: Releaser,
        learner: Learner,
        memory: Memory,
        hands: QueueHands | None = None,
        submission: Submission | None = None,
        wait_s: int = WAIT_S,
    ) -> None:
        self._client = client
        self._keeper = keeper
        self._journal = journal
        self._releaser = releaser
        self._submission = submission
        self._learner = learner
        self._memory = memory
        self._hands = hands
        self._wait_s = wait_s
        self._acknowledged_at_s: dict[str, float] = {}
        self._lessons: dict[str, Command] = {}
        self._has_lessons = asyncio.Event()
        self._releases = Lines(self._let_go)
        # What waits in the line is not asked for again before the end of a wait.
        self._after = 0
        # The first order about the queue that was left for the next question.
        self._orders_from: int | None = None

    async def run(self) -> None:
        """For ever.  Whatever fails, the last policy stays in force and the gate asks again."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                if not await self.poll():
                    # An ingest that does not wait as asked must not be asked without end.
                    await asyncio.sleep(PAUSE_S)
                retry_s = FIRST_RETRY_S
            except (IngestError, JournalError, OSError) as error:
                log.warning("commands: %s", error)
                await asyncio.sleep(retry_s)
                retry_s = min(LONGEST_RETRY_S, retry_s * 2)
            except Exception:  # a bug here must not end the mail flow beside it
                log.exception("commands failed")
                await asyncio.sleep(LONGEST_RETRY_S)

    async def poll(self) -> bool:
        """One question; True: there was something to do.

        Raises ``IngestError``, ``JournalError`` or ``OSError``.
        """
        current = self._keeper.current
        version = current.version if current is not None else ""
        after = max(self._after, self._memory.after)
        if self._orders_from is not None:
            after = min(after, self._orders_from - 1)
        target = f"/gate/commands?after={after}&snapshot={version}&wait_s={self._wait_s}"
        if self._keeper.trouble:
            target += f"&trouble={self._keeper.trouble}"
        response = await self._client.ask("GET", target, timeout_s=self._wait_s + 15.0)
        answer = json_object(response)
        if answer.get("snapshot") is not None:
            self._follow(answer["snapshot"])
        is_new = answer.get("snapshot") is not None
        orders = []
        for data in answer.get("commands", ()):
            try:
                command = Command.from_json(data)
            except (KeyError, TypeError, ValueError) as error:
                raise IngestError(f"a command cannot be read: {error!r}") from error
            if command.kind in KINDS:
                orders.append(command)
            else:
                is_new |= await self.obey(command)
        return await self._obey_orders(orders) or is_new

    async def _obey_orders(self, orders: list[Command]) -> bool:
        """Orders about the queue, some at once, behind all else.  The rest is asked for again, so
        that one which was stopped meanwhile is not done.

        Raises as ``obey`` does.
        """
        fresh = [each for each in orders if each.id not in self._memory.done]
        now, later = fresh[:ORDERS_AT_ONCE], fresh[ORDERS_AT_ONCE:]
        self._orders_from = later[0].seq if later else None
        known = [each for each in orders if each.id in self._memory.done]
        done = await asyncio.gather(*map(self.obey, (*known, *now)), return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return bool(now)

    def _follow(self, signed: Mapping[str, Any]) -> None:
        try:
            self._keeper.replace(signed)
        except BadSnapshot as error:
            raise IngestError(f"the new policy is not followed: {error}") from error
        log.info("a newer policy is in force")

    async def obey(self, command: Command) -> bool:
        """False: it was done before, and is at most acknowledged again; or it waits in its line.

        Raises ``JournalError`` or ``OSError``: not acknowledged, ingest will ask again.
        """
        known = self._memory.done.get(command.id)
        if known is not None:
            await self._acknowledge_again(known)
            return False
        match command.kind:
            case "release" | "drop":
                self._after = max(self._after, command.seq)
                return self._releases.put(command)
            case kind if kind in KINDS and self._hands is not None:
                done = await self._hands.do(command)
            case "lift" if self._submission is not None:
                done = await self._submission.lift(command)
            case "learn":
                return self._take_lesson(command)
            case _:
                done = Done(False, f"this gate knows no command {command.kind!r}")
        await self._conclude(command, done)
        return True

    async def run_releases(self) -> None:
        """For ever."""
        await self._releases.run()

    async def _let_go(self, command: Command) -> None:
        """On to its recipients, or nowhere.  Raises ``JournalError`` or ``OSError``."""
        if command.kind == "drop":
            done = self._releaser.drop(command)
        else:
            done = await self._releaser.release(command)
        await self._conclude(command, done)

    async def _conclude(self, command: Command, done: Done) -> None:
        """Raises ``JournalError`` or ``OSError``."""
        record = done.record(command)
        await self._journal.append(record)
        failpoint("commands.after_done")
        self._acknowledged_at_s[command.id] = time.monotonic()
        self._memory.add(record["command"])
        self._memory.save()
        failpoint("commands.after_state")
        if command.ulid:
            self._releaser.let_go(command, done)

    def _take_lesson(self, command: Command) -> bool:
        """False: it is in the line already, or the line is full and ingest offers it later."""
        self._after = max(self._after, command.seq)
        if command.id in self._lessons or len(self._lessons) >= MOST_LESSONS:
            return False
        self._lessons[command.id] = command
        self._has_lessons.set()
        return True

    async def run_lessons(self) -> None:
        """For ever, one after the other in the order of their numbers."""
        while True:
            await self._has_lessons.wait()
            command = next(iter(self._lessons.values()), None)
            if command is None:
                self._has_lessons.clear()
                continue
            try:
                await self._conclude(command, await self._lesson_of(command))
            except (JournalError, OSError) as error:
                log.warning("a lesson is not on record, and will be offered again: %s", error)
                await asyncio.sleep(FIRST_RETRY_S)
            finally:
                del self._lessons[command.id]

    async def _lesson_of(self, command: Command) -> Done:
        try:
            done = await self._learner.learn(command)
        except Exception:  # a bug must not stop the lessons behind it, nor offer this one for ever
            log.exception("lesson %s failed", command.id)
            return Done(False, "the gate failed at it: its log says why")
        failpoint("commands.after_lesson")
        return done

    async def _acknowledge_again(self, done: dict[str, Any]) -> None:
        """Now and then: the first one may only be on its way, or lost with an old backup."""
        now_s = time.monotonic()
        last_s = self._acknowledged_at_s.get(done["command_id"])
        if last_s is None or now_s - last_s > ACKNOWLEDGE_EVERY_S:
            await self._journal.append({"kind": "command", "command": done})
            self._acknowledged_at_s[done["command_id"]] = now_s
