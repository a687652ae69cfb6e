"""What is lost on the way is found by the next sync, and counted for its mailbox."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync, SeenItem
from api_bridge.sandbox import mailboxes
from tests.api_bridge.sync.test_convergence import post

NAMES = tuple(f"box{number}" for number in range(20))
GAP = SeenItem.Gap


def gaps(client) -> dict[str, int]:
    """Counter → how many, over all mailboxes."""
    with client.scope():
        found = SeenItem.objects.exclude(gap="").values_list("gap", flat=True)
        return {kind: list(found).count(kind) for kind in set(found)}


def long_ago(client, before: timedelta) -> None:
    """The last reading, and the push orders' beginning, lie so far back."""
    with client.scope():
        Connection.objects.update(created_at=timezone.now() - 2 * before)
        for row in MailboxSync.objects.all():
            row.synced_at = row.caught_up_at = timezone.now() - before
            row.push_began_at, row.heard_at = timezone.now() - 2 * before, None
            cursor = json.loads(row.cursor)
            if cursor.get("since"):
                since = datetime.fromisoformat(cursor["since"]) - before
                row.cursor = json.dumps(cursor | {"since": since.isoformat()})
            row.save()


@pytest.fixture
def pushed(inside):
    """A client with a push order for each of twenty mailboxes."""
    client = inside.connect("delta", NAMES)
    for _ in range(3):
        client.sync()
    with client.scope():
        assert not MailboxSync.objects.filter(push_id="").exists()
    long_ago(client, timedelta(minutes=5))
    inside.cloud.notices()
    return client


def test_a_fifth_of_all_notices_lost_is_recovered_whole_and_counted(inside, pushed):
    ids = {pushed.company.receive(name) for name in NAMES}
    told = inside.cloud.notices()
    assert len(told) == len(NAMES)
    post({"value": [each for number, each in enumerate(told) if number % 5]})
    pushed.sync(everything=False)
    pushed.sync(everything=False)
    assert len(pushed.observations()) == len(NAMES) * 4 // 5
    assert gaps(pushed) == {}
    pushed.sync()
    assert {row.internet_message_id for row in pushed.observations()} == ids
    assert gaps(pushed) == {GAP.UNANNOUNCED: len(NAMES) // 5}


def test_a_hint_that_comes_late_takes_its_mail_from_the_counter(inside, pushed):
    pushed.company.receive("box1")
    (notice,) = inside.cloud.notices()
    pushed.sync()
    assert gaps(pushed) == {GAP.UNANNOUNCED: 1}
    post({"value": [notice]})
    pushed.sync(everything=False)
    assert gaps(pushed) == {}
    assert len(pushed.observations()) == 1


def test_where_no_push_order_stands_nothing_is_unannounced(inside, pushed):
    with pushed.scope():
        MailboxSync.objects.update(push_id="", push_expires_at=None, push_began_at=None)
    pushed.company.receive("box1")
    pushed.sync()
    assert len(pushed.observations()) == 1
    assert gaps(pushed) == {}


def test_a_fifth_of_the_items_of_a_list_missing_is_recovered_whole_and_counted(inside, pushed):
    ids = {pushed.company.receive(name) for name in NAMES}
    post({"value": inside.cloud.notices()})
    for name in NAMES[::5]:
        match = f"{pushed.company.ids[name]}/messages"
        inside.cloud.faults.add({"kind": "late_item", "match": match})
    pushed.sync(everything=False)
    pushed.sync(everything=False)
    assert len(pushed.observations()) == len(NAMES) * 4 // 5
    with pushed.scope():
        # Minutes pass: the reading that missed them ended long after their receipt.
        MailboxSync.objects.update(caught_up_at=timezone.now() + timedelta(minutes=5))
    pushed.sync()
    assert {row.internet_message_id for row in pushed.observations()} == ids
    assert gaps(pushed) == {GAP.MISSED: len(NAMES) // 5}


def test_what_a_history_never_tells_is_found_by_the_list_of_ids_and_counted(inside, monkeypatch):
    """Google: a fifth of the mails is missing in the history."""
    monkeypatch.setattr("api_bridge.gaps.GRACE", timedelta(0))
    client = inside.connect_google("gamma")
    for _ in range(2):
        client.sync()
    ids = set()
    for number in range(10):
        name = ("ana", "bo")[number % 2]
        ids.add(client.company.receive(name))
        if number % 5 == 0:
            match = f"{client.company.mail(name)}/history"
            inside.cloud.faults.add({"kind": "late_item", "match": match})
        now = timezone.now()
        with client.scope():
            MailboxSync.objects.update(due_at=now, dirty_at=now)
        client.sync(everything=False)
    assert len(client.observations()) == 8
    client.sync()
    assert {row.internet_message_id for row in client.observations()} == ids
    assert gaps(client) == {GAP.MISSED: 2}
    calls = inside.cloud.calls
    client.sync(everything=False)
    assert inside.cloud.calls - calls <= 2  # Pub/Sub alone: the list is not asked each time


@pytest.mark.parametrize("host", ["graph", "google"])
def test_an_hour_without_webhook_loses_nothing(inside, monkeypatch, host):
    connect = inside.connect if host == "graph" else inside.connect_google
    client = connect("delta")
    for _ in range(3):
        client.sync()
    long_ago(client, timedelta(hours=1))
    began = int(timezone.now().timestamp()) - 3590
    ids = set()
    for number in range(12):
        monkeypatch.setattr(mailboxes, "now_s", lambda at=began + number * 299: at)
        ids.add(client.company.receive(("ana", "bo", "cfo")[number % 3]))
    inside.cloud.notices()
    if host == "google":
        inside.cloud.faults.add(
            {"kind": "lost_notification", "match": client.company.domain, "count": 100}
        )
    client.sync()
    assert {row.internet_message_id for row in client.observations()} == ids
    assert gaps(client).get(GAP.UNANNOUNCED) == 12


def test_whole_readings_become_rarer_while_push_holds_and_close_when_it_does_not(inside, pushed):
    """One mailbox that finds something late makes all of its connection be read whole again."""
    for _ in range(5):
        pushed.sync()
    with pushed.scope():
        assert set(MailboxSync.objects.values_list("whole_every_s", flat=True)) == {7200}
    pushed.company.receive("box1")
    with pushed.scope():
        row = MailboxSync.objects.filter(mailbox__address=pushed.company.mail("box1"))
        row.update(due_at=timezone.now(), whole_due_at=timezone.now())
    pushed.sync(everything=False)
    assert gaps(pushed) == {GAP.UNANNOUNCED: 1}
    with pushed.scope():
        soon = timezone.now() + timedelta(seconds=600)
        assert set(MailboxSync.objects.values_list("whole_every_s", flat=True)) <= {600, 1200}
        assert not MailboxSync.objects.filter(whole_due_at__gt=soon).exists()


def test_where_no_push_order_stands_every_reading_is_close(inside, pushed):
    with pushed.scope():
        MailboxSync.objects.update(push_id="", push_expires_at=None, push_due_at=timezone.now()
                                   + timedelta(days=1))  # fmt: skip
    for _ in range(4):
        pushed.sync()
    with pushed.scope():
        assert set(MailboxSync.objects.values_list("whole_every_s", flat=True)) == {600}
