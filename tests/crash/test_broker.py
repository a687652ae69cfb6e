"""The broker is emptied again and again, and every task runs twice: the result is the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
import redis
from celery import current_app
from django.conf import settings as project
from django.utils import timezone

from incidents import layers
from incidents.intake import record
from incidents.models import Delivery, Incident, Intent, Job
from incidents.modes import set_mode
from incidents.words import Place, Verdict
from tenants import work
from tenants.doors import ClaimedWork
from tenants.models import OutgoingMail, Work
from tenants.outbox import post
from tenants.tasks import ring_all, serve
from tests.emptying import empty_tables
from tests.factories import Cast, mail_json, make_cast
from tests.incidents.test_disagreements import INFO, inside, passed
from tests.incidents.test_remediation import Mailboxes, _scope
from tests.services import SERVICES
from tests.tenants.test_outbox import Server

pytestmark = pytest.mark.django_db(transaction=True)
QUEUES = ("intake", "respond", "remediate", "notify")
MAILS = 4


@pytest.fixture
def broker(services: object) -> Iterator[redis.Redis[bytes]]:
    """Empty at both ends."""
    if not SERVICES.has_own_broker:
        pytest.skip("REDIS_URL names a broker that is not ours to empty")
    client = redis.Redis.from_url(project.REDIS_URL)
    client.flushall()
    try:
        yield client
    finally:
        client.flushall()
        client.close()


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose word that it is done is lost each time: the same claim is served again."""
    for queue in QUEUES:
        module, _, name = work._handlers[queue].rpartition(".")
        real = getattr(import_module(module), name)

        def again(claimed: ClaimedWork, real: work.Handler = real) -> datetime | None:
            real(claimed)
            return real(claimed)

        monkeypatch.setattr(import_module(module), name, again)


@dataclass
class Storm:
    """``is_calm``: nothing happens to the broker.  ``flushed``: how often it was emptied."""

    broker: redis.Redis[bytes]
    is_calm: bool
    chance: random.Random = field(default_factory=lambda: random.Random(6))
    flushed: int = 0
    served: int = 0

    def strike(self) -> None:
        if not self.is_calm and self.chance.random() < 0.5:
            self.broker.flushall()
            self.flushed += 1

    def work_off(self) -> None:
        """One worker, as long as anything is rung; the broker may lose it all before, amid it, and
        before the worker has said that it is done.
        """
        self.strike()
        with current_app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            for queue in QUEUES:
                while (message := channel.basic_get(queue)) is not None:
                    self.strike()
                    (wanted, *_), _, _ = message.decode()
                    serve(wanted)
                    self.served += 1
                    self.strike()
                    message.ack()


def story(cast: Cast, storm: Storm) -> None:
    """Mails that the gateway passes and then condemns; for each Bailey pulls and tells somebody."""
    with _scope(cast.acme):
        set_mode(tenant=cast.acme, mode="auto", actor=cast.mo)
    for number in range(MAILS):
        sender = {"address": f"eve@evil{number}.example", "name": "Eve", "raw": ""}
        mail = mail_json(subject=f"{number} " * 5, sender=sender, from_all=[sender])
        at = datetime.now(UTC) + timedelta(minutes=5)
        late: dict[str, Any] = {"observed_at": at, "verdict": Verdict.PHISH, "score": 9.0}
        with _scope(cast.acme):
            record([passed(cast, number=number, mail=mail), inside(cast, number=number, mail=mail)])
        storm.work_off()
        with _scope(cast.acme):
            record([passed(cast, number=number, mail=mail, **late)])
            event = f"late/{number}"
            post(
                tenant_id=cast.acme.id, event=event, kind="notice", to=INFO, subject=event, text="x"
            )
        storm.work_off()
    # The beat rings on.
    for _ in range(4):
        with _scope(cast.acme):
            leased = Work.objects.filter(tenant=cast.acme, queue__in=QUEUES)
            leased.exclude(leased_until=None).update(leased_until=timezone.now())
            leased.exclude(wanted_at=None).update(wanted_at=timezone.now())
        ring_all()
        storm.is_calm = True
        storm.work_off()


def facts(cast: Cast, boxes: Mailboxes) -> dict[str, Any]:
    with _scope(cast.acme):
        return {
            "copies": sorted(Delivery.objects.values_list("recipient", "place", "outcome")),
            "incidents": sorted(Incident.objects.values_list("kind", "state", "severity")),
            "jobs": sorted(Job.objects.values_list("kind", "state")),
            "intents": sorted(Intent.objects.values_list("action", "state")),
            "mails": sorted(OutgoingMail.objects.values_list("event", "state")),
            "sent": sorted(mail.subject for mail in Server.got),
            "places": sorted(boxes.places.items()),
            "moves": boxes.moves,
        }


@pytest.fixture
def run(broker, monkeypatch, settings) -> Callable[[bool], tuple[dict[str, Any], Storm]]:
    settings.EMAIL_BACKEND = "tests.tenants.test_outbox.Server"

    def play(is_calm: bool) -> tuple[dict[str, Any], Storm]:
        Server.plan, Server.got = [], []
        boxes = Mailboxes({f"i{number}{INFO}": Place.INBOX for number in range(MAILS)})
        monkeypatch.setitem(layers._layers, "mailbox", boxes)
        cast, storm = make_cast(), Storm(broker, is_calm)
        story(cast, storm)
        found = facts(cast, boxes)
        empty_tables()
        return found, storm

    return play


def test_an_emptied_broker_and_tasks_that_run_twice_change_nothing(run, request):
    calm, quiet = run(True)
    assert calm["moves"] == MAILS
    assert len(calm["sent"]) == MAILS
    assert quiet.served
    request.getfixturevalue("twice")
    stormy, storm = run(False)
    assert storm.flushed > MAILS
    assert stormy == calm
