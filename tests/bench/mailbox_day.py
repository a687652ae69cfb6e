"""A day of one client, and many clients: what the mailbox layer asks, how late it is, how it grows.

The sandbox cloud is inside this process and time is virtual (the worker's, the cloud's), so that a
day takes a minute; the worker, the connector and the database are the product's own.

- ``requests_per_mail``, ``round_trips_per_mail``: forty mails a day for each of the mailboxes, most
  of them in working hours, each to one mailbox; every fourth has an attachment, one in fifty is
  condemned.  Everything that is asked in 24 hours counts (looks, whole readings, renewed orders,
  lists of mailboxes, verdicts, message traces, the nightly reading of folders), but for seven
  requests for the folders of a mailbox, once a week, and the first night, in which every folder is
  read from its beginning.  Pushes bring the mail; ``…_of_hints``: they name a mailbox and no more.
  A notification comes at once and rings the worker as the product does; the beat rings every 2 s.
- ``delivery_to_verdict``: from arrival to stored verdict over that day, in an hour with push (how
  long Microsoft takes is not in it), and in one without any order.  What the machine needs is real
  time.
- ``sync_growth``: cost of a mailbox's whole reading by two workers (threads here), at a tenth of
  the clients and at all of them.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from statistics import quantiles
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.bench import Measurement
from tests.bench.intake import a_database

if TYPE_CHECKING:
    from tests.api_bridge.sync.conftest import Client, Inside

MAILBOXES = 20
MAILS_EACH = 40
WORKING_SHARE = 0.85
# Every fourth mail has an attachment, one in fifty is condemned, so that its original is kept.
CONDEMNED_EACH = 50
DAY_S = 86_400
HOUR_S, EVENING_S = 3_600, 6 * 3_600
NIGHT_S = 22 * 3_600
GATHER_S = 2.0
HOUR_MAILS = 80
GOAL_REQUESTS, GOAL_TRIPS = 0.6, 0.1
# Clients, mailboxes of each: measured for at most so long at each point.
FEW, MANY, EACH = 30, 300, 50
POINT_S = 100.0


@dataclass
class Calls:
    """``kinds``: requests by what was asked for."""

    requests: int = 0
    trips: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def count(self, method: str, target: str) -> None:
        path = target.partition("/v1.0/")[2] or target
        words = [each for each in path.partition("?")[0].split("/") if each]
        self.kinds[" ".join([method, *(each for each in words if len(each) < 20)])] += 1


def mail(number: int, message_id: str) -> bytes:
    text = f"Dear reader, this is letter number {number} about our offices and their hours.\r\n"
    if number % CONDEMNED_EACH == 0:
        text = (
            "<p>Your mailbox password expires today.</p><form action='http://203.0.113.9/p'>"
            "<a href='http://203.0.113.9/'>https://login.microsoftonline.com/</a>"
            "<input type='password'></form>\r\n"
        )
    kind = "html" if number % CONDEMNED_EACH == 0 else "plain"
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
        asked = [(each["method"], each["url"]) for each in body.get("requests", ())]
        for each in asked or [(method, target)]:
            calls.requests += 1
            calls.count(*each)
        return real(self, method, target, **options)

    with patch.object(OutgoingClient, "call", call):
        yield calls


@dataclass
class Clock:
    """``offset_s``: how far virtual time is ahead of the real one."""

    offset_s: float = 0.0

    def time(self) -> float:
        return time.time() + self.offset_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def go_to(self, at: float) -> None:
        """Never back."""
        self.offset_s = max(self.offset_s, at - time.time())


@dataclass
class Day:
    """``came``: Message-ID → virtual time of arrival; ``waited``: until its rows, in seconds."""

    clock: Clock
    name: str = "day"
    came: dict[str, float] = field(default_factory=dict)
    waited: list[float] = field(default_factory=list)


@contextmanager
def virtual() -> Iterator[Clock]:
    from django.utils import timezone

    from api_bridge.connectors.graph import changes, pushes
    from api_bridge.sandbox import clock as sandbox_clock
    from api_bridge.sandbox import identity

    clock = Clock()
    told = type("datetime", (datetime,), {"now": staticmethod(lambda _zone: clock.now())})
    with (
        patch.object(timezone, "now", clock.now),
        patch.object(pushes, "datetime", told),
        patch.object(changes, "datetime", told),
        patch.object(sandbox_clock, "time", SimpleNamespace(time=clock.time)),
        patch.object(identity, "TOKEN_LIFE_S", 3 * DAY_S),
    ):
        yield clock


@contextmanager
def a_cloud(stack: ExitStack) -> Iterator[Inside]:
    from django.conf import settings

    from incidents.traces import make_trace_key
    from tenants.scope import maintenance_scope
    from tests.api_bridge.sync.conftest import open_inside
    from tests.factories import make_cast

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    cast = make_cast()
    with maintenance_scope():
        make_trace_key(provider_id=cast.provider.id)
    with open_inside(cast, settings, folder) as inside:
        yield inside


def arrivals(seconds: int, mails: int, seed: int) -> list[float]:
    """Seconds after the beginning: most of them from 8 to 18 o'clock."""
    chance = random.Random(seed)
    if seconds < DAY_S:
        # The last minute is for what came just before it.
        return sorted(chance.uniform(0, seconds - 60) for _ in range(mails))
    busy = int(mails * WORKING_SHARE)
    at_work = [chance.uniform(8 * 3600, 18 * 3600) for _ in range(busy)]
    return sorted(at_work + [chance.uniform(0, DAY_S) for _ in range(mails - busy)])


