"""What a server says on a connection that is held open is a hint, and nothing depends on it."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge import idle
from api_bridge.connectors import Heard, Listens
from api_bridge.idle import Ear, Listener, listen_to, stop_listening, tell_sync
from api_bridge.models import MailboxSync
from api_bridge.runtime import connector_of
from api_bridge.store import _next_look
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Work
from tests.api_bridge.imap.server import mail


class Told:
    """What a listener told."""

    def __init__(self) -> None:
        self.heard: list[Ear] = []
        self.alive: list[Ear] = []

    def __call__(self, heard, alive) -> None:
        self.heard += heard
        self.alive += alive


def listen(at_most: int = 5) -> tuple[Listener, Told]:
    told = Told()
    return Listener(at_most, told), told


def turn_until(listener: Listener, is_so, within_s: float = 5.0) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        listener.turn()


@pytest.fixture(autouse=True)
def short_turns(monkeypatch, outgoing):
    monkeypatch.setattr(idle, "TURN_S", 0.1)
    monkeypatch.setattr(idle, "RETRY_S", 0.0)


@pytest.fixture
def ear(connect, ana) -> Ear:
    return Ear(new_id(), 1, ana, connect(ana))


def test_new_mail_moves_and_flags_in_any_folder_are_heard(server, ear, ana):
    listening = ear.connector.listen(ana)
    with closing(listening):
        assert listening.hears_all
        for do in (
            lambda: server.put(ana, mail("<a@x>")),
            lambda: server.put(ana, mail("<b@x>"), folder="Archive"),
            lambda: server.flag(ana, "<b@x>", "\\Seen", folder="Archive"),
            lambda: server.move(ana, "<a@x>", "Junk"),
        ):
            do()
            end = time.monotonic() + 5
            while listening.hear() is Heard.NOTHING:
                assert time.monotonic() < end


def test_a_listener_tells_of_the_mailbox_and_that_it_hears_all(server, ear, ana):
    listener, told = listen()
    with closing(listener):
        listener.want([ear])
        turn_until(listener, lambda: told.alive)
        assert told.heard == [ear], "what came before is not known"
        told.heard.clear()
        listener.turn()
        assert told.heard == []
        server.put(ana, mail("<a@x>"))
        turn_until(listener, lambda: told.heard)
    assert (told.heard[0], told.alive[0]) == (ear, ear)


def test_a_connection_that_ends_counts_as_heard_and_is_made_anew(ear):
    listener, told = listen()
    with closing(listener):
        listener.want([ear])
        turn_until(listener, lambda: told.alive)
        told.heard.clear()
        (held,) = listener._all()
        first: Any = held.listening
        first._session._wire.sock.shutdown(socket.SHUT_RDWR)
        told.heard.clear()
        turn_until(listener, lambda: held.listening not in (None, first))
    assert told.heard == [ear, ear], "as it ended, and as it was made anew"


def test_a_connection_that_is_renewed_in_time_counts_as_heard(ear, monkeypatch):
    listener, told = listen()
    with closing(listener):
        listener.want([ear])
        turn_until(listener, lambda: told.heard)
        told.heard.clear()
        monkeypatch.setattr(idle, "LISTENS_FOR_S", -1.0)
        turn_until(listener, lambda: told.heard)


def test_whoever_is_heard_no_more_is_polled_when_the_last_sign_of_life_is_over(client_):
    client_.sync()
    later = timezone.now() + timedelta(hours=2)
    with client_.scope():
        MailboxSync.objects.update(
            push_expires_at=timezone.now() + timedelta(seconds=50), whole_due_at=later, due_at=later
        )
    connector = connector_of(client_.wired())
    assert isinstance(connector, Listens)
    row = client_.mailbox_sync("ana")
    tell_sync([], [Ear(row.id, client_.tenant.id, "x", connector)])
    row = client_.mailbox_sync("ana")
    assert row.due_at == row.push_expires_at < timezone.now() + timedelta(minutes=2)
    # A look just now does not put that off, either.
    assert _next_look(row, timezone.now()) == row.push_expires_at


def test_not_more_connections_than_allowed_are_held(connect, ana):
    connector = connect(ana)
    listener, _ = listen(at_most=2)
    with closing(listener):
        listener.want([Ear(new_id(), 1, ana, connector) for _ in range(5)])
        listener.turn()
        assert sum(held.listening is not None for held in listener._all()) == 2


def test_two_processes_do_not_hold_the_same_mailbox(ear):
    first, _ = listen()
    second, _ = listen()
    with closing(first), closing(second):
        for each in (first, second):
            each.want([ear])
            each.turn()
        assert [held.listening is None for each in (first, second) for held in each._all()] == [
            False,
            True,
        ]


def test_what_is_not_wanted_any_more_is_let_go(ear, monkeypatch):
    listener, told = listen()
    with closing(listener):
        listener.want([ear])
        turn_until(listener, lambda: told.alive)
        monkeypatch.setattr(idle, "WANTED_FOR_S", -1.0)
        listener.want([ear])
        listener.turn()
        assert listener._all() == []


def test_what_was_heard_is_read_next_and_the_quiet_ones_need_no_polling(client_):
    heard, quiet = client_.mailbox_sync("ana"), client_.mailbox_sync("bo")
    later = timezone.now() + timedelta(minutes=5)
    with client_.scope():
        MailboxSync.objects.update(due_at=later)
        Work.objects.filter(queue="sync").update(wanted_at=later)
    connector = connector_of(client_.wired())
    assert isinstance(connector, Listens)
    ears = [Ear(row.id, client_.tenant.id, "x", connector) for row in (heard, quiet)]
    tell_sync(ears[:1], ears[1:])
    heard, quiet = client_.mailbox_sync("ana"), client_.mailbox_sync("bo")
    now = timezone.now()
    assert heard.due_at <= now
    assert heard.dirty_at is not None
    assert quiet.push_expires_at is not None
    assert now < quiet.due_at <= quiet.push_expires_at
    assert now < quiet.push_expires_at < now + timedelta(minutes=2)
    with client_.scope():
        assert Work.objects.filter(queue="sync", wanted_at__lte=now).exists()


def test_a_round_of_sync_names_the_mailboxes_to_listen_to(client_, settings, monkeypatch):
    settings.IMAP_IDLE_AT_MOST = 2
    told = Told()
    # Its thread does not see what this test has not committed.
    monkeypatch.setattr(idle, "tell_sync", told)
    claimed = ClaimedWork(client_.tenant.id, client_.tenant.provider_id, 1)
    try:
        listen_to(claimed, client_.connection.id, connector_of(client_.wired()))
        listener: Any = idle._listener
        end = time.monotonic() + 10
        while not all(held.listening for held in listener._all()):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert len(listener._all()) == 2
        while len(told.heard) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        stop_listening()
    assert not listener._thread.is_alive()
    assert {each.mailbox_id for each in told.heard} == {h.ear.mailbox_id for h in listener._all()}
