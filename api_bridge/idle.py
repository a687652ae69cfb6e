"""Listening to mail hosts that call nobody: connections held open on which they speak (IMAP IDLE).

One thread of a worker's process holds them, a bounded number; what it hears is a hint, as a push
is: the mailbox is read next.  It begins with the first connection that can be listened to, and what
no round of sync has named for a while is let go.  Several processes share the work by leases in the
shared cache; if two hold the same mailbox, it is heard twice and read once.
"""

from __future__ import annotations

import logging
import secrets
import selectors
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connections
from django.db.models import Value
from django.db.models.functions import Least
from django.utils import timezone

from api_bridge.connectors import Connector, Heard, Listening, Listens
from api_bridge.errors import BridgeError
from api_bridge.models import MailboxSync
from api_bridge.push import gathered_by, note_heard
from api_bridge.runtime import shared_runtime
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

QUEUE = "sync"
TURN_S = 2.0
OPENED_A_TURN = 5
WANTED_FOR_S = 1_800.0
# A connection is made anew before a server takes it for dead (RFC 2177: 29 minutes).
LISTENS_FOR_S = 1_500.0
RETRY_S, LONGEST_RETRY_S = 30.0, 900.0
LEASE_S, RENEWED_S = 90.0, 30.0


@dataclass(frozen=True, slots=True)
class Ear:
    """One mailbox that is to be listened to."""

    sync_id: UUID
    tenant_id: int
    mailbox_id: str
    connector: Listens


@dataclass(slots=True)
class _Held:
    ear: Ear
    wanted_until: float
    listening: Listening | None = None
    opened_at: float = 0.0
    try_at: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class Listener:
    """``tell(heard, alive)``: ears that heard something or began to, and those in whose mailboxes
    nothing can happen unheard.
    """

    at_most: int
    tell: Callable[[Sequence[Ear], Sequence[Ear]], None]
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    _held: dict[UUID, _Held] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _renewed_at: float = 0.0

    def start(self) -> None:
        """The thread, once."""
        with self._guard:
            if self._thread is None and self._held:
                self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
                self._thread.start()

    def want(self, ears: Collection[Ear]) -> None:
        """Listen to these, too, or go on listening, as far as ``at_most`` allows."""
        until = time.monotonic() + WANTED_FOR_S
        with self._guard:
            for ear in ears:
                held = self._held.get(ear.sync_id)
                if held is not None:
                    held.wanted_until, held.ear = until, ear
                elif len(self._held) < self.at_most:
                    self._held[ear.sync_id] = _Held(ear, until)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        for held in self._all():
            self._let_go(held)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except Exception:
                log.exception("listening goes on after an error")
                self._stop.wait(TURN_S)
            close_old_connections()
        connections.close_all()

    def turn(self) -> None:
        """Lets go, opens some, hears for a moment, tells."""
        self._prune()
        heard = [*self._open_some(), *self._hear()]
        alive: list[Ear] = []
        if time.monotonic() - self._renewed_at >= RENEWED_S:
            self._renewed_at = time.monotonic()
            alive = self._renew_leases()
        if heard or alive:
            self.tell(heard, alive)

    def _all(self) -> list[_Held]:
        with self._guard:
            return list(self._held.values())

    def _prune(self) -> None:
        now = time.monotonic()
        for held in self._all():
            if held.wanted_until < now:
                self._let_go(held)
                with self._guard:
                    self._held.pop(held.ear.sync_id, None)
            elif held.listening is not None and now - held.opened_at > LISTENS_FOR_S:
                self._let_go(held)

    def _open_some(self) -> list[Ear]:
        """What came while nobody listened is not known: each that was opened counts as heard."""
        now, opened = time.monotonic(), []
        waiting = [each for each in self._all() if each.listening is None and each.try_at <= now]
        for held in waiting[:OPENED_A_TURN]:
            if not self._lease(held.ear):
                held.try_at = now + LEASE_S
                continue
            try:
                held.listening = held.ear.connector.listen(held.ear.mailbox_id)
            except BridgeError as error:
                self._after_failure(held, error)
                continue
            held.opened_at, held.failures = now, 0
            opened.append(held.ear)
        return opened

    def _hear(self) -> list[Ear]:
        """Waits for the first that speaks, at most a turn."""
        listening = [each for each in self._all() if each.listening is not None]
        if not listening:
            self._stop.wait(TURN_S)
            return []
        with selectors.DefaultSelector() as selector:
            for held in listening:
                assert held.listening is not None
                selector.register(held.listening.fileno(), selectors.EVENT_READ, held)
            spoke = [key.data for key, _ in selector.select(TURN_S)]
        return [held.ear for held in spoke if self._has_news(held)]

    def _has_news(self, held: _Held) -> bool:
        assert held.listening is not None
        try:
            return held.listening.hear() is Heard.SOMETHING
        except BridgeError as error:
            self._after_failure(held, error)
            # What happened while nobody listened is not known.
            return True

    def _after_failure(self, held: _Held, error: BridgeError) -> None:
        self._let_go(held)
        held.failures += 1
        wait_s = min(RETRY_S * 2 ** min(held.failures - 1, 10), LONGEST_RETRY_S)
        held.try_at = time.monotonic() + wait_s
        log.info("mailbox %s is not heard: %s", held.ear.sync_id, error)

    def _let_go(self, held: _Held) -> None:
        if held.listening is not None:
            held.listening.close()
            held.listening = None

    def _lease(self, ear: Ear) -> bool:
        """True: this process listens to the mailbox for now."""
        cache, key = shared_runtime().cache, f"idle.{ear.sync_id}"
        if cache.get(key) not in (None, self.name):
            return False
        cache.set(key, self.name, ttl_s=LEASE_S)
        return True

    def _renew_leases(self) -> list[Ear]:
        alive = []
        for held in self._all():
            if held.listening is not None and self._lease(held.ear) and held.listening.hears_all:
                alive.append(held.ear)
        return alive


