"""How gates wait for news: woken in time, bounded, without a thread or connection each."""

import asyncio
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from django.db import connection
from django.test import AsyncClient

from incidents.layers import gateway_layer
from seg_bridge import ingest
from seg_bridge.gate.policy import load_signed
from seg_bridge.gate.signing import sign_request
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.seg_bridge.conftest import Wire


@contextmanager
def elsewhere(work):
    """``work`` runs in a thread with a connection of its own."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert errors == []


@pytest.mark.django_db(transaction=True)
def test_a_waiting_gate_hears_of_a_rule_within_a_second_of_its_commit(
    transactional_db: None, cast: Cast, wire: Wire
):
    version = load_signed(wire.news()["snapshot"], wire.mx.secret).version
    committed: list[float] = []

    def block() -> None:
        time.sleep(0.7)
        with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
            gateway_layer().block_sender(
                tenant_id=cast.acme.id,
                sender="eve@evil.example",
                reason="seen",
                owner_id=None,
                owner_name="Ana",
                expires_at=None,
                incident_id=None,
            )
        committed.append(time.monotonic())

    with elsewhere(block):
        answer = wire.news(snapshot=version, wait_s=10)
        heard = time.monotonic()
    assert answer["snapshot"] is not None
    assert heard - committed[0] < 1.0


def test_a_gate_that_hears_nothing_is_answered_when_its_time_is_over(cast: Cast, wire: Wire):
    version = load_signed(wire.news()["snapshot"], wire.mx.secret).version
    start = time.monotonic()
    assert wire.news(snapshot=version, wait_s=1.2) == {"snapshot": None, "commands": []}
    assert 1.1 < time.monotonic() - start < 4.0


def test_only_so_many_gates_wait_and_the_others_still_get_news(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ingest, "MOST_WAITING_THREADS", 0)
    version = load_signed(wire.news(wait_s=20)["snapshot"], wire.mx.secret).version
    busy = wire.ask("GET", f"/gate/commands?snapshot={version}&wait_s=20")
    assert (busy.status_code, busy["Retry-After"]) == (503, "5")
    assert wire.news(snapshot=version, wait_s=0)["snapshot"] is None


def test_one_gate_takes_only_its_own_places_and_gives_them_back():
    room, most = ingest.WaitingRoom(), ingest.MOST_WAITING_PER_GATE
    with ExitStack() as waiting:
        assert all(waiting.enter_context(room.enter("mx1", places=100)) for _ in range(most))
        assert not waiting.enter_context(room.enter("mx1", places=100))
        assert waiting.enter_context(room.enter("mx2", places=100))
        assert not waiting.enter_context(room.enter("mx2", places=most))
    with room.enter("mx1", places=1) as has_place:
        assert has_place


@pytest.mark.django_db(transaction=True)
def test_many_gates_wait_in_one_process_without_a_thread_or_connection_each(
    transactional_db: None, cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ingest, "MOST_WAITING_PER_GATE", 1000)
    version = load_signed(wire.news()["snapshot"], wire.mx.secret).version
    target = f"/gate/commands?snapshot={version}&wait_s=2"
    before = threading.active_count()
    most: list[int] = []

    async def one(client: AsyncClient) -> int:
        headers = sign_request(
            gate="mx1", method="GET", target=target, body=b"", secret=wire.mx.secret
        )
        answer = await client.get(target, headers=headers)
        return answer.status_code

    async def all_of_them() -> list[int]:
        client = AsyncClient()
        asking = [asyncio.create_task(one(client)) for _ in range(60)]
        while not all(task.done() for task in asking):
            most.append(threading.active_count())
            await asyncio.sleep(0.1)
        return [task.result() for task in asking]

    try:
        assert asyncio.run(all_of_them()) == [200] * 60
        assert max(most) - before < 10
    finally:
        close_readers()


def close_readers() -> None:
    """Each reader thread keeps its connection, which would keep the test database from going."""
    barrier = threading.Barrier(5)

    def close() -> None:
        connection.close()
        barrier.wait()

    for _ in range(4):
        ingest._readers.submit(close)
    barrier.wait()
