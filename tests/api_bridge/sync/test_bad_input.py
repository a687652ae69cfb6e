"""What mail hosts say and should not, and what becomes of it: rows, states and waiting times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api_bridge.connectors.graph.mapping import item_of
from api_bridge.errors import (
    AccessDenied,
    NotFound,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from api_bridge.models import Connection, SeenItem
from api_bridge.runtime import connector_of
from incidents.words import Place
from tenants.models import Mailbox
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sync.conftest import change_lists
from tests.api_bridge.sync.test_convergence import post
from tests.api_bridge.sync.test_judging import with_attachment

State = Mailbox.State


@pytest.fixture
def client_(inside):
    made = inside.connect("delta")
    made.sync()
    return made


def state_of(client, name: str) -> str:
    with client.scope():
        return Mailbox.objects.get(address=client.company.mail(name)).state


def answers(client, monkeypatch, name: str, answer) -> None:
    """This mailbox's list answers so; the others' as ever."""
    ill = client.company.ids[name]

    def change(mailbox_id, ask):
        if mailbox_id == ill:
            raise answer
        return ask()

    change_lists(connector_of(client.wired()), monkeypatch, change)


@pytest.mark.parametrize(
    ("answer", "state", "waits_s"),
    [
        (AccessDenied("403", code="ErrorAccessDenied", status=403), State.BLIND, 900),
        (AccessDenied("403", code="Authorization_RequestDenied", status=403), State.BLIND, 900),
        (NotFound("404", code="MailboxNotEnabledForRESTAPI", status=404), State.NO_MAILBOX, 86400),
        (NotFound("404", code="ResourceNotFound", status=404), State.NO_MAILBOX, 86400),
        (NotFound("410", status=410), State.NO_MAILBOX, 86400),
        (Rejected("409", code="ErrorFolderExists", status=409), State.ACTIVE, 5),
        (RateLimited("429", retry_after_s=77, status=429), State.ACTIVE, 77),
        (Temporary("500", retry_after_s=5, status=500), State.ACTIVE, 5),
        (Temporary("503", retry_after_s=40, status=503), State.ACTIVE, 40),
        (Temporary("cut", retry_after_s=30, code="cut_answer"), State.ACTIVE, 30),
        (Unexpected("A paging link points elsewhere.", code="foreign_link"), State.ACTIVE, 5),
    ],
    ids=lambda value: getattr(value, "code", None) or str(value),
)
def test_each_refusal_parks_its_own_mailbox_for_its_own_time(
    client_, monkeypatch, answer, state, waits_s
):
    answers(client_, monkeypatch, "ana", answer)
    told = {client_.company.receive(name) for name in ("bo", "cfo")}
    client_.company.receive("ana")
    began = timezone.now()
    client_.sync()
    assert {row.internet_message_id for row in client_.observations()} == told
    assert state_of(client_, "ana") == state
    row = client_.mailbox_sync("ana")
    assert timedelta(seconds=waits_s - 1) <= row.due_at - began <= timedelta(seconds=waits_s + 30)
    assert row.last_error
    monkeypatch.undo()
    client_.sync()
    assert len(client_.observations()) == 3
    assert state_of(client_, "ana") == State.ACTIVE


def test_a_mailbox_that_comes_and_goes_is_asked_daily_and_loses_nothing(client_, monkeypatch):
    """Trap 12: the same user answers ResourceNotFound one hour and as ever the next."""
    for number in range(3):
        answers(client_, monkeypatch, "bo", NotFound("404", code="ResourceNotFound", status=404))
        client_.company.receive("bo")
        client_.sync()
        assert state_of(client_, "bo") == State.NO_MAILBOX
        assert client_.mailbox_sync("bo").due_at > timezone.now() + timedelta(hours=23)
        monkeypatch.undo()
        client_.sync()
        assert state_of(client_, "bo") == State.ACTIVE
        assert len(client_.observations()) == number + 1


def test_a_mailbox_that_goes_between_list_and_fetch_loses_no_mail(client_, monkeypatch):
    """Trap 12: its cursor stays, and nothing is held against the mail."""
    raw = with_attachment(client_.company.mail("ana"), "<kept@x.example>")
    client_.company.receive("ana", raw=raw)
    before = client_.mailbox_sync("ana").cursor
    away = NotFound("404", code="MailboxNotEnabledForRESTAPI", status=404)
    connector = connector_of(client_.wired())
    monkeypatch.setattr(connector, "fetch_many", lambda refs: [away] * len(refs))
    for _ in range(4):
        client_.sync()
    assert client_.mailbox_sync("ana").cursor == before
    assert client_.observations() == []
    monkeypatch.undo()
    client_.sync()
    (seen,) = client_.observations()
    assert (seen.internet_message_id, seen.verdict) == ("<kept@x.example>", "clean")


def test_ids_that_differ_by_case_alone_are_two_mails(client_, monkeypatch):
    """Trap 8."""
    client_.company.receive("ana")

    def change(_, ask):
        page = ask()
        twins = [
            replace(item, ref=replace(item.ref, item_id=id))
            for item in page.items
            for id in ("AAMkAbC=", "AAMkabC=")
        ]
        return replace(page, items=tuple(twins))

    change_lists(connector_of(client_.wired()), monkeypatch, change)
    client_.sync()
    client_.sync()
    assert {row.mailbox_item_id for row in client_.observations()} == {"AAMkAbC=", "AAMkabC="}
    with client_.scope():
        assert SeenItem.objects.count() == 2


@pytest.mark.parametrize("host", ["graph", "google"])
def test_message_ids_that_are_missing_repeated_or_unencoded_lose_no_mail(inside, host):
    """Trap 9."""
    connect = inside.connect if host == "graph" else inside.connect_google
    client = connect("delta")
    client.sync()
    odd = "<a+b%20'c&d=e@sender.example.net>"
    to = client.company.mail("ana")
    twice = "<twice@sender.example.net>"
    for message_id in (twice, twice, odd):
        raw = simple_mail(to, subject=message_id, message_id=message_id)
        client.company.receive("ana", raw=raw)
    bare = simple_mail(to, subject="none", message_id="x").replace(b"Message-ID: x\r\n", b"")
    client.company.receive("ana", raw=bare)
    client.sync()
    client.sync()
    seen = client.observations()
    assert len(seen) == 4
    assert len({row.mailbox_item_id for row in seen}) == 4
    assert len(client.deliveries()) == 4
    connector = connector_of(client.wired())
    box = client.company.ids["ana"] if host == "graph" else to
    assert len(connector.find(box, twice)) == 2
    assert len(connector.find(box, odd)) == 1


def test_unknown_words_of_an_enumeration_break_nothing():
    message = {
        "id": "a", "receivedDateTime": "2026-11-22T10:00:00Z", "importance": "unknownFutureValue",
        "inferenceClassification": "elsewhere", "flag": {"flagStatus": "waved"},
        "body": {"contentType": "markdown", "content": "x"}, "parentFolderId": "f",
    }  # fmt: skip
    item = item_of(message, "u", Place.INBOX, timezone.now())
    assert item is not None
    assert item.ref.item_id == "a"


@pytest.mark.parametrize("event", ["somethingNew", 7, None, {"a": 1}])
def test_a_lifecycle_event_that_nobody_knows_is_a_hint_like_any_other(inside, event):
    client = inside.connect("delta")
    client.sync()
    client.sync()
    inside.cloud.notices()
    client.company.receive("ana")
    (notice,) = inside.cloud.notices()
    post({"value": [notice | {"lifecycleEvent": event, "changeType": "moved"}]})
    client.sync(everything=False)
    assert len(client.observations()) == 1


@pytest.mark.parametrize(
    "entry",
    [{}, {"subscriptionId": None}, {"subscriptionId": "x" * 5000}, {"subscriptionId": "a\x00b"}],
)
def test_a_notification_without_what_it_needs_is_passed_over(inside, entry):
    client = inside.connect("delta")
    client.sync()
    client.sync()
    inside.cloud.notices()
    client.company.receive("ana")
    (notice,) = inside.cloud.notices()
    post({"value": [entry, None, notice]})
    client.sync(everything=False)
    assert len(client.observations()) == 1


def test_the_webhook_stores_a_hint_and_does_no_work(inside):
    """Trap 6: no call to the mail host, and few statements however many notifications come."""
    client = inside.connect("delta")
    client.sync()
    client.sync()
    inside.cloud.notices()
    client.company.receive("ana")
    (notice,) = inside.cloud.notices()
    calls = inside.cloud.calls
    with CaptureQueriesContext(connection) as one:
        post({"value": [notice]})
    with CaptureQueriesContext(connection) as many:
        post({"value": [notice] * 200})
    assert inside.cloud.calls == calls
    assert len(many) <= len(one)
    assert len(one) < 20
    assert not client.observations()


@pytest.mark.parametrize("kind", ["status_500", "status_503"])
def test_a_poison_message_is_parked_and_its_mailbox_goes_on(inside, kind):
    """Trap 10: its bytes can never be had, the mails beside it are read at once."""
    client = inside.connect_google("gamma")
    client.sync()
    poison = client.company.receive("ana")
    (found,) = client.company.gmail("ana", "GET", "messages")["messages"]
    inside.cloud.faults.add(
        {
            "kind": kind,
            "seconds": 0,
            "match": f"{client.company.mail('ana')}/messages/{found['id']}",
            "count": 1000,
        }
    )
    good = client.company.receive("ana")
    for _ in range(4):
        client.sync()
    told = [row.internet_message_id for row in client.observations(verdict="clean")]
    assert told == [good]
    later = client.company.receive("ana")
    client.sync()
    assert later in {row.internet_message_id for row in client.observations()}
    assert poison not in told
    with client.scope():
        assert Connection.objects.get().rests_until is None
