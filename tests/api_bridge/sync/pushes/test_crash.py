"""Push orders, their keys and what comes by them, killed at every commit and call in turn."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from socket import socket, socketpair
from typing import Any

import pytest
from django.conf import settings
from django.test import RequestFactory
from django.utils import timezone

from api_bridge import idle, push, webhooks
from api_bridge import push_keys as push_keys_module
from api_bridge.connectors import Heard
from api_bridge.connectors.notices import PushKey
from api_bridge.models import Connection, MailboxSync, PushNotice
from api_bridge.notices import take_notices
from api_bridge.push import forget_pushes, notification_url
from api_bridge.push_keys import CHANGED_EVERY, OVERLAP, push_keys
from api_bridge.runtime import connector_of, shared_runtime
from api_bridge.services import seal_pushes
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Work
from tests.api_bridge.sync.conftest import Client, Inside
from tests.api_bridge.sync.test_google import pushed as pushed_by_google
from tests.api_bridge.sync.test_told import deliver, found, tell, warm_up
from tests.bench.mailbox_day import CONDEMNED_EACH
from tests.crash.worker import check_passed, crash_at_each, serve

LATER = timedelta(hours=1)
FAILED = {"ensure_pushes": "why there is none is noted, and the host is asked again: test_push.py"}
SWEPT = {"sweep_pushes": "test_a_sweep_that_was_begun_is_done_with_the_next_list"}


def standing(client: Client) -> dict[str, str]:
    """Orders at the mail host: id → where they send what they have."""
    orders = client.company.get("subscriptions")["value"]
    return {order["id"]: order["notificationUrl"] for order in orders}


def quiet(client: Client) -> None:
    """Nothing is due but push orders."""
    with client.scope():
        later = timezone.now() + LATER
        MailboxSync.objects.update(due_at=later, whole_due_at=later, dirty_at=None, heard_at=None)
        Connection.objects.update(list_due_at=later, watch_due_at=later, sweep_due_at=later)


def ask_again(client: Client, *, lists: bool = False, is_swept: bool = False) -> None:
    """The worker, once all pauses are over; those of lists and sweeps where it is said."""
    now = timezone.now()
    with client.scope():
        MailboxSync.objects.update(push_due_at=now)
        if lists:
            Connection.objects.update(list_due_at=now)
        if is_swept:
            Connection.objects.update(sweep_due_at=now)
    serve("sync")


def push_id(client: Client) -> str:
    return client.mailbox_sync("ana").push_id


def end_at_host(client: Client) -> None:
    answer = client.company.graph.delete(f"subscriptions/{push_id(client)}")
    assert answer.status_code == 204


def is_heard(inside: Inside, client: Client, number: int) -> bool:
    """What is told of a new mail counts: the row knows its order and the order's secret."""
    deliver(inside, client, "ana", number)
    tell(inside)
    return client.mailbox_sync("ana").heard_at is not None


@pytest.fixture
def pushed(inside: Inside) -> Client:
    """One mailbox, with an order that brings no content."""
    made = inside.connect("delta", ("ana",))
    warm_up(inside, made)
    return made


def test_an_order_stands_once_and_is_heard(inside: Inside, pushed: Client):
    numbers = count(2, CONDEMNED_EACH)

    def is_lost() -> None:
        """The mail host has ended it, and said so."""
        quiet(pushed)
        end_at_host(pushed)
        with pushed.scope():
            forget_pushes([pushed.mailbox_sync("ana").id])

    def ends_soon() -> None:
        quiet(pushed)
        with pushed.scope():
            MailboxSync.objects.update(push_expires_at=timezone.now())

    def check(died_at: str) -> None:
        row, orders = pushed.mailbox_sync("ana"), standing(pushed)
        assert orders[row.push_id] == notification_url(), died_at
        assert row.push_expires_at is not None, died_at
        assert row.push_expires_at > timezone.now() + timedelta(days=6), died_at
        quiet(pushed)
        assert is_heard(inside, pushed, next(numbers)), died_at

    places = crash_at_each(is_lost, lambda: ask_again(pushed), check)
    # Before it noted one that it had made: nobody listens to it, and the next sweep ends it.
    assert len(standing(pushed)) == 3
    places |= crash_at_each(ends_soon, lambda: ask_again(pushed), check)
    assert len(standing(pushed)) == 3
    ask_again(pushed, lists=True, is_swept=True)
    assert standing(pushed) == {pushed.mailbox_sync("ana").push_id: notification_url()}
    check_passed(places, "api_bridge.push", reads={"_key_for"}, others=FAILED | SWEPT)


def unknown(client: Client, url: str) -> str:
    """An order as a worker leaves it that died before it noted it."""
    wanted = {
        "changeType": "created",
        "notificationUrl": url,
        "resource": f"/users/{client.company.ids['ana']}/messages",
        "expirationDateTime": (timezone.now() + timedelta(days=1)).isoformat(),
        "clientState": "x",
    }
    made: str = client.company.post("subscriptions", wanted)["id"]
    return made


