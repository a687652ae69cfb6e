"""No client waits for another: not for its flood, not for its dead host, not for its limits.

Time is virtual: what a call costs moves the clock, nobody sleeps.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge import sync, taking_up
from api_bridge.circuit import LONGEST_REST_S, MOST_FAILURES, Circuit
from api_bridge.errors import Temporary
from api_bridge.models import Connection, MailboxSync
from api_bridge.opening import open_all
from api_bridge.services import QUEUE
from api_bridge.taking_up import take_up
from tenants.models import Work
from tenants.work import serve_one, want_work
from tests.api_bridge.sandbox.inside import Time


@pytest.fixture
def turns(inside, monkeypatch):
    """Who is served, and when; a round of reading takes a second."""
    served: list[tuple[float, str]] = []
    real, real_open = sync._read, open_all

    def read(claimed, opened, mine):
        inside.time.sleep(1.0)
        return real(claimed, opened, mine)

    def open_slowly(claimed):
        served.append((inside.time.now, names[claimed.tenant_id]))
        return real_open(claimed)

    names: dict[int, str] = {}
    monkeypatch.setattr("api_bridge.sync.time.monotonic", inside.time)
    monkeypatch.setattr(sync, "_read", read)
    monkeypatch.setattr(sync, "open_all", open_slowly)
    return names, served


def make_due(client) -> None:
    past = timezone.now() - timedelta(days=2)
    with client.scope():
        MailboxSync.objects.update(due_at=past, whole_due_at=past)
        want_work(client.tenant.id, QUEUE, at=past)


def serve(time: Time, *clients) -> None:
    """One turn.  The test is one transaction, in which the database's clock stands still: when a
    client was served is written by the virtual one.
    """
    before = {client.tenant.id: fence_of(client) for client in clients}
    assert serve_one(QUEUE)
    for client in clients:
        if fence_of(client) != before[client.tenant.id]:
            with client.scope():
                at = timezone.now() - timedelta(days=1) + timedelta(seconds=time.now)
                Work.objects.filter(queue=QUEUE).update(served_at=at)


def fence_of(client) -> int:
    with client.scope():
        return Work.objects.get(queue=QUEUE).fence


def flooded(client, monkeypatch) -> None:
    """Its mailboxes are due again as soon as they were read."""
    real = take_up

    def note_taken(claimed, opened):
        if claimed.tenant_id == client.tenant.id:
            with client.scope():
                MailboxSync.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        return real(claimed, opened)

    monkeypatch.setattr(sync, "take_up", note_taken)


def test_a_client_with_a_flood_keeps_another_waiting_for_one_turn(inside, turns, monkeypatch):
    names, served = turns
    loud, quiet = inside.connect("loud"), inside.connect("quiet")
    names |= {loud.tenant.id: "loud", quiet.tenant.id: "quiet"}
    flooded(loud, monkeypatch)
    waits = []
    for _ in range(6):
        make_due(loud)
        serve(inside.time, loud, quiet)
        wanted_at = inside.time.now
        make_due(quiet)
        make_due(loud)
        serve(inside.time, loud, quiet)
        while served[-1][1] != "quiet":
            make_due(loud)
            serve(inside.time, loud, quiet)
        waits.append(served[-1][0] - wanted_at)
    assert max(waits) <= sync.BUDGET_S + 1.0


def test_a_flood_of_one_connection_leaves_the_clients_other_its_share(inside, monkeypatch):
    client = inside.connect("two")
    monkeypatch.setattr("api_bridge.sync.time.monotonic", inside.time)
    spent: list[float] = []
    real_open = open_all
    monkeypatch.setattr(sync, "open_all", lambda claimed: real_open(claimed) * 2)
    monkeypatch.setattr(
        sync, "_serve_connection", lambda _c, _o, until: spent.append(until - inside.time.now)
    )
    client.sync()
    assert spent == [sync.BUDGET_S / 2] * 2


def test_hints_that_never_stop_leave_room_for_mailboxes_that_nobody_names(inside, monkeypatch):
    names = tuple(f"box{number}" for number in range(10))
    client = inside.connect("loud", names)
    client.sync()
    monkeypatch.setattr(taking_up, "AT_ONCE", 6)
    now = timezone.now()
    with client.scope():
        MailboxSync.objects.update(dirty_at=now, due_at=now)
        unheard = MailboxSync.objects.filter(mailbox__address=client.company.mail("box9"))
        unheard.update(dirty_at=None, due_at=now - timedelta(minutes=5))
    taken = take(client)
    assert client.company.mail("box9") in taken
    assert len(taken) == 6


def take(client) -> list[str]:
    from tenants.doors import ClaimedWork

    claimed = ClaimedWork(client.tenant.id, client.tenant.provider_id, 1)
    (opened,) = open_all(claimed)
    return [mine.seat.address for mine in take_up(claimed, opened)]


def test_a_flood_does_not_let_push_orders_end(inside, monkeypatch):
    client = inside.connect("loud")
    client.sync()
    with client.scope():
        MailboxSync.objects.update(push_id="", push_expires_at=None, push_due_at=timezone.now())
    monkeypatch.setattr("api_bridge.sync.time.monotonic", inside.time)
    flooded(client, monkeypatch)
    real = sync._read

    def read(*arguments):
        inside.time.sleep(1.0)
        return real(*arguments)

    monkeypatch.setattr(sync, "_read", read)
    client.sync()
    with client.scope():
        assert not MailboxSync.objects.filter(push_id="").exists()


@pytest.mark.parametrize("kind", ["status_503", "drop_after_commit"])
def test_a_dead_host_costs_the_worker_little_and_then_nothing(inside, kind):
    dead = inside.connect("dead", tuple(f"box{number}" for number in range(12)))
    other = inside.connect("other")
    dead.sync()
    other.sync()
    other.company.receive("ana")
    inside.cloud.faults.add({"kind": kind, "count": 100_000, "match": "/messages", "seconds": 0})
    calls = inside.cloud.calls
    dead.sync()
    asked = inside.cloud.calls - calls
    assert asked <= MOST_FAILURES + 8  # four at a time were under way
    with dead.scope():
        rests_until = Connection.objects.get().rests_until
    assert rests_until is not None
    assert rests_until > timezone.now()
    calls = inside.cloud.calls
    due_at = dead.sync()
    assert inside.cloud.calls == calls
    assert due_at is not None
    assert due_at > timezone.now()
    inside.cloud.faults.clear()
    other.sync()
    assert len(other.observations()) == 1
    # The host is back: when the rest is over everything is read.
    dead.company.receive("box3")
    inside.time.sleep(LONGEST_REST_S)
    with dead.scope():
        Connection.objects.update(rests_until=timezone.now())
    dead.sync()
    assert len(dead.observations()) == 1


def test_a_circuit_opens_longer_each_time_and_an_answer_closes_it():
    time = Time()
    circuit = Circuit(clock=time)
    for _ in range(MOST_FAILURES - 1):
        circuit.failed(0.1)
    circuit.answered()
    for _ in range(MOST_FAILURES):
        circuit.check()
        circuit.failed(0.1)
    rests = []
    for _ in range(7):
        with pytest.raises(Temporary) as refused:
            circuit.check()
        rests.append(refused.value.retry_after_s)
        time.sleep(rests[-1])
        circuit.check()
        circuit.failed(30.0)
    assert rests == [15, 30, 60, 120, 240, 300, 300]
    time.sleep(LONGEST_REST_S)
    circuit.answered()
    circuit.failed(0.1)
    circuit.check()


def test_a_silent_host_opens_the_circuit_by_the_time_it_costs():
    time = Time()
    circuit = Circuit(clock=time)
    circuit.failed(30.0)
    circuit.check()
    circuit.failed(30.0)
    with pytest.raises(Temporary, match="left alone"):
        circuit.check()


@pytest.mark.parametrize(("kind", "is_shared"), [("quota_403", False), ("status_429", False)])
def test_too_fast_for_one_person_at_google_pauses_no_other_client_of_the_project(
    inside, kind, is_shared
):
    one, other = inside.connect_google("one"), inside.connect_google("two")
    for client in (one, other):
        client.sync()
    paused = []
    from api_bridge.runtime import connector_of

    connector: Any = connector_of(one.wired())
    google = connector._client
    inside.cloud.faults.add(
        {"kind": kind, "match": f"users/{one.company.mail('ana')}/history", "seconds": 60}
    )
    real = google._limits.pause

    def pause(name, seconds):
        paused.append(name)
        real(name, seconds)

    google._limits.pause = pause
    try:
        one.sync()
    finally:
        google._limits.pause = real
    assert paused
    assert (google._project in paused) is is_shared


def test_retry_after_is_honoured_for_each_item_of_a_batch(inside):
    """Two mailboxes are refused for different times; a third one is not refused at all."""
    client = inside.connect("batch")
    client.sync()
    for name in ("ana", "bo", "cfo"):
        client.company.receive(name)
    from api_bridge.connectors.graph.client import Ask, path
    from api_bridge.runtime import connector_of

    connector: Any = connector_of(client.wired())
    graph = connector._client
    ids = client.company.ids
    for name, seconds in (("ana", 3), ("bo", 7)):
        inside.cloud.faults.add(
            {"kind": "status_429", "match": f"{ids[name]}/messages", "seconds": seconds}
        )
    asked: list[tuple[float, str]] = []
    real = graph._send_batch

    def send(chunk):
        began = inside.time.now
        answers = real(chunk)
        asked.extend((inside.time.now - began, ask.mailbox_id) for ask in chunk.values())
        return answers

    graph._send_batch = send
    began = inside.time.now
    answers = graph.batch(
        [Ask(mailbox_id=ids[name], path=path("users", ids[name], "messages", top="1"))
         for name in ("ana", "bo", "cfo")]
    )  # fmt: skip
    assert all(hasattr(answer, "body") for answer in answers)
    assert [mailbox for _, mailbox in asked].count(ids["cfo"]) == 1
    assert inside.time.now - began >= 7.0
