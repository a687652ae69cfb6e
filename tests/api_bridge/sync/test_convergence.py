"""Whatever is heard, lost, repeated, overtaken or refused on the way: after one clean sync the rows
say what the mailboxes say, at Microsoft and at Google.

A state machine over the whole product (webhook, worker, connector, database) against the sandbox
cloud in this process.  ``BAILEY_SYNC_STEPS`` says how many steps each host is taken through;
``make converge`` takes both through 10,000 together.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db.models import F
from django.test import RequestFactory
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from api_bridge import webhooks
from api_bridge.circuit import LONGEST_REST_S
from api_bridge.connectors.google import changes as history_changes
from api_bridge.connectors.graph import changes
from api_bridge.models import Connection, MailboxSync, NightFolder, NightReading
from api_bridge.nightly.folders import ANYWAY
from api_bridge.nightly.work import serve_nightly
from api_bridge.services import seal_pushes
from incidents.words import Place
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sync.conftest import Client, Inside

STEPS = int(os.environ.get("BAILEY_SYNC_STEPS", "400"))
STEPS_OF_ONE = 100
NAMES = ("ana", "bo")
PLACES = {"deleteditems": Place.DELETED, "junkemail": Place.JUNK, "archive": Place.ARCHIVE}
LABELS = {"deleteditems": ["TRASH"], "junkemail": ["SPAM"], "archive": []}
FAULTS = [
    *("truncated_body", "status_429", "status_503", "repeated_link", "drop_after_commit"),
    "late_item",
]
GOOGLE_FAULTS = [*FAULTS, "quota_403", "expired_history", "status_500"]
HINT_FAULTS = ["lost_notification", "duplicate_notification", "delayed_notification"]
LIFECYCLE = ["missed", "subscriptionRemoved", "reauthorizationRequired"]
_name = st.sampled_from(NAMES)
_which = st.integers(0, 3)
_numbers = itertools.count()


class Machine(RuleBasedStateMachine):
    """One client.  ``kept``: (name, Message-ID) → (place, is read), as people left it; ``brought``:
    those of them that somebody put there with an old date.
    """

    open_client: ClassVar[Callable[[], Client]]
    inside: ClassVar[Inside]
    # Nothing new for the worker since its last turn: taking one again would prove nothing.
    is_still = False
    steps = 0
    turns = 0
    checks = 0

    def __init__(self) -> None:
        super().__init__()
        self.client = type(self).open_client()
        self.company: Any = self.client.company
        self.kept: dict[tuple[str, str], tuple[str, bool]] = {}
        self.brought: set[str] = set()
        self.client.sync()

    def pick(self, name: str, which: int) -> str:
        mine = [message_id for owner, message_id in self.kept if owner == name]
        return mine[which % len(mine)] if mine else ""

    def rows(self, name: str) -> Any:
        return MailboxSync.objects.filter(mailbox__address=self.company.mail(name))

    def fault_at(self, match: str, kind: str) -> None:
        self.inside.cloud.faults.add({"kind": kind, "match": match, "seconds": 0})

    @rule(name=_name)
    def receive(self, name: str) -> None:
        self.is_still = False
        self.kept[name, self.company.receive(name)] = (Place.INBOX, False)

    @rule(name=_name)
    def receive_more(self, name: str) -> None:
        self.receive(name)

    @rule(name=_name, which=_which, folder=st.sampled_from(sorted(PLACES)))
    def move(self, name: str, which: int, folder: str) -> None:
        self.is_still = False
        if message_id := self.pick(name, which):
            self.move_at_host(name, message_id, folder)
            self.kept[name, message_id] = (PLACES[folder], self.kept[name, message_id][1])

    def move_at_host(self, name: str, message_id: str, folder: str) -> None:
        raise NotImplementedError

    @rule(name=_name, which=_which)
    def read(self, name: str, which: int) -> None:
        self.is_still = False
        message_id = self.pick(name, which)
        # That an old mail was read is not told: only where it lies, by the next night.
        if message_id and message_id not in self.brought:
            path = f"mailboxes/{self.company.mail(name)}/read"
            self.inside.cloud.admin("POST", path, {"internet_message_id": message_id})
            self.kept[name, message_id] = (self.kept[name, message_id][0], True)

    @rule(name=_name)
    def hint_of_nothing(self, name: str) -> None:
        self.is_still = False
        now = timezone.now()
        with self.client.scope():
            self.rows(name).update(dirty_at=now, due_at=now)

    @rule()
    @precondition(lambda self: not self.is_still)
    def listen(self) -> None:
        """The worker, as it is rung."""
        self.is_still = True
        type(self).turns += 1
        self.client.sync(everything=False)

    @rule(is_whole=st.booleans())
    @precondition(lambda self: not self.is_still)
    def take_a_turn(self, is_whole: bool) -> None:
        self.sync(1) if is_whole else self.listen()

    @rule(name=_name)
    def lose_cursor(self, name: str) -> None:
        self.is_still = False
        with self.client.scope():
            self.rows(name).update(cursor="")

    @rule()
    @precondition(lambda self: self.is_still)
    def make_sense(self) -> None:
        self.client.make_sense()

    @rule(is_checked=st.integers(0, 4))
    @precondition(lambda self: not self.is_still)
    def sync(self, is_checked: int) -> None:
        """Everything is due; now and then nothing goes wrong, and then all must be right."""
        self.is_still = True
        if is_checked == 0:
            self.check()
        else:
            type(self).turns += 1
            self.client.sync()

    @invariant()
    def count(self) -> None:
        type(self).steps += 1

    def check(self) -> None:
        """What was still to be told is lost."""
        type(self).checks += 1
        self.inside.cloud.faults.clear()
        self.inside.cloud.notices()
        self.inside.time.sleep(LONGEST_REST_S)
        with self.client.scope():
            Connection.objects.update(rests_until=None)
        self.client.make_sense()
        self.client.sync()
        self.before_comparing()
        told = [
            (row.recipient, row.internet_message_id)
            for row in self.client.observations(verdict__isnull=False)
        ]
        there = {(self.company.mail(name), id): state for (name, id), state in self.kept.items()}
        assert sorted(told) == sorted(there)
        shown = {
            (copy.recipient, copy.message.internet_message_id): (copy.place, bool(copy.is_read))
            for copy in self.client.deliveries()
        }
        assert shown == there

    def before_comparing(self) -> None:
        """What else finds mail at this host."""

    @override
    def teardown(self) -> None:
        try:
            self.check()
        finally:
            self.company.close()


class GraphMachine(Machine):
    """``proofs``: what came with notices that bring the mail, as every second client's do."""

    waiting: list[dict[str, Any]]
    proofs: dict[str, None]

    def __init__(self) -> None:
        super().__init__()
        self.inside.cloud.notices()
        self.waiting, self.proofs = [], {}
        self.night()
        self.night()

    @rule(name=_name, days=st.integers(2, 900))
    def put_there(self, name: str, days: int) -> None:
        """Somebody brings a mail in that came long ago: the next night finds it."""
        self.is_still = False
        message_id, to = f"<old-{next(_numbers)}@old.example>", self.company.mail(name)
        raw = simple_mail(to, subject="Old", message_id=message_id)
        self.inside.cloud.admin("POST", f"mailboxes/{to}/import", {
            "raw_base64": base64.b64encode(raw).decode(),
            "received_at": (timezone.now() - timedelta(days=days)).isoformat(),
        }, 204)  # fmt: skip
        self.kept[name, message_id] = (Place.INBOX, False)
        self.brought.add(message_id)

    @rule()
    def night(self) -> None:
        """Also amid faults, and with mail that the live sync has not seen."""
        self.is_still = False
        now = timezone.now()
        with self.client.scope():
            MailboxSync.objects.update(due_at=now + timedelta(hours=1))
            NightReading.objects.update(due_at=now)
        serve_nightly(ClaimedWork(self.client.tenant.id, self.client.tenant.provider_id, 1))

    @override
    def before_comparing(self) -> None:
        """The first night only learns, and one that failed is followed by another.  A folder out of
        which as many went as came in is read a week later.
        """
        with self.client.scope():
            assert NightReading.objects.filter(whole_at__isnull=False).count() == len(NAMES)
            NightFolder.objects.update(read_at=F("read_at") - ANYWAY)
        for _ in range(2):
            self.night()

    @override
    def move_at_host(self, name: str, message_id: str, folder: str) -> None:
        (mail,) = [
            mail
            for mail in self.company.mails(name, params={"$top": "200"})
            if mail["internetMessageId"] == message_id
        ]
        address = f"users/{self.company.mail(name)}/messages/{mail['id']}/move"
        self.company.post(address, {"destinationId": folder})

    @rule(
        order=st.sampled_from(["told", "backwards", "last twice"]),
        lost=st.sampled_from([0, 0, 2, 3]),
        late=st.sampled_from([0, 0, 1]),
    )
    def push(self, order: str, lost: int, late: int) -> None:
        """Notifications come: every ``lost``-th never, some later, twice, or in another order."""
        told = self.waiting + self.inside.cloud.notices()
        self.proofs |= dict.fromkeys(self.inside.cloud.proofs)
        self.waiting = told[len(told) - late :] if late else []
        told = told[: len(told) - late] if late else told
        if order == "backwards":
            told = told[::-1]
        if order == "last twice":
            told += told[-1:]
        if lost:
            told = [each for number, each in enumerate(told, 1) if number % lost]
        self.is_still = self.is_still and not told
        if told:
            post({"value": told, "validationTokens": list(self.proofs)[-webhooks.MOST_TOKENS :]})

    @rule(event=st.sampled_from(LIFECYCLE), which=_which)
    def lifecycle(self, event: str, which: int) -> None:
        with self.client.scope():
            ids = list(
                MailboxSync.objects.exclude(push_id="").order_by("id").values_list("push_id")
            )
        if ids:
            self.inside.cloud.lifecycle(event, ids[which % len(ids)][0])

    @rule(kind=st.sampled_from(FAULTS), name=_name)
    def fault(self, kind: str, name: str) -> None:
        # The worker names a mailbox by its id, the steps by its address: only the worker is struck.
        self.fault_at(f"{self.company.ids[name]}/messages", kind)


