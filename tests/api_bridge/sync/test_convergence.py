"""Whatever is heard, lost, repeated or refused on the way: after one clean sync the rows say what
the mailboxes say, at Microsoft and at Google.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from api_bridge.connectors.google import changes as history_changes
from api_bridge.connectors.graph import changes
from api_bridge.models import MailboxSync
from incidents.words import Place
from tests.api_bridge.sync.conftest import Client

NAMES = ("ana", "bo", "cfo")
PLACES = {"deleteditems": Place.DELETED, "junkemail": Place.JUNK, "archive": Place.ARCHIVE}
FAULTS = ["truncated_body", "status_429", "status_503", "repeated_link"]
GOOGLE_FAULTS = [*FAULTS, "quota_403", "expired_history", "status_500"]
HINT_FAULTS = ["lost_notification", "duplicate_notification", "delayed_notification"]
_name = st.sampled_from(NAMES)
_which = st.integers(0, 3)
COMMON = (
    st.tuples(st.just("receive"), _name),
    st.tuples(st.just("move"), _name, _which, st.sampled_from(sorted(PLACES))),
    st.tuples(st.just("read"), _name, _which),
    st.tuples(st.just("hint"), _name),
    st.tuples(st.just("listen")),
    st.tuples(st.just("sync")),
    st.tuples(st.just("make_sense")),
    st.tuples(st.just("lose_cursor"), _name),
)


def steps_with(*more: st.SearchStrategy[tuple[object, ...]]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*COMMON, *more), min_size=4, max_size=16)


STEPS = steps_with(st.tuples(st.just("fault"), st.sampled_from(FAULTS), _name))
GOOGLE_STEPS = steps_with(
    st.tuples(st.just("fault"), st.sampled_from(GOOGLE_FAULTS), _name),
    st.tuples(st.just("hint_fault"), st.sampled_from(HINT_FAULTS), _name),
)
_numbers = itertools.count()


class World:
    """The mailboxes as the steps left them.  ``kept``: (name, Message-ID) → (place, is read)."""

    def __init__(self, client) -> None:
        self.client = client
        self.company = client.company
        self.kept: dict[tuple[str, str], tuple[str, bool]] = {}

    def receive(self, name: str) -> None:
        self.kept[name, self.company.receive(name)] = (Place.INBOX, False)

    def _pick(self, name: str, which: int) -> str:
        mine = [message_id for owner, message_id in self.kept if owner == name]
        return mine[which % len(mine)] if mine else ""

    def move(self, name: str, which: int, folder: str) -> None:
        message_id = self._pick(name, which)
        if not message_id:
            return
        (mail,) = [
            mail for mail in self.company.mails(name) if mail["internetMessageId"] == message_id
        ]
        address = f"users/{self.company.mail(name)}/messages/{mail['id']}/move"
        self.company.post(address, {"destinationId": folder})
        self.kept[name, message_id] = (PLACES[folder], self.kept[name, message_id][1])

    def read(self, name: str, which: int) -> None:
        message_id = self._pick(name, which)
        if message_id:
            path = f"mailboxes/{self.company.mail(name)}/read"
            self.company.cloud.admin("POST", path, {"internet_message_id": message_id})
            self.kept[name, message_id] = (self.kept[name, message_id][0], True)

    def hint(self, name: str) -> None:
        """A notification, true or not."""
        now = timezone.now()
        with self.client.scope():
            rows = MailboxSync.objects.filter(mailbox__address=self.company.mail(name))
            rows.update(dirty_at=now, due_at=now)

    def listen(self) -> None:
        self.client.sync(everything=False)

    def sync(self) -> None:
        self.client.sync()

    def make_sense(self) -> None:
        self.client.make_sense()

    def lose_cursor(self, name: str) -> None:
        with self.client.scope():
            rows = MailboxSync.objects.filter(mailbox__address=self.company.mail(name))
            rows.update(cursor="")

    def fault(self, kind: str, name: str) -> None:
        # The worker names a mailbox by its id, the steps by its address: only the worker is struck.
        wanted = {"kind": kind, "match": f"{self.company.ids[name]}/messages", "seconds": 0}
        self.company.cloud.admin("POST", "faults", wanted, 201)


class GoogleWorld(World):
    """The same at Google: people move mail by its labels, hints come through Pub/Sub."""

    @override
    def move(self, name: str, which: int, folder: str) -> None:
        message_id = self._pick(name, which)
        if not message_id:
            return
        (found,) = self.company.gmail(name, "GET", "messages", params={
            "q": f"rfc822msgid:{message_id.strip('<>')}", "includeSpamTrash": "true",
        })["messages"]  # fmt: skip
        labels = {"deleteditems": ["TRASH"], "junkemail": ["SPAM"], "archive": []}[folder]
        gone = sorted({"INBOX", "SPAM", "TRASH"} - set(labels))
        body = {"addLabelIds": labels, "removeLabelIds": gone}
        self.company.gmail(name, "POST", f"messages/{found['id']}/modify", json=body)
        self.kept[name, message_id] = (PLACES[folder], self.kept[name, message_id][1])

    @override
    def fault(self, kind: str, name: str) -> None:
        # The worker names a mailbox by its address, the steps by "me": only the worker is struck.
        wanted = {"kind": kind, "match": f"users/{self.company.mail(name)}/", "seconds": 0}
        self.company.cloud.admin("POST", "faults", wanted, 201)

    def hint_fault(self, kind: str, name: str) -> None:
        wanted = {"kind": kind, "match": self.company.mail(name), "seconds": 1}
        self.company.cloud.admin("POST", "faults", wanted, 201)


@pytest.fixture
def small_pages(monkeypatch):
    real = changes._first_page

    def first_page(mailbox_id, at):
        return real(mailbox_id, replace(at, page_size=2))

    monkeypatch.setattr(changes, "_first_page", first_page)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_after_a_clean_sync_the_rows_say_what_the_mailboxes_say(connect, small_pages, steps):
    client = connect(f"zeta{next(_numbers)}")
    client.sync()
    check_convergence(client, World(client), steps)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=GOOGLE_STEPS)
def test_the_same_at_google(connect_google, small_history, steps):
    client = connect_google(f"eta{next(_numbers)}")
    client.sync()
    check_convergence(client, GoogleWorld(client), steps)


@pytest.fixture
def small_history(monkeypatch):
    monkeypatch.setattr(history_changes, "HISTORY_PAGE", 2)
    monkeypatch.setattr(history_changes, "LIST_PAGE", 2)


def check_convergence(client: Client, world: World, steps: list[Any]) -> None:
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
    client.company.cloud.admin("DELETE", "faults", status=204)
    client.make_sense()
    client.sync()
    told = [
        (row.recipient, row.internet_message_id)
        for row in client.observations(verdict__isnull=False)
    ]
    assert sorted(told) == sorted((client.company.mail(name), id) for name, id in world.kept)
    shown = {
        (copy.recipient, copy.message.internet_message_id): (copy.place, bool(copy.is_read))
        for copy in client.deliveries()
    }
    assert shown == {
        (client.company.mail(name), id): state for (name, id), state in world.kept.items()
    }