def next_turn(client: Client) -> float:
    """When a worker takes this client: at once where it was rung for, else with the beat's next
    ring after it is wanted.
    """
    from django.utils import timezone

    from api_bridge.services import QUEUE
    from console.celery import SWEEP_S
    from tenants.models import Work

    with client.scope():
        wanted_at = Work.objects.filter(queue=QUEUE).values_list("wanted_at", flat=True).first()
    if wanted_at is None:
        return float("inf")
    at = wanted_at.timestamp()
    return at if at <= timezone.now().timestamp() else ceil(at / SWEEP_S) * SWEEP_S


def read_by_night(client: Client, *, at: datetime | None = None) -> None:
    """All mailboxes' nights that are due, ``at``: all of them, and the next ones then."""
    from django.utils import timezone

    from api_bridge.models import NightReading
    from api_bridge.nightly.work import serve_nightly
    from tenants.doors import ClaimedWork

    claimed = ClaimedWork(client.tenant.id, client.tenant.provider_id, 1)
    if at is not None:
        serve_nightly(claimed)
        with client.scope():
            NightReading.objects.update(due_at=timezone.now())
    while True:
        with client.scope():
            due = NightReading.objects.filter(due_at__lte=timezone.now()).exists()
        if not due:
            break
        again_at = serve_nightly(claimed)
        if again_at is not None and again_at > timezone.now():
            # The live sync comes first.
            break
    if at is not None:
        with client.scope():
            NightReading.objects.update(due_at=at)


def serve(client: Client) -> None:
    """One turn of the worker; it is wanted again when it says so, or was rung for meanwhile."""
    from api_bridge.services import QUEUE
    from tenants.models import Work
    from tenants.work import want_work

    with client.scope():
        Work.objects.filter(queue=QUEUE).update(wanted_at=None)
    again_at = client.sync(everything=False)
    if again_at is not None:
        with client.scope():
            want_work(client.tenant.id, QUEUE, at=again_at)


def tell(inside: Inside) -> None:
    """Notifications come at once, where somebody listens."""
    from django.test import RequestFactory

    from api_bridge import webhooks

    told = inside.cloud.notices() if inside.cloud.is_heard else []
    if told:
        said = json.dumps({"value": told, "validationTokens": inside.cloud.proofs})
        request = RequestFactory().post("/graph", said, content_type="application/json")
        assert webhooks.graph(request).status_code == 202


