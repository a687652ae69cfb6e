"""Whatever is heard, lost, moved or made anew on the way: after a clean sync the rows say what the
mailboxes on a real Dovecot say.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.conf import settings as conf
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api_bridge.connectors.imap import changes
from api_bridge.connectors.imap.wire import Wire
from api_bridge.models import MailboxSync
from api_bridge.runtime import open_broker
from incidents.words import Place
from tests.api_bridge.imap.server import NAMES

PLACES = {
    "Trash": Place.DELETED,
    "Junk": Place.JUNK,
    "Archive": Place.ARCHIVE,
    "INBOX": Place.INBOX,
}
_name = st.sampled_from(NAMES)
_which = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), _name),
        st.tuples(st.just("receive_without_id"), _name),
        st.tuples(st.just("move"), _name, _which, st.sampled_from(sorted(PLACES))),
        st.tuples(st.just("read"), _name, _which),
        st.tuples(st.just("hint"), _name),
        st.tuples(st.just("listen")),
        st.tuples(st.just("sync")),
        st.tuples(st.just("make_sense")),
        st.tuples(st.just("lose_cursor"), _name),
        st.tuples(st.just("lose_memory")),
        st.tuples(st.just("remake_junk"), _name),
        st.tuples(st.just("drop"), st.integers(1, 12)),
    ),
    min_size=4,
    max_size=16,
)
_numbers = itertools.count()


class World:
    """The mailboxes as the steps left them.  ``kept``: (name, X-Number) → [folder, is read]."""

    def __init__(self, client) -> None:
        self.client = client
        self.office = client.company
        self.kept: dict[tuple[str, str], list[Any]] = {}

    def receive(self, name: str) -> None:
        number = f"c{next(_numbers)}"
        self.kept[name, number] = ["INBOX", False]
        self.office.receive(name, subject=number)

    def receive_without_id(self, name: str) -> None:
        number = f"c{next(_numbers)}"
        self.kept[name, number] = ["INBOX", False]
        self.office.receive(name, subject=number, has_id=False)

    def _pick(self, name: str, which: int) -> str:
        mine = [number for owner, number in self.kept if owner == name]
        return mine[which % len(mine)] if mine else ""

    def move(self, name: str, which: int, folder: str) -> None:
        number = self._pick(name, which)
        if number and self.kept[name, number][0] != folder:
            state = self.kept[name, number]
            self.office.server.move(self.office.mail(name), number, folder, source=state[0])
            state[0] = folder

    def read(self, name: str, which: int) -> None:
        number = self._pick(name, which)
        if number:
            state = self.kept[name, number]
            self.office.server.flag(self.office.mail(name), number, "\\Seen", folder=state[0])
            state[1] = True

    def hint(self, name: str) -> None:
        """Something was heard, true or not."""
        now = timezone.now()
        with self.client.scope():
            rows = MailboxSync.objects.filter(mailbox__address=self.office.mail(name))
            rows.update(dirty_at=now, due_at=now)

    def listen(self) -> None:
        self.client.sync(everything=False)

    def sync(self) -> None:
        self.client.sync()

    def make_sense(self) -> None:
        self.client.make_sense()

    def lose_cursor(self, name: str) -> None:
        with self.client.scope():
            rows = MailboxSync.objects.filter(mailbox__address=self.office.mail(name))
            rows.update(cursor="")

    def lose_memory(self) -> None:
        """The broker was emptied."""
        broker = open_broker(conf.REDIS_URL)
        for key in broker.scan_iter("bridge.imap.*"):
            broker.delete(key)

    def remake_junk(self, name: str) -> None:
        """The junk folder is made anew: its UIDVALIDITY is another, its mail too has other UIDs."""
        self.office.server.remake(self.office.mail(name), "Junk")

    def drop(self, after: int) -> None:
        """One of the worker's connections dies before it has read an answer."""
        real, left = Wire.command, itertools.count(-after)

        def command(wire, *arguments):
            answer = real(wire, *arguments)
            if next(left) == 0:
                wire.sock.close()
                raise ConnectionResetError
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Wire, "command", command)
            self.client.sync()


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(changes, "PAGE_SIZE", 2)


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(steps=[("read", "ana", 0), ("receive", "bo"), ("move", "cfo", 0, "Archive")])
@example(steps=[("move", "ana", 0, "Junk"), ("sync",), ("remake_junk", "ana"), ("read", "ana", 0)])
@example(steps=[("lose_memory",), ("move", "bo", 0, "Trash"), ("drop", 9), ("read", "bo", 0)])
@given(steps=STEPS)
def test_after_a_clean_sync_the_rows_say_what_the_mailboxes_say(office, small_pages, steps):
    client = office(f"zeta{next(_numbers)}")
    world = World(client)
    for name in NAMES:
        world.receive(name)
    client.sync()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
    client.make_sense()
    client.sync()
    told = sorted(
        (row.recipient, dict(row.mail)["subject"])
        for row in client.observations(verdict__isnull=False)
    )
    assert told == sorted((client.company.mail(name), number) for name, number in world.kept)
    shown = {
        (copy.recipient, copy.message.subject): (copy.place, bool(copy.is_read))
        for copy in client.deliveries()
    }
    assert shown == {
        (client.company.mail(name), number): (PLACES[folder], is_read)
        for (name, number), (folder, is_read) in world.kept.items()
    }
