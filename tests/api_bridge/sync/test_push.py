"""A push is a hint: it leads to a sync, and lying, losing or repeating it changes nothing."""

from __future__ import annotations

import itertools
import json
import random
from datetime import timedelta
from queue import Queue
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import OperationalError
from django.test import Client as Machine
from django.utils import timezone
from typing_extensions import override

from api_bridge import round as round_module
from api_bridge import webhooks
from api_bridge.models import MailboxSync
from api_bridge.push import notification_url
from tenants.models import Work


@pytest.fixture(autouse=True)
def ingest_urls(settings):
    settings.ROOT_URLCONF = "console.urls_ingest"
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def hook(settings):
    """Listens where notifications go: answers handshakes, keeps what comes for the test."""
    came: Queue[str] = Queue()
    inner = WSGIHandler()

    def app(environ, start_response):
        if "validationToken" in environ["QUERY_STRING"]:
            return inner(environ, start_response)
        came.put(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        start_response("202 Accepted", [("Content-Length", "0")])
        return []

    class Quiet(WSGIRequestHandler):
        @override
        def log_message(self, *args: object) -> None:
            pass

    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    settings.INGEST_URL = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield came
    server.shutdown()
    server.server_close()


@pytest.fixture
def pushed(connect, hook):
    """A client with a push order for each of its mailboxes."""
    made = connect("delta")
    made.sync()
    made.sync()
    return made


def post(machine: Machine, body: object):
    text = body if isinstance(body, str) else json.dumps(body)
    return machine.post("/graph", text, content_type="application/json")


def due(client) -> set[str]:
    with client.scope():
        rows = MailboxSync.objects.filter(dirty_at__isnull=False, due_at__lte=timezone.now())
        return {row.mailbox.address for row in rows.select_related("mailbox")}


def rest(client) -> None:
    """Nothing is due."""
    with client.scope():
        later = timezone.now() + timedelta(hours=1)
        MailboxSync.objects.update(dirty_at=None, due_at=later)
        Work.objects.update(wanted_at=None)


def test_a_handshake_is_answered_with_the_decoded_token_as_plain_text(machine):
    answer = machine.post("/graph?validationToken=Validation%3A+1+%3Cb%3E%26")
    assert (answer.status_code, answer.content) == (200, b"Validation: 1 <b>&")
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_token_that_is_too_long_and_a_body_that_is_none_are_refused(machine, db):
    assert machine.post("/graph?validationToken=" + "x" * 2000).status_code == 400
    assert post(machine, "{").status_code == 400
    assert post(machine, ["value"]).status_code == 400
    assert machine.get("/graph").status_code == 405


def test_every_mailbox_has_a_push_order_with_a_state_of_its_own(pushed):
    rows = [pushed.mailbox_sync(name) for name in ("ana", "bo", "cfo")]
    assert len({row.push_id for row in rows} - {""}) == 3
    assert all(row.push_error == "" for row in rows)
    assert len({bytes(row.sealed_client_state) for row in rows}) == 3
    assert all(row.push_expires_at > timezone.now() + timedelta(days=6) for row in rows)


def test_a_push_makes_its_mailbox_due_and_the_sync_finds_the_mail(pushed, hook, machine):
    rest(pushed)
    pushed.company.receive("ana")
    assert post(machine, hook.get(timeout=10)).status_code == 202
    assert due(pushed) == {pushed.company.mail("ana")}
    with pushed.scope():
        assert Work.objects.filter(queue="sync", wanted_at__lte=timezone.now()).exists()
    pushed.sync(everything=False)
    assert len(pushed.observations()) == 1
    assert due(pushed) == set()


def test_a_hint_leads_to_a_quick_look_and_the_cursor_stays_the_truth(pushed, hook, machine):
    rest(pushed)
    before = pushed.mailbox_sync("ana")
    late = pushed.company.receive("ana")
    hook.get(timeout=10)
    with pushed.scope():
        # As if the mail had become visible long after its time of receipt.
        future = timezone.now() + timedelta(minutes=10)
        MailboxSync.objects.filter(id=before.id).update(synced_at=future)
    pushed.company.receive("ana")
    post(machine, hook.get(timeout=10))
    pushed.sync(everything=False)
    after = pushed.mailbox_sync("ana")
    assert pushed.observations() == []
    assert (after.cursor, after.whole_due_at) == (before.cursor, before.whole_due_at)
    pushed.sync()
    assert late in {row.internet_message_id for row in pushed.observations()}
    assert len(pushed.observations()) == 2
    assert pushed.mailbox_sync("ana").whole_due_at > before.whole_due_at


def test_a_push_that_comes_during_a_sync_is_not_forgotten(pushed, hook, machine, monkeypatch):
    rest(pushed)
    pushed.company.receive("ana")
    first = hook.get(timeout=10)
    post(machine, first)
    read: list[str] = []
    real_originals = round_module.Round._originals

    def just_before_the_commit(self, found):
        if not read:
            post(machine, first)
        read.extend(mine.seat.address for mine, _, _ in found)
        return real_originals(self, found)

    monkeypatch.setattr(round_module.Round, "_originals", just_before_the_commit)
    pushed.sync(everything=False)
    assert read == [pushed.company.mail("ana")] * 2


@pytest.mark.parametrize("stated", ["", "wrong", None, 7])
def test_a_push_with_the_wrong_client_state_is_ignored(pushed, hook, machine, stated):
    rest(pushed)
    pushed.company.receive("ana")
    said = json.loads(hook.get(timeout=10))
    for entry in said["value"]:
        entry["clientState"] = stated
    assert post(machine, said).status_code == 202
    assert due(pushed) == set()


@pytest.mark.parametrize("name", ["nobody", "no\x00body", "no\ud800body", "n" * 101])
def test_a_push_for_an_order_that_nobody_knows_is_ignored(pushed, machine, name):
    rest(pushed)
    said = {"value": [{"subscriptionId": name, "clientState": "x"}, "noise", {}]}
    assert post(machine, said).status_code == 202
    assert due(pushed) == set()


def test_a_client_state_counts_for_its_own_order_only(pushed, hook, machine):
    rest(pushed)
    pushed.company.receive("ana")
    said = json.loads(hook.get(timeout=10))
    said["value"][0]["subscriptionId"] = pushed.mailbox_sync("bo").push_id
    assert post(machine, said).status_code == 202
    assert due(pushed) == set()


def test_what_cannot_be_stored_is_not_accepted(pushed, hook, machine, monkeypatch):
    pushed.company.receive("ana")
    said = hook.get(timeout=10)

    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(webhooks, "ask", away)
    assert post(machine, said).status_code == 503


def lifecycle(client, hook, name: str, event: str) -> str:
    wanted = {"event": event, "subscription_id": client.mailbox_sync(name).push_id}
    client.company.cloud.admin("POST", "lifecycle", wanted)
    said: str = hook.get(timeout=10)
    return said


def test_a_removed_order_is_made_anew(pushed, hook, machine):
    old = pushed.mailbox_sync("ana").push_id
    said = lifecycle(pushed, hook, "ana", "subscriptionRemoved")
    assert post(machine, said).status_code == 202
    assert pushed.mailbox_sync("ana").push_id == ""
    pushed.sync(everything=False)
    assert pushed.mailbox_sync("ana").push_id not in ("", old)


def test_an_order_that_wants_authorising_is_renewed(pushed, hook, machine):
    before = pushed.mailbox_sync("ana")
    post(machine, lifecycle(pushed, hook, "ana", "reauthorizationRequired"))
    assert pushed.mailbox_sync("ana").push_expires_at < before.push_expires_at
    pushed.sync(everything=False)
    after = pushed.mailbox_sync("ana")
    assert (after.push_id, after.push_error) == (before.push_id, "")
    assert after.push_expires_at > timezone.now() + timedelta(days=6)


def test_missed_notifications_lead_to_a_sync(pushed, hook, machine):
    rest(pushed)
    post(machine, lifecycle(pushed, hook, "bo", "missed"))
    assert due(pushed) == {pushed.company.mail("bo")}


def test_without_push_the_mailbox_is_polled_and_says_why(client_):
    client_.company.receive("ana")
    client_.sync()
    row = client_.mailbox_sync("ana")
    assert row.push_id == ""
    assert "ValidationError" in row.push_error
    assert len(client_.observations()) == 1
    wait = row.due_at - row.synced_at
    assert timedelta(seconds=25) < wait < timedelta(seconds=35)


def test_an_order_that_no_row_knows_is_ended(pushed):
    ana = pushed.company.ids["ana"]
    order = {
        "changeType": "created",
        "notificationUrl": notification_url(),
        "resource": f"/users/{ana}/messages",
        "expirationDateTime": (timezone.now() + timedelta(days=1)).isoformat(),
        "clientState": "x",
    }
    pushed.company.post("subscriptions", order)
    assert len(pushed.company.get("subscriptions")["value"]) == 4
    with pushed.scope():
        now = timezone.now()
        pushed.connection.__class__.objects.update(list_due_at=now, sweep_due_at=now)
    pushed.sync()
    assert len(pushed.company.get("subscriptions")["value"]) == 3


@pytest.mark.parametrize("seed", range(4))
def test_any_loss_repetition_and_order_of_pushes_gives_the_same_rows(pushed, hook, machine, seed):
    chance = random.Random(seed)
    names = [chance.choice(["ana", "bo", "cfo"]) for _ in range(6)]
    ids = []
    for name in names:
        ids.append((pushed.company.mail(name), pushed.company.receive(name)))
    said = [json.loads(hook.get(timeout=10)) for _ in range(1)]
    while not hook.empty():
        said.append(json.loads(hook.get()))
    entries = list(itertools.chain.from_iterable(each["value"] for each in said))
    sent = [chance.choice(entries) for _ in range(chance.randrange(2 * len(entries)))]
    for entry in sent:
        post(machine, {"value": [entry]})
        if chance.random() < 0.3:
            pushed.sync(everything=False)
    pushed.sync()
    seen = [(row.recipient, row.internet_message_id) for row in pushed.observations()]
    assert sorted(seen) == sorted(ids)
    assert len(pushed.deliveries()) == len(ids)