def live(inside: Inside, client: Client, day: Day, seconds: int, mails: int) -> Calls:
    """Lets that much time go by.  A notification rings the worker; a dead webhook takes none."""
    began = day.clock.time()
    coming = [began + at for at in arrivals(seconds, mails, seed=mails)]
    number = len(day.came)
    with counted() as calls:
        while coming or next_turn(client) < began + seconds:
            turn = next_turn(client)
            if coming and coming[0] <= max(turn, day.clock.time()):
                at = coming.pop(0)
                day.clock.go_to(at)
                name = f"box{number * 7 % MAILBOXES}"
                message_id = f"<{day.name}-{number}@sender.example.net>"
                inside.cloud.deliver([client.company.mail(name)], mail(number, message_id))
                day.came[message_id] = max(at, day.clock.time() - 1)
                number += 1
                tell(inside)
            else:
                day.clock.go_to(min(turn, began + seconds))
                if day.clock.time() >= began + seconds and not coming:
                    break
            if next_turn(client) <= day.clock.time():
                serve(client)
            read_by_night(client)
    return calls


@contextmanager
def stored(day: Day) -> Iterator[None]:
    """Notes when each mail's rows were committed."""
    from api_bridge import round as round_module
    from api_bridge.store import commit_page

    def commit(mine: Any, page: Any, outcome: Any) -> bool:
        is_ours = commit_page(mine, page, outcome)
        now = day.clock.time()
        for each in outcome.scanned:
            came = day.came.get(each.item.internet_message_id)
            if came is not None and each.is_judged:
                day.waited.append(now - came)
        return is_ours

    with patch.object(round_module, "commit_page", commit):
        yield


@contextmanager
def a_pushed_client(*, is_sealed: bool) -> Iterator[tuple[Inside, Client, Clock]]:
    """Its mailboxes were read and have push orders, and folders are known.  ``is_sealed``: what is
    told brings the mail.
    """
    with a_database(), ExitStack() as stack, virtual() as clock, a_cloud(stack) as inside:
        from django.conf import settings

        from api_bridge.services import seal_pushes
        from tenants.audit import BAILEY

        names = tuple(f"box{number}" for number in range(MAILBOXES))
        client = inside.connect("delta", names)
        if is_sealed:
            with client.scope():
                seal_pushes(connection=client.connection, is_on=True, actor=BAILEY)
        for name in names:
            client.company.receive(name)
        for _ in range(4):
            client.sync(everything=False)
        inside.cloud.notices()
        settings.SYNC_GATHER_S = GATHER_S
        # An evening goes by: the client is no new one.
        live(inside, client, Day(clock, "evening"), EVENING_S, MAILBOXES)
        # The night after the first one comes before the day is over.
        read_by_night(client, at=clock.now() + timedelta(seconds=NIGHT_S))
        yield inside, client, clock


def one_day() -> list[Measurement]:
    return [row for is_sealed in (True, False) for row in _one_day(is_sealed=is_sealed)]


def _one_day(*, is_sealed: bool) -> list[Measurement]:
    with a_pushed_client(is_sealed=is_sealed) as (inside, client, clock):
        day, mails = Day(clock), MAILBOXES * MAILS_EACH
        with stored(day):
            calls = live(inside, client, day, DAY_S, mails)
        rows = _calls(calls, len(day.waited), mails, is_sealed=is_sealed)
        return [*rows, *_delays(day, "day_brought" if is_sealed else "day")]


def delays() -> list[Measurement]:
    """An hour with push, then one in which no order stands and nothing is heard."""
    with a_pushed_client(is_sealed=False) as (inside, client, clock):
        from api_bridge.models import MailboxSync
        from api_bridge.services import QUEUE
        from tenants.work import want_work

        pushed, dead = Day(clock, "pushed"), Day(clock, "dead")
        with stored(pushed):
            live(inside, client, pushed, HOUR_S, HOUR_MAILS)
        day_later = clock.now() + timedelta(days=1)
        with client.scope():
            MailboxSync.objects.update(
                push_id="", push_expires_at=None, push_began_at=None,
                push_due_at=day_later, due_at=clock.now(),
            )  # fmt: skip
            want_work(client.tenant.id, QUEUE)
        inside.cloud.is_heard = False
        with stored(dead):
            live(inside, client, dead, HOUR_S, HOUR_MAILS)
        return [*_delays(pushed, "push"), *_delays(dead, "push_dead")]