def tell_sync(heard: Sequence[Ear], alive: Sequence[Ear]) -> None:
    """Mailboxes of which something was heard are read next; the others need no polling now."""
    of_tenant: dict[int, tuple[list[UUID], list[UUID]]] = defaultdict(lambda: ([], []))
    for ear in heard:
        of_tenant[ear.tenant_id][0].append(ear.sync_id)
    for ear in alive:
        of_tenant[ear.tenant_id][1].append(ear.sync_id)
    try:
        for tenant_id, (said, quiet) in of_tenant.items():
            _tell_client(tenant_id, said, quiet)
    except (OperationalError, InterfaceError) as error:
        # Not told, not lost: the mailbox is polled.
        log.warning("what was heard could not be noted: %s", type(error).__name__)


def _tell_client(tenant_id: int, heard: Sequence[UUID], alive: Sequence[UUID]) -> None:
    now = timezone.now()
    with tenant_scope(Role.WORKER, [tenant_id]):
        if alive:
            until = now + timedelta(seconds=LEASE_S)
            rows = MailboxSync.objects.filter(id__in=alive)
            rows.update(push_expires_at=until)
            # Where this is the last sign of life it is polled from then on.
            quiet = rows.filter(failures=0, dirty_at=None, due_at__gt=now)
            quiet.update(due_at=Least("whole_due_at", Value(until)))
        if heard:
            note_heard(MailboxSync.objects.filter(id__in=heard))
            want_work(tenant_id, QUEUE, at=gathered_by(now))


_guard = threading.Lock()
_listener: Listener | None = None


def listen_to(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """All mailboxes of the connection, as far as this process may hold connections."""
    if not isinstance(connector, Listens) or settings.IMAP_IDLE_AT_MOST <= 0:
        return
    with work_scope(claimed):
        rows = MailboxSync.objects.filter(
            connection_id=connection_id, mailbox__state=Mailbox.State.ACTIVE, failures=0
        ).select_related("mailbox")
        ears = [
            Ear(row.id, claimed.tenant_id, row.mailbox.external_id, connector)
            for row in rows.order_by("id")[: settings.IMAP_IDLE_AT_MOST]
            if row.mailbox.external_id
        ]
    listener = _the_listener()
    listener.want(ears)
    listener.start()


def _the_listener() -> Listener:
    global _listener  # noqa: PLW0603 - one thread for the process
    with _guard:
        if _listener is None:
            _listener = Listener(settings.IMAP_IDLE_AT_MOST, tell_sync)
        return _listener


def stop_listening() -> None:
    """The next round of sync begins anew."""
    global _listener
    with _guard:
        listener, _listener = _listener, None
    if listener is not None:
        listener.close()