class GoogleMachine(Machine):
    """People move mail by its labels, hints come through Pub/Sub."""

    @override
    def move_at_host(self, name: str, message_id: str, folder: str) -> None:
        (found,) = self.company.gmail(name, "GET", "messages", params={
            "q": f"rfc822msgid:{message_id.strip('<>')}", "includeSpamTrash": "true",
        })["messages"]  # fmt: skip
        gone = sorted({"INBOX", "SPAM", "TRASH"} - set(LABELS[folder]))
        body = {"addLabelIds": LABELS[folder], "removeLabelIds": gone}
        self.company.gmail(name, "POST", f"messages/{found['id']}/modify", json=body)

    @rule(kind=st.sampled_from(GOOGLE_FAULTS), name=_name)
    def fault(self, kind: str, name: str) -> None:
        # The worker names a mailbox by its address, the steps by "me": only the worker is struck.
        self.fault_at(f"users/{self.company.mail(name)}/", kind)

    @rule(kind=st.sampled_from(HINT_FAULTS), name=_name)
    def fault_of_a_hint(self, kind: str, name: str) -> None:
        self.fault_at(self.company.mail(name), kind)


def post(content: object) -> None:
    request = RequestFactory().post("/graph", json.dumps(content), content_type="application/json")
    assert webhooks.graph(request).status_code == 202