def _calls(calls: Calls, seen: int, mails: int, *, is_sealed: bool) -> list[Measurement]:
    how = "pushes bring the mail" if is_sealed else "pushes are hints"
    most = ", ".join(f"{kind} {n}" for kind, n in calls.kinds.most_common(10))
    against = f"{how}; {seen} of {mails} mails, {MAILBOXES} mailboxes, 24 h"
    requests, trips = calls.requests / seen, calls.trips / seen
    tail = "" if is_sealed else "_of_hints"
    return [
        Measurement(
            name=f"requests_per_mail{tail}", value=requests, unit="requests/mail",
            against=f"{against}: {most}", goal=f"≤ {GOAL_REQUESTS}", met=requests <= GOAL_REQUESTS,
        ),
        Measurement(
            name=f"round_trips_per_mail{tail}", value=trips, unit="round trips/mail",
            against=against, goal=f"≤ {GOAL_TRIPS}", met=trips <= GOAL_TRIPS,
        ),
    ]  # fmt: skip


def _delays(day: Day, how: str) -> list[Measurement]:
    at = quantiles(day.waited, n=100)
    return [
        Measurement(
            name=f"delivery_to_verdict_{how}_{name}",
            value=at[percent - 1],
            unit="s",
            against=f"{len(day.waited)} of {len(day.came)} mails, {MAILBOXES} mailboxes",
        )
        for name, percent in (("p50", 50), ("p95", 95))
    ]


def growth() -> list[Measurement]:
    with a_database(), ExitStack() as stack, a_cloud(stack) as inside:
        clients: list[Client] = []
        points = []
        for count in (FEW, MANY):
            clients += _connected(inside, count - len(clients), len(clients))
            points.append((len(clients), *_read_all(clients)))
        (few, few_ms, few_read), (many, many_ms, many_read) = points
        against = f"{few} clients ({few_ms:.1f} ms, {few_read} read) against {many} ({many_read})"
        return [
            Measurement(
                name="sync_growth", value=many_ms / few_ms, unit="times", against=against,
                goal="≤ 1.5", met=many_ms / few_ms <= 1.5,
            ),
            Measurement(
                name="sync_mailbox", value=many_ms, unit="ms/mailbox",
                against=f"{many} clients with {EACH} mailboxes, two workers",
            ),
        ]  # fmt: skip


def _connected(inside: Inside, more: int, first: int) -> list[Client]:
    """Clients whose mailboxes are known and due, and have no push orders."""
    from django.utils import timezone

    from api_bridge.models import MailboxSync
    from api_bridge.opening import open_all
    from api_bridge.sync import _list_mailboxes
    from tenants.doors import ClaimedWork

    names = tuple(f"box{number}" for number in range(EACH))
    later = timezone.now() + timedelta(days=1)
    made = []
    for number in range(first, first + more):
        client = inside.connect(f"grow{number}", names)
        claimed = ClaimedWork(client.tenant.id, client.tenant.provider_id, 1)
        for opened in open_all(claimed):
            _list_mailboxes(claimed, opened)
        with client.scope():
            MailboxSync.objects.update(push_due_at=later)
        made.append(client)
    return made


def _read_all(clients: list[Client]) -> tuple[float, int]:
    """Milliseconds of a mailbox, and how many were read in the time that there is."""
    from django.db import connection
    from django.utils import timezone

    from api_bridge.models import MailboxSync
    from api_bridge.services import QUEUE
    from tenants.work import serve_one, want_work

    for client in clients:
        with client.scope():
            MailboxSync.objects.update(due_at=timezone.now(), whole_due_at=timezone.now())
            want_work(client.tenant.id, QUEUE, at=timezone.now())
    until = time.monotonic() + POINT_S
    started = timezone.now()

    def work() -> None:
        try:
            while time.monotonic() < until and serve_one(QUEUE):
                pass
        finally:
            connection.close()

    began = time.monotonic()
    workers = [Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    spent_s = time.monotonic() - began
    read = 0
    for client in clients:
        with client.scope():
            read += MailboxSync.objects.filter(synced_at__gte=started).count()
    return spent_s * 1000 / max(read, 1), read


MEASURES = {
    "requests_per_mail": one_day,
    "delivery_to_verdict": delays,
    "sync_growth": growth,
}
