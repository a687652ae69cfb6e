"""What a push brings of a mail is not asked for again, and is just what a list would say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.test import RequestFactory
from django.utils import timezone

from api_bridge import sync as sync_module
from api_bridge import webhooks
from api_bridge.connectors import Item
from api_bridge.connectors.graph import sealed as sealing
from api_bridge.models import MailboxSync, PushNotice, SeenItem
from api_bridge.notices import Taken
from api_bridge.runtime import connector_of
from api_bridge.services import seal_pushes
from tenants.audit import BAILEY
from tests.api_bridge.sync.conftest import Client, Inside
from tests.bench.mailbox_day import CONDEMNED_EACH, counted, mail


@pytest.fixture
def told(inside: Inside) -> Client:
    """A client whose pushes bring the mail; nothing of its is due."""
    made = inside.connect("delta", ("ana", "bo"))
    with made.scope():
        seal_pushes(connection=made.connection, is_on=True, actor=BAILEY)
    warm_up(inside, made)
    return made


def warm_up(inside: Inside, client: Client) -> None:
    """Push orders stand, folders are known, the mail so far is."""
    for name in ("ana", "bo", "cfo"):
        if name in client.company.ids:
            client.company.receive(name)
    for _ in range(4):
        client.sync()
    inside.cloud.notices()


def found(client: Client) -> list[str]:
    """Message-IDs of what was judged since."""
    ids = [row.internet_message_id for row in client.observations()]
    return [each for each in ids if each.startswith("<told-")]


def tell(inside: Inside, *, without: Callable[[dict[str, Any]], bool] = lambda _: False) -> int:
    """All notices that wait, but for those ``without``; how many came."""
    said = [each for each in inside.cloud.notices() if not without(each)]
    content = {"value": said, "validationTokens": inside.cloud.proofs}
    request = RequestFactory().post("/graph", json.dumps(content), content_type="application/json")
    assert webhooks.graph(request).status_code == 202
    return len(said)


def deliver(inside: Inside, client: Client, name: str, number: int) -> str:
    message_id = f"<told-{number}@sender.example.net>"
    inside.cloud.deliver([client.company.mail(name)], mail(number, message_id))
    return message_id


PLAIN, ATTACHED, PHISH = 2, 1, CONDEMNED_EACH


@pytest.mark.parametrize(
    ("number", "requests"),
    [(PLAIN, 0), (ATTACHED, 1), (PHISH, 1)],
    ids=["text", "with an attachment: the mail as such", "condemned: its original is kept"],
)
def test_only_what_the_push_does_not_bring_is_asked_for(inside, told, number, requests):
    deliver(inside, told, "ana", number)
    assert tell(inside) == 1
    with counted() as calls:
        told.sync(everything=False)
    assert (calls.requests, len(found(told))) == (requests, 1)
    row = told.mailbox_sync("ana")
    assert row.dirty_at is None
    assert row.due_at > timezone.now() + timedelta(minutes=5)


@pytest.mark.parametrize("number", [PLAIN, ATTACHED, PHISH])
def test_it_brings_just_what_a_list_shows(inside, told, number):
    began = timezone.now() - timedelta(minutes=1)
    message_id = deliver(inside, told, "ana", number)
    tell(inside)
    brought: list[Item] = []

    def take(_claimed: Any, _opened: Any, taken: Taken) -> None:
        brought.extend(item for each in taken.told.values() for item in each.items)

    with patch.object(sync_module, "_read_told", take):
        told.sync(everything=False)
    listed = connector_of(told.wired()).changes(told.company.ids["ana"], "", since=began).items
    assert brought == [item for item in listed if item.internet_message_id == message_id]


def test_the_whole_reading_goes_on_from_where_it_was(inside, told):
    before = told.mailbox_sync("ana")
    deliver(inside, told, "ana", PLAIN)
    tell(inside)
    told.sync(everything=False)
    after = told.mailbox_sync("ana")
    assert (after.cursor, after.synced_at) == (before.cursor, before.synced_at)
    told.sync()
    assert len(found(told)) == 1


def test_the_same_notice_twice_counts_once(inside, told):
    deliver(inside, told, "ana", PLAIN)
    inside.cloud.faults.add({"kind": "duplicate_notification", "match": "", "count": 5})
    assert tell(inside) == 2
    told.sync(everything=False)
    told.sync()
    assert len(found(told)) == 1


def test_a_worker_that_dies_over_a_told_mail_loses_nothing(inside, told):
    deliver(inside, told, "ana", PLAIN)
    tell(inside)
    with patch.object(sync_module, "_read_told", dies), pytest.raises(RuntimeError):
        told.sync(everything=False)
    with told.scope():
        assert PushNotice.objects.count() == 0
    told.sync(everything=False)
    assert len(found(told)) == 1


def dies(*_: object) -> None:
    raise RuntimeError("killed")


def test_a_mail_that_moved_before_its_notice_came_is_where_it_lies(inside, told):
    message_id = deliver(inside, told, "ana", PLAIN)
    notices = inside.cloud.notices()
    (found,) = [
        each for each in told.company.mails("ana") if each["internetMessageId"] == message_id
    ]
    move = f"users/{told.company.mail('ana')}/messages/{found['id']}/move"
    told.company.post(move, {"destinationId": "junkemail"})
    with patch.object(inside.cloud, "notices", lambda: notices):
        tell(inside)
    told.sync(everything=False)
    told.sync()
    places = {copy.message.internet_message_id: copy.place for copy in told.deliveries()}
    assert places[message_id] == "junk"


def test_a_lost_notice_is_found_by_the_whole_reading_and_counted(inside, told):
    with told.scope():
        long_ago = timezone.now() - timedelta(hours=1)
        MailboxSync.objects.update(push_began_at=long_ago, heard_at=long_ago)
    message_id = deliver(inside, told, "ana", PLAIN)
    tell(inside, without=lambda _: True)
    told.sync(everything=False)
    assert found(told) == []
    told.sync()
    assert found(told) == [message_id]
    with told.scope():
        assert SeenItem.objects.filter(gap=SeenItem.Gap.UNANNOUNCED).count() == 1


@contextmanager
def without(**changes: object):
    """A cloud tenant whose notices lack something."""
    real = sealing.open_notice

    def opened(*args: Any, **options: Any) -> dict[str, Any]:
        data = real(*args, **options)
        return {name: value for name, value in data.items() if name not in changes}

    with patch("api_bridge.connectors.graph.connector.open_notice", opened):
        yield


@pytest.mark.parametrize("name", ["singleValueExtendedProperties", "internetMessageHeaders"])
def test_where_the_notice_lacks_something_the_mailbox_is_looked_at(inside, told, name):
    deliver(inside, told, "ana", PLAIN)
    tell(inside)
    with without(**{name: None}), counted() as calls:
        told.sync(everything=False)
    assert (calls.requests, len(found(told))) == (1, 1)


def test_where_a_body_is_refused_the_order_is_made_without(inside):
    made = inside.connect("delta", ("ana",))
    with made.scope():
        seal_pushes(connection=made.connection, is_on=True, actor=BAILEY)
    with patch("api_bridge.connectors.graph.pushes.EXPANDED", "attachments"):
        made.sync()
    row = made.mailbox_sync("ana")
    assert (row.push_error, bool(row.push_id), bool(row.push_key)) == ("", True, True)


def test_a_notice_longer_than_is_kept_is_a_hint(inside, told, monkeypatch):
    monkeypatch.setattr(webhooks, "LONGEST_CONTENT", 100)
    deliver(inside, told, "ana", PLAIN)
    tell(inside)
    assert told.mailbox_sync("ana").dirty_at is not None
    told.sync(everything=False)
    row = told.mailbox_sync("ana")
    assert (row.notices_refused, len(found(told))) == (0, 1)


@pytest.mark.parametrize(
    ("code_page", "raw", "text"),
    [
        ("65001", "Grüße".encode(), "Grüße"),
        ("1252", "Grüße".encode("cp1252"), "Grüße"),
        ("28592", "Čaj".encode("iso8859-2"), "Čaj"),
        ("932", "こんにちは".encode("cp932"), "こんにちは"),
        ("65001", b"\xff\xfe", ""),
        ("99999", b"x", ""),
        ("", b"x", ""),
    ],
)
def test_html_is_read_in_its_code_page_or_not_at_all(code_page, raw, text):
    told = {sealing.HTML: base64.b64encode(raw).decode(), sealing.CODE_PAGE: code_page}
    assert sealing._html(told) == text


def test_hints_of_two_seconds_are_looked_at_in_one_call(inside, settings):
    made = inside.connect("delta", ("ana", "bo", "cfo"))
    warm_up(inside, made)
    settings.SYNC_GATHER_S = 2.0
    for number, name in enumerate(("ana", "bo", "cfo")):
        deliver(inside, made, name, 2 * number + 2)
        tell(inside)
    with counted() as calls:
        assert made.sync(everything=False) <= timezone.now() + timedelta(seconds=2)
    assert calls.trips == 0
    with made.scope():
        MailboxSync.objects.filter(mailbox__address=made.company.mail("ana")).update(
            due_at=timezone.now()
        )
    with counted() as calls:
        made.sync(everything=False)
    assert (calls.trips, len(found(made))) == (1, 3)