OLD_URL = "https://old.example/graph"


def test_a_sweep_that_was_begun_is_done_with_the_next_list(pushed: Client):
    """A worker that dies over it does not put it off by six hours."""
    stale: set[str] = set()

    def begin() -> None:
        """One order sends to where ingest was before, and one was never noted."""
        quiet(pushed)
        end_at_host(pushed)
        made = unknown(pushed, OLD_URL)
        stale.update({made, unknown(pushed, notification_url())})
        with pushed.scope():
            MailboxSync.objects.update(push_id=made)
            Connection.objects.update(sweep_due_at=timezone.now())

    def check(died_at: str) -> None:
        orders = standing(pushed)
        assert not stale & set(orders), died_at
        assert orders[pushed.mailbox_sync("ana").push_id] == notification_url(), died_at

    def work() -> None:
        """Of a round of sync what has to do with orders; the list is due each hour."""
        where = ClaimedWork(pushed.tenant.id, pushed.tenant.provider_id, 1), pushed.connection.id
        connector = connector_of(pushed.wired())
        with pushed.scope():
            MailboxSync.objects.update(push_due_at=timezone.now())
        push.sweep_pushes(*where, connector)
        push.ensure_pushes(*where, connector, until=time.monotonic() + 60)

    places = crash_at_each(begin, work, check)
    check_passed(places, "api_bridge.push", reads={"_key_for"}, others=FAILED)


@dataclass
class Sealed:
    """A client whose pushes bring the mail, the keys of its connection, and the worker's steps."""

    inside: Inside
    client: Client
    numbers: count[int] = field(default_factory=lambda: count(2, CONDEMNED_EACH))

    @property
    def claimed(self) -> ClaimedWork:
        return ClaimedWork(self.client.tenant.id, self.client.tenant.provider_id, 1)

    def keys_now(self) -> list[PushKey]:
        with self.client.scope():
            return push_keys(Connection.objects.get())

    def keep(self, *keys: tuple[PushKey, timedelta]) -> None:
        """These alone, newest first, each so old."""
        now = timezone.now()
        with self.client.scope():
            aged = [replace(key, made_at=now - age) for key, age in keys]
            push_keys_module._keep(Connection.objects.get(), aged)

    def renew(self) -> None:
        with self.client.scope():
            MailboxSync.objects.update(push_due_at=timezone.now())
        connector = connector_of(self.client.wired())
        until = time.monotonic() + 60
        push.ensure_pushes(self.claimed, self.client.connection.id, connector, until=until)

    def deliver(self) -> list[dict[str, Any]]:
        """What is told of a new mail."""
        deliver(self.inside, self.client, "ana", next(self.numbers))
        return self.inside.cloud.notices()

    def opens(self, said: list[dict[str, Any]]) -> int:
        """How many of them are genuine."""
        content = {"value": said, "validationTokens": self.inside.cloud.proofs}
        request = RequestFactory().post("/graph", json.dumps(content), "application/json")
        assert webhooks.graph(request).status_code == 202
        connector = connector_of(self.client.wired())
        taken = take_notices(self.claimed, self.client.connection.id, connector)
        return sum(len(each.items) for each in taken.told.values()) if taken else 0


@pytest.fixture
def sealed(inside: Inside) -> Sealed:
    made = inside.connect("delta", ("ana",))
    with made.scope():
        seal_pushes(connection=made.connection, is_on=True, actor=BAILEY)
    warm_up(inside, made)
    return Sealed(inside, made)


def test_whatever_is_sealed_can_be_opened(sealed: Sealed, monkeypatch: pytest.MonkeyPatch):
    (first,) = sealed.keys_now()

    def other(now: datetime) -> PushKey:
        """Under a name of its own; making its numbers takes a quarter of a second."""
        return replace(first, id=new_id().hex, made_at=now)

    monkeypatch.setattr(push_keys_module, "new_push_key", other)
    on_its_way: list[dict[str, Any]] = []

    def is_old() -> None:
        sealed.keep((sealed.keys_now()[0], CHANGED_EVERY))

    def one_is_left() -> None:
        sealed.keep((sealed.keys_now()[0], OVERLAP), (other(timezone.now()), CHANGED_EVERY))

    def work() -> None:
        """A notice is on its way meanwhile, sealed as the order stood until then."""
        on_its_way.extend(sealed.deliver())
        sealed.renew()

    places: set[str] = set()
    for begin, left in ((is_old, 2), (one_is_left, 1)):

        def check(died_at: str, left: int = left) -> None:
            keys = [key.id for key in sealed.keys_now()]
            assert len(keys) == left, died_at
            order = sealed.client.company.get(f"subscriptions/{push_id(sealed.client)}")
            assert order["encryptionCertificateId"] == keys[0], died_at
            on_its_way.extend(sealed.deliver())
            assert sealed.opens(on_its_way) == len(on_its_way), died_at
            on_its_way.clear()

        places |= crash_at_each(begin, work, check)
    assert len(standing(sealed.client)) == 1
    check_passed(places, "api_bridge.push_keys")


