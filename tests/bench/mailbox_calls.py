"""What the mailbox layer asks of the mail host for each mail that it scans.

Mail arrives by SMTP in a sandbox cloud at a steady rate, over ten mailboxes; each mailbox that got
mail becomes due at once, as a push makes it.  A quarter of the mails has an attachment, a tenth is
phish whose original is kept.  Counted are requests as Microsoft counts them (each one in a batch)
and round trips, after folders and mailboxes are known.  The baseline is one request for each mail:
a notification answered with one fetch (contract of the mailbox layer, "basic webhook + $value").
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.bench import Measurement
from tests.bench.intake import a_database

if TYPE_CHECKING:
    from tests.api_bridge.sync.conftest import Client

NAMES = tuple(f"box{number}" for number in range(10))
# mails a second, for how many seconds
RATES = ((2, 20), (20, 10), (300, 1))
GOAL_REQUESTS, GOAL_TRIPS = 0.6, 0.1


@dataclass
class Calls:
    requests: int = 0
    trips: int = 0


@dataclass
class Postman:
    """Sends mail from a thread of its own; ``arrived``: Message-ID → when it was taken."""

    client: Client
    arrived: dict[str, float] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)

    def send(self, rate: int, seconds: int) -> threading.Thread:
        thread = threading.Thread(target=self._send, args=(rate, seconds), daemon=True)
        thread.start()
        return thread

    def _send(self, rate: int, seconds: int) -> None:
        started = time.monotonic()
        with self.client.company.cloud.smtp() as smtp:
            for number in range(rate * seconds):
                time.sleep(max(0.0, started + number / rate - time.monotonic()))
                name = NAMES[number * 7 % len(NAMES)]
                address = self.client.company.mail(name)
                message_id = f"<{rate}-{number}@sender.example.net>"
                smtp.sendmail("sender@sender.example.net", [address], mail(number, message_id))
                self.arrived[message_id] = time.monotonic()
                self.dirty.add(address)


def mail(number: int, message_id: str) -> bytes:
    text = f"Dear reader, this is letter number {number} about our offices and their hours.\r\n"
    if number % 10 == 0:
        text = (
            "<p>Your mailbox password expires today.</p><form action='http://203.0.113.9/p'>"
            "<a href='http://203.0.113.9/'>https://login.microsoftonline.com/</a>"
            "<input type='password'></form>\r\n"
        )
    kind = "html" if number % 10 == 0 else "plain"
    head = (
        f"From: IT Support <sender@sender.example.net>\r\nTo: you@x.example\r\n"
        f"Subject: Letter {number}\r\nMessage-ID: {message_id}\r\nMIME-Version: 1.0\r\n"
        "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
    )
    body = f"Content-Type: text/{kind}; charset=utf-8\r\n\r\n{text}"
    if number % 4 != 1:
        return (head + body).encode()
    return (
        f'{head}Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n{body}--b\r\n'
        'Content-Type: text/csv\r\nContent-Disposition: attachment; filename="a.csv"\r\n\r\n'
        f"a,b\r\n{number},2\r\n--b--\r\n"
    ).encode()


@contextmanager
def counted() -> Iterator[Calls]:
    from api_bridge.http import OutgoingClient

    calls, real = Calls(), OutgoingClient.call

    def call(self: OutgoingClient, method: str, target: str, **options: Any) -> Any:
        calls.trips += 1
        body = options.get("body") or {}
        calls.requests += len(body["requests"]) if target == "/$batch" else 1
        return real(self, method, target, **options)

    with patch.object(OutgoingClient, "call", call):
        yield calls


def run(client: Client, rate: int, seconds: int) -> tuple[Calls, list[float]]:
    """What was called, and for each mail the seconds from its arrival to its commit."""
    from django.utils import timezone

    from api_bridge import round as round_module
    from api_bridge.models import MailboxSync
    from api_bridge.store import commit_page

    postman, waited = Postman(client), list[float]()

    def commit(mine: Any, page: Any, outcome: Any) -> bool:
        is_ours = commit_page(mine, page, outcome)
        now = time.monotonic()
        for each in outcome.scanned:
            waited.append(now - postman.arrived.get(each.item.internet_message_id, now))
        return is_ours

    with counted() as calls, patch.object(round_module, "commit_page", commit):
        sending = postman.send(rate, seconds)
        while sending.is_alive() or postman.dirty:
            dirty, postman.dirty = postman.dirty, set()
            if not dirty:
                time.sleep(0.02)
                continue
            with client.scope():
                now = timezone.now()
                due = MailboxSync.objects.filter(mailbox__address__in=dirty)
                due.update(dirty_at=now, due_at=now)
            client.sync(everything=False)
    return calls, waited


def measure() -> list[Measurement]:
    with a_database():
        from django.conf import settings

        from api_bridge.runtime import close_connectors
        from tests.api_bridge.sandbox.running import SandboxProcess
        from tests.api_bridge.sync.conftest import make_client
        from tests.factories import make_cast

        with tempfile.TemporaryDirectory() as folder:
            cloud = SandboxProcess(Path(folder)).start()
            try:
                settings.OUTGOING_HOSTS = [cloud.addresses["https"]]
                settings.INGEST_URL = "http://127.0.0.1:9"
                settings.EVIDENCE_DIR = Path(folder) / "evidence"
                client = make_client(make_cast(), cloud, "delta", names=NAMES)
                client.sync()
                _no_push(client)
                run(client, 50, 1)  # folders become known
                return [row for rate, seconds in RATES for row in _rows(client, rate, seconds)]
            finally:
                close_connectors()
                cloud.stop()


def _no_push(client: Client) -> None:
    """The measurement names the mailboxes itself."""
    from django.utils import timezone

    from api_bridge.models import MailboxSync

    with client.scope():
        later = timezone.now() + timedelta(days=1)
        MailboxSync.objects.update(push_due_at=later, due_at=later)


def _rows(client: Client, rate: int, seconds: int) -> list[Measurement]:
    calls, waited = run(client, rate, seconds)
    mails = len(waited)
    against = f"one request a mail; {mails} mails, {rate}/s over {len(NAMES)} mailboxes"
    requests, trips = calls.requests / mails, calls.trips / mails
    return [
        Measurement(
            name=f"mailbox_requests_{rate}",
            value=requests,
            unit="requests/mail",
            against=against,
            goal=f"≤ {GOAL_REQUESTS}",
            met=requests <= GOAL_REQUESTS,
        ),
        Measurement(
            name=f"mailbox_trips_{rate}",
            value=trips,
            unit="round trips/mail",
            against=against,
            goal=f"≤ {GOAL_TRIPS}",
            met=trips <= GOAL_TRIPS,
        ),
        Measurement(
            name=f"mailbox_delay_{rate}",
            value=median(waited),
            unit="s from arrival to rows",
            against="median",
        ),
    ]


MEASURES = {"mailbox_calls": measure}