@pytest.fixture
def small_pages(monkeypatch) -> None:
    real = changes._first_page

    def first_page(mailbox_id, at):
        return real(mailbox_id, replace(at, page_size=4))

    monkeypatch.setattr(changes, "_first_page", first_page)
    # One sync is one to the end, however busy the machine is.
    monkeypatch.setattr("api_bridge.sync.BUDGET_S", 600.0)
    monkeypatch.setattr("api_bridge.nightly.work.SLICE_S", 600.0)
    monkeypatch.setattr("api_bridge.connectors.graph.nightly.PAGE_SIZE", 3)
    monkeypatch.setattr(history_changes, "HISTORY_PAGE", 3)
    monkeypatch.setattr(history_changes, "LIST_PAGE", 4)


def run(machine: type[Machine], inside: Inside, open_client: Callable[[], Client]) -> None:
    """Raises where a clean sync leaves the rows otherwise than the mailboxes."""
    machine.inside, machine.open_client = inside, staticmethod(open_client)
    machine.steps = machine.turns = machine.checks = 0
    began = time.process_time()
    run_state_machine_as_test(
        machine,
        settings=settings(
            # Some end before their hundred steps.
            max_examples=max(1, STEPS * 115 // (100 * STEPS_OF_ONE)),
            stateful_step_count=STEPS_OF_ONE,
            deadline=None,
            derandomize=True,
            database=None,
            # Making a hundred steps few takes minutes; a failure prints all of them.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    spent_s = time.process_time() - began
    print(f"{machine.__name__}: {machine.steps} steps, {machine.turns} turns of the worker, "
          f"{machine.checks} comparisons, {spent_s:.0f} s of this process")  # fmt: skip
    assert machine.steps >= STEPS * 0.9
    assert machine.checks >= STEPS // STEPS_OF_ONE


def test_microsoft_converges(inside, small_pages):
    def connect() -> Client:
        number = next(_numbers)
        client: Client = inside.connect(f"zeta{number}", NAMES)
        if number % 2:
            with client.scope():
                seal_pushes(connection=client.connection, is_on=True, actor=BAILEY)
        return client

    run(GraphMachine, inside, connect)


def test_google_converges(inside, small_pages):
    run(GoogleMachine, inside, lambda: inside.connect_google(f"eta{next(_numbers)}"))