@dataclass
class Told:
    """Clients of whose mail is told in each way: with the mail, without it, and by Google."""

    sealed: Client
    plain: Client
    google: Client

    def all(self) -> tuple[Client, ...]:
        return self.sealed, self.plain, self.google

    def rest(self) -> None:
        """Nobody has heard of anything, and nothing is wanted."""
        for client in self.all():
            quiet(client)
            with client.scope():
                PushNotice.objects.all().delete()
                Work.objects.update(wanted_at=None)

    def is_known(self) -> bool:
        """What was told is kept, and a worker will come for it."""
        soon = timezone.now() + timedelta(seconds=settings.SYNC_GATHER_S)
        for client in self.all():
            with client.scope():
                if not Work.objects.filter(queue="sync", wanted_at__lte=soon).exists():
                    return False
        with self.sealed.scope():
            has_notice = PushNotice.objects.exists()
        hints = [client.mailbox_sync("ana").dirty_at for client in (self.plain, self.google)]
        return has_notice and None not in hints


def test_what_a_webhook_has_answered_for_is_read(inside: Inside, sealed: Sealed):
    """Whoever sends repeats what was not answered for."""
    told = Told(sealed.client, inside.connect("epsilon", ("ana",)), inside.connect_google("gamma"))
    for client in told.all()[1:]:
        warm_up(inside, client)
    ids: dict[str, list[str]] = {client.tenant.slug: [] for client in told.all()}
    said: list[dict[str, Any]] = []

    def begin() -> None:
        told.rest()
        for client in told.all():
            message_id = deliver(inside, client, "ana", next(sealed.numbers))
            ids[client.tenant.slug].append(message_id)
        said[:] = inside.cloud.notices()

    def work() -> None:
        content = {"value": said, "validationTokens": inside.cloud.proofs}
        request = RequestFactory().post("/graph", json.dumps(content), "application/json")
        assert webhooks.graph(request).status_code == 202
        address = told.google.company.mail("ana")
        assert pushed_by_google(RequestFactory(), told.google, address) == 204

    def check(died_at: str) -> None:
        assert told.is_known(), died_at

    places = crash_at_each(begin, work, check)
    for client in told.all():
        client.sync()
        assert sorted(found(client)) == sorted(ids[client.tenant.slug])
    check_passed(places, "api_bridge.webhooks")


@dataclass
class Speaking:
    """A mail host that speaks of new mail on the connections that are open then, as IMAP does."""

    lines: list[Line] = field(default_factory=list)

    def listen(self, _mailbox_id: str) -> Line:
        self.lines.append(Line(*socketpair()))
        return self.lines[-1]

    def has_mail(self) -> None:
        for line in self.lines:
            line.there.send(b".")

    def ends(self) -> None:
        for line in self.lines:
            line.here.close()
            line.there.close()
        self.lines.clear()


@dataclass
class Line:
    here: socket
    there: socket
    hears_all: bool = True

    def fileno(self) -> int:
        return self.here.fileno()

    def hear(self) -> Heard:
        self.here.recv(100)
        return Heard.SOMETHING

    def close(self) -> None:
        self.here.close()


def test_mail_that_came_while_nobody_listened_is_looked_for(
    pushed: Client, monkeypatch: pytest.MonkeyPatch
):
    """A worker that dies over what it has heard says nothing; the next one hears nothing of it."""
    monkeypatch.setattr(idle, "TURN_S", 0.02)
    host, row = Speaking(), pushed.mailbox_sync("ana")
    ear = idle.Ear(row.id, pushed.tenant.id, "ana", host)
    coming: list[bool] = []

    def rest() -> None:
        quiet(pushed)
        with pushed.scope():
            Work.objects.update(wanted_at=None)

    def begin() -> None:
        rest()
        coming.append(True)

    def work() -> None:
        """A process listens, once the lease of another has run out, and mail comes.  What it held
        ends with it.
        """
        shared_runtime().cache.drop(f"idle.{row.id}")
        listener = idle.Listener(5, idle.tell_sync)
        listener.want([ear])
        with ExitStack() as ends:
            ends.callback(host.ends)
            ends.callback(listener.close)
            listener.turn()
            if coming:
                coming.clear()
                rest()
                host.has_mail()
            listener.turn()

    def check(died_at: str) -> None:
        after = pushed.mailbox_sync("ana")
        assert after.dirty_at is not None, died_at
        soon = timezone.now() + timedelta(seconds=settings.SYNC_GATHER_S)
        assert after.due_at <= soon, died_at
        with pushed.scope():
            assert Work.objects.filter(queue="sync", wanted_at__lte=soon).exists(), died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "api_bridge.idle", reads={"listen_to"})
